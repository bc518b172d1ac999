"""The constraints of the exact model: precedences, retention, and the capacities of cores, channels and memory."""

from __future__ import annotations

import math

from ortools.sat.python import cp_model

from ssmopt.cpsat.exclusions import add_exclusions
from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.variables import MoveVars, SlotVars, TileVars, Variables
from ssmopt.instance import OUTPUT


def add_constraints(model: cp_model.CpModel, scope: Scope, variables: Variables) -> None:
    """Everything that makes a schedule feasible."""
    _add_precedences(model, scope, variables)
    _add_cores(model, scope, variables)
    _add_accumulations(model, scope, variables)
    for tensor, slots in variables.slots.items():
        _add_retention(model, scope, variables.tiles, tensor, slots)
    _add_channels(model, scope, variables)
    _add_memory(model, scope, variables)
    add_exclusions(model, scope, variables)


def moves(variables: Variables) -> list[MoveVars]:
    """All loads and stores."""
    return [move for slots in variables.slots.values() for slot in slots for move in moves_of(slot)]


def moves_of(slot: SlotVars) -> list[MoveVars]:
    """The load and the store of a slot, as far as it has them."""
    return [move for move in (slot.load, slot.store) if move is not None]


def _add_precedences(model: cp_model.CpModel, scope: Scope, variables: Variables) -> None:
    """Readers start after the last writer ends."""
    tiles = variables.tiles
    writers, readers = scope.instance.writers.lists(), scope.instance.readers.lists()
    pairs = {
        (before, after)
        for t in range(scope.instance.n_tensors)
        if t not in variables.done
        for before in writers[t]
        for after in readers[t]
    }
    for before, after in sorted(pairs):
        model.add(tiles[after].start >= tiles[before].end)
    for t, done in variables.done.items():
        for tile in writers[t]:
            model.add(tiles[tile].end <= done)
        for tile in readers[t]:
            model.add(tiles[tile].start >= done)


def add_at_most(model: cp_model.CpModel, intervals: list[cp_model.IntervalVar], count: int) -> None:
    """At most ``count`` of the intervals at a time."""
    if count == 1 and len(intervals) > 1:
        model.add_no_overlap(intervals)
    elif len(intervals) > count:
        model.add_cumulative(intervals, [1] * len(intervals), count)


def _add_cores(model: cp_model.CpModel, scope: Scope, variables: Variables) -> None:
    """One tile at a time per core. Which core of a group is settled afterwards: a colouring always exists."""
    intervals: list[list[cp_model.IntervalVar]] = [[] for _ in scope.groups]
    for tile in variables.tiles:
        for g, _, _, interval in tile.options:
            intervals[g].append(interval)
        if len(tile.options) > 1:
            model.add_exactly_one([present for _, _, present, _ in tile.options])
        if tile.size_var is not None:
            model.add(tile.size_var == sum(d * present for _, d, present, _ in tile.options))
    for group, members in zip(scope.groups, intervals, strict=True):
        add_at_most(model, members, len(group.cores))


def _add_accumulations(model: cp_model.CpModel, scope: Scope, variables: Variables) -> None:
    """Tiles that add into one tensor do not overlap, whatever its size."""
    for writers in scope.instance.writers.lists():
        groups = {g for tile in writers for g, _ in scope.tile_groups[tile]}
        one_core = len(groups) == 1 and all(len(scope.groups[g].cores) == 1 for g in groups)
        if len(writers) > 1 and not one_core:
            model.add_no_overlap([variables.tiles[tile].interval for tile in writers])


def _add_retention(
    model: cp_model.CpModel, scope: Scope, tiles: list[TileVars], tensor: int, slots: list[SlotVars]
) -> None:
    """Each use in one slot, slots one after another, written contents stored before they are loaded again.

    Every addition invalidates the copy in DRAM, so a slot that wrote must store before the next one loads; a slot
    that only read leaves a valid copy behind.
    """
    instance = scope.instance
    every_writer = instance.writers[tensor].tolist()
    if len(slots) > 1:
        for tile in {tile for slot in slots for tile in slot.uses}:
            model.add_exactly_one([slot.uses[tile] for slot in slots if tile in slot.uses])
    for k, slot in enumerate(slots):
        writers = [tile for tile in every_writer if tile in slot.uses]
        following = slots[k + 1] if k + 1 < len(slots) else None
        for tile, uses in slot.uses.items():
            if slot.load is not None:
                model.add(tiles[tile].start >= slot.load.end).only_enforce_if(uses)
            if slot.end_var is not None:
                model.add(tiles[tile].end <= slot.end_var).only_enforce_if(uses)
        for move in (slot.load, slot.store):
            if move is not None:
                _add_choice(model, move)
        if slot.start_var is not None:
            model.add_min_equality(slot.start_var, [tiles[tile].start for tile in every_writer])
        # Slots are used from the first on, which has the first writer if there is one.
        first = [slot.uses[tile] for tile in writers] if k == 0 and writers else list(slot.uses.values())
        if len(slots) > 1:
            model.add_max_equality(slot.used, first)
        if following is not None and following.load is not None:
            model.add_implication(following.used, slot.used)
            model.add(following.load.start >= slot.end).only_enforce_if(following.used)
        if slot.wrote is not None:
            model.add_max_equality(slot.wrote, [slot.uses[tile] for tile in writers])
        if slot.store is not None:
            _add_store(model, tiles, writers, slot, following, instance.tensor_kind[tensor] == OUTPUT)


def _add_store(
    model: cp_model.CpModel,
    tiles: list[TileVars],
    writers: list[int],
    slot: SlotVars,
    following: SlotVars | None,
    output: bool,
) -> None:
    """A store comes after all that its slot wrote and before the slot ends."""
    store = slot.store
    assert store is not None
    if slot.wrote is not None and following is not None and not output:
        model.add_min_equality(store.present, [slot.wrote, following.used])
    for tile in writers:
        model.add(store.start >= tiles[tile].end).only_enforce_if([store.present, slot.uses[tile]])
    if slot.end_var is not None:
        model.add(store.end <= slot.end_var).only_enforce_if(store.present)


def _add_choice(model: cp_model.CpModel, move: MoveVars) -> None:
    """A transfer that happens takes one channel; with no channel it cannot happen."""
    if len(move.options) != 1:
        model.add(sum(chosen for _, _, chosen, _ in move.options) == move.present)
    if move.end_var is not None:
        for _, cycles, chosen, _ in move.options:
            model.add(move.end_var == move.start + cycles).only_enforce_if(chosen)


def _add_channels(model: cp_model.CpModel, scope: Scope, variables: Variables) -> None:
    intervals: list[list[cp_model.IntervalVar]] = [[] for _ in scope.channels]
    for move in moves(variables):
        for channel, _, _, interval in move.options:
            intervals[channel].append(interval)
    for lanes, members in zip(scope.lanes, intervals, strict=True):
        add_at_most(model, members, lanes)


def _add_memory(model: cp_model.CpModel, scope: Scope, variables: Variables) -> None:
    """Residencies fit at every instant. Demands are divided by their common divisor, which loses nothing."""
    if scope.fits or not scope.tensors:
        return
    sizes = {t: int(scope.instance.tensor_bytes[t]) for t in variables.slots}
    unit = math.gcd(*sizes.values())
    intervals, demands = [], []
    for t, slots in variables.slots.items():
        for slot in slots:
            intervals.append(slot.interval)
            demands.append(sizes[t] // unit)
    model.add_cumulative(intervals, demands, scope.capacity // unit)
