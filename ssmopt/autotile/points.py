"""Candidate tilings as points on a grid, where a search begins, and which points are neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ssmopt.problem import Problem
from ssmopt.tiling import LOOP_ORDERS, ProjectionTiling, Tiling
from ssmopt.workload.graph import ProjectionShape, projection_shapes


@dataclass(frozen=True)
class Point:
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
        model, shapes, piece = problem.model, projection_shapes(problem), max(capacity_bytes(problem) // 8, 1)
        splits = min(1 << self.channels, most_splits(problem))
        cores = max(core.count for core in problem.hardware.cores)

        def along_channels(rows: int) -> int:
            return min(max(splits, -(-model.d_inner * rows * problem.dtype.weights // piece)), model.d_inner)

        def pieces(exponent: int, size: int) -> int:
            return min(1 << exponent, size)

        projections = {
            "in_proj": ProjectionTiling(
                2 * pieces(self.in_columns, model.d_inner), pieces(self.in_reduction, model.d_model)
            )
        }
        if "x_proj" in shapes:
            columns = min(cores, shapes["x_proj"].columns)
            # Pieces of a sum run one after another, so that cores are kept busy by columns.
            rows = (
                along_channels(shapes["x_proj"].columns)
                if cores == 1
                else _pieces_that_fit(problem, shapes["x_proj"], columns)
            )
            projections["x_proj"] = ProjectionTiling(columns, rows)
        if "dt_proj" in shapes:
            projections["dt_proj"] = ProjectionTiling(along_channels(shapes["dt_proj"].rows), 1)
        projections["out_proj"] = ProjectionTiling(
            pieces(self.out_columns, model.d_model), pieces(self.out_reduction, model.d_inner)
        )
        return Tiling(
            tokens=self.tokens,
            state_tokens=1 if problem.form == "chunked" else self.state_tokens,
            scan=problem.form != "chunked",
            channel_splits=splits,
            projections=projections,
            loop_order=self.loop_order,
            norm_tokens=self.norm_tokens if self.norm_tokens < self.tokens else None,
        )


def most_splits(problem: Problem) -> int:
    """Into how many pieces ``d_inner`` can be cut: its channels, or its heads."""
    return problem.model.n_heads or problem.model.d_inner


def _pieces_that_fit(problem: Problem, shape: ProjectionShape, columns: int) -> int:
    """Reduction pieces of ``x_proj`` so that one piece per core takes an eighth of the memory together."""
    n_bytes = shape.rows * shape.columns * problem.dtype.weights
    cores = max(core.count for core in problem.hardware.cores)
    return min(shape.rows, max(1, -(-n_bytes * cores * 8 // (columns * capacity_bytes(problem)))))


def capacity_bytes(problem: Problem) -> int:
    """Bytes of the smallest memory."""
    return min(memory.capacity for memory in problem.hardware.memories)


def first_points(problem: Problem, share: int) -> Iterator[Point]:
    """Points whose streamed pieces take ``1 / share`` of the memory, with the most tokens that then fit.

    For each loop order one keeps what ``out_proj`` reads and cuts its columns, another keeps its sums.
    """
    model, capacity = problem.model, capacity_bytes(problem)
    size, width, inner = problem.dtype.activations, model.d_model, model.d_inner
    cores = max(core.count for core in problem.hardware.cores)
    piece = max(capacity // (share * cores), 1)

    def exponent(n_bytes: int, room: int) -> int:
        return max(0, (-(-n_bytes // max(room, 1)) - 1).bit_length())

    w_in, w_out = width * inner * problem.dtype.weights, inner * width * problem.dtype.weights
    spread = (cores - 1).bit_length()
    norm = _power_below(capacity * 3 // 5 // (3 * width * size), problem.seq_len)
    tight = min(problem.seq_len, 64) * width * size > capacity // 2
    if tight:
        yield _streaming(problem, piece)
    for order in LOOP_ORDERS:
        tokens = _power_below(capacity * 2 // 3 // (width * size * problem.batch), min(problem.seq_len, 256))
        per_token = 5 * inner * model.d_state * size
        # A step of the state update, and what goes in and out of it; two squares of tokens in the chunked form.
        needs = [per_token, 4 * tokens * problem.batch * inner * size]
        if problem.form == "chunked":
            needs.append(3 * tokens * min(model.chunk_size, problem.seq_len) * model.n_heads * size)
        channels = min(max(spread, *(exponent(need, capacity // 2) for need in needs)), most_exponent(problem))
        state_tokens = min(_power_below((capacity // 2 << channels) // (per_token * cores), tokens), 16)
        rows = problem.batch * (tokens if order == "tokens" else problem.seq_len)
        in_reduction = exponent(rows * width * size, capacity * 2 // 3)
        in_columns = max(spread, exponent(w_in, piece) - in_reduction)
        kept = exponent(tokens * problem.batch * inner * size, capacity // 2)
        sums = exponent(rows * width * size, capacity * 2 // 3)
        for columns, reduction in (
            (max(spread, exponent(w_out, piece) - kept), kept),
            (sums, max(spread, exponent(w_out, piece) - sums)),
        ):
            yield Point(
                order,
                tokens,
                min(norm, tokens),
                state_tokens,
                channels,
                in_columns,
                in_reduction,
                columns,
                reduction,
            )
    if not tight:
        yield _streaming(problem, piece)


def _streaming(problem: Problem, piece: int) -> Point:
    """A point for memories that hold no operand of a projection whole: only sums of some columns stay.

    Operands are read again for each group of columns, in pieces; weights are still loaded once.
    """
    model, capacity = problem.model, capacity_bytes(problem)
    size, width, inner = problem.dtype.activations, model.d_model, model.d_inner
    tokens = min(problem.seq_len, 64)

    def exponent(n_bytes: int, room: int) -> int:
        return max(0, (-(-n_bytes // max(room, 1)) - 1).bit_length())

    in_columns = exponent(tokens * inner * size, capacity // 3)
    out_columns = exponent(tokens * width * size, capacity // 2)
    weights = width * inner * problem.dtype.weights
    state_tokens = min(2, tokens)
    channels = min(exponent(5 * state_tokens * inner * model.d_state * size, capacity // 4), most_exponent(problem))
    norm = _power_below(capacity * 3 // 5 // (3 * width * size), tokens)
    return Point(
        "channels",
        tokens,
        norm,
        state_tokens,
        channels,
        in_columns,
        max(0, exponent(weights, piece) - in_columns),
        out_columns,
        max(0, exponent(weights, piece) - out_columns),
    )


def most_exponent(problem: Problem) -> int:
    """The exponent beyond which ``channels`` changes nothing."""
    return (most_splits(problem) - 1).bit_length()


def _power_below(limit: int, length: int) -> int:
    """The length itself if it is within the limit, otherwise the largest power of two that is; at least 1."""
    if length <= limit:
        return length
    return 1 << max(0, limit.bit_length() - 1) if limit >= 1 else 1


AXES = (
    "loop_order",
    "channels",
    "channels and state_tokens",
    "tokens",
    "state_tokens",
    "in_columns",
    "out_columns",
    "out_reduction",
    "in_reduction",
    "norm_tokens",
)

_FINER_STATE = "channels and state_tokens"
"""An axis of its own: tiles of the state update with fewer channels and more tokens, of the same size."""


def neighbours(problem: Problem, point: Point, axis: str) -> Iterator[Point]:
    """Points next to a point along an axis, nearest first in both directions."""
    if axis == _FINER_STATE:
        if problem.form == "chunked":
            return
        for step in (1, -1, 2, -2):
            tokens = point.state_tokens << step if step > 0 else point.state_tokens >> -step
            if 1 <= tokens <= min(32, problem.seq_len) and point.channels + step >= 0:
                yield dataclasses.replace(point, channels=point.channels + step, state_tokens=tokens)
        return
    for value in _axis_values(problem, point, axis):
        change: dict[str, Any] = {axis: value}
        yield dataclasses.replace(point, **change)


def _axis_values(problem: Problem, point: Point, axis: str) -> list[int] | list[str]:
    """The other loop order, or up to two values to either side of the point's, nearest first."""
    if axis == "loop_order":
        return [order for order in LOOP_ORDERS if order != point.loop_order]
    if axis in ("tokens", "norm_tokens"):
        # Powers of two, and equal shares of the prompt, which leave no ragged tile at its end.
        shares = {-(-problem.seq_len // pieces) for pieces in range(1, 9)}
        choices = sorted({t for t in {1 << e for e in range(11)} | shares if t <= min(problem.seq_len, 1024)})
        if problem.form == "chunked":
            # Anything else cuts chunks into ragged rows.
            chunk = problem.model.chunk_size
            choices = [t for t in choices if t % chunk == 0 or chunk % t == 0 or t == problem.seq_len]
    elif axis == "state_tokens":
        if problem.form == "chunked":
            return []
        choices = [t for t in (1, 2, 4, 8, 16) if t <= problem.seq_len]
    else:
        choices = list(range(13))
    here = getattr(point, axis)
    near = min(range(len(choices)), key=lambda i: abs(choices[i] - here))
    order = sorted(range(len(choices)), key=lambda i: (abs(i - near), i))
    return [choices[i] for i in order if 0 < abs(i - near) <= 2]
