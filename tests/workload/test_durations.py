"""Cycles of tiles against the formulas of the hardware model, written out by hand."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_problems import core_group, hardware, problems, tilings

import ssmopt
from ssmopt.hardware import OPERATIONS, Hardware
from ssmopt.instance import NOT_ADMISSIBLE
from ssmopt.problem import Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.operators import mac_cycles
from ssmopt.workload.tiles import build_tiles, count_tiles

from .test_tiles import MOST_TILES, ranges_of

SLOW = {**dict.fromkeys(OPERATIONS, 1), **dict.fromkeys(("exp", "sigmoid", "silu", "softplus", "rsqrt"), 4)}


def up(number: int, by: int) -> int:
    return math.ceil(number / by)


def mac(sizes: list[int], rows: int, columns: int) -> int:
    """The best of: nothing mapped, one dimension on rows or on columns, or one on each."""
    best = math.prod(sizes)
    for on_rows, on_columns in itertools.product([None, *range(len(sizes))], repeat=2):
        if on_rows is None or on_rows != on_columns:
            cycles = 1
            for i, size in enumerate(sizes):
                cycles *= up(size, rows) if i == on_rows else up(size, columns) if i == on_columns else size
            best = min(best, cycles)
    return best


def work(operator: str, ranges: dict[str, tuple[int, int]], rows: int, columns: int) -> int:
    """Cycles of a tile without its overhead; nonlinear functions take 4 cycles, all else 1."""
    size = {dim: high - low for dim, (low, high) in ranges.items()}
    t, e, n, d, k, r, w = (size.get(dim, 0) for dim in "LENDKRW")
    p = rows * columns
    if operator == "rms_norm":
        return 4 * up(t * d, p) + 5 * up(t, p)
    if operator == "in_proj":
        return mac([t, d, k], rows, columns)
    if operator == "conv1d":
        return mac([t, e, w], rows, columns)
    if operator in ("silu_x", "silu_z", "softplus"):
        return 4 * up(t * e, p)
    if operator == "x_proj":
        return mac([t, e, k], rows, columns)
    if operator == "dt_proj":
        bias = up(t * e, p) if ranges["R"][0] == 0 else 0
        return mac([t, r, e], rows, columns) + bias
    if operator in ("mul_dA", "mul_dB", "mul_dBx", "mul_hA", "add_h"):
        return up(t * e * n, p)
    if operator == "exp_dA":
        return 4 * up(t * e * n, p)
    if operator == "mul_hC":
        return t * mac([e, n], rows, columns)
    if operator == "scan":
        return t * (2 * up(e * n, p) + mac([e, n], rows, columns))
    if operator == "skip_D":
        return 2 * up(t * e, p)
    if operator == "gate":
        return up(t * e, p)
    if operator == "out_proj":
        return mac([t, e, d], rows, columns)
    assert operator == "residual"
    return up(t * d, p)


def check_durations(problem: Problem, tiling: Tiling) -> None:
    instance = build_tiles(problem, tiling)
    for tile, (operator, ranges) in enumerate(ranges_of(instance)):
        for column, group in enumerate(problem.hardware.cores):
            is_gemm = operator in ("in_proj", "x_proj", "dt_proj", "out_proj")
            runs = "gemm" in group.runs if is_gemm else "elementwise" in group.runs
            cycles = group.tile_overhead_cycles + work(operator, ranges, group.rows, group.columns)
            expected = cycles if runs else NOT_ADMISSIBLE
            assert instance.duration[tile, column] == expected, instance.tile_ids[tile]


@st.composite
def arrays(draw: st.DrawFn) -> Hardware:
    """One array of any shape for everything, or one for matrix products beside one for the rest."""
    size, overhead = st.integers(1, 9), st.integers(0, 3)
    if draw(st.booleans()):
        return hardware(core_group("pe", draw(size), draw(size), overhead=draw(overhead), op_cycles=SLOW))
    rest = ("depthwise", "elementwise", "reduction")
    return hardware(
        core_group("array", draw(size), draw(size), 1, ("gemm",), draw(overhead), SLOW),
        core_group("vector", draw(size), draw(size), 2, rest, draw(overhead), SLOW),
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_operator_takes_the_cycles_of_its_formula(data: st.DataObject) -> None:
    problem = data.draw(problems(on=arrays()))
    tiling = data.draw(tilings(problem))
    assume(count_tiles(problem, tiling) <= MOST_TILES)
    check_durations(problem, tiling)


@pytest.mark.parametrize("model", ["mamba-130m", "mamba-2.8b", "mamba1-2.7b-n64"])
@pytest.mark.parametrize("machine", ["marca", "array-vector", "marca-32core"])
@pytest.mark.parametrize("length", [1, 67])
def test_models_and_machines_of_the_library(model: str, machine: str, length: int) -> None:
    problem = Problem("p", ssmopt.load_model(model), ssmopt.load_hardware(machine), length)
    cuts = {"in_proj": ProjectionTiling(6, 5), "dt_proj": ProjectionTiling(1, 3)}
    for scan in (False, True):
        check_durations(problem, Tiling(tokens=30, state_tokens=7, scan=scan, channel_splits=3, projections=cuts))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 20), st.integers(1, 20))
def test_the_mapping_of_products_is_the_best_pair_of_dimensions(sizes: list[int], rows: int, columns: int) -> None:
    assert mac_cycles(sizes, rows, columns) == mac(sizes, rows, columns)


# mamba1-2.7b-n64 (D 2560, E 5120, N 64, R 160, W 4) on the 64 x 128 array of marca, 64 tokens, nothing cut.
@pytest.mark.parametrize(
    ("tile", "cycles"),
    [
        ("mul_dA.0.0", 2 + 40),  # 5120 * 64 / 8192
        ("exp_dA.0.0", 2 + 4 * 40),
        ("mul_hC.0.0", 2 + 40),  # 64 states on the rows, 5120 channels on 128 columns
        ("silu_x.0.0", 2 + 4 * 40),  # 64 * 5120 / 8192
        ("skip_D.0.0", 2 + 2 * 40),
        ("rms_norm.0", 2 + 4 * 20 + 5 * 1),  # 64 * 2560 / 8192, and 64 tokens on 8192 elements
        ("in_proj.0.0", 2 + 2560 * 40),  # one half: 64 tokens on the rows, 5120 columns on 128
        ("x_proj.0.0", 2 + 288 * 40),  # tokens on the rows, channels on the columns
        ("dt_proj.0.0", 2 + 160 * 40 + 40),
        ("out_proj.0", 2 + 5120 * 20),
        ("residual.0", 2 + 20),
        ("conv1d.0.0", 2 + 4 * 40),
    ],
)
def test_cycles_worked_out_by_hand(tile: str, cycles: int) -> None:
    instance = ssmopt.build_instance("mamba1-2.7b-n64", "marca", 64, tiling=Tiling(tokens=64))
    assert instance.duration[instance.tile_ids.lookup[tile]].tolist() == [cycles]


def test_a_scan_tile_pays_its_overhead_once() -> None:
    tiling = Tiling(tokens=64, state_tokens=16, scan=True)
    instance = ssmopt.build_instance("mamba1-2.7b-n64", "marca", 64, tiling=tiling)
    assert instance.duration[instance.tile_ids.lookup["scan.1.0"]].tolist() == [2 + 16 * (2 * 40 + 40)]


def test_a_core_runs_its_kernels_only() -> None:
    """On array-vector the array runs the four matrix products, the vector core everything else."""
    instance = ssmopt.build_instance("mamba-130m", "array-vector", 4, tiling=Tiling(channel_splits=4))
    names = [name.split(".")[0] for name in instance.tile_ids.all]
    gemm = [name in ("in_proj", "x_proj", "dt_proj", "out_proj") for name in names]
    assert (instance.duration[:, 0] != NOT_ADMISSIBLE).tolist() == gemm
    assert (instance.duration[:, 1] == NOT_ADMISSIBLE).tolist() == gemm
