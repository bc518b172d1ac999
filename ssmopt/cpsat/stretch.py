"""A stretch of a schedule, solved anew by CP-SAT, while what is before stays and what is after moves as a whole.

What starts before the stretch keeps its times. What starts after it moves earlier by one number of cycles, the gain, so
that its own order, transfers and residencies stay feasible among themselves. Free are the starts and the groups of
cores of the tiles that start within, the starts of the transfers, and whether a tensor that is dropped and loaded again
within the stretch is rather kept, or one that idles throughout rather dropped and loaded again. The gain is maximised;
the makespan falls by as much.
"""

from __future__ import annotations

import math

import numpy as np
from ortools.sat.python import cp_model

from ssmopt.cpsat.plan import Move, Plan, Slot
from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.stretch_events import StretchEvents
from ssmopt.cpsat.timeline import FREE, FUTURE, PAST, Event, Outline, Place, Stretch


class StretchModel(StretchEvents):
    """The CP-SAT model of a stretch of a plan, hinted by the plan.

    Parameters
    ----------
    scope, plan
        The instance, and a feasible plan of it.
    stretch
        What is solved anew.
    outline
        The outline of the plan, if it is known.
    """

    def __init__(self, scope: Scope, plan: Plan, stretch: Stretch, outline: Outline | None = None):
        super().__init__(scope, plan, stretch, outline or Outline.of(scope, plan))
        self._ended: dict[Place, cp_model.LinearExprT] = {}
        self._add_slots()
        self._add_makespan()

    # --- residencies ----------------------------------------------------------------------------------------------

    def _add_slots(self) -> None:
        """Loads before uses before the next load, stores after writers, and all residencies within the capacity."""
        intervals: list[cp_model.IntervalVar] = []
        demands: list[int] = []
        room = self.scope.capacity
        size = self.scope.instance.tensor_bytes
        outline = self.outline
        for i in np.flatnonzero((outline.slot_end >= self.begin) & (outline.slot_begin < self.limit)).tolist():
            place = tensor, k = outline.places[i]
            begin, end = int(outline.slot_begin[i]), int(outline.slot_end[i])
            if tensor not in self.active and place not in self.drop:
                # Nothing of it is free or under way: it is in memory before the stretch, after it, or throughout.
                if begin < self.begin and end >= self.limit:
                    room -= int(size[tensor])
                elif end > self.begin and not self.scope.fits:
                    self._add_passive(begin, end, intervals)
                    demands.append(int(size[tensor]))
                continue
            slot = self.plan.slots[tensor][k]
            following = self.plan.slots[tensor][k + 1] if k + 1 < len(self.plan.slots[tensor]) else None
            load, store = self._move_events(place, True), self._move_events(place, False)
            uses = [self._tile_start(t) for t in slot.uses]
            ends = [self._tile_end(t) for t in slot.uses]
            kept = self.keep.get(place)
            if load is not None:
                self._after([load[1]], uses, *([] if kept is None else [~kept]))
            if store is not None:
                wrote = set(self.writers[tensor])
                self._after([self._tile_end(t) for t in slot.uses if t in wrote], [store[0]])
            absent = self._absent(place, load=False)
            if following is not None and following.load is not None:
                next_load = self._move_events((tensor, k + 1), True)
                assert next_load is not None
                kept_on = self.keep.get((tensor, k + 1))
                late = [] if kept_on is None else [~kept_on]
                self._after(ends, [next_load[0]], *late)
                if store is not None:
                    self._after([store[1]], [next_load[0]], *late)
            if kept is not None:
                self._add_kept(place, uses)
            if self.scope.fits:
                continue
            if begin < self.begin and end >= self.limit:
                # Only something after the stretch ends so late, wherever it moves to.
                if place not in self.drop:
                    room -= int(size[tensor])
                    continue
                dropped, start = self.drop[place]
                whole = self.model.new_optional_interval_var(
                    self.begin, self.limit - self.begin, self.limit, ~dropped, ""
                )
                length = self._var(0, self.limit, self.limit - self.begin)
                rest = self.model.new_optional_interval_var(start, length, self.limit, dropped, "")
                intervals += [whole, rest]
                demands += [int(size[tensor])] * 2
                continue
            first = self._first(place, slot, load, begin)
            last = self._last(ends, store, absent, begin)
            self._ended[place] = last
            length = self._var(0, max(self.limit, end) + self.most, end - begin)
            intervals.append(self.model.new_interval_var(first, length, last, ""))
            demands.append(int(size[tensor]))
        if intervals:
            unit = math.gcd(*demands)
            self.model.add_cumulative(intervals, [d // unit for d in demands], room // unit)

    def _add_passive(self, begin: int, end: int, intervals: list[cp_model.IntervalVar]) -> None:
        """A residency that ends after the stretch, and begins before or after it."""
        if begin >= self.stretch.end:
            interval = self.model.new_fixed_size_interval_var(begin - self.gain, end - begin, "")
        else:
            length = self._var(0, end - begin, end - begin)
            interval = self.model.new_interval_var(begin, length, end - self.gain, "")
        intervals.append(interval)

    def _first(self, place: Place, slot: Slot, load: tuple[Event, Event] | None, begin: int) -> cp_model.LinearExprT:
        """When a residency begins: with its load, its first writer, or where the slot before ends if it is kept."""
        kept = self.keep.get(place)
        if load is not None:
            if kept is None:
                return load[0].term
            first = self._var(0, self.limit, begin)
            self.model.add(first == load[0].term).only_enforce_if(~kept)
            self.model.add(first == self._ended[place[0], place[1] - 1]).only_enforce_if(kept)
            return first
        starts = [self._tile_start(t) for t in slot.uses]
        past = [e.now for e in starts if e.kind == PAST]
        if past:
            return min(past)
        future = sorted((e for e in starts if e.kind == FUTURE), key=lambda e: e.now)[:1]
        terms = [e.term for e in starts if e.kind == FREE] + [e.term for e in future]
        if len(terms) == 1:
            return terms[0]
        first = self._var(0, self.limit, begin)
        self.model.add_min_equality(first, terms)
        return first

    def _last(
        self, ends: list[Event], store: tuple[Event, Event] | None, absent: cp_model.IntVar | None, begin: int
    ) -> cp_model.LinearExprT:
        """When a residency ends: not before any of its uses, nor before its store."""
        sure = ends + ([store[1]] if store is not None and absent is None else [])
        past = sorted((e for e in sure if e.kind == PAST), key=lambda e: -e.now)[:1]
        future = sorted((e for e in sure if e.kind == FUTURE), key=lambda e: -e.now)[:1]
        free = [e for e in sure if e.kind == FREE]
        if absent is None and len(past) + len(future) + len(free) == 1:
            return (past + future + free)[0].term
        now = max([e.now for e in sure] + ([store[1].now] if store is not None else []))
        last = self._var(0, max(self.limit, now), now)
        for event in past + future + free:
            self.model.add(last >= event.term)
        if absent is not None and store is not None:
            self.model.add(last >= store[1].term).only_enforce_if(~absent)
        return last

    def _add_kept(self, place: Place, uses: list[Event]) -> None:
        """A tensor that is kept: its uses come after what began the slot before, additions after those in there."""
        tensor, k = place
        kept = self.keep[place]
        before = self.plan.slots[tensor][k - 1]
        load = self._move_events((tensor, k - 1), True)
        if load is not None:
            self._after([load[1]], uses, kept)
        wrote = set(self.writers[tensor])
        adding = [self._tile_start(t) for t in self.plan.slots[tensor][k].uses if t in wrote]
        over = [self._tile_end(t) for t in before.uses if t in wrote]
        store = self._move_events((tensor, k - 1), False)
        if store is not None and (tensor, k - 1) not in self.dropped_store:
            over.append(store[1])
        self._after(over, adding, kept)

    def _add_makespan(self) -> None:
        """Everything moves within what is left of the makespan; the more gain the better, then the fewer loads."""
        for tile in self.free:
            self.model.add(self.end_of[tile] + self.gain <= self.makespan)
        for variables, load in ((self.load_of, True), (self.store_of, False)):
            for place in variables:
                events = self._move_events(place, load)
                assert events is not None
                self.model.add(events[1].term + self.gain <= self.makespan)
        past = self.outline.end[self.outline.start < self.begin].max(initial=0)
        past = self.outline.move_end[self.outline.move_start < self.begin].max(initial=past)
        self.model.add(self.gain <= self.makespan - int(past))
        saved = [(self.keep[place], self._saved(place)) for place in self.keep]
        for (tensor, _), (dropped, _) in self.drop.items():
            saved.append((dropped, -min(self.scope.transfer_cycles[tensor])))
        weight = 1 + sum(abs(cycles) for _, cycles in saved)
        self.model.maximize(weight * self.gain + sum(cycles * kept for kept, cycles in saved))

    def _saved(self, place: Place) -> int:
        tensor, k = place
        slots = self.plan.slots[tensor]
        moves = [slots[k].load] + ([slots[k - 1].store] if (tensor, k - 1) in self.dropped_store else [])
        return sum(self._cycles(tensor, move) for move in moves if move is not None)

    # --- the answer -----------------------------------------------------------------------------------------------

    def plan_from(self, solver: cp_model.CpSolver) -> Plan:
        """The whole plan of a solution."""
        gain = int(solver.value(self.gain))
        start, group = list(self.plan.start), list(self.plan.group)
        for tile, now in enumerate(start):
            if tile in self.start_of:
                start[tile] = int(solver.value(self.start_of[tile]))
            elif now >= self.stretch.end:
                start[tile] = now - gain
        for tile, options in self.group_of.items():
            group[tile] = next(g for g, present in options.items() if solver.value(present))
        plan = Plan.of_tiles(self.scope, start, group)
        for tensor, slots in self.plan.slots.items():
            found: list[Slot] = []
            for k, slot in enumerate(slots):
                load = self._moved(slot.load, self.load_of.get((tensor, k)), gain, solver)
                store = self._moved(slot.store, self.store_of.get((tensor, k)), gain, solver)
                if (tensor, k) in self.keep and solver.value(self.keep[tensor, k]):
                    before = found[-1]
                    if (tensor, k - 1) in self.dropped_store or store is not None:
                        before.store = None
                    found[-1] = Slot(before.uses + slot.uses, before.load, store or before.store)
                elif (tensor, k) in self.drop and solver.value(self.drop[tensor, k][0]):
                    channel = min(range(len(self.scope.channels)), key=self.scope.transfer_cycles[tensor].__getitem__)
                    again = Move(int(solver.value(self.drop[tensor, k][1])), channel)
                    early = [tile for tile in slot.uses if self.plan.start[tile] < self.begin]
                    late = [tile for tile in slot.uses if self.plan.start[tile] >= self.begin]
                    found += [Slot(early, load, store), Slot(late, again)]
                else:
                    found.append(Slot(list(slot.uses), load, store))
            plan.slots[tensor] = found
        return plan

    def _moved(
        self, move: Move | None, variable: cp_model.IntVar | None, gain: int, solver: cp_model.CpSolver
    ) -> Move | None:
        if move is None:
            return None
        if variable is not None:
            return Move(int(solver.value(variable)), move.channel)
        return move if move.start < self.begin else Move(move.start - gain, move.channel)
