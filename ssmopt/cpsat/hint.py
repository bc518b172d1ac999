"""Values of all variables for a plan, as a hint or fixed, and the plan that a solution describes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

from ssmopt.cpsat.plan import Move, Plan, Slot
from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.variables import MoveVars, SlotVars, Variables

Value = tuple[cp_model.IntVar, int]


def add_hint(
    model: cp_model.CpModel,
    scope: Scope,
    variables: Variables,
    plan: Plan,
    frozen: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Hint every variable; those of frozen tiles, and of tensors that only they use, are fixed instead."""
    keep = np.zeros(scope.instance.n_tiles, dtype=np.bool_) if frozen is None else frozen
    model.add_hint(variables.true, 1)
    model.add_hint(variables.makespan, makespan_of_plan(scope, plan))
    for tile in range(scope.instance.n_tiles):
        _set(model, _tile_values(variables, plan, tile), bool(keep[tile]))
    writers = scope.instance.writers
    for tensor, done in variables.done.items():
        model.add_hint(done, max(plan.end[tile] for tile in writers[tensor].tolist()))
    for tensor, slots in variables.slots.items():
        fixed = all(keep[tile] for slot in plan.slots[tensor] for tile in slot.uses)
        _set(model, _tensor_values(variables, plan, scope, tensor, slots), fixed)


def makespan_of_plan(scope: Scope, plan: Plan) -> int:
    """End of the last tile or store."""
    last = max(plan.end, default=0)
    ends = (plan.slot_end(scope, tensor, slot) for tensor, slots in plan.slots.items() for slot in slots)
    return max(last, max(ends, default=0))


def plan_from(scope: Scope, variables: Variables, value: Callable[[cp_model.IntVar], int]) -> Plan:
    """The plan of a solution."""
    start = [value(tile.start) for tile in variables.tiles]
    group = [_chosen(tile.options, value) for tile in variables.tiles]
    plan = Plan.of_tiles(scope, start, group)
    for tensor, slots in variables.slots.items():
        plan.slots[tensor] = [
            Slot(
                [tile for tile, uses in slot.uses.items() if value(uses)],
                _move_from(slot.load, value),
                _move_from(slot.store, value),
            )
            for slot in slots
            if value(slot.used)
        ]
    return plan


def _chosen(
    options: tuple[tuple[int, int, cp_model.IntVar, cp_model.IntervalVar], ...],
    value: Callable[[cp_model.IntVar], int],
) -> int:
    return options[0][0] if len(options) == 1 else next(o for o, _, present, _ in options if value(present))


def _move_from(move: MoveVars | None, value: Callable[[cp_model.IntVar], int]) -> Move | None:
    if move is None or not value(move.present):
        return None
    return Move(value(move.start), _chosen(move.options, value))


def _set(model: cp_model.CpModel, values: Iterator[Value], fixed: bool) -> None:
    for variable, value in values:
        model.add_hint(variable, value)
        if fixed:
            model.add(variable == value)


def _tile_values(variables: Variables, plan: Plan, tile: int) -> Iterator[Value]:
    v = variables.tiles[tile]
    yield v.start, plan.start[tile]
    if v.end_var is not None:
        yield v.end_var, plan.end[tile]
    if v.size_var is not None:
        yield v.size_var, plan.end[tile] - plan.start[tile]
    if len(v.options) > 1:
        for g, _, present, _ in v.options:
            yield present, int(g == plan.group[tile])


def _tensor_values(
    variables: Variables, plan: Plan, scope: Scope, tensor: int, slots: list[SlotVars]
) -> Iterator[Value]:
    planned = plan.slots[tensor]
    writers = set(scope.instance.writers[tensor].tolist())
    true = variables.true.index
    for k, v in enumerate(slots):
        slot = planned[k] if k < len(planned) else None
        uses = set(slot.uses) if slot is not None else set()
        end = plan.slot_end(scope, tensor, slot) if slot is not None else 0
        start = plan.slot_start(slot) if slot is not None else 0
        if v.used.index != true:
            yield v.used, int(slot is not None)
        for tile, literal in v.uses.items():
            if literal.index != true:
                yield literal, int(tile in uses)
        if v.start_var is not None:
            yield v.start_var, start
        if v.end_var is not None:
            yield v.end_var, end
        if v.size_var is not None:
            yield v.size_var, end - start
        if v.wrote is not None:
            yield v.wrote, int(bool(uses & writers))
        if v.load is not None:
            yield from _move_values(v.load, slot.load if slot is not None else None)
        if v.store is not None:
            store = slot.store if slot is not None else None
            yield from _move_values(v.store, store)
            shared = {true, v.wrote.index if v.wrote is not None else true}
            shared.update(other.used.index for other in slots)
            if v.store.present.index not in shared:
                yield v.store.present, int(store is not None)


def _move_values(v: MoveVars, move: Move | None) -> Iterator[Value]:
    start = move.start if move is not None else 0
    yield v.start, start
    if v.end_var is not None:
        cycles = {channel: d for channel, d, _, _ in v.options}
        yield v.end_var, start + cycles[move.channel] if move is not None else 0
    if len(v.options) > 1:
        for channel, _, chosen, _ in v.options:
            yield chosen, int(move is not None and channel == move.channel)
