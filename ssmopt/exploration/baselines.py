"""Published heuristics, to compare machines with: on coarse tilings, which depend on no search."""

from __future__ import annotations

from ssmopt.autotile.fitting import tiling_that_fits
from ssmopt.autotile.points import capacity_bytes
from ssmopt.errors import CapacityError
from ssmopt.heuristics.base import one_token_tiling
from ssmopt.problem import Problem
from ssmopt.solve import run_solver
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import count_tiles

_COARSE_SHARES, _FEW_TILES, _BASELINE_WORK = (1, 2, 4), 50_000, 1.0
"""Baselines are run on tilings whose every tile fits all of the memory, a half or a quarter (of many tiles only the
coarsest), and take no further policy after so many units of work."""


def baseline_makespan(problem: Problem, name: str, stop: Stop) -> int | None:
    """Makespan of a heuristic on the best of a few coarse tilings that fit; None where none does or time is up.

    The tilings depend on no search, and so does the makespan not either.
    """
    tilings: list[Tiling] = []
    found: list[int] = []
    for share in _COARSE_SHARES:
        try:
            tiling = tiling_that_fits(problem, capacity_bytes(problem) // share)
            if tiling in tilings or (
                tilings and count_tiles(problem, one_token_tiling(problem, tiling)[0]) > _FEW_TILES
            ):
                break
            tilings.append(tiling)
            if stop.late():
                return min(found, default=None)
            with Stop(stop.remaining, _BASELINE_WORK) as own:
                own.signal = stop.signal
                result = run_solver(
                    problem, own, tiling=tiling, any_tiling=False, solver=name, workers=1, seed=0, on_progress=None
                )
            stop.signal = own.signal
            stop.spend(own.work)
        except CapacityError:
            break
        if result.makespan is not None:
            found.append(result.makespan)
    return min(found, default=None)
