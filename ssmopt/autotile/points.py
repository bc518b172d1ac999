"""Candidate tilings as points on a grid, and which points are neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ssmopt.autotile.ladder import around, at_least, ladder, nearest_step
from ssmopt.hardware import CoreGroup
from ssmopt.problem import Problem
from ssmopt.tiling import LOOP_ORDERS, ProjectionTiling, Tiling
from ssmopt.workload.graph import ProjectionShape, projection_shapes


@dataclass(frozen=True)
class Point:
    """One candidate; from ``channels`` on, numbers of pieces."""

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
        shapes = projection_shapes(problem)
        projections = {"in_proj": ProjectionTiling(2 * self.in_columns, self.in_reduction)}
        if "x_proj" in shapes:
            projections["x_proj"] = _cut_x_proj(problem, shapes["x_proj"], self.channels, self.state_tokens)
        if "dt_proj" in shapes:
            projections["dt_proj"] = _cut_dt_proj(problem, shapes["dt_proj"], self.channels)
        projections["out_proj"] = ProjectionTiling(self.out_columns, self.out_reduction)
        return Tiling(
            tokens=self.tokens,
            state_tokens=1 if problem.form == "chunked" else self.state_tokens,
            scan=problem.form != "chunked",
            channel_splits=self.channels,
            projections=projections,
            loop_order=self.loop_order,
            norm_tokens=self.norm_tokens if self.norm_tokens < self.tokens else None,
        )


def _cut_x_proj(problem: Problem, shape: ProjectionShape, channels: int, state_tokens: int) -> ProjectionTiling:
    """Cuts of ``x_proj`` so that a piece of its weights takes an eighth of the memory, for all cores together.

    Its sums are cut along with the channels. Where that is not enough they are cut further, unless what it reads
    would come in pieces below what the channel to DRAM moves in a cycle; then its columns are.
    """
    cores = most_cores(problem)
    pieces = -(-shape.rows * shape.columns * problem.dtype.weights * 8 * cores // capacity_bytes(problem))
    if cores > 1:
        # Pieces of a sum run one after another, so that cores are kept busy by columns.
        columns = min(cores, shape.columns)
        return ProjectionTiling(columns, min(shape.rows, max(1, -(-pieces // columns))))
    each = -(-pieces // channels)
    bandwidth = max(channel.bandwidth for channel in problem.hardware.channels)
    if shape.rows * state_tokens * problem.dtype.activations >= bandwidth * channels * each:
        return ProjectionTiling(1, min(shape.rows, channels * each))
    return ProjectionTiling(min(each, shape.columns), channels)


def _cut_dt_proj(problem: Problem, shape: ProjectionShape, channels: int) -> ProjectionTiling:
    """Cuts of ``dt_proj`` along with the channels, and of its sums where a piece of its weights takes too much."""
    pieces = -(-shape.rows * shape.columns * problem.dtype.weights * 8 // capacity_bytes(problem))
    return ProjectionTiling(channels, min(shape.rows, max(1, -(-pieces // channels))))


def most_splits(problem: Problem) -> int:
    """Into how many pieces ``d_inner`` can be cut: its channels, or its heads."""
    return problem.model.n_heads or problem.model.d_inner


def most_cores(problem: Problem) -> int:
    """Cores of the largest group."""
    return max(core.count for core in problem.hardware.cores)


def capacity_bytes(problem: Problem) -> int:
    """Bytes of the smallest memory."""
    return min(memory.capacity for memory in problem.hardware.memories)


def state_tensors(problem: Problem) -> int:
    """How many tensors of a state per token there are between the operators of the state update."""
    return 3 if problem.model.family == "mamba2" else 5


PIECES = ("channels", "in_columns", "in_reduction", "out_columns", "out_reduction")

_FINER_STATE = "channels and state_tokens"
"""An axis of its own: tiles of the state update with fewer channels and more tokens, of the same size."""

_SHAPES = {
    "in_columns and in_reduction": ("in_columns", "in_reduction"),
    "out_columns and out_reduction": ("out_columns", "out_reduction"),
}
"""Axes of their own: as many pieces of a projection, of another shape."""

AXES = (
    "loop_order",
    "channels",
    _FINER_STATE,
    "tokens",
    "state_tokens",
    "in_columns",
    "out_columns",
    *_SHAPES,
    "out_reduction",
    "in_reduction",
    "norm_tokens",
)

STATE_TOKENS = (1, 2, 4, 8, 16, 32)


def steps_of(problem: Problem, axis: str, norm_tokens: int = 1) -> tuple[int, ...]:
    """Numbers of pieces along an axis that suit the machine.

    Columns are multiples of what an array takes in a pass; channels, of the states that it takes in a pass; pieces of
    what ``in_proj`` sums over, of what the channel to DRAM moves in a cycle.
    """
    model = problem.model
    if axis == "channels":
        if model.n_heads:
            return ladder(model.n_heads, 1)
        core = core_for(problem, "elementwise")
        return ladder(model.d_inner, max(1, core.rows * core.columns // model.d_state))
    if axis == "in_reduction":
        bandwidth = max(channel.bandwidth for channel in problem.hardware.channels)
        return ladder(model.d_model, max(1, bandwidth // (problem.dtype.activations * norm_tokens)))
    core = core_for(problem, "gemm")
    return ladder(model.d_model if axis == "out_columns" else model.d_inner, max(core.rows, core.columns))


def core_for(problem: Problem, kernel: str) -> CoreGroup:
    """The cores that run a kernel, those with the most processing elements first."""
    able = [core for core in problem.hardware.cores if kernel in core.runs]
    return max(able, key=lambda core: core.rows * core.columns)


def neighbours(problem: Problem, point: Point, axis: str) -> Iterator[Point]:
    """Points next to a point along an axis, nearest first in both directions."""
    if axis == _FINER_STATE:
        if problem.form != "chunked":
            yield from _finer_state(problem, point)
        return
    if axis in _SHAPES:
        yield from _other_shape(problem, point, *_SHAPES[axis])
        return
    for value in _axis_values(problem, point, axis):
        change: dict[str, Any] = {axis: value}
        yield dataclasses.replace(point, **change)


def _finer_state(problem: Problem, point: Point) -> Iterator[Point]:
    steps = steps_of(problem, "channels")
    near = nearest_step(steps, point.channels)
    for step in (1, -1, 2, -2):
        tokens = point.state_tokens << step if step > 0 else point.state_tokens >> -step
        if 1 <= tokens <= min(32, problem.seq_len) and 0 <= near + step < len(steps):
            yield dataclasses.replace(point, channels=steps[near + step], state_tokens=tokens)


def _other_shape(problem: Problem, point: Point, columns: str, reduction: str) -> Iterator[Point]:
    steps = steps_of(problem, reduction, point.norm_tokens)
    pieces = getattr(point, columns) * getattr(point, reduction)
    for value in (1, *around(steps_of(problem, columns), getattr(point, columns))):
        change: dict[str, Any] = {columns: value, reduction: at_least(steps, -(-pieces // value))}
        yield dataclasses.replace(point, **change)


def _axis_values(problem: Problem, point: Point, axis: str) -> list[int] | list[str]:
    """The other loop order, or up to two values to either side of the point's, nearest first."""
    if axis == "loop_order":
        # With a single token tile they are the same.
        return [order for order in LOOP_ORDERS if order != point.loop_order and point.tokens < problem.seq_len]
    if axis in PIECES:
        return around(steps_of(problem, axis, point.norm_tokens), getattr(point, axis))
    if axis == "state_tokens":
        if problem.form == "chunked":
            return []
        choices = [t for t in STATE_TOKENS if t <= problem.seq_len]
    else:
        choices = token_choices(problem)
    return around(tuple(choices), getattr(point, axis))


def token_choices(problem: Problem) -> list[int]:
    """Tokens per tile: powers of two, and equal shares of the prompt, which leave no ragged tile at its end."""
    shares = {-(-problem.seq_len // pieces) for pieces in range(1, 9)}
    choices = sorted({t for t in {1 << e for e in range(11)} | shares if t <= min(problem.seq_len, 1024)})
    if problem.form == "chunked":
        # Anything else cuts chunks into ragged rows.
        chunk = problem.model.chunk_size
        choices = [t for t in choices if t % chunk == 0 or chunk % t == 0 or t == problem.seq_len]
    return choices
