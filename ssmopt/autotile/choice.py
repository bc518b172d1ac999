"""`choose_tiling`: the best tiling that the search finds, or else one that fits at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ssmopt.autotile.candidates import TilingChoice
from ssmopt.autotile.fitting import least_practical_capacity, most_tiles, tiling_that_fits, too_small
from ssmopt.autotile.points import capacity_bytes
from ssmopt.autotile.private import PrivateSearch, search_private
from ssmopt.autotile.search import search_tilings
from ssmopt.decode import decode
from ssmopt.errors import CapacityError
from ssmopt.heuristics.fuse_block import BlockVariant
from ssmopt.heuristics.owners import OwnersVariant
from ssmopt.heuristics.places import BlockOrder
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.needs import Need, least_capacity
from ssmopt.workload.tiles import build_tiles, count_tiles, one_layer

DEPTH_FIRST = BlockVariant(BlockOrder(), reserve=0, deferred=0)
"""The order, and the policy that keeps all it can, that tight tilings are decoded with."""

_SMALL = 4
"""Below this many times the least capacity the search hardly finds anything, and a coarse tiling may be better."""

_MANY_FOUND = 3
"""A tiling that the search found may have so many times the tiles of one that is only known to fit."""

_MOST_DECODED = 20_000
"""Where a tiling has more tiles than this, fewer tokens are decoded, and the makespan is scaled up."""


def choose_tiling(
    problem: Problem,
    *,
    should_stop: Callable[[int], bool] | None = None,
    on_candidate: Callable[[int, int], None] | None = None,
    spend: Callable[[float], None] | None = None,
) -> TilingChoice:
    """Choose the best tiling that a search finds; in a small memory, a coarse one that fits if that is better.

    Parameters
    ----------
    problem, should_stop, on_candidate, spend
        As for the search, `ssmopt.autotile.search.search_tilings`.

    Raises
    ------
    CapacityError
        Under every tiling some tile does not fit the memory, or only tilings of too many tiles fit it.
    """
    if problem.hardware.memory_count > 1:
        return _of_several_memories(problem, should_stop=should_stop, on_candidate=on_candidate, spend=spend)
    least, capacity = least_capacity(problem), capacity_bytes(problem)
    if least.n_bytes > capacity:
        raise too_small(problem, least, capacity)
    fitted = _fitted(problem, capacity) if capacity < _SMALL * least.n_bytes else None
    try:
        found = search_tilings(problem, should_stop=should_stop, on_candidate=on_candidate, spend=spend)
    except CapacityError:
        return _if_few(problem, fitted or _fitted(problem, capacity)) or _of_few_tiles(problem, capacity, least)
    if fitted is None or found.makespan <= fitted.makespan:
        # The search estimates long prompts from short ones, and may come to millions of tiles.
        if _if_few(problem, found, _MANY_FOUND):
            return found
        fitted = fitted or _fitted(problem, capacity)
        return min(found, fitted, key=lambda choice: count_tiles(one_layer(problem), choice.tiling))
    return fitted


def _of_several_memories(
    problem: Problem,
    *,
    should_stop: Callable[[int], bool] | None,
    on_candidate: Callable[[int, int], None] | None,
    spend: Callable[[float], None] | None,
) -> TilingChoice:
    """The best tiling in which each memory owns channels; where none fits, a coarse one that does."""
    least = least_capacity(problem)
    capacity = max(memory.capacity for memory in problem.hardware.memories)
    if least.n_bytes > capacity:
        raise too_small(problem, least, capacity)
    search = PrivateSearch.of(problem, should_stop=should_stop, on_candidate=on_candidate, spend=spend)
    try:
        return search_private(problem, search)
    except CapacityError:
        tiling = tiling_that_fits(problem, capacity)
        instance = build_tiles(one_layer(problem), tiling)
        makespan = decode(instance, *OwnersVariant().plan(instance)).makespan
        return TilingChoice(tiling, OwnersVariant(), problem.layers * makespan, 1)


def _fitted(problem: Problem, capacity: int) -> TilingChoice:
    """A coarse tiling that fits."""
    tiling = tiling_that_fits(problem, capacity)
    return TilingChoice(tiling, DEPTH_FIRST, _estimate(problem, tiling), 1)


def _if_few(problem: Problem, choice: TilingChoice, times: int = 1) -> TilingChoice | None:
    """The choice, unless it has more than so many times the tiles that a tiling may have."""
    return choice if count_tiles(one_layer(problem), choice.tiling) <= times * most_tiles(problem) else None


def _of_few_tiles(problem: Problem, capacity: int, least: Need) -> TilingChoice:
    """A tiling that needs less than the capacity, where the one that needs all of it has too many tiles."""
    enough, tiling = least_practical_capacity(problem)
    if enough <= capacity:
        return TilingChoice(tiling, DEPTH_FIRST, _estimate(problem, tiling), 1)
    raise CapacityError(
        f"the {capacity:,} bytes of the memory hold only tiles so small that {problem.name!r} has more than "
        f"{most_tiles(problem):,} of them; the smallest capacity is {least.n_bytes:,} bytes, for tile "
        f"{least.operator!r}, and {enough:,} bytes take fewer tiles",
        tile=least.operator,
        need_bytes=enough,
        capacity_bytes=capacity,
    )


def _estimate(problem: Problem, tiling: Tiling) -> int:
    """Makespan in cycles, depth first; of the first tokens scaled up, if there are many tiles."""
    tokens = problem.seq_len
    while tokens > 1 and count_tiles(dataclasses.replace(one_layer(problem), seq_len=tokens), tiling) > _MOST_DECODED:
        tokens //= 2
    instance = build_tiles(dataclasses.replace(one_layer(problem), seq_len=tokens), tiling)
    return problem.layers * decode(instance, *DEPTH_FIRST.plan(instance)).makespan * problem.seq_len // tokens
