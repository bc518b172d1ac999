"""The objective: the makespan, with the work of every core group and channel below it."""

from __future__ import annotations

from ortools.sat.python import cp_model

from ssmopt.cpsat.constraints import moves
from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.variables import Variables
from ssmopt.cpsat.windows import Windows
from ssmopt.instance import OUTPUT


def add_objective(model: cp_model.CpModel, scope: Scope, windows: Windows, variables: Variables) -> None:
    """Minimise the end of the last tile or transfer."""
    makespan = variables.makespan
    for tile, tail in zip(variables.tiles, windows.tail, strict=True):
        model.add(tile.end + tail <= makespan)
    for tensor, slots in variables.slots.items():
        # Loads end before some tile, and stores of other tensors before some load.
        if scope.instance.tensor_kind[tensor] == OUTPUT:
            for slot in slots:
                if slot.store is not None:
                    model.add(slot.store.end <= makespan).only_enforce_if(slot.store.present)
    _add_group_work(model, scope, windows, variables)
    _add_channel_work(model, scope, variables)
    model.minimize(makespan)


def _add_group_work(model: cp_model.CpModel, scope: Scope, windows: Windows, variables: Variables) -> None:
    """No core works before the earliest head or after the least tail of the tiles that it can run."""
    for g, group in enumerate(scope.groups):
        able = [t for t, options in enumerate(scope.tile_groups) if any(g == other for other, _ in options)]
        if not able:
            continue
        idle = min(windows.head[t] for t in able) + min(windows.tail[t] for t in able)
        terms = [
            (present, cycles) for t in able for other, cycles, present, _ in variables.tiles[t].options if other == g
        ]
        work = cp_model.LinearExpr.weighted_sum(*zip(*terms, strict=True))
        # An unused group has neither head nor tail.
        always = any(len(scope.tile_groups[t]) == 1 for t in able)
        model.add(work <= len(group.cores) * (variables.makespan - (idle if always else 0)))


def _add_channel_work(model: cp_model.CpModel, scope: Scope, variables: Variables) -> None:
    every = moves(variables)
    for channel, lanes in enumerate(scope.lanes):
        terms = [(chosen, cycles) for move in every for c, cycles, chosen, _ in move.options if c == channel]
        if terms:
            work = cp_model.LinearExpr.weighted_sum(*zip(*terms, strict=True))
            model.add(work <= lanes * variables.makespan)
