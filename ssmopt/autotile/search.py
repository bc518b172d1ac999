"""The search: coordinate by coordinate, within a budget of decoded tiles."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ssmopt.autotile.points import AXES, Point, capacity_bytes, neighbours
from ssmopt.autotile.starts import SHARES, finest_point, first_points
from ssmopt.bounds import best, lower_bounds
from ssmopt.decode import decode_below
from ssmopt.errors import CapacityError, InputError
from ssmopt.heuristics.fuse_block import ROOMS, BlockVariant
from ssmopt.heuristics.pipelined import FIRST_ORDERS, FIRST_ROOM, all_orders
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import build_tiles, count_tiles

_PERIODS = 3
"""Token tiles that are decoded; longer prompts are extrapolated from the last of them, so that cost does not grow."""

_MAX_DECODED = 60_000
"""Candidates with more tiles than this over those token tiles are left out."""

_MAX_TILES = 60_000
"""Candidates with more tiles than this over the whole prompt are left out, as long as there are others."""

_BUDGET = 3_000_000
"""Tiles decoded in all: about half a minute on one core."""


@dataclass(frozen=True)
class TilingChoice:
    """A tiling, and how it was found.

    Attributes
    ----------
    tiling
        The choice.
    variant
        The order and policy with which it was decoded.
    makespan
        Estimated makespan in cycles: decoded, or extrapolated for long prompts.
    candidates
        How many pairs of a tiling and an order were looked at.
    """

    tiling: Tiling
    variant: BlockVariant
    makespan: int
    candidates: int


def choose_tiling(
    problem: Problem,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_candidate: Callable[[int, int], None] | None = None,
) -> TilingChoice:
    """Search tilings and depth-first orders, coordinate by coordinate, by the makespan of their decoded schedules.

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
        improved = search.descend()
    assert search.best is not None
    return TilingChoice(search.best.point.tiling(problem), search.best.variant, search.makespan, search.tried)


@dataclass(frozen=True)
class _Candidate:
    """A tiling, and the order and policy that it is decoded with."""

    point: Point
    variant: BlockVariant


class _Search:
    """Candidates tried, and the best so far."""

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
        self.known: set[_Candidate] = set()
        self.best: _Candidate | None = None
        self.makespan = 0
        self.tiles = 0
        self.tried = 0
        self.decoded = 0
        self.max_tiles = _MAX_TILES

    @property
    def finished(self) -> bool:
        """Whether nothing better can exist, the budget is spent, or somebody wants an end."""
        late = self.decoded > _BUDGET or (self.should_stop is not None and self.should_stop())
        return self.best is not None and (late or self.makespan <= self.floor)

    def start(self) -> None:
        """Try a point of each family and loop order that leaves room; failing that, any that fits."""
        for max_tiles in (_MAX_TILES, 1 << 62):
            self.max_tiles = max_tiles
            for share in SHARES:
                for point, order in itertools.product(first_points(self.problem, share), FIRST_ORDERS):
                    if not self.finished:
                        self.try_one(_Candidate(point, BlockVariant(order, *FIRST_ROOM)))
                if self.best is not None:
                    self.max_tiles = max(_MAX_TILES, self.tiles)
                    return
            self.known.clear()
        raise _no_room(self.problem)

    def descend(self) -> bool:
        """Move along each axis once; True when something improved."""
        improved = False
        for axis in ("order", "room", *AXES):
            assert self.best is not None
            for candidate in self._along(self.best, axis):
                improved |= self.try_one(candidate)
                if self.finished:
                    return improved
        return improved

    def _along(self, here: _Candidate, axis: str) -> Iterator[_Candidate]:
        variant = here.variant
        if axis == "order":
            for order in all_orders():
                yield dataclasses.replace(here, variant=dataclasses.replace(variant, order=order))
        elif axis == "room":
            for reserve, deferred in ROOMS:
                room = BlockVariant(variant.order, reserve, deferred)
                yield dataclasses.replace(here, variant=room)
        else:
            for point in neighbours(self.problem, here.point, axis):
                yield dataclasses.replace(here, point=point)

    def try_one(self, candidate: _Candidate) -> bool:
        """Decode a candidate unless it is known; True when it is the best so far."""
        if candidate in self.known:
            return False
        self.known.add(candidate)
        point = candidate.point
        instance = self._instance(point)
        if instance is None:
            return False
        self.tried += 1
        tiles = instance.n_tiles * self.problem.seq_len // _decoded_tokens(self.problem, point)
        makespan = self._estimate(instance, candidate)
        if makespan is None or (self.best is not None and (makespan, tiles) >= (self.makespan, self.tiles)):
            return False
        self.best, self.makespan, self.tiles = candidate, makespan, tiles
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
        if self.best is not None and _work(instance) * self.problem.seq_len // tokens > self.makespan:
            return None
        return instance

    def _estimate(self, instance: Instance, candidate: _Candidate) -> int | None:
        """Makespan of the whole prompt; None when it is longer than the best."""
        point = candidate.point
        tokens = _decoded_tokens(self.problem, point)
        beyond, period = self.problem.seq_len - tokens, _period(self.problem, point)
        cutoff = None if self.best is None or beyond else self.makespan + 1
        makespan = self._decode(instance, candidate.variant, cutoff)
        if makespan is None or not beyond:
            return makespan
        fewer = dataclasses.replace(self.problem, seq_len=tokens - period)
        shorter = self._decode(build_tiles(fewer, point.tiling(self.problem)), candidate.variant, None)
        assert shorter is not None
        return makespan + (makespan - shorter) * beyond // period

    def _decode(self, instance: Instance, variant: BlockVariant, cutoff: int | None) -> int | None:
        self.decoded += instance.n_tiles
        schedule = decode_below(instance, *variant.plan(instance), cutoff=cutoff)
        return None if schedule is None else schedule.makespan


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
    """The error for the candidate that needs least: a token at a time, and the finest cuts that are looked at."""
    instance = build_tiles(dataclasses.replace(problem, seq_len=1), finest_point(problem).tiling(problem))
    need, tile = instance.minimum_capacity()
    capacity = capacity_bytes(problem)
    return CapacityError(
        f"tile {instance.tile_ids[tile]!r} needs {need:,} bytes at once even with the finest tiling that was tried, "
        f"but the memory holds {capacity:,} bytes: give more SRAM",
        tile=instance.tile_ids[tile],
        need_bytes=need,
        capacity_bytes=capacity,
    )
