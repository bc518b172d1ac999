"""Tilings for machines with several memories: pieces of channels are multiples of the number of memories."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ssmopt.autotile.candidates import Candidate, TilingChoice, TilingPoint
from ssmopt.autotile.ladder import around, at_least
from ssmopt.autotile.points import capacity_bytes, core_for, most_splits, state_tensors, steps_of, token_choices
from ssmopt.autotile.search import TilingSearch
from ssmopt.bounds import best, lower_bounds
from ssmopt.errors import CapacityError
from ssmopt.heuristics.owners import EARLY, ROOMS, OwnersVariant
from ssmopt.problem import Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.graph import projection_shapes

_SHARES = (16, 8, 32, 4)
"""What part of a memory a streamed piece of weights takes, as one over these, in the order of trying."""

_STATE_TOKENS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class OwnersPoint:
    """One candidate.

    Attributes
    ----------
    tokens, norm_tokens, state_tokens
        As in `ssmopt.tiling.Tiling`.
    owners
        Memories that share the work: all, or fewer where all would have too little of it each.
    channels
        Pieces of channels per owner.
    in_columns
        Pieces of each half of ``in_proj``'s columns per owner.
    in_reduction, x_columns, dt_reduction, out_columns
        Pieces of what ``in_proj`` sums over, of ``x_proj``'s columns, of what ``dt_proj`` sums over, and of
        ``out_proj``'s columns.
    """

    tokens: int
    norm_tokens: int
    state_tokens: int
    owners: int
    channels: int
    in_columns: int
    in_reduction: int
    x_columns: int
    dt_reduction: int
    out_columns: int

    loop_order = "tokens"

    def tiling(self, problem: Problem) -> Tiling:
        """The tiling that the point stands for."""
        shapes = projection_shapes(problem)
        channels = min(self.owners * self.channels, most_splits(problem))
        columns = min(self.owners * self.in_columns, problem.model.d_inner)
        projections = {"in_proj": ProjectionTiling(2 * columns, self.in_reduction)}
        if "x_proj" in shapes:
            projections["x_proj"] = ProjectionTiling(min(self.x_columns, shapes["x_proj"].columns), channels)
        if "dt_proj" in shapes:
            projections["dt_proj"] = ProjectionTiling(channels, min(self.dt_reduction, shapes["dt_proj"].rows))
        projections["out_proj"] = ProjectionTiling(self.out_columns, channels)
        return Tiling(
            tokens=self.tokens,
            state_tokens=1 if problem.form == "chunked" else self.state_tokens,
            scan=problem.form != "chunked",
            channel_splits=channels,
            projections=projections,
            norm_tokens=self.norm_tokens if self.norm_tokens < self.tokens else None,
        )


_AXES = (
    "owners",
    "state_tokens",
    "norm_tokens",
    "out_columns",
    "in_reduction",
    "tokens",
    "x_columns",
    "channels",
    "in_columns",
)


def search_private(problem: Problem, search: PrivateSearch) -> TilingChoice:
    """Search tilings of a machine with several memories, by the makespan of schedules in which each owns channels.

    Raises
    ------
    CapacityError
        No candidate fits the memories.
    """
    found = search.run()
    return TilingChoice(found.point.tiling(problem), found.variant, search.makespan, search.tried)


class PrivateSearch(TilingSearch):
    """The search over `OwnersPoint`."""

    axes = ("order", "room", *_AXES)

    @staticmethod
    def of(problem: Problem, **arguments: Any) -> PrivateSearch:
        """A search with the arguments of `ssmopt.autotile.search.search_tilings`."""
        names = ("should_stop", "on_candidate", "spend")
        return PrivateSearch(problem, best(lower_bounds(problem)).cycles, *(arguments.get(name) for name in names))

    def starts(self) -> list[Candidate]:
        """Starting points that fit, best first."""
        found: dict[Candidate, tuple[int, int]] = {}
        for share in _SHARES:
            for point in dict.fromkeys(_first_points(self.problem, share)):
                candidate = Candidate(point, OwnersVariant())
                cost = None if self.finished else self.cost_of(candidate, None)
                if cost is not None:
                    found[candidate] = cost
            if len(found) >= 2 or (found and self.finished):
                break
        if not found:
            raise CapacityError(
                f"no tiling with pieces of channels for each memory of {self.problem.name!r} fits",
                tile="",
                need_bytes=0,
                capacity_bytes=capacity_bytes(self.problem),
            )
        return sorted(found, key=lambda candidate: found[candidate])[:2]

    def starts_for_less_memory(self) -> list[Candidate]:
        """None: pieces are small already."""
        return []

    def _along(self, here: Candidate, axis: str) -> Iterator[Candidate]:
        variant = here.variant
        assert isinstance(variant, OwnersVariant)
        if axis == "order":
            for early in EARLY:
                yield dataclasses.replace(here, variant=dataclasses.replace(variant, early=early))
        elif axis == "room":
            for reserve, deferred in ROOMS:
                room = dataclasses.replace(variant, reserve=reserve, deferred=deferred)
                yield dataclasses.replace(here, variant=room)
        else:
            assert isinstance(here.point, OwnersPoint)
            for value in _values(self.problem, here.point, axis):
                change: dict[str, Any] = {axis: value}
                yield dataclasses.replace(here, point=dataclasses.replace(here.point, **change))

    def _reloading(self, point: TilingPoint) -> int:
        times = -(-self.problem.seq_len // point.tokens)
        beyond = max(0, self.weight_bytes - self.problem.hardware.capacity_bytes)
        return self.layers * times * beyond // self.rate


def _values(problem: Problem, point: OwnersPoint, axis: str) -> list[int]:
    """Other values along an axis, nearest first."""
    value = getattr(point, axis)
    if axis == "state_tokens":
        steps = () if problem.form == "chunked" else tuple(t for t in _STATE_TOKENS if t <= problem.seq_len)
    elif axis == "owners":
        memories = problem.hardware.memory_count
        steps = tuple(sorted({-(-memories // (1 << k)) for k in range(memories.bit_length())}))
    elif axis in ("tokens", "norm_tokens"):
        steps = tuple(token_choices(problem))
    elif axis == "in_reduction":
        steps = steps_of(problem, axis, point.norm_tokens)
    elif axis == "out_columns":
        steps = _column_steps(problem)
    elif axis == "x_columns":
        shape = projection_shapes(problem).get("x_proj")
        steps = () if shape is None else _halves(shape.columns, core_for(problem, "gemm").columns)
    else:
        most = (most_splits(problem) if axis == "channels" else problem.model.d_inner) // point.owners
        steps = tuple(p for p in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64) if p <= most)
    return around(steps, value)[:2] if steps else []


def _column_steps(problem: Problem) -> tuple[int, ...]:
    """Numbers of pieces of ``out_proj``'s columns: multiples of the number of memories, and those that fill arrays."""
    width, memories = problem.model.d_model, problem.hardware.memory_count
    multiples = {memories * k for k in (1, 2, 3, 4, 6, 8) if memories * k <= width}
    return tuple(sorted({1} | multiples | {p for p in steps_of(problem, "out_columns") if p <= 8 * memories}))


def _halves(size: int, unit: int) -> tuple[int, ...]:
    """Numbers of pieces of a dimension whose pieces are whole units, and halves and doubles of them."""
    units = -(-size // unit)
    return tuple(sorted({1, *(-(-units // k) for k in (1, 2, 3, 4)), min(size, 2 * units)}))


def _first_points(problem: Problem, share: int) -> Iterator[OwnersPoint]:
    """Points whose streamed pieces of weights take ``1 / share`` of a memory, for several numbers of tokens."""
    model, dtype, memories = problem.model, problem.dtype, problem.hardware.memory_count
    capacity, inner, size = capacity_bytes(problem), model.d_inner, dtype.activations
    each = -(-inner // memories)
    gemm = core_for(problem, "gemm")
    shapes = projection_shapes(problem)
    for tokens in dict.fromkeys(min(problem.seq_len, t) for t in (64, 128, 256, 32, 16)):
        rows = tokens * problem.batch
        # A token of the state update takes a quarter of a memory, a tile of it two thirds; sums of columns a sixth.
        state = state_tensors(problem) * each * model.d_state * size * problem.batch
        channels = max(1, -(-4 * state // capacity))
        state_tokens = max(t for t in _STATE_TOKENS if t == 1 or t * state <= channels * capacity * 2 // 3)
        in_columns = max(1, -(-6 * rows * each * size // capacity))
        columns = -(-each // in_columns)
        piece = max(capacity // share, 1)
        norm_tokens = _norm_tokens(problem, tokens)
        in_reduction = at_least(
            steps_of(problem, "in_reduction", norm_tokens), -(-model.d_model * columns * dtype.weights // piece)
        )
        out = at_least(_column_steps(problem), -(-model.d_model * each * dtype.weights // (piece * channels)))
        out = max(
            out,
            min(model.d_model, memories),
            at_least(_column_steps(problem), -(-4 * rows * model.d_model * size // capacity)),
        )
        x_columns = 1 if "x_proj" not in shapes else -(-shapes["x_proj"].columns // gemm.columns)
        dt_bytes = 0 if "dt_proj" not in shapes else shapes["dt_proj"].rows * each * dtype.weights
        yield OwnersPoint(
            tokens,
            norm_tokens,
            min(state_tokens, tokens),
            memories,
            min(channels, max(1, most_splits(problem) // memories)),
            min(in_columns, each),
            in_reduction,
            x_columns,
            max(1, -(-4 * dt_bytes // (capacity * channels))),
            out,
        )


def _norm_tokens(problem: Problem, tokens: int) -> int:
    """Tokens whose normalisation fits half a memory, but no more than leave some for every fourth memory."""
    row = problem.model.d_model * problem.dtype.activations
    most = min(capacity_bytes(problem) // 2 // row // 2, -(-4 * tokens // problem.hardware.memory_count))
    return max(1, 1 << max(most, 1).bit_length() - 1)
