"""The tile graph of Mamba-2 against the elements that every tile reads and writes, in both forms."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given, settings
from small_problems import core_group, hardware, tiled_problems

from ssmopt.errors import InputError
from ssmopt.model import Model
from ssmopt.problem import FORMS, Dtype, Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.tiles import build_tiles, count_tiles

from .elements2 import CHUNKED, SUMMED, WHOLE_CHUNKS, Block2
from .test_tiles import MOST_TILES, check_tiles, equal_pieces, ranges_of


def problem_of(*sizes: int, form: str = "recurrent", batch: int = 1, **options: object) -> Problem:
    """A problem of L, D, H, P, G, N, W, Q."""
    length, width, heads, channels, groups, state, taps, chunk = sizes
    model = Model(
        "small", "mamba2", 1, width, heads * channels, state, taps,
        head_dim=channels, n_groups=groups, chunk_size=chunk,
    )  # fmt: skip
    machine = hardware(core_group())
    return Problem("small", model, machine, length, form=form, batch=batch, **options)  # type: ignore[arg-type]


Piece = tuple[int, int]


def steps(size: int, step: int) -> list[Piece]:
    return [(low, min(low + step, size)) for low in range(0, size, step)]


def heads_apart(size: int, pieces: int, per_head: int) -> list[Piece]:
    """Nearly equal pieces of whole heads; if there are more pieces than heads, of channels."""
    if pieces * per_head <= size:
        return [(low * per_head, high * per_head) for low, high in equal_pieces(size // per_head, pieces)]
    return equal_pieces(size, pieces)


def rest_after(first: int, size: int, width: int, unit: int = 1) -> list[Piece]:
    """What follows the main parts, in units of which as many as fit ``width`` make a piece, but at least one."""
    step = unit
    while step + unit <= width:
        step += unit
    return [(first + low, first + high) for low, high in steps(size, step)]


def expected_pieces(block: Block2, operator: str, dim: str, tiling: Tiling) -> list[Piece]:
    """The pieces of one dimension of an operator, by the meaning of each field of a tiling."""
    model, size, splits = block.problem.model, block.dims(operator)[dim], tiling.channel_splits
    shared = 2 * model.n_groups * model.d_state
    defaults = {"in_proj": ProjectionTiling(2 * splits, 1), "out_proj": ProjectionTiling(1, splits)}
    projection = (defaults | dict(tiling.projections)).get("out_proj" if operator == "residual" else operator)
    if dim == "S":
        return [(s, s + 1) for s in range(size)]
    if dim == "L":
        if operator in WHOLE_CHUNKS:
            return steps(size, model.chunk_size)
        if operator in CHUNKED and block.chunked:
            ends = {*range(0, size, tiling.tokens), *range(0, size, model.chunk_size), size}
            return list(itertools.pairwise(sorted(ends)))
        if operator in ("mul_hA", "add_h", "mul_hC"):
            return steps(size, 1)
        if operator in ("mul_dBx", "scan"):
            return steps(size, tiling.state_tokens)
        if operator in ("rms_norm", "residual"):
            return steps(size, tiling.norm_tokens or tiling.tokens)
        return steps(size, tiling.tokens)
    if operator == "in_proj":
        assert projection is not None
        if dim == "D":
            return equal_pieces(size, projection.reduction)
        inner = model.d_inner
        half = heads_apart(inner, max(1, projection.columns // 2), model.head_dim)
        width = max(high - low for low, high in half)
        rest = rest_after(2 * inner, shared + model.n_heads, width)
        return [*half, *((low + inner, high + inner) for low, high in half), *rest]
    if operator in ("out_proj", "residual"):
        assert projection is not None
        if dim == "E":
            return heads_apart(size, projection.reduction, model.head_dim)
        return equal_pieces(size, projection.columns)
    if dim == "E":
        return heads_apart(size, splits, model.head_dim)
    if dim == "X":
        channels = heads_apart(model.d_inner, splits, model.head_dim)
        width = max(high - low for low, high in channels)
        return [*channels, *rest_after(model.d_inner, shared, width, model.d_state)]
    return equal_pieces(size, {"H": splits, "G": min(splits, size), "N": tiling.state_splits}.get(dim, 1))


def check(problem: Problem, tiling: Tiling) -> None:
    """The ranges of all tiles, and everything that follows from their elements."""
    block, tiles = Block2(problem), ranges_of(build_tiles(problem, tiling))
    for operator in block.operators(tiling.scan):
        found = [ranges for name, ranges in tiles if name == operator]
        dims = list(block.dims(operator))
        pieces = [expected_pieces(block, operator, dim, tiling) for dim in dims]
        expected = [dict(zip(dims, combination, strict=True)) for combination in itertools.product(*pieces)]
        assert len(found) == len(expected), operator
        assert {tuple(sorted(r.items())) for r in found} == {tuple(sorted(r.items())) for r in expected}, operator
    check_tiles(problem, tiling)


@settings(max_examples=150, deadline=None)
@given(tiled_problems(family="mamba2", batches=(1, 1, 1, 2)))
def test_tiles_touch_and_depend_as_their_elements_do(tiled: tuple[Problem, Tiling]) -> None:
    assume(count_tiles(*tiled) <= MOST_TILES)
    check(*tiled)


SPLIT = Tiling(
    tokens=3,
    state_tokens=2,
    channel_splits=2,
    state_splits=3,
    projections={"in_proj": ProjectionTiling(6, 2), "out_proj": ProjectionTiling(3, 5)},
)
SCANS = Tiling(tokens=4, state_tokens=3, scan=True, channel_splits=2, state_splits=2, norm_tokens=1)


@pytest.mark.parametrize("initial_state", ["load", "zero"])
@pytest.mark.parametrize("scope", ["block", "state-update"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tiling", [Tiling(), SPLIT, SCANS], ids=["plain", "split", "scans"])
@pytest.mark.parametrize(
    "sizes",
    # L, D, H, P, G, N, W, Q: a ragged last chunk; one chunk, not full; chunks of one token; one token; groups.
    [(7, 5, 3, 2, 1, 3, 4, 3), (2, 3, 2, 3, 2, 3, 5, 4), (3, 3, 2, 3, 1, 3, 2, 1), (1, 3, 4, 2, 2, 3, 4, 2)],
    ids=str,
)
def test_shapes_at_the_edges(sizes: tuple[int, ...], tiling: Tiling, form: str, scope: str, initial_state: str) -> None:
    check(problem_of(*sizes, form=form, scope=scope, initial_state=initial_state, dtype=Dtype(1, 2, 4)), tiling)


@pytest.mark.parametrize("form", FORMS)
def test_a_ragged_chunk_has_squares_of_its_own_size(form: str) -> None:
    problem = problem_of(7, 2, 2, 2, 1, 3, 2, 4, form="chunked")
    instance = build_tiles(problem, Tiling(tokens=7, channel_splits=2))
    sizes = {
        name: n // 4 for name, n in zip(instance.tensor_ids, instance.tensor_bytes.tolist(), strict=True)
        if name.startswith(("M.", "CB."))
    }  # fmt: skip
    # One head each; the second chunk's columns begin where the first one's end.
    assert sizes == {"M.0.0.0": 16, "M.0.1.0": 16, "M.1.0.1": 9, "M.1.1.1": 9, "CB.0.0": 16, "CB.1.1": 9}


def test_columns_of_in_proj_are_cut_by_what_they_are() -> None:
    """z and x in two pieces each; then B, C and dt in pieces that are no wider than those."""
    problem = problem_of(2, 3, 4, 4, 1, 3, 2, 2)
    tiles = ranges_of(build_tiles(problem, Tiling(projections={"in_proj": ProjectionTiling(4, 1)}, tokens=2)))
    assert [r["K"] for name, r in tiles if name == "in_proj"] == [
        (0, 8),
        (8, 16),
        (16, 24),
        (24, 32),
        (32, 40),
        (40, 42),
    ]


def test_ids_name_token_and_head() -> None:
    ids = build_tiles(problem_of(4, 3, 4, 2, 2, 2, 2, 2, form="chunked"), Tiling(tokens=4, channel_splits=2)).tile_ids
    assert {"softplus.0.1", "cumsum_dA.1.0", "chunk_CB.1.1", "pass_state.1.1", "conv1d.0.2", "norm_square.0.1"} <= set(
        ids
    )


def test_more_pieces_than_heads_are_refused() -> None:
    with pytest.raises(InputError, match="cannot cut dimension H of softplus, 4 long, into 5 pieces"):
        build_tiles(problem_of(4, 3, 4, 2, 2, 2, 2, 2), Tiling(channel_splits=5))


def test_what_is_summed_is_what_the_operators_say() -> None:
    for form in FORMS:
        block = Block2(problem_of(4, 3, 4, 2, 2, 2, 2, 2, form=form))
        assert set(SUMMED) >= {name for name in block.operators(False) if name in SUMMED}
