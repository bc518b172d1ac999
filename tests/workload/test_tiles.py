"""The tile graph against the elements that every tile reads and writes, worked out from the block's equations."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from small_problems import core_group, hardware, tiled_problems

import ssmopt
from ssmopt.errors import InputError
from ssmopt.files.tile_instance import instance_sha256
from ssmopt.instance import KINDS, Instance
from ssmopt.model import Model
from ssmopt.problem import Dtype, Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.tiles import build_tiles, count_tiles

from .elements import OPERATORS, SUMMED, TENSORS, Block, Pieces
from .elements2 import block_of

MOST_TILES = 700


def problem_of(*sizes: int, scope: str = "block", initial_state: str = "load", dtype: Dtype | None = None) -> Problem:
    """A problem of L, D, E, N, R, W."""
    length, width, inner, state, rank, taps = sizes
    model = Model("small", "mamba", 1, width, inner, state, taps, rank)
    machine = hardware(core_group())
    return Problem("small", model, machine, length, scope=scope, initial_state=initial_state, dtype=dtype or Dtype())


def ranges_of(instance: Instance) -> list[tuple[str, dict[str, tuple[int, int]]]]:
    """Operator and ranges of every tile."""
    meta = instance.meta
    assert meta is not None
    tiles = []
    for tile in range(instance.n_tiles):
        ends = zip(meta.dims, meta.low[tile].tolist(), meta.high[tile].tolist(), strict=True)
        tiles.append((meta.operators[meta.operator[tile]], {dim: (low, high) for dim, low, high in ends if low >= 0}))
    return tiles


def equal_pieces(size: int, count: int) -> list[tuple[int, int]]:
    """``count`` pieces of ``size`` indices, none more than one longer than another."""
    ends = [size * i // count for i in range(count + 1)]
    return list(itertools.pairwise(ends))


def expected_ranges(operator: str, dims: dict[str, int], tiling: Tiling) -> set[tuple[tuple[str, int, int], ...]]:
    """The ranges of every tile of an operator, by the meaning of each field of a tiling."""
    splits = tiling.channel_splits
    default = {"in_proj": (2 * splits, 1), "x_proj": (1, splits), "dt_proj": (splits, 1), "out_proj": (1, splits)}
    projection = "out_proj" if operator == "residual" else operator
    if projection in tiling.projections:
        columns, reduction = tiling.projections[projection].columns, tiling.projections[projection].reduction
    else:
        columns, reduction = default.get(projection, (splits, 1))
    cut = []
    for dim, size in dims.items():
        if dim == "L":
            step = {"mul_hA": 1, "add_h": 1, "mul_hC": 1, "scan": tiling.state_tokens}.get(operator, tiling.tokens)
            if operator in ("mul_dA", "exp_dA", "mul_dB", "mul_dBx"):
                step = tiling.state_tokens
            if operator in ("rms_norm", "residual"):
                step = tiling.norm_tokens or tiling.tokens
            pieces = [(low, min(low + step, size)) for low in range(0, size, step)]
        elif operator in ("rms_norm", "conv1d") and dim in ("D", "W"):
            pieces = [(0, size)]
        elif dim == "N":
            pieces = equal_pieces(size, tiling.state_splits)
        elif operator in default:
            pieces = equal_pieces(size, reduction if dim == SUMMED[operator] else columns)
        else:
            pieces = equal_pieces(size, columns if operator == "residual" else splits)
        cut.append([(dim, low, high) for low, high in pieces])
    return set(itertools.product(*cut))


def check_ranges(problem: Problem, tiling: Tiling) -> None:
    """The tiles of each operator have the ranges that the tiling asks for."""
    block, tiles = Block(problem), ranges_of(build_tiles(problem, tiling))
    for operator in block.operators(tiling.scan):
        ranges = [tuple((dim, *ends) for dim, ends in sorted(r.items())) for name, r in tiles if name == operator]
        expected = expected_ranges(operator, block.dims(operator), tiling)
        assert sorted(ranges) == sorted(tuple(sorted(r)) for r in expected), operator


def check_tiles(problem: Problem, tiling: Tiling) -> None:
    """Everything about the tile graph that follows from the elements."""
    instance = build_tiles(problem, tiling)
    block = block_of(problem)
    tiles = ranges_of(instance)
    touched = [block.touched(operator, ranges) for operator, ranges in tiles]
    pieces = Pieces.of(block, itertools.chain.from_iterable(touched))

    names = [operator for operator, _ in tiles]
    assert set(names) == set(block.operators(tiling.scan))
    assert count_tiles(problem, tiling) == instance.n_tiles == len(set(instance.tile_ids.all))
    assert len(set(instance.tensor_ids.all)) == instance.n_tensors

    # Every tile lists the pieces that it overlaps, and touches all of each.
    adding = {name for name in names if name in block.summed and _is_cut(name, block.summed[name], tiles, block)}
    produced: set[str] = set()
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for tile, (reads, writes) in enumerate(touched):
        sides = {"reads": reads, "writes": writes}
        overlapped: dict[str, set[str]] = {"reads": set(), "writes": set()}
        for side, by_tensor in sides.items():
            for tensor, elements in by_tensor.items():
                inside = {pieces.where(tensor, element) for element in elements}
                assert {e for piece in inside for e in pieces.elements(tensor, piece)} == elements
                for piece in inside:
                    found[pieces.name(tensor, piece)] = tensor, piece
                    overlapped[side].add(pieces.name(tensor, piece))
        adds = names[tile] in adding
        produced |= overlapped["writes"]
        for rows, expected in (
            (instance.inputs, overlapped["reads"]),
            (instance.outputs, set() if adds else overlapped["writes"]),
            (instance.accumulates, overlapped["writes"] if adds else set()),
        ):
            listed = [instance.tensor_ids[t] for t in rows[tile].tolist()]
            assert len(listed) == len(set(listed))
            assert set(listed) == expected, instance.tile_ids[tile]

    # The pieces that are touched, their bytes and kinds.
    assert set(instance.tensor_ids.all) == set(found)
    for position, name in enumerate(instance.tensor_ids.all):
        tensor, piece = found[name]
        elements = list(pieces.elements(tensor, piece))
        assert instance.tensor_bytes[position] == len(elements) * block.element_bytes(tensor)
        kind = block.kind(tensor, elements[0], name in produced)
        assert KINDS[instance.tensor_kind[position]] == kind, name

    # Readers come after writers exactly where an element goes from one to the other.
    writers = defaultdict(set)
    for tile, (_, writes) in enumerate(touched):
        for tensor, elements in writes.items():
            for element in elements:
                writers[tensor, element].add(tile)
    expected_edges = {
        (writer, tile)
        for tile, (reads, _) in enumerate(touched)
        for tensor, elements in reads.items()
        for element in elements
        for writer in writers[tensor, element]
    }
    source, target = instance.edges
    assert set(zip(source.tolist(), target.tolist(), strict=True)) == expected_edges
    assert (source < target).all()  # Tiles are numbered in a topological order.

    # All bytes of every tensor that is there as a whole.
    whole = {"x": problem.scope == "block", "out": problem.scope == "block", "h": "scan" not in names}
    for tensor in (*block.weights, "x", "out", "h"):
        n_bytes = sum(
            size
            for name, size in zip(instance.tensor_ids, instance.tensor_bytes.tolist(), strict=True)
            if name.split(".")[0] == tensor
        )
        if whole.get(tensor, problem.scope == "block" or tensor == "A"):
            count = np.prod([high - low for low, high in block.extents(tensor)])
            assert n_bytes == count * block.element_bytes(tensor), tensor


def _is_cut(operator: str, dim: str, tiles: list[tuple[str, dict[str, tuple[int, int]]]], block: Block) -> bool:
    size = block.dims(operator)[dim]
    return any(ranges[dim] != (0, size) for name, ranges in tiles if name == operator)


@settings(max_examples=120, deadline=None)
@given(tiled_problems())
def test_tiles_touch_and_depend_as_their_elements_do(tiled: tuple[Problem, Tiling]) -> None:
    assume(count_tiles(*tiled) <= MOST_TILES)
    check_ranges(*tiled)
    check_tiles(*tiled)


@settings(max_examples=40, deadline=None)
@given(tiled_problems(largest=5, longest=5, batches=(2, 3)))
def test_sequences_share_the_weights_alone(tiled: tuple[Problem, Tiling]) -> None:
    assume(count_tiles(*tiled) <= MOST_TILES)
    check_tiles(*tiled)


SPLIT = Tiling(
    tokens=3,
    state_tokens=2,
    channel_splits=2,
    state_splits=3,
    projections={
        "in_proj": ProjectionTiling(3, 2),
        "x_proj": ProjectionTiling(4, 3),
        "dt_proj": ProjectionTiling(2, 2),
        "out_proj": ProjectionTiling(3, 5),
    },
)
SCANS = Tiling(tokens=4, state_tokens=3, scan=True, channel_splits=3, state_splits=2, norm_tokens=1)


@pytest.mark.parametrize("initial_state", ["load", "zero"])
@pytest.mark.parametrize("scope", ["block", "state-update"])
@pytest.mark.parametrize("tiling", [Tiling(), SPLIT, SCANS], ids=["plain", "split", "scans"])
@pytest.mark.parametrize(
    "sizes",
    # L, D, E, N, R, W: ragged everywhere; shorter than the convolution's tail; one token; a tail of nothing.
    [(7, 5, 7, 5, 3, 4), (2, 3, 5, 3, 2, 5), (1, 3, 5, 3, 2, 4), (5, 4, 6, 4, 2, 1)],
    ids=str,
)
def test_shapes_at_the_edges(sizes: tuple[int, ...], tiling: Tiling, scope: str, initial_state: str) -> None:
    problem = problem_of(*sizes, scope=scope, initial_state=initial_state, dtype=Dtype(1, 2, 4))
    check_ranges(problem, tiling)
    check_tiles(problem, tiling)


@settings(max_examples=30, deadline=None)
@given(tiled_problems())
@example((problem_of(7, 5, 7, 5, 3, 4), SPLIT))
def test_two_builds_are_the_same_to_the_last_byte(tiled: tuple[Problem, Tiling]) -> None:
    assume(count_tiles(*tiled) <= MOST_TILES)
    assert instance_sha256(build_tiles(*tiled)) == instance_sha256(build_tiles(*tiled))


def test_the_hash_changes_with_the_tiling() -> None:
    problem = problem_of(7, 5, 7, 5, 3, 4)
    assert instance_sha256(build_tiles(problem, SPLIT)) != instance_sha256(build_tiles(problem, SCANS))


def test_ids_name_operator_token_channel_and_what_else_is_cut() -> None:
    ids = build_tiles(problem_of(4, 8, 16, 4, 1, 4), Tiling(tokens=4, channel_splits=2)).tile_ids.all
    assert ids[:12] == [
        "rms_norm.0", "in_proj.0.0", "in_proj.0.1", "in_proj.0.2", "in_proj.0.3", "conv1d.0.0", "conv1d.0.1",
        "silu_x.0.0", "silu_x.0.1", "x_proj.0.0.0", "x_proj.0.0.1", "dt_proj.0.0",
    ]  # fmt: skip
    assert "mul_dA.3.1" in ids
    assert ids[-1] == "residual.0"


def test_numbers_go_layer_by_layer_and_the_recurrence_token_by_token() -> None:
    instance = build_tiles(problem_of(3, 2, 4, 2, 1, 2), Tiling(tokens=2, state_tokens=2, channel_splits=2))
    names = [name.split(".")[0] for name in instance.tile_ids.all]
    layers = [name for name, _ in itertools.groupby(names)]
    first = layers.index("mul_hA")
    assert layers[:first] == list(OPERATORS)[:11]
    assert layers[first : first + 9] == ["mul_hA", "add_h", "mul_hC"] * 3
    assert layers[first + 9 :] == list(OPERATORS)[14:]
    tokens = [int(name.split(".")[1]) for name in instance.tile_ids.all if name.startswith("mul_hA")]
    assert tokens == [0, 0, 1, 1, 2, 2]


def test_the_tail_of_a_long_prompt_is_a_piece_of_its_own() -> None:
    """Tokens 0 to 9 in one tile, four taps: columns -3 to -1 are old, 0 to 6 are not needed again, 7 to 9 are."""
    instance = build_tiles(problem_of(10, 2, 4, 2, 1, 4), Tiling(tokens=10))
    columns = {
        name: (size // 16, KINDS[kind])
        for name, size, kind in zip(
            instance.tensor_ids, instance.tensor_bytes.tolist(), instance.tensor_kind.tolist(), strict=True
        )
        if name.startswith("x_branch")
    }
    assert columns == {
        "x_branch.0.0": (3, "state"), "x_branch.1.0": (7, "intermediate"), "x_branch.2.0": (3, "output")
    }  # fmt: skip


def test_old_columns_that_stay_in_the_tail_are_in_dram_already() -> None:
    """One token and four taps: two of the three columns of the new tail are old ones."""
    instance = build_tiles(problem_of(1, 2, 4, 2, 1, 4), Tiling())
    lookup = instance.tensor_ids.lookup
    tail = [name for name in lookup if name.startswith("x_branch")]
    kinds = [KINDS[instance.tensor_kind[lookup[name]]] for name in tail]
    produced = [bool(instance.produced[lookup[name]]) for name in tail]
    assert kinds == ["state", "output", "output"]
    assert produced == [False, False, True]


def test_a_scan_keeps_only_the_state_between_its_tokens() -> None:
    instance = build_tiles(problem_of(8, 2, 4, 3, 1, 2), Tiling(tokens=8, state_tokens=4, scan=True))
    touched = {name for name in instance.tensor_ids if name.split(".")[0] in ("h", "hA")}
    assert len(touched) == 3  # before token 0, after token 3, after token 7
    assert all(instance.tensor_bytes[instance.tensor_ids.lookup[name]] == 4 * 3 * 4 for name in touched)


@pytest.mark.parametrize(
    ("tiling", "message"),
    [
        (Tiling(channel_splits=5), "cannot cut dimension K of in_proj, 8 long, into 10 pieces"),
        (Tiling(state_splits=3), "cannot cut dimension N of mul_dA, 2 long, into 3 pieces"),
        (Tiling(projections={"dt_proj": ProjectionTiling(1, 2)}), "cannot cut dimension R of dt_proj, 1 long"),
    ],
)
def test_more_pieces_than_indices_are_refused(tiling: Tiling, message: str) -> None:
    problem = problem_of(2, 2, 4, 2, 1, 2)
    for function in (build_tiles, count_tiles):
        with pytest.raises(InputError, match=message):
            function(problem, tiling)


def test_every_tensor_of_the_table_appears() -> None:
    instance = build_tiles(problem_of(4, 2, 4, 2, 1, 2), Tiling(tokens=4))
    assert {name.split(".")[0] for name in instance.tensor_ids} == set(TENSORS)


def test_a_library_instance_has_the_bytes_of_its_model() -> None:
    """mamba1-2.7b-n64: weights and A are 655,960 cycles of 256 bytes."""
    problem = Problem("x", ssmopt.load_model("mamba1-2.7b-n64"), ssmopt.load_hardware("marca"), 64)
    instance = build_tiles(problem, Tiling(tokens=64, channel_splits=4))
    weights = instance.tensor_bytes[instance.tensor_kind == KINDS.index("weight")].sum()
    assert weights / 256 == 655_960
