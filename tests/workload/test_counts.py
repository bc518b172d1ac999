"""Work and bytes of whole operators, against the table of the block, and against the tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from small_problems import ONE_EACH, core_group, hardware, tiled_problems

from ssmopt.commands.show import operator_records
from ssmopt.hardware import Channel
from ssmopt.model import Model
from ssmopt.problem import Dtype, Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.counts import Counts, operator_counts, roofline_cycles
from ssmopt.workload.tiles import build_tiles, count_tiles

L, D, E, N, R, W = 5, 6, 8, 3, 2, 4
MODEL = Model("small", "mamba", 1, D, E, N, W, dt_rank=R)


def problem_with(**changes: object) -> Problem:
    return Problem(**{"name": "p", "model": MODEL, "hardware": hardware(core_group()), "seq_len": L, **changes})


def test_a_block_by_the_table() -> None:
    problem = problem_with(dtype=Dtype(1, 10, 100))
    rows, state = 10 * L * E, 10 * L * E * N
    assert operator_counts(problem, Tiling(tokens=2)) == {
        "rms_norm": Counts(0, 4 * L * D + 2 * L, D, 10 * L * D, 10 * L * D),
        "in_proj": Counts(L * D * 2 * E, 0, D * 2 * E, 10 * L * D, 2 * rows),
        "conv1d": Counts(L * E * W, 0, E * W + E, rows + 10 * (W - 1) * E, rows),
        "silu_x": Counts(0, L * E, 0, rows, rows),
        "x_proj": Counts(L * E * (R + 2 * N), 0, E * (R + 2 * N), rows, 10 * L * (R + 2 * N)),
        "dt_proj": Counts(L * R * E, L * E, R * E + E, 10 * L * R, rows),
        "softplus": Counts(0, L * E, 0, rows, rows),
        "mul_dA": Counts(0, L * E * N, E * N, rows, state),
        "exp_dA": Counts(0, L * E * N, 0, state, state),
        "mul_dB": Counts(0, L * E * N, 0, rows + 10 * L * N, state),
        "mul_dBx": Counts(0, L * E * N, 0, state + rows, state),
        "mul_hA": Counts(0, L * E * N, 0, state + 100 * L * E * N, state),
        "add_h": Counts(0, L * E * N, 0, 2 * state, 100 * L * E * N),
        "mul_hC": Counts(L * E * N, 0, 0, 100 * L * E * N + 10 * L * N, rows),
        "skip_D": Counts(0, 2 * L * E, E, 2 * rows, rows),
        "silu_z": Counts(0, L * E, 0, rows, rows),
        "gate": Counts(0, L * E, 0, 2 * rows, rows),
        "out_proj": Counts(L * E * D, 0, E * D, rows, 10 * L * D),
        "residual": Counts(0, L * D, 0, 20 * L * D, 10 * L * D),
    }


def test_a_scan_keeps_states_to_itself() -> None:
    counts = operator_counts(problem_with(), Tiling(scan=True, state_tokens=2))["scan"]
    # Three tiles: of two tokens, of two and of one.
    assert counts == Counts(
        L * E * N, 2 * L * E * N, 0, 4 * (2 * L * E * N + 3 * E * N + L * N), 4 * (L * E + 3 * E * N)
    )


def test_operations_per_byte() -> None:
    counts = Counts(10, 4, 2, 3, 1)
    assert counts.activation_bytes == 4
    assert counts.intensity == 24 / 6


def test_a_roofline_is_work_or_traffic() -> None:
    group = core_group(rows=1, columns=2, op_cycles={**ONE_EACH, "silu": 4})
    slow, fast = (Channel("dma", bandwidth, ("dram", "sram")) for bandwidth in (1, 10**6))
    cycles = {
        channel.bandwidth: roofline_cycles(problem_with(hardware=hardware(group, channels=(channel,))), Tiling())
        for channel in (slow, fast)
    }
    assert cycles[1]["silu_x"] == 2 * 4 * L * E
    assert cycles[10**6]["silu_x"] == 4 * L * E // 2
    assert cycles[10**6]["in_proj"] == L * D * 2 * E // 2
    twice = hardware(core_group("a", 1, 2, 1), core_group("b", 1, 1, 2), channels=(fast,))
    assert roofline_cycles(problem_with(hardware=twice), Tiling())["in_proj"] == L * D * 2 * E // 4


@pytest.mark.parametrize("family", ["mamba", "mamba2"])
def test_bytes_are_those_of_the_pieces_that_tiles_list(family: str) -> None:
    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(tiled_problems(5, 9, family=family, batches=(1, 2)))
    def check(drawn: tuple[Problem, Tiling]) -> None:
        problem, tiling = drawn
        if count_tiles(problem, tiling) > 2_000:
            return
        counts = operator_counts(problem, tiling)
        for record in operator_records(build_tiles(problem, tiling)):
            expected = counts[str(record["operator"])]
            found = (record["weight_bytes"], record["read_bytes"], record["written_bytes"])
            assert found == (expected.weight_bytes, expected.read_bytes, expected.written_bytes)
            assert (record["macs"], record["operations"]) == (expected.macs, expected.operations)

    check()


@pytest.mark.parametrize("family", ["mamba", "mamba2"])
def test_rooflines_are_no_more_than_tiles_take_with_all_traffic(family: str) -> None:
    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(tiled_problems(5, 9, family=family))
    def check(drawn: tuple[Problem, Tiling]) -> None:
        problem, tiling = drawn
        if count_tiles(problem, tiling) > 2_000:
            return
        instance = build_tiles(problem, tiling)
        assert instance.meta is not None
        floors = roofline_cycles(problem, tiling)
        for record in operator_records(instance):
            floor = floors[str(record["operator"])]
            assert floor == record["roofline_cycles"]
            n_bytes = sum(int(str(record[key])) for key in ("weight_bytes", "read_bytes", "written_bytes"))
            traffic = -(-n_bytes // int(instance.channel_bandwidth.sum()))
            assert traffic <= floor <= max(int(str(record["work_cycles"])), traffic)

    check()


def test_bytes_of_blocks_on_a_diagonal() -> None:
    """Chunks of 3 of 8 tokens: the mask has their squares only."""
    model = Model("small", "mamba2", 1, D, E, N, W, head_dim=2, n_groups=2, chunk_size=3)
    counts = operator_counts(problem_with(model=model, form="chunked", seq_len=8), Tiling(tokens=2))
    heads, squares = 4, 9 + 9 + 4
    assert counts["decay_mask"] == Counts(0, 2 * heads * squares, 0, 4 * 8 * heads, 4 * heads * squares)
    # The decay at each token, and once more at the end of its chunk, which is the same.
    assert counts["decay_end"] == Counts(0, 2 * 8 * heads, 0, 4 * 8 * heads, 4 * 8 * heads)
    assert np.isclose(counts["chunk_CB"].macs, 2 * N * squares)
