"""Published heuristics, to compare machines with: on coarse tilings, which depend on no search."""

from __future__ import annotations

from ssmopt.autotile.fitting import coarse_tilings
from ssmopt.errors import CapacityError
from ssmopt.problem import Problem
from ssmopt.result import Result
from ssmopt.solve import run_solver
from ssmopt.solvers import HEURISTICS
from ssmopt.stopping import Stop
from ssmopt.workload.tiles import count_tiles

_MANY_TILES, _MOST_TILES = 50_000, 200_000
"""With more tiles than the first number only the coarsest tiling is tried, with more than the second none."""

_WORK = 1.0
"""Units of work after which no further policy is tried; the first one is always completed."""


def baseline_result(problem: Problem, name: str, stop: Stop) -> Result | None:
    """A heuristic on the best of a few coarse tilings that fit; None where none does or time is up.

    The tilings depend on no search, and so does the result not either.
    """
    heuristic, found = HEURISTICS[name], None
    try:
        tilings = coarse_tilings(problem)
    except CapacityError:
        return None
    for number, tiling in enumerate(tilings):
        tiles = count_tiles(problem, tiling if heuristic.prescribe is None else heuristic.prescribe(problem, tiling)[0])
        if tiles > (_MANY_TILES if number else _MOST_TILES) or (number and stop.late()):
            break
        try:
            with Stop(stop.remaining, _WORK) as own:
                own.signal = stop.signal
                result = run_solver(
                    problem, own, tiling=tiling, any_tiling=False, solver=name, workers=1, seed=0, on_progress=None
                )
        except CapacityError:
            continue
        stop.signal = own.signal
        stop.spend(own.work)
        if result.makespan is not None and (found is None or result.makespan < (found.makespan or 0)):
            found = result
    return found
