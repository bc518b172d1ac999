"""The constraints of the model of one period: precedences over iterations, residencies, and capacities modulo it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ortools.sat.python import cp_model

from ssmopt.cpsat.scope import Scope
from ssmopt.instance import OUTPUT
from ssmopt.loop import Loop
from ssmopt.periodic.uses import Use, Uses
from ssmopt.periodic.variables import MoveVars, SharedVars, StayVars, Variables


class Constraints:
    """Adds everything that makes a pattern feasible."""

    def __init__(
        self,
        model: cp_model.CpModel,
        loop: Loop,
        scope: Scope,
        uses: dict[int, Uses],
        variables: Variables,
        period: int,
    ) -> None:
        self.model = model
        self.loop = loop
        self.scope = scope
        self.uses = uses
        self.variables = variables
        self.period = period

    def add(self) -> None:
        """All constraints."""
        self._anchors()
        self._cores()
        self._precedences()
        self._sums()
        for tensor, stays in self.variables.own.items():
            self._retention(tensor, stays)
        for shared in self.variables.shared.values():
            self._shared(shared)
        self._channels()
        self._memory()

    def _anchors(self) -> None:
        """Patterns moved in time are the same: the first tile starts at 0, and the first of each part at stage 0."""
        tiles = self.variables.tiles
        for part, tile in enumerate(_first_tiles(len(tiles), self.uses)):
            moment = tiles[tile].moment
            self.model.add(moment.time == 0 if part == 0 else moment.time == moment.phase)

    def _arcs(
        self, start: cp_model.IntVar, size: cp_model.IntVar | int, present: cp_model.IntVar
    ) -> list[cp_model.IntervalVar]:
        """An interval of less than two periods, here and a period later.

        From the second period on every interval under way is there, and before there are no others, so that
        capacities hold for these two copies exactly when they hold for all.
        """
        end: cp_model.LinearExprT = start + size
        if not isinstance(size, int):  # The end of an interval has to be one variable.
            end = self.model.new_int_var(0, 2 * self.period, "")
            self.model.add(end == start + size)
        new = self.model.new_optional_interval_var
        return [new(start + turn, size, end + turn, present, "") for turn in (0, self.period)]

    def _cores(self) -> None:
        """One tile at a time per core, whichever iterations they belong to."""
        arcs: dict[int, list[cp_model.IntervalVar]] = {}
        for tile in self.variables.tiles:
            self.model.add_exactly_one([chosen for _, _, chosen in tile.options])
            for core, cycles, chosen in tile.options:
                arcs.setdefault(core, []).extend(self._arcs(tile.moment.phase, cycles, chosen))
        for intervals in arcs.values():
            self.model.add_no_overlap(intervals)
        self._like_cores()

    def _like_cores(self) -> None:
        """Of cores that are alike, the next one is used only if a tile before uses the one before."""
        tiles = self.variables.tiles
        for group in self.scope.groups:
            for core, following in zip(group.cores, group.cores[1:], strict=False):
                earlier: list[cp_model.IntVar] = []
                for tile in tiles:
                    chosen = {c: one for c, _, one in tile.options}
                    if following in chosen:
                        self.model.add(sum(earlier) >= chosen[following])
                        earlier.append(chosen[core])

    def _precedences(self) -> None:
        """Readers start after every writer has ended."""
        tiles = self.variables.tiles
        for one in self.uses.values():
            for writer in one.writers:
                for reader in one.readers:
                    self.model.add(self._start(reader) >= tiles[writer.tile].end)

    def _sums(self) -> None:
        """Tiles that add into one tensor do not overlap."""
        for one in self.uses.values():
            if len(one.writers) > 1:
                intervals = []
                for use in one.writers:
                    tile = self.variables.tiles[use.tile]
                    start = self._as_variable(tile.moment.time)
                    for _, cycles, chosen in tile.options:
                        intervals.append(self.model.new_optional_fixed_size_interval_var(start, cycles, chosen, ""))
                self.model.add_no_overlap(intervals)

    def _as_variable(self, time: cp_model.LinearExpr) -> cp_model.IntVar:
        """A time as one variable, which intervals need."""
        limit = (self.variables.stage_limit + 1) * self.period
        found = self.model.new_int_var(-limit, limit, "")
        self.model.add(found == time)
        return found

    def _start(self, use: Use) -> cp_model.LinearExpr:
        return self.variables.tiles[use.tile].moment.time + use.distance * self.period

    def _end(self, use: Use) -> cp_model.LinearExpr:
        return self.variables.tiles[use.tile].end + use.distance * self.period

    def _retention(self, tensor: int, stays: list[StayVars]) -> None:
        """Each use in one residency, one residency after another, and what was written stored before it is loaded."""
        model, uses = self.model, self.uses[tensor]
        output = self.scope.instance.tensor_kind[tensor] == OUTPUT
        for use in uses.all:
            model.add_exactly_one([stay.uses[use] for stay in stays if use in stay.uses])
        if len(uses.writers) > 1:
            model.add_min_equality(stays[0].moment.time, [self._start(use) for use in uses.writers])
        for k, stay in enumerate(stays):
            writers = [use for use in uses.writers if use in stay.uses]
            following = stays[k + 1] if k + 1 < len(stays) else None
            first = writers if k == 0 and writers else list(stay.uses)
            model.add_max_equality(stay.used, [stay.uses[use] for use in first])
            self._empty_if_unused(stay)
            for use, chosen in stay.uses.items():
                model.add(self._end(use) <= stay.end).only_enforce_if(chosen)
                if stay.load is not None:
                    model.add(self._start(use) >= stay.load.end).only_enforce_if(chosen)
            if stay.load is not None:
                self._route(stay.load)
                model.add(stay.load.end <= stay.end).only_enforce_if(stay.used)
            if following is not None:
                model.add_implication(following.used, stay.used)
                assert following.load is not None
                model.add(following.moment.time >= stay.end).only_enforce_if(following.used)
            if stay.wrote is not None:
                if writers:
                    model.add_max_equality(stay.wrote, [stay.uses[use] for use in writers])
                else:
                    model.add(stay.wrote == 0)
            if stay.store is not None:
                self._store(stay, stay.store, following, writers, output)

    def _store(
        self, stay: StayVars, store: MoveVars, following: StayVars | None, writers: list[Use], output: bool
    ) -> None:
        """A store comes after all that its residency wrote, and before that ends."""
        self._route(store)
        if stay.wrote is not None and following is not None and not output:
            self.model.add_min_equality(store.present, [stay.wrote, following.used])
        for use in writers:
            self.model.add(store.moment.time >= self._end(use)).only_enforce_if([store.present, stay.uses[use]])
        self.model.add(store.end <= stay.end).only_enforce_if(store.present)

    def _empty_if_unused(self, stay: StayVars) -> None:
        self.model.add(stay.whole == 0).only_enforce_if(~stay.used)
        self.model.add(stay.rest == 0).only_enforce_if(~stay.used)

    def _route(self, move: MoveVars) -> None:
        """A transfer that happens takes one channel; without channels it cannot."""
        if len(move.options) != 1:
            self.model.add(sum(chosen for _, _, chosen in move.options) == move.present)

    def _shared(self, shared: SharedVars) -> None:
        """Loaded in each period or kept; each reader finds it, in this period or a period later."""
        model = self.model
        for stay, users in zip(shared.stays, shared.users, strict=True):
            assert stay.load is not None
            self._route(stay.load)
            self._empty_if_unused(stay)
            model.add_max_equality(stay.used, list(users.values()))
            model.add(stay.load.end <= stay.end).only_enforce_if(stay.used)
            for tile, chosen in users.items():
                variables = self.variables.tiles[tile]
                later = model.new_bool_var("")
                start = variables.moment.phase + self.period * later
                cycles = variables.end - variables.moment.time
                model.add(start >= stay.load.end).only_enforce_if(chosen)
                model.add(start + cycles <= stay.end).only_enforce_if(chosen)
        for tile in shared.users[0]:
            model.add_exactly_one([shared.kept, *(users[tile] for users in shared.users)])
        for earlier, stay in zip(shared.stays, shared.stays[1:], strict=False):
            model.add_implication(stay.used, earlier.used)
            model.add(stay.moment.phase >= earlier.moment.phase).only_enforce_if(stay.used)
        arcs = [arc for stay in shared.stays for arc in self._arcs(stay.moment.phase, stay.rest, stay.used)]
        model.add_no_overlap(arcs)

    def _moves(self) -> Iterable[MoveVars]:
        stays = [stay for stays in self.variables.own.values() for stay in stays]
        stays += [stay for shared in self.variables.shared.values() for stay in shared.stays]
        return [move for stay in stays for move in (stay.load, stay.store) if move is not None]

    def _channels(self) -> None:
        """No more transfers than lanes; one longer than a period overlaps with those of the next iterations."""
        for channel, lanes in zip(self.scope.channels, self.scope.lanes, strict=True):
            arcs, always = [], []
            for move in self._moves():
                for one, cycles, chosen in move.options:
                    if one == channel:
                        whole, rest = divmod(cycles, self.period)
                        always.append(whole * chosen)
                        if rest:
                            arcs += self._arcs(move.moment.phase, rest, chosen)
            self._limit(arcs, [1] * len(arcs), always, lanes)

    def _memory(self) -> None:
        """Residencies fit: whole periods of one are always there, in as many copies, and the rest at its time."""
        size = self.scope.instance.tensor_bytes
        heavy = [*self.variables.own, *self.variables.shared]
        if not heavy:
            return
        unit = math.gcd(*(int(size[t]) for t in heavy))
        arcs: list[cp_model.IntervalVar] = []
        demands: list[int] = []
        always: list[cp_model.LinearExpr] = []
        for tensor, stays in self.variables.own.items():
            self._stays(stays, int(size[tensor]) // unit, arcs, demands, always)
        for tensor, shared in self.variables.shared.items():
            self._stays(shared.stays, int(size[tensor]) // unit, arcs, demands, always)
            always.append(shared.kept * (int(size[tensor]) // unit))
        self._limit(arcs, demands, always, self.scope.capacity // unit)

    def _stays(
        self,
        stays: Iterable[StayVars],
        demand: int,
        arcs: list[cp_model.IntervalVar],
        demands: list[int],
        always: list[cp_model.LinearExpr],
    ) -> None:
        for stay in stays:
            new = self._arcs(stay.moment.phase, stay.rest, stay.used)
            arcs += new
            demands += [demand] * len(new)
            always.append(stay.whole * demand)

    def _limit(
        self,
        arcs: list[cp_model.IntervalVar],
        demands: list[int],
        always: list[cp_model.LinearExpr],
        capacity: int,
    ) -> None:
        """Arcs under way, and what is always there, within the capacity."""
        room = self.model.new_int_var(0, capacity, "")
        self.model.add(room + sum(always) == capacity)
        self.model.add_cumulative(arcs, demands, room)


def _first_tiles(n_tiles: int, uses: dict[int, Uses]) -> list[int]:
    """The first tile of each part of the loop that is connected by tensors of an iteration."""
    root = list(range(n_tiles))

    def find(tile: int) -> int:
        while root[tile] != tile:
            tile = root[tile]
        return tile

    for one in uses.values():
        for use in one.all:
            a, b = find(one.all[0].tile), find(use.tile)
            root[max(a, b)] = min(a, b)
    return [tile for tile in range(n_tiles) if root[tile] == tile]
