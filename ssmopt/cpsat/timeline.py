"""Times in the model of a stretch: constants before it, variables within it, and constants less the gain after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from ssmopt.cpsat.plan import Move, Plan
from ssmopt.cpsat.scope import Scope
from ssmopt.csr import IntArray

Place = tuple[int, int]
"""A tensor and the position of one of its slots."""

PAST, FREE, FUTURE = range(3)

_MANY_PAIRS = 2
"""As in the exact model: pairs per event from which a variable between them replaces the pairs."""


@dataclass(frozen=True)
class Stretch:
    """What is solved anew.

    Attributes
    ----------
    begin, end
        Half-open, in units of ``Scope.scale`` cycles: tiles and transfers that start within are free.
    movable
        Tiles whose place among the others is free; the others keep their order and group. None is all of them.
    """

    begin: int
    end: int
    movable: frozenset[int] | None = None


@dataclass(frozen=True, eq=False)
class Outline:
    """The times of a plan as arrays, for finding what a stretch touches.

    Attributes
    ----------
    start, end
        Shape (tiles,).
    places, slot_begin, slot_end
        All slots of all tensors, in order, and their residencies.
    moves, move_start, move_end
        All transfers as (slot, whether it is a load), and their times.
    makespan
        The end of the last tile or transfer.
    """

    start: IntArray
    end: IntArray
    places: list[Place]
    slot_begin: IntArray
    slot_end: IntArray
    moves: list[tuple[Place, bool]]
    move_start: IntArray
    move_end: IntArray
    makespan: int

    @staticmethod
    def of(scope: Scope, plan: Plan) -> Outline:
        """The outline of a plan."""
        places, begin, end = [], [], []
        moves, move_start, move_end = [], [], []
        for tensor, slots in plan.slots.items():
            for k, slot in enumerate(slots):
                places.append((tensor, k))
                begin.append(plan.slot_start(slot))
                end.append(plan.slot_end(scope, tensor, slot))
                for move, load in ((slot.load, True), (slot.store, False)):
                    if move is not None:
                        moves.append(((tensor, k), load))
                        move_start.append(move.start)
                        move_end.append(move.start + scope.transfer_cycles[tensor][move.channel])
        makespan = max([*plan.end, *move_end], default=0)
        columns = [_array(c) for c in (plan.start, plan.end, begin, end, move_start, move_end)]
        return Outline(columns[0], columns[1], places, columns[2], columns[3], moves, columns[4], columns[5], makespan)


def _array(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64)


@dataclass(frozen=True)
class Event:
    """A start or an end: a constant in the past, an expression, or a constant less the gain."""

    kind: int
    now: int
    fixed_or_gain: cp_model.LinearExprT

    @property
    def term(self) -> cp_model.LinearExprT:
        """The event in the model."""
        return self.now - self.fixed_or_gain if self.kind == FUTURE else self.fixed_or_gain


class Timeline:
    """The model of a stretch as far as it is about times: variables, and what is before what.

    Parameters
    ----------
    scope, plan
        The instance, and a feasible plan of it, which is the hint of every variable.
    stretch
        What is solved anew.
    outline
        The outline of the plan.

    Attributes
    ----------
    gain
        By how much everything after the stretch moves earlier.
    latest, limit
        Nothing that starts before the end of the stretch ends after the first; nothing that starts at the second or
        later, now, can meet it.
    """

    def __init__(self, scope: Scope, plan: Plan, stretch: Stretch, outline: Outline):
        self.scope, self.plan, self.stretch = scope, plan, stretch
        self.model = cp_model.CpModel()
        self.begin, self.most = stretch.begin, stretch.end - stretch.begin
        self.outline, self.makespan = outline, outline.makespan
        self.writers, self.readers = scope.writers, scope.readers
        self.free = np.flatnonzero((outline.start >= stretch.begin) & (outline.start < stretch.end)).tolist()
        self.latest = self._latest()
        self.limit = self.latest + self.most
        self.gain = self._var(0, self.most, 0)
        self.start_of: dict[int, cp_model.IntVar] = {}
        self.end_of: dict[int, cp_model.LinearExprT] = {}
        self.load_of: dict[Place, cp_model.IntVar] = {}
        self.store_of: dict[Place, cp_model.IntVar] = {}

    def _kind(self, start: int) -> int:
        return PAST if start < self.stretch.begin else FREE if start < self.stretch.end else FUTURE

    def _var(self, low: int, high: int, hint: int) -> cp_model.IntVar:
        variable = self.model.new_int_var(low, high, "")
        self.model.add_hint(variable, hint)
        return variable

    def _latest(self) -> int:
        """No free tile or transfer ends after this: they do not now, nor does what began before the stretch."""
        outline, end = self.outline, self.stretch.end
        tiles = outline.end[outline.start < end].max(initial=end)
        return int(outline.move_end[outline.move_start < end].max(initial=tiles))

    def _near(self, start: IntArray, end: IntArray) -> list[int]:
        """What begins before the stretch and goes on, and what starts soon after it."""
        past = (start < self.begin) & (end > self.begin)
        found: list[int] = np.flatnonzero(past | ((start >= self.stretch.end) & (start < self.limit))).tolist()
        return found

    def _cycles(self, tensor: int, move: Move) -> int:
        return self.scope.transfer_cycles[tensor][move.channel]

    def _fixed(self, start: int, at: int) -> Event:
        """An event at a time of something that starts, now, before or after the stretch."""
        return Event(PAST, at, at) if self._kind(start) == PAST else Event(FUTURE, at, self.gain)

    def _tile_start(self, tile: int) -> Event:
        now = self.plan.start[tile]
        return Event(FREE, now, self.start_of[tile]) if tile in self.start_of else self._fixed(now, now)

    def _tile_end(self, tile: int) -> Event:
        now = self.plan.end[tile]
        if tile in self.start_of:
            return Event(FREE, now, self.end_of[tile])
        return self._fixed(self.plan.start[tile], now)

    def _move_events(self, place: Place, load: bool) -> tuple[Event, Event] | None:
        """Start and end of the load or the store of a slot."""
        slot = self.plan.slots[place[0]][place[1]]
        move = slot.load if load else slot.store
        if move is None:
            return None
        start, cycles = move.start, self._cycles(place[0], move)
        variable = (self.load_of if load else self.store_of).get(place)
        if variable is not None:
            return Event(FREE, start, variable), Event(FREE, start + cycles, variable + cycles)
        return self._fixed(start, start), self._fixed(start, start + cycles)

    def _after(self, ends: Sequence[Event], starts: Sequence[Event], *literals: cp_model.LiteralT) -> None:
        """All ends before all starts. What is over by the beginning of the stretch goes without saying."""
        past = [e for e in ends if e.kind == PAST and e.now > self.begin]
        future = [e for e in starts if e.kind == FUTURE]
        first = [e for e in ends if e.kind == FREE] + sorted(past, key=lambda e: -e.now)[:1]
        second = [e for e in starts if e.kind == FREE] + sorted(future, key=lambda e: e.now)[:1]
        if len(first) * len(second) > _MANY_PAIRS * (len(first) + len(second)) and not literals:
            done = self._var(0, self.limit, max(e.now for e in first))
            for event in first:
                self.model.add(done >= event.term)
            for event in second:
                self.model.add(event.term >= done)
            return
        for one in first:
            for other in second:
                constraint = self.model.add(other.term >= one.term)
                if literals:
                    constraint.only_enforce_if(*literals)

    def _bool(self, hint: bool) -> cp_model.IntVar:
        variable = self.model.new_bool_var("")
        self.model.add_hint(variable, hint)
        return variable
