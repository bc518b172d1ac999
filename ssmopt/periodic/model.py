"""The model of one period as a feasibility problem: build, solve, and read the pattern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ortools.sat.python import cp_model

from ssmopt.cpsat.scope import Scope
from ssmopt.errors import SsmoptError
from ssmopt.loop import Loop
from ssmopt.periodic.constraints import Constraints
from ssmopt.periodic.pattern import Move, Pattern, Stay
from ssmopt.periodic.uses import Use, uses_of
from ssmopt.periodic.variables import Builder, MoveVars, StayVars, Variables

Value = Callable[[cp_model.IntVar], int]


@dataclass(frozen=True)
class Answer:
    """A pattern of the period that was asked for, or whether it is proved that none exists."""

    pattern: Pattern | None
    infeasible: bool


def find_pattern(loop: Loop, period: int, *, time_limit: float, workers: int, seed: int) -> Answer:
    """Look for a pattern of a loop with a period.

    Parameters
    ----------
    loop, period
        The loop, and the cycles from one iteration to the next.
    time_limit
        Wall seconds.
    workers, seed
        Threads of CP-SAT, and its random seed.
    """
    scope, uses = Scope.of(loop.body), uses_of(loop)
    model = cp_model.CpModel()
    variables = Builder(model, loop, scope, uses, period).build()
    Constraints(model, loop, scope, uses, variables, period).add()
    for stage in variables.stages:
        model.add_hint(stage, 0)  # Short patterns are worth more than long ones.
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
            for stay, users in zip(shared.stays, shared.users, strict=True):
                tiles = [tile for tile, one in users.items() if value(one)]
                if tiles:
                    stays.append(_shared_stay(tensor, stay, {tile: start[tile] for tile in tiles}, period, value))
    return Pattern(period, tuple(start), tuple(end), tuple(core for core, _ in chosen), tuple(stays), tuple(kept))


def _shared_stay(tensor: int, stay: StayVars, users: dict[int, int], period: int, value: Value) -> Stay:
    """A residency of a shared tensor, moved by whole periods to where its tiles use it in no later iteration."""
    load = _move(stay.load, value)
    assert load is not None
    # A tile that starts within the residency of a period before uses it one iteration later, and so on.
    distance = {tile: -((start - load.start) // period) for tile, start in users.items()}
    most = max(distance.values())
    delay = -most * period
    uses = tuple(Use(tile, later - most, tensor) for tile, later in distance.items())
    return Stay(tensor, load.start + delay, value(stay.end) + delay, uses, replace(load, start=load.start + delay))


def _move(move: MoveVars | None, value: Value) -> Move | None:
    if move is None or not value(move.present):
        return None
    channel, cycles = next((channel, cycles) for channel, cycles, one in move.options if value(one))
    return Move(value(move.moment.time), cycles, channel)
