"""Where a speed-up comes from: the scheme, the schedule of the same tiles, or the tiling; computed, in both orders.

Between the published fused schedule and the best one two things differ: how the block is cut, and when what runs. How
much each is worth depends on which is changed first. So both ways are computed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ssmopt.autotile.fitting import coarse_tilings
from ssmopt.bounds import best, lower_bounds
from ssmopt.errors import CapacityError
from ssmopt.problem import Problem
from ssmopt.result import Bound, Result
from ssmopt.solve import solve
from ssmopt.tiling import Tiling

UNFUSED, FUSED = "layer-by-layer", "fuse-all"
"""The two schedules whose ratio is the published speed-up."""

BASELINE_WORK = 0.5
"""Units of work (see `ssmopt.stopping.Stop`) after which no further policy is tried for a baseline; the first one is
always completed. Unlike seconds they make baselines the same on any machine, idle or busy."""


@dataclass(frozen=True)
class Attribution:
    """Schedules of one problem between the unfused one and the best.

    Attributes
    ----------
    unfused, fused
        The two published orders, each on the best of some coarse tilings, with one-token tiles in the state update.
    same_tiles
        The tiles of ``fused``, scheduled as well as the solver can.
    same_order
        The order of ``fused`` on the projections' tiling of ``best``.
    best
        The solver's schedule on a tiling of its own choice.
    bound
        What no schedule beats.
    """

    unfused: Result
    fused: Result
    same_tiles: Result
    same_order: Result
    best: Result
    bound: Bound

    @property
    def scheme(self) -> float:
        """Speed-up by the published fusion scheme alone."""
        return ratio(self.unfused, self.fused)

    @property
    def scheduling_first(self) -> tuple[float, float]:
        """Speed-ups over ``fused``: by scheduling the same tiles, and then by tiling."""
        return ratio(self.fused, self.same_tiles), ratio(self.same_tiles, self.best)

    @property
    def tiling_first(self) -> tuple[float, float]:
        """Speed-ups over ``fused``: by tiling in the same order, and then by scheduling."""
        return ratio(self.fused, self.same_order), ratio(self.same_order, self.best)

    @property
    def total(self) -> float:
        """Speed-up of the best schedule over the unfused one: the product of the scheme and of either pair."""
        return ratio(self.unfused, self.best)


def attribute(
    problem: Problem,
    *,
    unfused: str = UNFUSED,
    fused: str = FUSED,
    seconds: float = 60.0,
    workers: int | None = None,
    seed: int = 0,
) -> Attribution:
    """Compute the schedules of an `Attribution`.

    Parameters
    ----------
    problem
        What is scheduled.
    unfused, fused
        Names of the two orders.
    seconds
        Wall seconds for each of the two solver runs.
    workers, seed
        As for `ssmopt.solve`.

    Raises
    ------
    CapacityError
        Nothing fits.
    """
    slow, fast = best_baseline(problem, unfused), best_baseline(problem, fused)
    assert fast.instance.tiling is not None
    same_tiles = solved(
        problem, tiling=fast.instance.tiling, start=fast.schedule, time_limit=seconds, workers=workers, seed=seed
    )
    free = solved(problem, time_limit=seconds, workers=workers, seed=seed)
    # What is free to choose a tiling may choose that of the scheme, and is never worse.
    found = min((free, same_tiles), key=_cycles)
    assert found.instance.tiling is not None
    same_order = solved(problem, tiling=found.instance.tiling, solver=fused, work_limit=BASELINE_WORK)
    return Attribution(slow, fast, same_tiles, same_order, found, best(lower_bounds(problem)))


def best_baseline(problem: Problem, name: str) -> Result:
    """A baseline on the best of some coarse tilings.

    Raises
    ------
    CapacityError
        Under every tiling some tile does not fit.
    """
    tilings: list[Tiling] = []
    for tiling in coarse_tilings(problem):
        if tiling not in tilings:
            tilings.append(tiling)
    found = [solved(problem, tiling=tiling, solver=name, work_limit=BASELINE_WORK) for tiling in tilings]
    return min(found, key=_cycles)


def solved(problem: Problem, **options: Any) -> Result:
    """`ssmopt.solve`, but a signal ends more than one step of several: then what was found is not the step's."""
    result = solve(problem, **options)
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def ratio(slow: Result, fast: Result) -> float:
    """How many times shorter the second schedule is."""
    return _cycles(slow) / _cycles(fast)


def least_sram(
    problem: Problem, sizes: Sequence[int], most_cycles: float, makespan: Callable[[Problem], int | None]
) -> int | None:
    """The least SRAM of some sizes with which a schedule takes at most so many cycles.

    A schedule that fits it fits every larger one. So sizes are tried from the smallest up, until one is enough.

    Parameters
    ----------
    problem
        What is scheduled.
    sizes
        Bytes of SRAM.
    most_cycles
        The makespan that is enough.
    makespan
        Cycles of the schedule of a problem; None if there is none.

    Returns
    -------
    int or None
        Bytes; None if no size is enough.
    """
    for size in sorted(sizes):
        cycles = makespan(with_sram(problem, size))
        if cycles is not None and cycles <= most_cycles:
            return size
    return None


def with_sram(problem: Problem, n_bytes: int) -> Problem:
    """The problem on the same machine with another SRAM."""
    return dataclasses.replace(problem, hardware=problem.hardware.override("sram", n_bytes))


def makespan_or_none(run: Callable[[], Result]) -> int | None:
    """Cycles of what a function schedules; None where nothing fits."""
    try:
        return run().makespan
    except CapacityError:
        return None


def _cycles(result: Result) -> float:
    return math.inf if result.makespan is None else result.makespan
