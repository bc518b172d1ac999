"""Candidate tilings as points on a grid, where a search begins, and which points are neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ssmopt.problem import Problem
from ssmopt.tiling import LOOP_ORDERS, ProjectionTiling, Tiling


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
        model, piece = problem.model, max(capacity_bytes(problem) // 8, 1)
        splits = min(1 << self.channels, model.d_inner)

        def along_channels(rows: int) -> int:
            return min(max(splits, -(-model.d_inner * rows * problem.dtype.weights // piece)), model.d_inner)

        cores = max(core.count for core in problem.hardware.cores)
        columns_x = min(cores, model.dt_rank + 2 * model.d_state)
        # Pieces of a sum run one after another, so that cores are kept busy by columns.
        rows_x = (
            along_channels(model.dt_rank + 2 * model.d_state) if cores == 1 else _pieces_that_fit(problem, columns_x)
        )

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
                "x_proj": ProjectionTiling(columns_x, rows_x),
                "dt_proj": ProjectionTiling(along_channels(model.dt_rank), 1),
                "out_proj": ProjectionTiling(
                    pieces(self.out_columns, model.d_model), pieces(self.out_reduction, model.d_inner)
                ),
            },
            loop_order=self.loop_order,
            norm_tokens=self.norm_tokens if self.norm_tokens < self.tokens else None,
        )


def _pieces_that_fit(problem: Problem, columns: int) -> int:
    """Reduction pieces of ``x_proj`` so that one piece per core takes an eighth of the memory together."""
    model = problem.model
    n_bytes = model.d_inner * (model.dt_rank + 2 * model.d_state) * problem.dtype.weights
    cores = max(core.count for core in problem.hardware.cores)
    return min(model.d_inner, max(1, -(-n_bytes * cores * 8 // (columns * capacity_bytes(problem)))))


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
    for order in LOOP_ORDERS:
        tokens = _power_below(capacity * 2 // 3 // (width * size), min(problem.seq_len, 256))
        per_token = 5 * inner * model.d_state * size
        channels = max(exponent(per_token, capacity // 2), exponent(4 * tokens * inner * size, capacity // 2), spread)
        state_tokens = min(_power_below((capacity // 2 << channels) // (per_token * cores), tokens), 16)
        rows = tokens if order == "tokens" else problem.seq_len
        in_reduction = exponent(rows * width * size, capacity * 2 // 3)
        in_columns = max(spread, exponent(w_in, piece) - in_reduction)
        kept = exponent(tokens * inner * size, capacity // 2)
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


def _power_below(limit: int, length: int) -> int:
    """The length itself if it is within the limit, otherwise the largest power of two that is; at least 1."""
    if length <= limit:
        return length
    return 1 << max(0, limit.bit_length() - 1) if limit >= 1 else 1


AXES = (
    "loop_order",
    "channels",
    "tokens",
    "state_tokens",
    "in_columns",
    "out_columns",
    "out_reduction",
    "in_reduction",
)


def axis_values(problem: Problem, point: Point, axis: str) -> list[int] | list[str]:
    """The other loop order, or up to two values to either side of the point's, nearest first."""
    if axis == "loop_order":
        return [order for order in LOOP_ORDERS if order != point.loop_order]
    if axis in ("tokens", "norm_tokens"):
        # Powers of two, and equal shares of the prompt, which leave no ragged tile at its end.
        shares = {-(-problem.seq_len // pieces) for pieces in range(1, 9)}
        choices = sorted({t for t in {1 << e for e in range(11)} | shares if t <= min(problem.seq_len, 1024)})
    elif axis == "state_tokens":
        choices = [t for t in (1, 2, 4, 8, 16) if t <= problem.seq_len]
    else:
        choices = list(range(13))
    here = getattr(point, axis)
    near = min(range(len(choices)), key=lambda i: abs(choices[i] - here))
    order = sorted(range(len(choices)), key=lambda i: (abs(i - near), i))
    return [choices[i] for i in order if 0 < abs(i - near) <= 2]
