"""Orders in which one token tile's projections run beside the state updates of the one before."""

from __future__ import annotations

import pytest

import ssmopt
from ssmopt.decode import decode
from ssmopt.heuristics.fuse_block import block_order
from ssmopt.heuristics.pipelined import all_orders
from ssmopt.heuristics.places import BlockOrder
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles


def two_token_tiles(model: str, tokens: int = 3) -> Instance:
    problem = Problem("p", ssmopt.load_model(model), ssmopt.load_hardware("array-vector"), 6)
    return build_tiles(problem, Tiling(tokens=tokens, state_tokens=1, scan=True, channel_splits=2))


@pytest.mark.parametrize("model", ["mamba-tiny", "mamba2-tiny"])
def test_every_overlapping_order_is_a_feasible_schedule_of_every_tile(model: str) -> None:
    instance = two_token_tiles(model, 2)
    for choices in all_orders(overlap=True):
        order = block_order(instance, choices)
        assert sorted(order.tolist()) == list(range(instance.n_tiles))
        assert validate(instance, decode(instance, order)) == []


def test_projections_of_the_next_token_tile_lie_among_the_state_updates_of_this_one() -> None:
    instance = two_token_tiles("mamba-tiny")

    def first_of_next_before_last_state(choices: BlockOrder) -> bool:
        names = [instance.tile_ids[t] for t in block_order(instance, choices).tolist()]
        next_tile = min(names.index(name) for name in names if name.startswith("in_proj.1."))
        return next_tile < max(names.index(name) for name in names if name.startswith("exp_dA.2."))

    assert first_of_next_before_last_state(BlockOrder(mixed=True, overlap=True))
    assert not first_of_next_before_last_state(BlockOrder(mixed=True))


def test_overlapping_token_tiles_are_faster_on_cores_of_two_kinds() -> None:
    problem = Problem("p", ssmopt.load_model("mamba-130m"), ssmopt.load_hardware("array-vector"), 64)
    cuts = {"in_proj": ProjectionTiling(24, 4), "out_proj": ProjectionTiling(4, 12)}
    tiling = Tiling(tokens=32, state_tokens=8, scan=True, channel_splits=12, projections=cuts)
    instance = build_tiles(problem, tiling)

    def makespan(overlap: bool) -> int:
        return decode(instance, block_order(instance, BlockOrder(mixed=True, overlap=overlap))).makespan

    assert makespan(True) < makespan(False)
