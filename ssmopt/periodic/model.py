"""The model of one period as a feasibility problem: build, solve, and read the pattern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ortools.sat.python import cp_model

from ssmopt.cpsat.scope import Scope
from ssmopt.errors import SsmoptError
from ssmopt.loop import Loop
from ssmopt.periodic.constraints import Constraints
from ssmopt.periodic.pattern import Move, Pattern, Stay
from ssmopt.periodic.uses import uses_of
from ssmopt.periodic.variables import Builder, MoveVars, StayVars, Variables

Value = Callable[[cp_model.IntVar], int]


@dataclass(frozen=True)
class Answer:
    """A pattern of the period that was asked for, or whether it is proved that none exists."""

    pattern: Pattern | None
    infeasible: bool


def find_pattern(
    loop: Loop, period: int, *, time_limit: float, workers: int, seed: int, hint: Pattern | None = None
) -> Answer:
    """Look for a pattern of a loop with a period.

    Parameters
    ----------
    loop, period
        The loop, and the cycles from one iteration to the next.
    time_limit
        Wall seconds.
    workers, seed
        Threads of CP-SAT, and its random seed.
    hint
        A pattern of another period, whose starts and cores are tried first.
    """
    scope, uses = Scope.of(loop.body), uses_of(loop)
    model = cp_model.CpModel()
    variables = Builder(model, loop, scope, uses, period).build()
    Constraints(model, loop, scope, uses, variables, period).add()
    if hint is not None:
        _add_hint(model, variables, hint, period)
    problem = model.validate()
    if problem:
        raise SsmoptError(f"CP-SAT rejects the model of a period: {problem}")
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = max(time_limit, 0.0)
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = seed
    solver.parameters.catch_sigint_signal = False
    status = solver.solve(model)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Answer(_pattern(variables, period, solver.value), False)
    return Answer(None, bool(status == cp_model.INFEASIBLE))


def _add_hint(model: cp_model.CpModel, variables: Variables, hint: Pattern, period: int) -> None:
    """Tiles start as they do in another pattern, counted from its first tile."""
    for tile, start, core in zip(variables.tiles, hint.start, hint.core, strict=True):
        model.add_hint(tile.moment.phase, (start - hint.start[0]) % period)
        for one, _, chosen in tile.options:
            if len(tile.options) > 1:
                model.add_hint(chosen, one == core)


def _pattern(variables: Variables, period: int, value: Value) -> Pattern:
    """The pattern of a solution. A residency ends with its last use or transfer."""
    start = [value(tile.moment.time) for tile in variables.tiles]
    chosen = [next((c, d) for c, d, one in tile.options if value(one)) for tile in variables.tiles]
    end = [s + cycles for s, (_, cycles) in zip(start, chosen, strict=True)]
    stays = []
    for tensor, found in variables.own.items():
        for stay in found:
            if value(stay.used):
                uses = tuple(use for use, one in stay.uses.items() if value(one))
                load, store = _move(stay.load, value), _move(stay.store, value)
                ends = [end[use.tile] + use.distance * period for use in uses]
                ends += [move.end for move in (load, store) if move is not None]
                stays.append(Stay(tensor, value(stay.moment.time), max(ends), uses, load, store))
    kept = []
    for tensor, shared in variables.shared.items():
        if value(shared.kept):
            kept.append(tensor)
        else:
            stays += [_shared_stay(tensor, stay, value) for stay in shared.stays if value(stay.used)]
    return Pattern(period, tuple(start), tuple(end), tuple(core for core, _ in chosen), tuple(stays), tuple(kept))


def _shared_stay(tensor: int, stay: StayVars, value: Value) -> Stay:
    return Stay(tensor, value(stay.moment.time), value(stay.end), (), _move(stay.load, value))


def _move(move: MoveVars | None, value: Value) -> Move | None:
    if move is None or not value(move.present):
        return None
    channel, cycles = next((channel, cycles) for channel, cycles, one in move.options if value(one))
    return Move(value(move.moment.time), cycles, channel)
