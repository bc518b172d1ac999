"""From a pattern to a schedule: what has to happen once, before the first iterations and after the last ones.

Both ends rest on one fact, proved in ``docs/periodic.md``: a schedule stays feasible if at some moment everything that
has not started waits for a while. In such a pause the channel becomes idle, so that an initial state can be loaded into
the room that its source would have had, or a final state be stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ssmopt.cpsat.scope import Scope
from ssmopt.csr import IntArray
from ssmopt.instance import DRAM
from ssmopt.loop import Loop
from ssmopt.periodic.pattern import Pattern, Stay
from ssmopt.periodic.rows import Row, tables
from ssmopt.periodic.uses import uses_of
from ssmopt.periodic_schedule import Body, Once, PeriodicSchedule
from ssmopt.schedule import ResidencyTable, Schedule

SOLVER = "modulo"


@dataclass(frozen=True)
class Transfer:
    """A transfer to be fitted in: ``moment`` may be any from ``low`` to ``high``; ``stay_end`` ends its residency."""

    tensor: int
    iteration: int
    low: int
    high: int
    stay_end: int


@dataclass(frozen=True)
class Pause:
    """What starts at ``moment`` or later waits for ``cycles``; ``idle`` of them pass before the transfers."""

    moment: int
    cycles: int
    idle: int
    transfers: tuple[Transfer, ...]


def periodic_of(loop: Loop, pattern: Pattern, serial: Schedule) -> PeriodicSchedule:
    """The schedule whose steady state is a pattern, of as few iterations as it can have.

    Parameters
    ----------
    loop, pattern
        The loop, and a feasible pattern of it.
    serial
        A schedule of the body in which every carried tensor goes through DRAM. Where initial states differ from what
        is carried later (a source carried over several distances), the first iterations follow it.
    """
    return _Ends(loop, pattern, serial).build()


class _Ends:
    def __init__(self, loop: Loop, pattern: Pattern, serial: Schedule) -> None:
        self.loop = loop
        self.pattern = pattern
        self.serial = serial
        self.period = pattern.period
        self.scope = Scope.of(loop.body)
        carried = loop.source[loop.carried]
        self.peeled = loop.max_distance if len(set(carried.tolist())) < len(carried) else 0
        self.rows = list(self._body_rows())

    def build(self) -> PeriodicSchedule:
        virtual = list(self._virtual_rows())
        head = self._pauses(self._arrivals(), [*self.rows, *virtual], first=True)
        tail = self._pauses(self._departures(), self.rows, first=False)
        first = list(self._first(head, virtual))
        last = list(self._last(tail))
        ready = self.peeled * self.serial.makespan
        loads, base = self._kept_loads(ready)
        origin = base - min(row.start for row in first + self.rows)
        prologue = [*self._peeled_rows(), *loads, *(row.moved(origin) for row in first)]
        after = [row.moved(origin) for row in last]
        body = [row.moved(origin) for row in self._steady(head, tail)]
        end = max(row.end for row in (*body, *after, *(row.moved(origin) for row in self.rows)))
        kept = np.array([[row.tensor, row.place, row.start, end] for row in loads if row.stays], dtype=np.int64)
        prologue = [row for row in prologue if not (row.stays and row in loads)]
        return PeriodicSchedule(
            prologue=_once(prologue),
            body=Body(*tables(body, skips=True)),
            epilogue=_once(after),
            lasting=ResidencyTable(*kept.reshape(-1, 4).T.copy()),
            period=self.period,
            repeats=(fewest := self._fewest(head, tail, virtual, prologue, after, body)),
            fewest_repeats=fewest,
            solver=SOLVER,
        )

    # --- rows of the pattern ------------------------------------------------------------------------------------

    def _body_rows(self) -> Iterable[Row]:
        """Rows of iteration 0; ``last`` says how many final iterations do not need them, or need more of them."""
        pattern = self.pattern
        for tile, (start, end, core) in enumerate(zip(pattern.start, pattern.end, pattern.core, strict=True)):
            yield Row("tile", tile, core, start, end, first=self.peeled)
        for stay in pattern.stays:
            last = min((use.distance for use in stay.uses), default=0) if stay.load is not None else 0
            yield from self._stay_rows(stay, stay.tensor, self.peeled, last)

    def _stay_rows(self, stay: Stay, tensor: int, first: int, last: int) -> Iterable[Row]:
        memory = self.scope.memory
        yield Row("stay", tensor, memory, stay.start, stay.end, first=first, last=last)
        if stay.load is not None:
            yield Row("load", tensor, stay.load.channel, stay.load.start, stay.load.end, memory, first, last)
        if stay.store is not None:
            yield Row("store", tensor, stay.store.channel, stay.store.start, stay.store.end, memory, first, last)

    def _earlier(self) -> Iterable[tuple[Stay, int, int, int, int]]:
        """Residencies of iterations before the first one that later ones use.

        With each: its iteration, a name and iteration of its tensor that exist, and the start of its first use.
        """
        for iteration in range(self.peeled - self.loop.max_distance, self.peeled):
            for stay in self.pattern.stays:
                real = [use for use in stay.uses if iteration + use.distance >= self.peeled]
                if real:
                    used = min(self.pattern.start[use.tile] + use.distance * self.period for use in real)
                    yield stay, iteration, real[0].name, iteration + real[0].distance, used + iteration * self.period

    def _virtual_rows(self) -> Iterable[Row]:
        """Loads of what iterations before the first one have left in DRAM, as the pattern has them."""
        for stay, iteration, name, when, _ in self._earlier():
            if stay.load is not None:
                for row in self._stay_rows(replace(stay, store=None), name, 0, 0):
                    yield replace(row.moved(iteration * self.period), iteration=when)

    # --- pauses -------------------------------------------------------------------------------------------------

    def _arrivals(self) -> list[Transfer]:
        """Initial states that the pattern has produced on chip."""
        found = []
        for stay, iteration, name, when, used in self._earlier():
            if stay.load is None:
                delay = iteration * self.period
                found.append(Transfer(name, when, stay.start + delay + 1, used, stay.end + delay))
        return found

    def _departures(self) -> list[Transfer]:
        """Final states that the pattern does not store; iterations count from the end."""
        found = []
        for tensor, uses in uses_of(self.loop).items():
            if not self.loop.drains[tensor] or not self.loop.body.tensor_bytes[tensor]:
                continue
            complete = max(self.pattern.end[use.tile] for use in uses.writers)
            stay = next(
                stay
                for stay in self.pattern.stays
                if stay.tensor == tensor
                and any(use in stay.uses and self.pattern.end[use.tile] == complete for use in uses.writers)
            )
            if stay.store is None:
                for iteration in range(-int(self.loop.reach[tensor]), 0):
                    delay = iteration * self.period
                    end = stay.end + delay
                    found.append(Transfer(tensor, iteration, complete + delay, end - 1, end))
        return found

    def _pauses(self, transfers: list[Transfer], rows: list[Row], first: bool) -> list[Pause]:
        """As few pauses as possible that give each transfer one it may happen in, in order of time."""
        pauses = []
        left = sorted(transfers, key=lambda one: one.high if first else -one.low)
        while left:
            moment = left[0].high if first else left[0].low
            here = [one for one in left if one.low <= moment <= one.high]
            left = [one for one in left if not one.low <= moment <= one.high]
            channel = self._channel(here[0].tensor)
            idle = max((self._left_over(row, moment, channel, first) for row in rows), default=0)
            pauses.append(Pause(moment, idle + sum(self._cycles(one.tensor) for one in here), idle, tuple(here)))
        return sorted(pauses, key=lambda pause: pause.moment)

    def _left_over(self, row: Row, moment: int, channel: int, first: bool) -> int:
        """Cycles that a transfer of the row under way at a moment still takes."""
        if row.kind not in ("load", "store") or row.place != channel:
            return 0
        if row.iteration is not None:
            return max(0, row.end - moment) if row.start < moment else 0
        # The latest iteration that starts before the moment has the most left.
        iteration = -(-(moment - row.start) // self.period) - 1
        if not first:
            iteration = min(iteration, -1 - row.last)
        elif iteration < row.first:
            return 0
        return max(0, row.end + iteration * self.period - moment)

    def _channel(self, tensor: int) -> int:
        cycles = self.scope.transfer_cycles[tensor]
        return self.scope.channels[cycles.index(min(cycles))]

    def _cycles(self, tensor: int) -> int:
        return min(self.scope.transfer_cycles[tensor])

    # --- the beginning ------------------------------------------------------------------------------------------

    def _first(self, pauses: list[Pause], virtual: list[Row]) -> Iterable[Row]:
        """What differs from the pattern at the beginning. What starts before a pause starts earlier by its cycles."""

        def shift(time: int) -> int:
            return -sum(pause.cycles for pause in pauses if pause.moment > time)

        def shift_end(time: int) -> int:
            return -sum(pause.cycles for pause in pauses if pause.moment >= time)

        for row in (*virtual, *self._before(pauses)):
            delay = shift(row.start)
            yield replace(row, start=row.start + delay, end=row.end + (shift_end(row.end) if row.stays else delay))
        for pause in pauses:
            start = pause.moment + shift(pause.moment) - pause.cycles + pause.idle
            for one in pause.transfers:
                end = start + self._cycles(one.tensor)
                memory, channel = self.scope.memory, self._channel(one.tensor)
                yield Row("load", one.tensor, channel, start, end, memory, iteration=one.iteration)
                stay_end = one.stay_end + shift_end(one.stay_end)
                yield Row("stay", one.tensor, memory, start, stay_end, iteration=one.iteration)
                start = end

    def _before(self, pauses: list[Pause]) -> Iterable[Row]:
        """Rows of iterations that exist and that start before the last pause."""
        for row in self.rows:
            for iteration in range(self.peeled, self._first_steady(row, pauses)):
                yield replace(row.moved(iteration * self.period), iteration=iteration)

    def _first_steady(self, row: Row, pauses: list[Pause]) -> int:
        if not pauses:
            return row.first
        return max(row.first, -(-(pauses[-1].moment - row.start) // self.period))

    def _peeled_rows(self) -> Iterable[Row]:
        """Iterations that follow the serial schedule."""
        serial = self.serial
        for iteration in range(self.peeled):
            delay = iteration * serial.makespan
            for row in rows_of(serial):
                yield replace(row.moved(delay), iteration=iteration)

    def _kept_loads(self, start: int) -> tuple[list[Row], int]:
        """Shared tensors that stay: loaded one after another; and when that is over."""
        rows = []
        for tensor in self.pattern.kept:
            end = start + self._cycles(tensor)
            rows.append(Row("load", tensor, self._channel(tensor), start, end, self.scope.memory, iteration=0))
            rows.append(Row("stay", tensor, self.scope.memory, start, end, iteration=0))
            start = end
        return rows, start

    # --- the end ------------------------------------------------------------------------------------------------

    def _last(self, pauses: list[Pause]) -> Iterable[Row]:
        """What differs from the pattern at the end. What starts after a pause starts later by its cycles."""

        def shift(time: int) -> int:
            return sum(pause.cycles for pause in pauses if pause.moment <= time)

        def shift_end(time: int) -> int:
            return sum(pause.cycles for pause in pauses if pause.moment < time)

        for row in self.rows:
            for iteration in range(-self._delayed(row, pauses), -row.last):
                late = replace(row.moved(iteration * self.period), iteration=min(iteration, -1))
                delay = shift(late.start)
                end = late.end + (shift_end(late.end) if late.stays else delay)
                yield replace(late, start=late.start + delay, end=end)
        for pause in pauses:
            start = pause.moment + shift(pause.moment) - pause.cycles + pause.idle
            for one in pause.transfers:
                end = start + self._cycles(one.tensor)
                yield Row(
                    "store", one.tensor, self._channel(one.tensor), start, end, self.scope.memory,
                    iteration=one.iteration,
                )  # fmt: skip
                start = end

    def _delayed(self, row: Row, pauses: list[Pause]) -> int:
        """In how many of the last iterations a row starts, or a residency still lasts, after the first pause."""
        if not pauses:
            return 0
        time = row.end - 1 if row.stays else row.start
        return max(0, (time - pauses[0].moment) // self.period)

    def _steady(self, head: list[Pause], tail: list[Pause]) -> Iterable[Row]:
        for row in self.rows:
            yield replace(row, first=self._first_steady(row, head), last=max(0, row.last, self._delayed(row, tail)))

    def _fewest(
        self,
        head: list[Pause],
        tail: list[Pause],
        virtual: list[Row],
        first: list[Row],
        last: list[Row],
        body: list[Row],
    ) -> int:
        """Iterations with which the beginning, with all that it has left, is over before the end begins."""
        odd_first = max([row.first for row in body] + [1 + (row.iteration or 0) for row in first])
        odd_last = max([row.last for row in body] + [-(row.iteration or 0) for row in last])
        ends = [pause.moment for pause in head] + [row.end for row in virtual]
        ends += [one.stay_end for pause in head for one in pause.transfers]
        fewest = max(odd_first + odd_last, self.peeled + 1, int(self.loop.reach.max(initial=1)))
        if tail and ends:
            fewest = max(fewest, -(-(max(ends) - tail[0].moment) // self.period))
        return fewest


def rows_of(schedule: Schedule) -> Iterable[Row]:
    """Rows of an ordinary schedule."""

    def columns(*found: IntArray) -> zip[tuple[int, ...]]:
        return zip(*(column.tolist() for column in found), strict=True)

    tiles, moves, stays = schedule.tiles, schedule.transfers, schedule.residencies
    for tile, core, start, end in columns(tiles.tile, tiles.core, tiles.start, tiles.end):
        yield Row("tile", tile, core, start, end)
    for tensor, channel, source, target, start, end in columns(
        moves.tensor, moves.channel, moves.source, moves.target, moves.start, moves.end
    ):
        kind, memory = ("load", target) if source == DRAM else ("store", source)
        yield Row(kind, tensor, channel, start, end, memory)
    for tensor, memory, start, end in columns(stays.tensor, stays.memory, stays.start, stays.end):
        yield Row("stay", tensor, memory, start, end)


def _once(rows: list[Row]) -> Once:
    return Once(*tables(rows, skips=False))
