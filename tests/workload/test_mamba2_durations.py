"""Cycles of the tiles of Mamba-2 against formulas written out by hand."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_problems import problems, tilings

import ssmopt
from ssmopt.instance import NOT_ADMISSIBLE
from ssmopt.problem import FORMS, Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.tiles import build_tiles, count_tiles

from .test_durations import arrays, mac, up
from .test_tiles import MOST_TILES, ranges_of

GEMM = ("in_proj", "out_proj", "chunk_CB", "chunk_diag", "chunk_state", "chunk_off")


def work(operator: str, ranges: dict[str, tuple[int, int]], problem: Problem, rows: int, columns: int) -> int:
    """Cycles of a tile without its overhead; nonlinear functions take 4 cycles, all else 1."""
    size = {dim: high - low for dim, (low, high) in ranges.items()}
    t, e, h, x, g, n, d, k, w = (size.get(dim, 0) for dim in "LEHXGNDKW")
    p = rows * columns
    chunk = problem.model.chunk_size
    first = ranges["L"][0] // chunk * chunk
    q = min(chunk, problem.seq_len - first)  # The whole chunk, also where a tile has only some of its rows.
    macs = {
        "in_proj": [t, d, k], "out_proj": [t, e, d], "conv1d": [t, x, w], "chunk_CB": [t, q, g, n],
        "chunk_diag": [t, q, e], "chunk_state": [t, e, n], "chunk_off": [t, e, n],
    }  # fmt: skip
    if operator in macs:
        return mac(macs[operator], rows, columns)
    if operator == "rms_norm":
        return 4 * up(t * d, p) + 5 * up(t, p)
    if operator == "silu_xBC":
        return 4 * up(t * x, p)
    if operator == "softplus":
        return 5 * up(t * h, p)
    if operator == "mul_dA":
        return up(t * h, p)
    if operator in ("exp_dA", "decay_start"):
        return 4 * up(t * h, p)
    if operator == "decay_end":
        return 5 * up(t * h, p)
    if operator in ("mul_dtx", "gate", "mul_decay"):
        return up(t * e, p)
    if operator in ("mul_dBx", "mul_hA", "add_h"):
        return up(t * e * n, p)
    if operator == "mul_hC":
        return t * mac([e, n], rows, columns)
    if operator == "scan":
        return t * (2 * up(e * n, p) + mac([e, n], rows, columns))
    if operator == "cumsum_dA":
        return t * up(h, p)
    if operator == "decay_mask":
        return 5 * up(t * q * h, p)
    if operator == "mul_mask":
        return up(t * q * h, p)
    if operator == "pass_state":
        return 2 * up(e * n, p)
    if operator in ("skip_D", "norm_square", "add_off"):
        return 2 * up(t * e, p)
    if operator == "silu_z":
        return 4 * up(t * e, p)
    if operator == "norm_scale":
        return 2 * up(t * e, p) + 5 * up(t, p)
    assert operator == "residual"
    return up(t * d, p)


def check_durations(problem: Problem, tiling: Tiling) -> None:
    instance = build_tiles(problem, tiling)
    for tile, (operator, ranges) in enumerate(ranges_of(instance)):
        for column, group in enumerate(problem.hardware.cores):
            runs = "gemm" in group.runs if operator in GEMM else "elementwise" in group.runs
            cycles = group.tile_overhead_cycles + work(operator, ranges, problem, group.rows, group.columns)
            expected = cycles if runs else NOT_ADMISSIBLE
            assert instance.duration[tile, column] == expected, instance.tile_ids[tile]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_operator_takes_the_cycles_of_its_formula(data: st.DataObject) -> None:
    problem = data.draw(problems(on=arrays(), family="mamba2", batches=(1, 1, 2)))
    tiling = data.draw(tilings(problem))
    assume(count_tiles(problem, tiling) <= MOST_TILES)
    check_durations(problem, tiling)


@pytest.mark.parametrize("model", ["mamba2-130m", "mamba2-2.7b"])
@pytest.mark.parametrize("machine", ["marca", "array-vector", "marca-32core"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [1, 67, 300])
def test_models_and_machines_of_the_library(model: str, machine: str, form: str, length: int) -> None:
    problem = Problem("p", ssmopt.load_model(model), ssmopt.load_hardware(machine), length, form=form)
    cuts = {"in_proj": ProjectionTiling(6, 5)}
    for scan in (False, True):
        tiling = Tiling(tokens=30, state_tokens=7, scan=scan, channel_splits=3, state_splits=2, projections=cuts)
        check_durations(problem, tiling)


# mamba2-2.7b (D 2560, E 5120, H 80, N 128, K 10576, W 4) on the 64 x 128 array of marca; 300 tokens are a chunk of 256
# and one of 44.
@pytest.mark.parametrize(
    ("tile", "cycles"),
    [
        ("mul_mask.0.0", 2 + 640),  # 256 * 256 * 80 / 8192
        ("mul_mask.1.0", 2 + 19),  # 44 * 44 * 80 / 8192
        ("decay_mask.0.0", 2 + 5 * 640),
        ("chunk_CB.0", 2 + 1024),  # 256 / 64 on the rows, 256 / 128 on the columns, 128 states
        ("chunk_CB.1", 2 + 44),  # 44 tokens on the rows, 128 states on the columns
        ("chunk_diag.0.0", 2 + 40960),  # 256 * 256 * 5120 / 8192
        ("chunk_state.0.0", 2 + 20480),  # 256 * 5120 * 128 / 8192
        ("pass_state.1.0", 2 + 2 * 80),  # 5120 * 128 / 8192
        ("cumsum_dA.1.0", 2 + 44),
        ("softplus.0.0", 2 + 5 * 3),
        ("norm_scale.0.0", 2 + 2 * 160 + 5),
        ("out_proj.0", 2 + 5120 * 4 * 20),
    ],
)
def test_cycles_worked_out_by_hand(tile: str, cycles: int) -> None:
    problem = Problem(
        "p", ssmopt.load_model("mamba2-2.7b"), ssmopt.load_hardware("marca"), 300, form="chunked"
    )  # fmt: skip
    instance = build_tiles(problem, Tiling(tokens=256))
    assert instance.duration[instance.tile_ids.lookup[tile]].tolist() == [cycles]
