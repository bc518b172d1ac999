"""Published heuristics, to compare machines with: on coarse tilings, which depend on no search."""

from __future__ import annotations

from dataclasses import replace

from ssmopt.autotile.fitting import coarse_tilings
from ssmopt.errors import CapacityError
from ssmopt.problem import Problem
from ssmopt.result import Result
from ssmopt.solve import run_solver
from ssmopt.solvers import HEURISTICS
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import count_tiles

_MANY_TILES, _MOST_TILES = 50_000, 200_000
"""With more tiles than the first number only the coarsest tiling is tried, with more than the second none."""

_SHORT = 64
"""Tokens of a short prompt."""

_WORK = 1.0
"""Units of work after which no further policy is tried; the first one is always completed."""


def baseline_result(problem: Problem, name: str, stop: Stop) -> Result | None:
    """A heuristic on the best of a few coarse tilings that fit; None where none does or time is up.

    The tilings depend on no search, and so does the result not either. A long prompt takes the one that is best for a
    short one: what happens token by token is the same.
    """
    try:
        tilings = list(enumerate(coarse_tilings(problem)))
        if problem.seq_len > _SHORT and len(tilings) > 1:
            short = replace(problem, seq_len=_SHORT)
            known = _best(short, name, stop, list(enumerate(coarse_tilings(short))))
            tilings = [tilings[min(known[1], len(tilings) - 1)]] if known is not None else tilings[:1]
    except CapacityError:
        return None
    found = _best(problem, name, stop, tilings)
    return None if found is None else found[0]


def _best(problem: Problem, name: str, stop: Stop, tilings: list[tuple[int, Tiling]]) -> tuple[Result, int] | None:
    """The best result of a heuristic on some numbered tilings, and the number."""
    heuristic, found = HEURISTICS[name], None
    for number, tiling in tilings:
        tiles = count_tiles(problem, tiling if heuristic.prescribe is None else heuristic.prescribe(problem, tiling)[0])
        others = len(tilings) > 1 and number > 0
        if tiles > (_MANY_TILES if others else _MOST_TILES) or (others and stop.late()):
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
        if result.makespan is not None and (found is None or result.makespan < (found[0].makespan or 0)):
            found = result, number
    return found
