"""Depth-first orders in which projections go on while states are updated."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from small_problems import core_group, hardware

import ssmopt
from ssmopt.bounds import best, instance_bounds
from ssmopt.decode import Policy, decode
from ssmopt.errors import InputError
from ssmopt.heuristics.fuse_block import BlockVariant, block_order
from ssmopt.heuristics.pipelined import all_orders
from ssmopt.heuristics.places import SUMS_AT, BlockOrder
from ssmopt.instance import Instance
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.tiling import LOOP_ORDERS, ProjectionTiling, Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles

MODEL = Model("small", "mamba", 1, 6, 8, 4, 3, 4)
CUTS = {"in_proj": ProjectionTiling(4, 3), "out_proj": ProjectionTiling(2, 4)}


def small(loop_order: str = "channels", sram: int = 10**9) -> Instance:
    machine = hardware(core_group("pe", 2, 4, overhead=2), capacity=sram)
    problem = Problem("p", MODEL, machine, 4)
    tiling = Tiling(
        tokens=4, state_tokens=2, scan=True, channel_splits=4, projections=CUTS, loop_order=loop_order, norm_tokens=2
    )
    return build_tiles(problem, tiling)


def names_in(instance: Instance, choices: BlockOrder) -> list[str]:
    return [instance.tile_ids[t] for t in block_order(instance, choices).tolist()]


@pytest.mark.parametrize("loop_order", LOOP_ORDERS)
@pytest.mark.parametrize("model", ["mamba-tiny", "mamba2-tiny"])
def test_every_order_is_feasible_with_as_little_memory_as_the_tiles_ask_for(model: str, loop_order: str) -> None:
    problem = Problem("p", ssmopt.load_model(model), ssmopt.load_hardware("marca"), 5)
    tiling = Tiling(tokens=3, state_tokens=2, scan=True, channel_splits=2, projections=CUTS, loop_order=loop_order)
    instance = build_tiles(problem, tiling)
    least = np.full(instance.n_memories, instance.minimum_capacity()[0])
    tight = dataclasses.replace(instance, memory_capacity=least)
    for choices in all_orders():
        order = block_order(tight, choices)
        assert sorted(order.tolist()) == list(range(tight.n_tiles))
        assert validate(tight, decode(tight, order, Policy())) == []


def test_mixed_tiles_of_projections_lie_among_the_state_updates_of_their_channels() -> None:
    instance = small()
    apart = names_in(instance, BlockOrder("late", "along"))
    mixed = names_in(instance, BlockOrder("late", "along", mixed=True))

    def runs(names: list[str]) -> int:
        """How often the order changes between tiles of projections and others, once states are updated."""
        after = names[next(i for i, n in enumerate(names) if n.startswith("exp_dA")) :]
        is_projection = [n.split(".")[0] in ("in_proj", "out_proj") for n in after]
        return sum(a != b for a, b in itertools.pairwise(is_projection))

    assert sorted(apart) == sorted(mixed)
    assert runs(mixed) > runs(apart)


def test_the_gate_runs_early_or_ahead_of_the_channels_that_need_it() -> None:
    instance = small()
    first_state = "exp_dA.0.0"
    gates = ["in_proj.0.2", "in_proj.0.3"]

    def first_of(names: list[str], column: str) -> int:
        return min(i for i, name in enumerate(names) if name.startswith(column + "."))

    early = names_in(instance, BlockOrder("early"))
    assert all(first_of(early, gate) < early.index(first_state) for gate in gates)
    late, ahead = names_in(instance, BlockOrder("late")), names_in(instance, BlockOrder("ahead"))
    last = gates[1]
    assert late.index("exp_dA.0.1") < first_of(late, last)
    assert first_of(ahead, last) < ahead.index("exp_dA.0.2")


@pytest.mark.parametrize("choices", [BlockOrder("ahead"), BlockOrder("late", mixed=True)], ids=["ahead", "mixed"])
def test_the_sum_of_a_column_is_spread_over_channels_piece_by_piece(choices: BlockOrder) -> None:
    """Two columns of four channel pieces, three pieces of a sum each: some lie beside each of two channel pieces."""
    names = names_in(small(), choices)
    column = "in_proj.0.3." if choices.gate == "ahead" else "in_proj.0.2."
    at = [i for i, name in enumerate(names) if name.startswith(column)]
    states = [i for i, name in enumerate(names) if name.startswith("scan")]
    assert len(at) == 3
    assert any(at[0] < i < at[-1] for i in states)


def test_split_takes_the_first_columns_along_and_leaves_the_others_for_the_end() -> None:
    names = names_in(small(), BlockOrder("early", "split"))
    last_state = max(i for i, name in enumerate(names) if name.startswith("scan"))
    first, second = (
        [i for i, name in enumerate(names) if name.startswith(f"out_proj.0.{column}.")] for column in (0, 1)
    )
    assert min(first) < last_state < min(second)


def test_sums_that_come_last_follow_all_pieces_of_the_first_phase_and_precede_the_second() -> None:
    instance = small()
    along, last = (names_in(instance, BlockOrder(sums=sums)) for sums in ("along", "last"))
    operators = [name.split(".")[0] for name in last]
    sums = [i for i, operator in enumerate(operators) if operator == "x_proj"]
    assert sums == list(range(sums[0], sums[0] + len(sums)))
    assert set(operators[: sums[0]]) == {"rms_norm", "in_proj", "conv1d", "silu_x"}
    assert operators[sums[-1] + 1] == "dt_proj"
    assert sorted(along) == sorted(last)
    assert along.index("x_proj.0.0.0") < along.index("in_proj.0.1.0")


def test_sums_come_last_where_little_is_computed_after_their_loads() -> None:
    """Before the second phase one loads without a break: a machine that loads, and one that computes (Johnson)."""
    problem = Problem("p", ssmopt.load_model("mamba-130m"), ssmopt.load_hardware("marca"), 64)
    instance = build_tiles(problem, Tiling(64, state_tokens=16, scan=True, channel_splits=128))
    along, last = (decode(instance, *BlockVariant(BlockOrder(sums=s), 0, 0).plan(instance)) for s in SUMS_AT)
    assert along.makespan > last.makespan == best(instance_bounds(instance)).cycles


def test_unknown_choices_are_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"'latte'.*'late'"):
        BlockOrder("latte")
    with pytest.raises(InputError, match=r"'splt'.*'split'"):
        BlockOrder("late", "splt")
