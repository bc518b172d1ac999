"""Where a search for a tiling begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from ssmopt.autotile.ladder import at_least
from ssmopt.autotile.points import (
    STATE_TOKENS,
    Point,
    capacity_bytes,
    core_for,
    most_cores,
    most_splits,
    state_tensors,
    steps_of,
)
from ssmopt.bounds.untiled import dram_bytes_per_cycle
from ssmopt.problem import Problem
from ssmopt.tiling import LOOP_ORDERS
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.operators import operator_cycles_floor

SHARES = (8, 4, 16, 2)
"""What part of the memory streamed pieces of weights may take, as one over these, in the order of trying."""

_OVERLAPPING_NORM = 8
"""Tokens per tile of the normalisation where token tiles overlap, at most."""

_LEAST_PIECES = 12
"""Pieces of channels where token tiles overlap, at least: what waits for the first and after the last one is short."""


def first_points(problem: Problem, share: int) -> Iterator[Point]:
    """Points whose streamed pieces take ``1 / share`` of the memory, with the most tokens that then fit.

    Where the memory does not hold the activations of a token tile, those that stream them come first.
    """
    tight = min(problem.seq_len, 64) * problem.model.d_model * problem.dtype.activations > capacity_bytes(problem) // 2
    families = (_streaming, _beside, _keeping) if tight else (_beside, _keeping, _streaming)
    if len(problem.hardware.cores) > 1:
        yield from _overlapping(problem, share)
    for family in families:
        for point in family(problem, share):
            yield from dict.fromkeys((_squarer(problem, point), point))


def _squarer(problem: Problem, point: Point) -> Point:
    """The point with as many pieces of weights, but square enough to fill an array where few tokens cannot."""
    core = core_for(problem, "gemm")
    if min(point.tokens, problem.seq_len) * problem.batch >= max(core.rows, core.columns):
        return point
    shapes: dict[str, Any] = {}
    for columns, reduction in (("in_columns", "in_reduction"), ("out_columns", "out_reduction")):
        steps = [p for p in steps_of(problem, columns) if p * max(core.rows, core.columns) <= _width(problem, columns)]
        pieces = getattr(point, columns) * getattr(point, reduction)
        shapes[columns] = max(getattr(point, columns), at_least(tuple(steps) or (1,), pieces))
        shapes[reduction] = _steps(problem, reduction, _pieces(pieces, shapes[columns]), point.norm_tokens)
    return dataclasses.replace(point, **shapes)


def _width(problem: Problem, columns: str) -> int:
    return problem.model.d_inner if columns == "in_columns" else problem.model.d_model


def _keeping(problem: Problem, share: int) -> Iterator[Point]:
    """Points for memories that hold what projections read or their sums.

    For each loop order one keeps what ``out_proj`` reads and cuts its columns, another keeps its sums.
    """
    model, capacity = problem.model, capacity_bytes(problem)
    size, width, inner = problem.dtype.activations, model.d_model, model.d_inner
    cores, batch = most_cores(problem), problem.batch
    piece = max(capacity // (share * cores), 1)
    w_in, w_out = width * inner * problem.dtype.weights, inner * width * problem.dtype.weights
    per_token = state_tensors(problem) * inner * model.d_state * size
    tokens = _power_below(capacity * 2 // 3 // (width * size * batch), min(problem.seq_len, 256))
    for order in LOOP_ORDERS if tokens < problem.seq_len else LOOP_ORDERS[-1:]:
        # A step of the state update, and what goes in and out of it; two squares of tokens in the chunked form.
        needs = [per_token, 4 * tokens * batch * inner * size]
        if problem.form == "chunked":
            needs.append(3 * tokens * min(model.chunk_size, problem.seq_len) * model.n_heads * size)
        channels = _steps(problem, "channels", max(cores, *(_pieces(need, capacity // 2) for need in needs)))
        state_tokens = min(_power_below(capacity // 2 * channels // (per_token * cores), tokens), 16)
        rows = batch * (tokens if order == "tokens" else problem.seq_len)
        in_reduction = _steps(problem, "in_reduction", _pieces(rows * width * size, capacity * 2 // 3))
        in_columns = _steps(problem, "in_columns", max(cores, _pieces(w_in, piece * in_reduction)))
        kept = _steps(problem, "out_reduction", _pieces(tokens * batch * inner * size, capacity // 2))
        sums = _steps(problem, "out_columns", _pieces(rows * width * size, capacity * 2 // 3))
        for columns, reduction in (
            (_steps(problem, "out_columns", max(cores, _pieces(w_out, piece * kept))), kept),
            (sums, _steps(problem, "out_reduction", max(cores, _pieces(w_out, piece * sums)))),
        ):
            norm = _norm_tokens(problem, tokens)
            yield Point(order, tokens, norm, state_tokens, channels, in_columns, in_reduction, columns, reduction)


def _beside(problem: Problem, share: int) -> Iterator[Point]:
    """Points for memories that hold the normalised input, or the sums of ``out_proj``, and little beside it."""
    capacity, cores = capacity_bytes(problem), most_cores(problem)
    for order, tokens in _token_tiles(problem):
        room = capacity - tokens * problem.batch * problem.model.d_model * problem.dtype.activations
        if room >= capacity // 4:
            piece = max(room // (2 * share * cores), 1)
            yield _with_states(problem, order, tokens, min(2, tokens), (room, 2), cores, piece)


def _overlapping(problem: Problem, share: int) -> Iterator[Point]:
    """Points of several token tiles, for cores of several kinds: projections of one run beside the states of another.

    Columns of ``in_proj`` and sums of ``out_proj`` are cut along with the channels, so that none waits for another, and
    everything in multiples of what the array takes. Where the weights of a token tile take long to load, its sums are
    cut no further; otherwise into halves, so that less is left to do after the last channels.
    """
    model, size = problem.model, problem.dtype.weights
    piece = max(capacity_bytes(problem) // share, 1)
    weights = model.d_model * model.d_inner * size
    first, *others = _states(problem)
    for tokens in _overlapping_tokens(problem):
        for state_tokens, channels in (first, *others) if tokens == -(-problem.seq_len // 2) else (first,):
            tight = 2 * 3 * weights > tokens * _cycles_per_token(problem) * dram_bytes_per_cycle(problem.hardware)
            columns = _steps(problem, "in_columns", channels)
            # What in_proj sums over is as wide as what the columns of out_proj are.
            reduction = _steps(problem, "out_columns", _pieces(weights, piece * columns))
            sums = _steps(problem, "in_columns", channels if tight else 2 * channels)
            out_columns = _steps(problem, "out_columns", _pieces(weights, piece * sums))
            norm = min(_norm_tokens(problem, tokens), _OVERLAPPING_NORM)
            yield Point("tokens", tokens, norm, state_tokens, channels, columns, reduction, out_columns, sums)


def _overlapping_tokens(problem: Problem) -> list[int]:
    """Tokens of overlapping token tiles: halves; three fifths, as the last tile has no projections beside it; thirds.

    During the first of two tiles all weights are loaded, and half of those of ``in_proj`` for the second: three parts,
    to two during the second.
    """
    length, norm = problem.seq_len, _OVERLAPPING_NORM
    choices = (-(-length // 2), -(-length * 3 // (5 * norm)) * norm, -(-length // 3))
    return [tokens for tokens in dict.fromkeys(choices) if tokens < length]


def _states(problem: Problem) -> list[tuple[int, int]]:
    """Tokens of a step of the state update, and pieces of channels, of which there are a dozen or more.

    Three tensors of a step and three states fit into nine sixteenths of the memory; of those, the ones with the fewest
    tiles: five for each step, and about ten for each piece of channels of the two token tiles.
    """
    model, capacity = problem.model, capacity_bytes(problem)
    if problem.form == "chunked":
        least = {4: 20, 2: 40, 8: 12}
        row = model.d_inner * model.d_state * problem.dtype.activations
        return [(t, _steps(problem, "channels", max(n, _pieces(4 * t * row, capacity)))) for t, n in least.items()]
    found = []
    for tokens in (t for t in STATE_TOKENS if t <= problem.seq_len):
        states = (3 * tokens + 3) * model.d_inner * model.d_state * problem.dtype.activations
        pieces = _steps(problem, "in_columns", max(_LEAST_PIECES, _pieces(states, capacity * 9 // 16)))
        tiles = (5 * -(-problem.seq_len // tokens) + 2 * 10) * pieces
        found.append((tiles, tokens, min(pieces, most_splits(problem))))
    return [(tokens, pieces) for _, tokens, pieces in sorted(found)[:2]]


def _cycles_per_token(problem: Problem) -> int:
    """Cycles of everything but matrix products."""
    graph = problem_graph(problem, scan=problem.form != "chunked")
    cycles = [
        min(operator_cycles_floor(o, core) / core.count for core in problem.hardware.cores if o.kernel in core.runs)
        for o in graph.operators
        if o.kernel != "gemm"
    ]
    return int(sum(cycles)) // problem.seq_len


def _streaming(problem: Problem, share: int) -> Iterator[Point]:
    """Points for memories that hold no operand of a projection whole: only sums of some columns stay.

    Operands are read again for each group of columns, in pieces. The sums of both projections take the same part of
    the memory, or those of the first leave room for states beside them.
    """
    capacity, cores = capacity_bytes(problem), most_cores(problem)
    piece = max(capacity // (2 * share * cores), 1)
    for order, tokens in _token_tiles(problem):
        sums = tokens * problem.batch * problem.model.d_model * problem.dtype.activations
        out_columns = _steps(problem, "out_columns", max(cores, _pieces(3 * sums, 2 * capacity)))
        for room, state_tokens in ((capacity // 3, min(2, tokens)), (capacity // 2, 1), (capacity * 2 // 3, 1)):
            yield _with_states(problem, order, tokens, state_tokens, (room, 1), out_columns, piece)


def _with_states(
    problem: Problem,
    order: str,
    tokens: int,
    state_tokens: int,
    shared_room: tuple[int, int],
    out_columns: int,
    piece: int,
) -> Point:
    """A point with sums of ``in_proj`` and three tensors of a step of the state update in some room each.

    ``shared_room`` is a number of bytes, and how many share it; ``piece`` is the bytes of a piece of weights.
    """
    model, cores, size = problem.model, most_cores(problem), problem.dtype.activations
    room, sharers = shared_room
    weights = model.d_model * model.d_inner * problem.dtype.weights
    sums = sharers * tokens * problem.batch * model.d_inner * size
    states = sharers * 3 * state_tokens * model.d_inner * model.d_state * size
    in_columns = _steps(problem, "in_columns", max(cores, _pieces(sums, room)))
    norm = _norm_tokens(problem, tokens)
    return Point(
        order,
        tokens,
        norm,
        state_tokens,
        _steps(problem, "channels", max(cores, _pieces(states, room))),
        in_columns,
        _steps(problem, "in_reduction", _pieces(weights, piece * in_columns), norm),
        _steps(problem, "out_columns", out_columns),
        _steps(problem, "out_reduction", _pieces(weights, piece * out_columns)),
    )


def _token_tiles(problem: Problem) -> list[tuple[str, int]]:
    """Loop orders and tokens per tile: each weight once for all tokens, or once for each of some large token tiles."""
    length = problem.seq_len
    large = [("tokens", tokens) for tokens in (256, 128, 64) if tokens < length]
    return [*large, ("channels", min(length, 64))]


def _steps(problem: Problem, axis: str, pieces: int, norm_tokens: int = 1) -> int:
    """At least so many pieces, as suits the machine."""
    return at_least(steps_of(problem, axis, norm_tokens), pieces)


def _pieces(n_bytes: int, room: int) -> int:
    """Into how many pieces something has to be cut for one of them to fit."""
    return -(-n_bytes // max(room, 1))


def _norm_tokens(problem: Problem, tokens: int) -> int:
    """Tokens whose normalisation, input and result together, fits beside the results for a whole token tile.

    Where those do not fit it may fill nearly all of the memory: nothing else is there yet.
    """
    row, capacity = problem.model.d_model * problem.dtype.activations, capacity_bytes(problem)
    kept = tokens * problem.batch * row
    room = capacity - kept if kept <= capacity * 3 // 4 else capacity * 9 // 10
    return min(_power_below((room // row - 1) // 2, problem.seq_len), tokens)


def _power_below(limit: int, length: int) -> int:
    """The length itself if it is within the limit, otherwise the largest power of two that is; at least 1."""
    if length <= limit:
        return length
    return 1 << max(0, limit.bit_length() - 1) if limit >= 1 else 1
