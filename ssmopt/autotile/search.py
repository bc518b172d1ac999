"""The search: coordinate by coordinate, within a budget of decoded tiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from ssmopt.autotile.fitting import too_small
from ssmopt.autotile.points import AXES, Point, capacity_bytes, first_points, neighbours
from ssmopt.bounds import best, lower_bounds
from ssmopt.decode import decode
from ssmopt.errors import CapacityError, InputError
from ssmopt.heuristics.fuse_block import BlockVariant, block_variants
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.needs import least_capacity
from ssmopt.workload.tiles import build_tiles, count_tiles

_PERIODS = 3
"""Token tiles that are decoded; longer prompts are extrapolated from the last of them, so that cost does not grow."""

_MAX_DECODED = 60_000
"""Candidates with more tiles than this over those token tiles are left out."""

_MAX_TILES = 60_000
"""Candidates with more tiles than this over the whole prompt are left out, as long as there are others."""

_BUDGET = 1_500_000
"""Tiles decoded in all: about a quarter of a minute on one core."""

_HOPELESS = 1.15
"""A candidate whose first schedule is this many times longer than the best is not looked at any closer."""


@dataclass(frozen=True)
class TilingChoice:
    """A tiling, and how it was found.

    Attributes
    ----------
    tiling
        The choice.
    makespan
        Estimated makespan in cycles: decoded, or extrapolated for long prompts.
    candidates
        How many tilings were decoded.
    """

    tiling: Tiling
    makespan: int
    candidates: int


def choose_tiling(
    problem: Problem,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_candidate: Callable[[int, int], None] | None = None,
) -> TilingChoice:
    """Search tilings coordinate by coordinate, by the makespan of their decoded depth-first schedules.

    Parameters
    ----------
    problem
        What is to be tiled.
    should_stop
        Asked between candidates; once it says yes, the best so far is returned. Until then the choice is
        deterministic: the search ends by a budget of decoded tiles, not by the clock.
    on_candidate
        Called with the number of candidates tried and the best makespan so far, whenever that improves.

    Raises
    ------
    CapacityError
        No candidate fits the memory.
    """
    floor = best(lower_bounds(problem)).cycles
    search = _Search(problem, floor, should_stop, on_candidate)
    search.start()
    improved = True
    while improved and not search.finished:
        improved = False
        for axis in AXES:
            assert search.point is not None
            for neighbour in neighbours(problem, search.point, axis):
                improved |= search.try_point(neighbour)
                if search.finished:
                    break
    assert search.point is not None
    return TilingChoice(search.point.tiling(problem), search.makespan, search.tried)


class _Search:
    """Points tried, and the best so far."""

    def __init__(
        self,
        problem: Problem,
        floor: int,
        should_stop: Callable[[], bool] | None,
        on_candidate: Callable[[int, int], None] | None,
    ):
        self.problem = problem
        self.floor = floor
        self.should_stop = should_stop
        self.on_candidate = on_candidate
        self.known: set[Point] = set()
        self.point: Point | None = None
        self.variant: BlockVariant | None = None
        self.makespan = 0
        self.tiles = 0
        self.tried = 0
        self.decoded = 0
        self.max_tiles = _MAX_TILES

    @property
    def finished(self) -> bool:
        """Whether nothing better can exist, the budget is spent, or somebody wants an end."""
        return self.point is not None and (self.late or self.makespan <= self.floor)

    @property
    def late(self) -> bool:
        """Whether the budget is spent, or somebody wants an end."""
        return self.decoded > _BUDGET or (self.should_stop is not None and self.should_stop())

    def start(self) -> None:
        """Try a point of each family and loop order that leaves room; failing that, any that fits."""
        for max_tiles in (_MAX_TILES, 1 << 62):
            self.max_tiles = max_tiles
            for share in (8, 4, 16, 2):
                for point in first_points(self.problem, share):
                    self.try_point(point)
                    if self.finished:
                        break
                if self.point is not None:
                    self.max_tiles = max(_MAX_TILES, self.tiles)
                    return
            self.known.clear()
        raise _no_room(self.problem)

    def try_point(self, point: Point) -> bool:
        """Decode a point unless it is known; True when it is the best so far."""
        if point in self.known:
            return False
        self.known.add(point)
        instance = self._instance(point)
        if instance is None:
            return False
        self.tried += 1
        makespan, variant = self._estimate(instance, point)
        tiles = instance.n_tiles * self.problem.seq_len // _decoded_tokens(self.problem, point)
        if self.point is not None and (makespan, tiles) >= (self.makespan, self.tiles):
            return False
        self.point, self.variant, self.makespan, self.tiles = point, variant, makespan, tiles
        if self.on_candidate is not None:
            self.on_candidate(self.tried, makespan)
        return True

    def _instance(self, point: Point) -> Instance | None:
        """The tiles of the first few token tiles; None when the point does not fit or cannot be better."""
        tiling = point.tiling(self.problem)
        tokens = _decoded_tokens(self.problem, point)
        short = dataclasses.replace(self.problem, seq_len=tokens)
        try:
            tiles = count_tiles(short, tiling)
            if tiles > _MAX_DECODED or tiles * self.problem.seq_len // tokens > self.max_tiles:
                return None
            instance = build_tiles(short, tiling)
            instance.check_capacity()
        except InputError:
            return None
        if self.point is not None and _work(instance) * self.problem.seq_len // tokens > self.makespan:
            return None
        return instance

    def _estimate(self, instance: Instance, point: Point) -> tuple[int, BlockVariant]:
        """Makespan of the whole prompt by the best variant; the one that won last goes first."""
        tokens = _decoded_tokens(self.problem, point)
        beyond, period = self.problem.seq_len - tokens, _period(self.problem, point)
        shorter = None
        if beyond:
            fewer = dataclasses.replace(self.problem, seq_len=tokens - period)
            shorter = build_tiles(fewer, point.tiling(self.problem))
        variants = block_variants(instance)
        if self.variant in variants:
            variants.remove(self.variant)
            variants.insert(0, self.variant)
        elif point.loop_order == "channels":
            variants.reverse()  # The orders that need least room first.
        found: list[tuple[int, int]] = []
        for rank, variant in enumerate(variants):
            makespan = self._decode(instance, variant)
            if shorter is not None:
                makespan += (makespan - self._decode(shorter, variant)) * beyond // period
            found.append((makespan, rank))
            if self.late or makespan > _HOPELESS * min(self.makespan or makespan, min(found)[0]):
                break
        makespan, rank = min(found)
        return makespan, variants[rank]

    def _decode(self, instance: Instance, variant: BlockVariant) -> int:
        self.decoded += instance.n_tiles
        return decode(instance, *variant.plan(instance)).makespan


def _decoded_tokens(problem: Problem, point: Point) -> int:
    return min(problem.seq_len, _PERIODS * _period(problem, point))


def _period(problem: Problem, point: Point) -> int:
    """Tokens after which a schedule repeats itself: a token tile, or as many chunks as it takes."""
    chunk = problem.model.chunk_size if problem.form == "chunked" else 1
    return -(-point.tokens // chunk) * chunk


def _work(instance: Instance) -> int:
    """Cycles that the cores need at least, were the work spread evenly."""
    if len(set(instance.core_kind.tolist())) > 1:
        return 0
    return int(instance.duration[:, int(instance.core_kind[0])].sum()) // instance.n_cores


def _no_room(problem: Problem) -> CapacityError:
    return too_small(problem, least_capacity(problem), capacity_bytes(problem))
