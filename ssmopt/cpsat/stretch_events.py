"""Tiles and transfers of a stretch: when and where those run that are free, among those that keep their times."""

from __future__ import annotations

import itertools

import numpy as np
from ortools.sat.python import cp_model

from ssmopt.cpsat.constraints import add_at_most
from ssmopt.cpsat.plan import Plan
from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.timeline import Outline, Place, Stretch, Timeline
from ssmopt.instance import OUTPUT

MOST_DROPS = 12
"""Idle tensors, the largest, that may be dropped and loaded again in one stretch."""


class StretchEvents(Timeline):
    """What happens in a stretch of a plan: tiles on cores, transfers on channels, and what waits for what.

    Parameters
    ----------
    scope, plan, stretch, outline
        As for `ssmopt.cpsat.stretch.StretchModel`.
    """

    def __init__(self, scope: Scope, plan: Plan, stretch: Stretch, outline: Outline):
        super().__init__(scope, plan, stretch, outline)
        self.group_of: dict[int, dict[int, cp_model.IntVar]] = {}
        self.keep: dict[Place, cp_model.IntVar] = {}
        self.drop: dict[Place, tuple[cp_model.IntVar, cp_model.IntVar]] = {}
        self.dropped_store: set[Place] = set()
        self.active: set[int] = set()
        self._add_tiles()
        self._add_moves()
        self._add_precedences()

    def _add_tiles(self) -> None:
        """Free tiles on one of their groups, among those that began before and those that come later."""
        model, plan = self.model, self.plan
        members: list[list[cp_model.IntervalVar]] = [[] for _ in self.scope.groups]
        movable = self.stretch.movable
        for tile in self.free:
            options = self.scope.tile_groups[tile]
            if movable is not None and tile not in movable:
                options = tuple(option for option in options if option[0] == plan.group[tile])
            self._add_free_tile(tile, options, members)
        for tile in self._near(self.outline.start, self.outline.end):
            now, end = plan.start[tile], plan.end[tile]
            interval = model.new_fixed_size_interval_var(self._fixed(now, now).term, end - now, "")
            members[plan.group[tile]].append(interval)
        for cores, intervals in zip(self.scope.groups, members, strict=True):
            add_at_most(model, intervals, len(cores.cores))
        if movable is not None:
            chain: dict[int, list[int]] = {}
            for tile in sorted(self.free, key=lambda t: (plan.start[t], t)):
                if tile not in movable:
                    chain.setdefault(plan.group[tile], []).append(tile)
            for tiles in chain.values():
                for one, other in itertools.pairwise(tiles):
                    model.add(self.start_of[one] <= self.start_of[other])

    def _add_free_tile(
        self, tile: int, options: tuple[tuple[int, int], ...], members: list[list[cp_model.IntervalVar]]
    ) -> None:
        model, now, end = self.model, self.plan.start[tile], self.plan.end[tile]
        shortest = min(cycles for _, cycles in options)
        start = self.start_of[tile] = self._var(self.begin, max(now, self.latest - shortest), now)
        if len(options) == 1:
            self.end_of[tile] = start + shortest
            members[options[0][0]].append(model.new_fixed_size_interval_var(start, shortest, ""))
            return
        self.group_of[tile] = {}
        chosen = []
        for group, cycles in options:
            present = self._bool(group == self.plan.group[tile])
            self.group_of[tile][group] = present
            members[group].append(model.new_optional_fixed_size_interval_var(start, cycles, present, ""))
            chosen.append((present, cycles))
        model.add_exactly_one([present for present, _ in chosen])
        if len({cycles for _, cycles in options}) == 1:
            self.end_of[tile] = start + shortest
            return
        ended = self.end_of[tile] = self._var(self.begin, self.latest, end)
        for present, cycles in chosen:
            model.add(ended == start + cycles).only_enforce_if(present)

    def _add_moves(self) -> None:
        """Free transfers on their channel; a load is left out where its tensor is kept."""
        model = self.model
        members: list[list[cp_model.IntervalVar]] = [[] for _ in self.scope.channels]
        outline = self.outline
        inside = (outline.move_start >= self.begin) & (outline.move_start < self.stretch.end)
        for i in np.flatnonzero(inside).tolist():
            place, load = outline.moves[i]
            start, cycles = int(outline.move_start[i]), int(outline.move_end[i] - outline.move_start[i])
            variable = self._var(self.begin, max(start, self.latest - cycles), start)
            (self.load_of if load else self.store_of)[place] = variable
            self.active.add(place[0])
        for i in self._near(outline.move_start, outline.move_end):
            (tensor, k), load = outline.moves[i]
            slot = self.plan.slots[tensor][k]
            move = slot.load if load else slot.store
            assert move is not None
            cycles = self._cycles(tensor, move)
            at = self._fixed(move.start, move.start).term
            members[move.channel].append(model.new_fixed_size_interval_var(at, cycles, ""))
            if move.start < self.begin:
                self.active.add(tensor)
        for place in self.load_of:
            self._choose_keep(place)
        self._choose_drops(members)
        for variables in (self.load_of, self.store_of):
            for place, start in variables.items():
                slot = self.plan.slots[place[0]][place[1]]
                move = slot.load if variables is self.load_of else slot.store
                assert move is not None
                cycles = self._cycles(place[0], move)
                absent = self._absent(place, load=variables is self.load_of)
                if absent is None:
                    interval = model.new_fixed_size_interval_var(start, cycles, "")
                else:
                    interval = model.new_optional_fixed_size_interval_var(start, cycles, ~absent, "")
                members[move.channel].append(interval)
        for lanes, intervals in zip(self.scope.lanes, members, strict=True):
            add_at_most(model, intervals, lanes)

    def _choose_keep(self, place: Place) -> None:
        """Whether a tensor is kept from its slot before on, if that one has not ended before the stretch."""
        tensor, k = place
        before = (tensor, k - 1)
        slots = self.plan.slots[tensor]
        if k == 0 or before in self.keep or self.plan.slot_end(self.scope, tensor, slots[k - 1]) < self.begin:
            return
        self.keep[place] = self._bool(False)
        # A store for the sake of this load alone is left out, too.
        needed = k + 1 < len(slots) and slots[k].store is None
        if before in self.store_of and self.scope.instance.tensor_kind[tensor] != OUTPUT and not needed:
            self.dropped_store.add(before)

    def _choose_drops(self, members: list[list[cp_model.IntervalVar]]) -> None:
        """Whether tensors that idle throughout, and have a copy in DRAM, are dropped until their next use."""
        if self.scope.fits:
            return
        throughout = (self.outline.slot_begin < self.begin) & (self.outline.slot_end >= self.limit)
        lasting = [self.outline.places[i] for i in np.flatnonzero(throughout).tolist()]
        idle = [place for place in lasting if self._idles(place)]
        size = self.scope.instance.tensor_bytes
        for tensor, k in sorted(idle, key=lambda place: (-int(size[place[0]]), place))[:MOST_DROPS]:
            following = min(s for t in self.plan.slots[tensor][k].uses if (s := self.plan.start[t]) >= self.stretch.end)
            channel = min(range(len(self.scope.channels)), key=self.scope.transfer_cycles[tensor].__getitem__)
            cycles = self.scope.transfer_cycles[tensor][channel]
            if following - cycles < self.begin:
                continue
            dropped = self._bool(False)
            start = self._var(self.begin, max(self.begin, self.latest - cycles), self.begin)
            members[channel].append(self.model.new_optional_fixed_size_interval_var(start, cycles, dropped, ""))
            self.model.add(start + cycles <= following - self.gain).only_enforce_if(dropped)
            self.drop[tensor, k] = (dropped, start)

    def _idles(self, place: Place) -> bool:
        """Whether a residency has uses before and far after the stretch only, and a valid copy in DRAM."""
        tensor, k = place
        slot = self.plan.slots[tensor][k]
        times = [self.plan.start[tile] for tile in slot.uses]
        if not any(time < self.begin for time in times) or not any(time >= self.limit for time in times):
            return False
        if any(self.begin <= time < self.stretch.end for time in times):
            return False
        if any(self.plan.end[t] > self.begin for t in slot.uses if self.plan.start[t] < self.begin):
            return False
        if slot.load is not None and slot.load.start >= self.begin:
            return False
        wrote = set(self.writers[tensor])
        if not any(tile in wrote for tile in slot.uses):
            return slot.store is None
        return (
            slot.store is not None
            and slot.store.start + self._cycles(tensor, slot.store) <= self.begin
            and all(self.plan.start[tile] < self.begin for tile in slot.uses if tile in wrote)
        )

    def _absent(self, place: Place, *, load: bool) -> cp_model.IntVar | None:
        """What leaves the load or the store of a slot out, if anything can."""
        if load:
            return self.keep.get(place)
        return self.keep[place[0], place[1] + 1] if place in self.dropped_store else None

    def _add_precedences(self) -> None:
        """Readers after writers, additions one at a time."""
        instance = self.scope.instance
        running = np.flatnonzero((self.outline.start < self.begin) & (self.outline.end > self.begin))
        touched: set[int] = set()
        for tile in [*self.free, *running.tolist()]:
            touched.update(instance.inputs[tile].tolist(), instance.writes[tile].tolist())
        self.active |= touched
        for tensor in sorted(touched):
            writers, readers = self.writers[tensor], self.readers[tensor]
            ends = [self._tile_end(t) for t in writers]
            self._after(ends, [self._tile_start(t) for t in readers])
            if len(writers) > 1:
                inside = [t for t in writers if t in self.start_of]
                outside = [t for t in writers if t not in self.start_of]
                self._after(
                    [self._tile_end(t) for t in outside if self.plan.start[t] < self.begin],
                    [self._tile_start(t) for t in writers],
                )
                self._after(
                    [self._tile_end(t) for t in inside],
                    [self._tile_start(t) for t in outside if self.plan.start[t] >= self.stretch.end],
                )
                add_at_most(self.model, [self._whole(t) for t in inside], 1)

    def _whole(self, tile: int) -> cp_model.IntervalVar:
        """The interval of a free tile on whatever core."""
        end, now = self.end_of[tile], self.plan.end[tile] - self.plan.start[tile]
        cycles = {c for _, c in self.scope.tile_groups[tile]}
        if len(cycles) == 1 or tile not in self.group_of:
            return self.model.new_fixed_size_interval_var(self.start_of[tile], now, "")
        size = self._var(min(cycles), max(cycles), now)
        return self.model.new_interval_var(self.start_of[tile], size, end, "")
