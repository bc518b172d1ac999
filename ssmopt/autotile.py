"""Choose a tiling by decoding schedules of candidates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ssmopt.bounds import best, lower_bounds
from ssmopt.decode import Policy, decode
from ssmopt.errors import CapacityError, InputError
from ssmopt.heuristics.fuse_block import block_orders
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.tiling import LOOP_ORDERS, ProjectionTiling, Tiling
from ssmopt.workload.tiles import build_tiles, count_tiles

_PERIODS = 3
"""Token tiles that are decoded; longer prompts are extrapolated from the last of them, so that cost does not grow."""

_MAX_TILES = 20_000
"""Candidates with more tiles over these token tiles are left out."""


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


@dataclass(frozen=True)
class _Point:
    """One candidate; from ``channels`` on, exponents of two of a number of pieces."""

    loop_order: str
    tokens: int
    norm_tokens: int
    state_tokens: int
    channels: int
    in_columns: int
    in_reduction: int
    out_columns: int
    out_reduction: int

    def tiling(self, problem: Problem) -> Tiling:
        """The tiling that the point stands for; the small projections follow the channels."""
        model, piece = problem.model, max(_capacity(problem) // 8, 1)
        splits = min(1 << self.channels, model.d_inner)

        def along_channels(rows: int) -> int:
            return min(max(splits, -(-model.d_inner * rows * problem.dtype.weights // piece)), model.d_inner)

        def pieces(exponent: int, size: int) -> int:
            return min(1 << exponent, size)

        return Tiling(
            tokens=self.tokens,
            state_tokens=self.state_tokens,
            scan=True,
            channel_splits=splits,
            projections={
                "in_proj": ProjectionTiling(
                    2 * pieces(self.in_columns, model.d_inner), pieces(self.in_reduction, model.d_model)
                ),
                "x_proj": ProjectionTiling(1, along_channels(model.dt_rank + 2 * model.d_state)),
                "dt_proj": ProjectionTiling(along_channels(model.dt_rank), 1),
                "out_proj": ProjectionTiling(
                    pieces(self.out_columns, model.d_model), pieces(self.out_reduction, model.d_inner)
                ),
            },
            loop_order=self.loop_order,
            norm_tokens=self.norm_tokens if self.norm_tokens < self.tokens else None,
        )


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
        Asked between candidates; once it says yes, the best so far is returned. Without it the choice is
        deterministic.
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
        for axis in _AXES:
            for neighbour in search.line(axis):
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
        self.known: set[_Point] = set()
        self.point: _Point | None = None
        self.makespan = 0
        self.tiles = 0
        self.tried = 0

    @property
    def finished(self) -> bool:
        """Whether nothing better can exist, or time is up."""
        if self.point is None:
            return False
        late = self.should_stop is not None and self.should_stop()
        return late or self.makespan <= self.floor

    def start(self) -> None:
        """Try a point of each family and loop order that leaves room; failing that, any that fits."""
        for share in (8, 4, 2):
            for point in _first_points(self.problem, share):
                self.try_point(point)
            if self.point is not None:
                return
        raise _no_room(self.problem)

    def line(self, axis: str) -> Iterator[_Point]:
        """Neighbours of the best point along an axis, nearest first in both directions."""
        assert self.point is not None
        base = self.point
        for value in _axis_values(self.problem, base, axis):
            change: dict[str, Any] = {axis: value}
            yield dataclasses.replace(base, **change)

    def try_point(self, point: _Point) -> bool:
        """Decode a point unless it is known; True when it is the best so far."""
        if point in self.known:
            return False
        self.known.add(point)
        scored = _score(self.problem, point, self.makespan if self.point is not None else None)
        if scored is None:
            return False
        self.tried += 1
        makespan, tiles = scored
        if self.point is not None and (makespan, tiles) >= (self.makespan, self.tiles):
            return False
        self.point, self.makespan, self.tiles = point, makespan, tiles
        if self.on_candidate is not None:
            self.on_candidate(self.tried, makespan)
        return True


def _capacity(problem: Problem) -> int:
    return min(memory.capacity for memory in problem.hardware.memories)


def _no_room(problem: Problem) -> CapacityError:
    """The error for the candidate that needs least: a token at a time, and the finest cuts that are looked at."""
    fine = (problem.model.d_inner - 1).bit_length()
    point = _Point("tokens", 1, 1, 1, min(fine, 9), min(fine, 9), 0, 0, min(fine, 9))
    first = dataclasses.replace(problem, seq_len=1)
    instance = build_tiles(first, point.tiling(problem))
    try:
        instance.check_capacity()
    except CapacityError as error:
        return error
    need, tile = instance.minimum_capacity()
    return CapacityError(
        f"no tiling that was tried fits {_capacity(problem):,} bytes",
        tile=instance.tile_ids[tile],
        need_bytes=need,
        capacity_bytes=_capacity(problem),
    )


def _short(problem: Problem, tokens: int) -> Problem:
    """The problem over at most a few token tiles."""
    return dataclasses.replace(problem, seq_len=min(problem.seq_len, _PERIODS * tokens))


def _first_points(problem: Problem, share: int) -> Iterator[_Point]:
    """Points whose streamed pieces take ``1 / share`` of the memory, with the most tokens that then fit.

    For each loop order one keeps what ``out_proj`` reads and cuts its columns, another keeps its sums.
    """
    model, capacity = problem.model, _capacity(problem)
    size, width, inner = problem.dtype.activations, model.d_model, model.d_inner
    cores = max(core.count for core in problem.hardware.cores)
    piece = max(capacity // (share * cores), 1)

    def exponent(n_bytes: int, room: int) -> int:
        return max(0, (-(-n_bytes // max(room, 1)) - 1).bit_length())

    w_in, w_out = width * inner * problem.dtype.weights, inner * width * problem.dtype.weights
    spread = (cores - 1).bit_length()
    norm = _power_below(capacity * 3 // 5 // (3 * width * size), problem.seq_len)
    for order in LOOP_ORDERS:
        tokens = _power_below(capacity * 2 // 3 // (width * size), min(problem.seq_len, 256))
        channels = max(
            exponent(5 * inner * model.d_state * size, capacity // 2),
            exponent(4 * tokens * inner * size, capacity // 2),
            spread,
        )
        rows = tokens if order == "tokens" else problem.seq_len
        in_reduction = exponent(rows * width * size, capacity * 2 // 3)
        in_columns = max(spread, exponent(w_in, piece) - in_reduction)
        kept = exponent(tokens * inner * size, capacity // 2)
        sums = exponent(rows * width * size, capacity * 2 // 3)
        for columns, reduction in (
            (max(spread, exponent(w_out, piece) - kept), kept),
            (sums, max(spread, exponent(w_out, piece) - sums)),
        ):
            yield _Point(order, tokens, min(norm, tokens), 1, channels, in_columns, in_reduction, columns, reduction)


def _power_below(limit: int, length: int) -> int:
    """The length itself if it is within the limit, otherwise the largest power of two that is; at least 1."""
    if length <= limit:
        return length
    return 1 << max(0, limit.bit_length() - 1) if limit >= 1 else 1


_AXES = (
    "loop_order",
    "channels",
    "tokens",
    "state_tokens",
    "in_columns",
    "out_columns",
    "out_reduction",
    "in_reduction",
)


def _axis_values(problem: Problem, point: _Point, axis: str) -> list[int] | list[str]:
    """The other loop order, or up to two values to either side of the point's, nearest first."""
    if axis == "loop_order":
        return [order for order in LOOP_ORDERS if order != point.loop_order]
    if axis in ("tokens", "norm_tokens"):
        powers = {1 << e for e in range(11) if 1 << e < problem.seq_len}
        choices = sorted(powers | ({problem.seq_len} if problem.seq_len <= 1024 else set()))
    elif axis == "state_tokens":
        choices = [t for t in (1, 2, 4, 8, 16) if t <= problem.seq_len]
    else:
        choices = list(range(13))
    here = getattr(point, axis)
    near = min(range(len(choices)), key=lambda i: abs(choices[i] - here))
    order = sorted(range(len(choices)), key=lambda i: (abs(i - near), i))
    return [choices[i] for i in order if 0 < abs(i - near) <= 2]


def _score(problem: Problem, point: _Point, to_beat: int | None) -> tuple[int, int] | None:
    """Estimated makespan and number of tiles; None when the point does not fit or cannot be better."""
    tiling = point.tiling(problem)
    short = _short(problem, point.tokens)
    try:
        if count_tiles(short, tiling) > _MAX_TILES:
            return None
        instance = build_tiles(short, tiling)
        instance.check_capacity()
    except InputError:
        return None
    whole, rest = divmod(problem.seq_len - short.seq_len, point.tokens)
    if to_beat is not None and _work(instance) * problem.seq_len // short.seq_len > to_beat:
        return None
    last = _decoded(instance)
    if not (whole or rest):
        return last, instance.n_tiles
    shorter = dataclasses.replace(problem, seq_len=short.seq_len - point.tokens)
    period = last - _decoded(build_tiles(shorter, tiling))
    extra = period * (whole * point.tokens + rest) // point.tokens
    return last + extra, instance.n_tiles * problem.seq_len // short.seq_len


def _work(instance: Instance) -> int:
    """Cycles that the cores need at least, were the work spread evenly."""
    if len(set(instance.core_kind.tolist())) > 1:
        return 0
    return int(instance.duration[:, int(instance.core_kind[0])].sum()) // instance.n_cores


def _decoded(instance: Instance) -> int:
    """Makespan of the best of a few depth-first schedules."""
    room = int(instance.memory_capacity.max()) // 8
    return min(
        decode(instance, order, Policy(reserve_bytes=room * held, deferred_store_bytes=room * held)).makespan
        for order in block_orders(instance)
        for held in (0, 1)
    )
