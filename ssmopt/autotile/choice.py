"""`choose_tiling`: the best tiling that the search finds, or else one that fits at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ssmopt.autotile.fitting import least_practical_capacity, most_tiles, tiling_that_fits, too_small
from ssmopt.autotile.points import capacity_bytes
from ssmopt.autotile.search import TilingChoice
from ssmopt.autotile.search import choose_tiling as search_tilings
from ssmopt.decode import decode
from ssmopt.errors import CapacityError
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.needs import least_capacity
from ssmopt.workload.tiles import build_tiles, count_tiles

_MOST_DECODED = 60_000
"""Where a tiling has more tiles than this, fewer tokens are decoded, and the makespan is scaled up."""


def choose_tiling(
    problem: Problem,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_candidate: Callable[[int, int], None] | None = None,
) -> TilingChoice:
    """Choose the best tiling that a search finds; where nothing that it tries fits, a coarse one that does.

    Parameters
    ----------
    problem, should_stop, on_candidate
        As for the search, `ssmopt.autotile.search.choose_tiling`.

    Raises
    ------
    CapacityError
        Under every tiling some tile does not fit the memory, or only tilings of too many tiles fit it.
    """
    least, capacity = least_capacity(problem), capacity_bytes(problem)
    if least.n_bytes > capacity:
        raise too_small(problem, least, capacity)
    try:
        return search_tilings(problem, should_stop=should_stop, on_candidate=on_candidate)
    except CapacityError:
        return _fitted(problem, capacity)


def _fitted(problem: Problem, capacity: int) -> TilingChoice:
    tiling = tiling_that_fits(problem, capacity)
    tiles = count_tiles(problem, tiling)
    if tiles > most_tiles(problem):
        enough, _ = least_practical_capacity(problem)
        least = least_capacity(problem)
        raise CapacityError(
            f"the {capacity:,} bytes of the memory hold only tiles so small that {problem.name!r} has {tiles:,} of "
            f"them, too many to schedule; the smallest capacity is {least.n_bytes:,} bytes, for tile "
            f"{least.operator!r}, and {enough:,} bytes take fewer tiles",
            tile=least.operator,
            need_bytes=enough,
            capacity_bytes=capacity,
        )
    return TilingChoice(tiling, _estimate(problem, tiling), 1)


def _estimate(problem: Problem, tiling: Tiling) -> int:
    """Makespan in cycles, layer by layer; of the first tokens scaled up, if there are many tiles."""
    tokens = problem.seq_len
    while tokens > 1 and count_tiles(dataclasses.replace(problem, seq_len=tokens), tiling) > _MOST_DECODED:
        tokens //= 2
    instance = build_tiles(dataclasses.replace(problem, seq_len=tokens), tiling)
    return decode(instance, instance.topological_order).makespan * problem.seq_len // tokens
