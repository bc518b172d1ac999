"""The variables of the exact model: tiles, transfers, and slots of retention."""

from __future__ import annotations

from dataclasses import dataclass

from ortools.sat.python import cp_model

from ssmopt.cpsat.plan import Plan
from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.windows import Windows
from ssmopt.instance import OUTPUT

EXACT_SLOT_USES = 3_000
"""Assignments of uses to slots up to which every tensor gets as many slots as it can ever use."""

MANY_PAIRS = 2
"""Pairs of a writer and a reader, per writer or reader, from which a variable between them replaces the pairs."""


NEAR_SLOTS = 4
"""Slots per tensor up to which a use may be in any; with more, in large models, only in those next to the hint's."""


@dataclass(frozen=True)
class TileVars:
    """A tile: one interval, and where several groups can run it, an optional interval for each."""

    start: cp_model.IntVar
    end: cp_model.LinearExpr
    interval: cp_model.IntervalVar
    options: tuple[tuple[int, int, cp_model.IntVar, cp_model.IntervalVar], ...]
    """Group, cycles, presence and interval of each group."""
    end_var: cp_model.IntVar | None
    size_var: cp_model.IntVar | None


@dataclass(frozen=True)
class MoveVars:
    """An optional load or store, on one of the channels."""

    present: cp_model.IntVar
    start: cp_model.IntVar
    end: cp_model.LinearExpr
    options: tuple[tuple[int, int, cp_model.IntVar, cp_model.IntervalVar], ...]
    """Position of the channel, cycles, presence and interval of each channel."""
    end_var: cp_model.IntVar | None


@dataclass(frozen=True)
class SlotVars:
    """One residency of a tensor. Where memory never fills up, it has no interval."""

    used: cp_model.IntVar
    uses: dict[int, cp_model.IntVar]
    """Tile to whether it uses this slot."""
    load: MoveVars | None
    store: MoveVars | None
    end: cp_model.LinearExpr | None
    interval: cp_model.IntervalVar | None
    start_var: cp_model.IntVar | None
    end_var: cp_model.IntVar | None
    size_var: cp_model.IntVar | None
    wrote: cp_model.IntVar | None
    """Whether some writer uses this slot, where that is open."""


@dataclass(frozen=True)
class Variables:
    """All variables; ``true`` is the constant 1."""

    true: cp_model.IntVar
    makespan: cp_model.IntVar
    tiles: list[TileVars]
    slots: dict[int, list[SlotVars]]
    done: dict[int, cp_model.IntVar]
    """Per tensor with many writers and readers: a time after all additions and before all readers."""
    complete: bool
    """Whether the slots suffice for an optimal schedule."""


def slot_counts(scope: Scope, plan: Plan | None, extra_slots: int) -> tuple[dict[int, int], bool]:
    """Slots per tensor, and whether they suffice for an optimal schedule.

    A slot has at least one use, so as many slots as uses are enough. When all tensors fit together, one is: joining
    a tensor's residencies and leaving out all but its first load and last store keeps a schedule feasible.
    """
    if scope.fits:
        return dict.fromkeys(scope.tensors, 1), True
    uses = scope.instance.writers.counts() + scope.instance.readers.counts()
    enough = {t: int(uses[t]) for t in scope.tensors}
    if sum(k * k for k in enough.values()) <= EXACT_SLOT_USES:
        return enough, True
    wanted = {t: (1 if plan is None else len(plan.slots[t])) + extra_slots for t in scope.tensors}
    counts = {t: min(wanted[t], enough[t]) for t in scope.tensors}
    return counts, counts == enough and max(counts.values(), default=0) <= NEAR_SLOTS


def _hinted_slots(plan: Plan | None, tensor: int, count: int, complete: bool) -> dict[int, int]:
    """Per use the slot of the hint, for tensors whose uses must stay near it; empty for the others."""
    if plan is None or complete or count <= NEAR_SLOTS:
        return {}
    return {tile: k for k, slot in enumerate(plan.slots[tensor]) for tile in slot.uses}


def add_variables(
    model: cp_model.CpModel,
    scope: Scope,
    windows: Windows,
    plan: Plan | None,
    extra_slots: int,
    bound: int,
    horizon: int,
) -> Variables:
    """Create every variable; nothing ends after ``horizon``."""
    counts, complete = slot_counts(scope, plan, extra_slots)
    true = model.new_constant(1)
    tiles = [
        _tile(model, true, options, head, horizon - tail)
        for options, head, tail in zip(scope.tile_groups, windows.head, windows.tail, strict=True)
    ]
    writers, readers = scope.instance.writers.lists(), scope.instance.readers.lists()
    slots = {
        t: _tensor(
            model,
            true,
            scope,
            tiles,
            t,
            writers[t],
            readers[t],
            counts[t],
            _hinted_slots(plan, t, counts[t], complete),
            horizon,
        )
        for t in scope.tensors
    }
    makespan = model.new_int_var(min(bound, horizon), horizon, "")
    done = {
        t: model.new_int_var(0, horizon, "")
        for t, (w, r) in enumerate(zip(writers, readers, strict=True))
        if len(w) * len(r) > MANY_PAIRS * (len(w) + len(r))
    }
    return Variables(true, makespan, tiles, slots, done, complete)


def _tile(
    model: cp_model.CpModel, true: cp_model.IntVar, groups: tuple[tuple[int, int], ...], head: int, deadline: int
) -> TileVars:
    shortest = min(d for _, d in groups)
    start = model.new_int_var(head, deadline - shortest, "")
    if len({d for _, d in groups}) == 1:
        end, end_var, size_var = start + shortest, None, None
        interval = model.new_fixed_size_interval_var(start, shortest, "")
    else:
        end = end_var = model.new_int_var(head + shortest, deadline, "")
        size_var = model.new_int_var_from_domain(cp_model.Domain.from_values([d for _, d in groups]), "")
        interval = model.new_interval_var(start, size_var, end, "")
    if len(groups) == 1:
        return TileVars(start, end, interval, ((groups[0][0], shortest, true, interval),), end_var, size_var)
    options = []
    for g, d in groups:
        present = model.new_bool_var("")
        options.append((g, d, present, model.new_optional_fixed_size_interval_var(start, d, present, "")))
    return TileVars(start, end, interval, tuple(options), end_var, size_var)


def _move(model: cp_model.CpModel, cycles: tuple[int, ...], present: cp_model.IntVar, horizon: int) -> MoveVars:
    shortest = min(cycles, default=0)
    start = model.new_int_var(0, max(horizon - shortest, 0), "")
    end, end_var = start + shortest, None
    if len(set(cycles)) > 1:
        end = end_var = model.new_int_var(0, horizon, "")
    if len(cycles) == 1:
        interval = model.new_optional_fixed_size_interval_var(start, shortest, present, "")
        return MoveVars(present, start, end, ((0, shortest, present, interval),), end_var)
    options = []
    for channel, d in enumerate(cycles):
        chosen = model.new_bool_var("")
        options.append((channel, d, chosen, model.new_optional_fixed_size_interval_var(start, d, chosen, "")))
    return MoveVars(present, start, end, tuple(options), end_var)


def _tensor(
    model: cp_model.CpModel,
    true: cp_model.IntVar,
    scope: Scope,
    tiles: list[TileVars],
    tensor: int,
    writers: list[int],
    readers: list[int],
    count: int,
    hinted: dict[int, int],
    horizon: int,
) -> list[SlotVars]:
    """Slots of one tensor. A single producer is in slot 0; every other use chooses."""
    cycles = scope.transfer_cycles[tensor]
    output = scope.instance.tensor_kind[tensor] == OUTPUT
    adds = len(writers) > 1
    used = [true if k == 0 else model.new_bool_var("") for k in range(count)]
    slots = []
    for k in range(count):
        if count == 1:
            uses = dict.fromkeys([*writers, *readers], true)
        else:
            free = [*writers, *readers] if adds or not writers else readers
            uses = {t: model.new_bool_var("") for t in free if abs(hinted.get(t, k) - k) <= 1}
            if len(writers) == 1 and k == 0:
                uses = {writers[0]: true, **uses}
        load = _move(model, cycles, used[k], horizon) if k > 0 or not writers else None
        store, wrote = None, None
        if any(tile in uses for tile in writers):
            # What a slot wrote must be stored before the next slot loads it, and in the end if it is an output.
            wrote = model.new_bool_var("") if adds and count > 1 else None
            if output:
                store = _move(model, cycles, true if wrote is None else wrote, horizon)
            elif k + 1 < count:
                stored = used[k + 1] if wrote is None else model.new_bool_var("")
                store = _move(model, cycles, stored, horizon)
        slots.append(_slot(model, scope, tiles, used[k], uses, writers, load, store, wrote, horizon))
    return slots


def _slot(
    model: cp_model.CpModel,
    scope: Scope,
    tiles: list[TileVars],
    used: cp_model.IntVar,
    uses: dict[int, cp_model.IntVar],
    writers: list[int],
    load: MoveVars | None,
    store: MoveVars | None,
    wrote: cp_model.IntVar | None,
    horizon: int,
) -> SlotVars:
    """A slot with its residency interval, reusing the variables of whatever begins and ends it."""
    if scope.fits:
        return SlotVars(used, uses, load, store, None, None, None, None, None, wrote)
    start_var = None
    if load is not None:
        start = load.start
    elif len(writers) == 1:
        start = tiles[writers[0]].start
    else:
        start = start_var = model.new_int_var(0, horizon, "")
    end_var = None
    if len(uses) == 1 and store is None:
        end = tiles[next(iter(uses))].end
    else:
        end = end_var = model.new_int_var(0, horizon, "")
    size_var = model.new_int_var(0, horizon, "")
    interval = model.new_optional_interval_var(start, size_var, end, used, "")
    return SlotVars(used, uses, load, store, end, interval, start_var, end_var, size_var, wrote)
