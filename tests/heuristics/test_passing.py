"""Tiles that are ready pass those that wait for other cores."""

from __future__ import annotations

import random

import numpy as np
import pytest
from handmade import make_instance
from random_instances import random_instance

import ssmopt
from ssmopt.decode import decode
from ssmopt.heuristics import passing
from ssmopt.heuristics.base import topological
from ssmopt.heuristics.fuse_block import BlockVariant
from ssmopt.heuristics.passing import let_ready_pass
from ssmopt.heuristics.places import BlockOrder
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.tiles import build_tiles


def queues(products: int, sums: int, cycles: dict[str, int]) -> Instance:
    """Products on one core, each read by a sum on the other, which has something else to do as well."""
    tiles: dict[str, tuple[int | dict[str, int], str, str, str]] = {}
    for i in range(products):
        tiles[f"p{i}"] = ({"array": cycles["p"]}, f"w{i}", f"s{i}", "")
        tiles[f"r{i}"] = ({"vector": cycles["r"]}, f"s{i}", "", "")
    for i in range(sums):
        tiles[f"v{i}"] = ({"vector": cycles["v"]}, "", "", "")
    tensors = {f"w{i}": (8, "weight") for i in range(products)} | {
        f"s{i}": (1, "intermediate") for i in range(products)
    }
    cores = {"array": "m", "vector": "m"}
    return make_instance(tiles, tensors, {"m": 10**6}, cores, {"dma": (1, 1, "dram m")})


def names(instance: Instance, order: np.ndarray) -> list[str]:
    return [instance.tile_ids[tile] for tile in order.tolist()]


def passed(instance: Instance, before: str) -> str:
    known = [instance.tile_ids[tile] for tile in range(instance.n_tiles)]
    order = np.array([known.index(name) for name in before.split()], dtype=np.int64)
    return " ".join(names(instance, let_ready_pass(instance, order)))


def test_a_tile_that_waits_for_the_other_core_is_passed_by_those_that_are_ready() -> None:
    instance = queues(1, 3, {"p": 5, "r": 2, "v": 20})
    assert passed(instance, "p0 r0 v0 v1 v2") == "p0 v0 r0 v1 v2"


def test_what_is_loaded_for_a_product_counts_as_its_time() -> None:
    """A product of 1 cycle with 8 bytes to load, at a byte per cycle: it ends after the first sum, not before."""
    instance = queues(1, 3, {"p": 1, "r": 1, "v": 5})
    assert passed(instance, "p0 r0 v0 v1 v2") == "p0 v0 v1 r0 v2"


def test_products_do_not_run_far_ahead() -> None:
    """Two of the longest, 16 cycles, they may be early; beyond that, one for each tile of the other core."""
    instance = queues(3, 4, {"p": 1, "r": 1, "v": 20})
    assert passed(instance, "p0 p1 p2 v0 v1 v2 v3 r0 r1 r2") == "p0 v0 p1 p2 v1 v2 v3 r0 r1 r2"
    assert passed(instance, "v0 v1 v2 v3 p0 p1 p2 r0 r1 r2") == "v0 p0 v1 p1 v2 p2 v3 r0 r1 r2"


def test_only_so_many_are_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = queues(1, 4, {"p": 50, "r": 2, "v": 16})
    assert passed(instance, "p0 r0 v0 v1 v2 v3") == "p0 v0 v1 v2 v3 r0"
    monkeypatch.setattr(passing, "_PASSED", 2)
    assert passed(instance, "p0 r0 v0 v1 v2 v3") == "p0 v0 v1 r0 v2 v3"


def test_where_all_cores_are_alike_the_order_stays() -> None:
    instance = ssmopt.build_instance("mamba-tiny", "tiny", 4)
    order = instance.topological_order[::1]
    assert let_ready_pass(instance, order).tolist() == order.tolist()


@pytest.mark.parametrize("seed", range(30))
def test_the_result_is_a_topological_order_of_all_tiles(seed: int) -> None:
    rng = random.Random(seed)
    instance = random_instance(seed)
    order = topological(instance, np.array(rng.sample(range(instance.n_tiles), instance.n_tiles), dtype=np.int64))
    result = let_ready_pass(instance, order)
    assert sorted(result.tolist()) == list(range(instance.n_tiles))
    assert topological(instance, result).tolist() == result.tolist()


def test_overlapping_token_tiles_wait_less() -> None:
    problem = Problem("p", ssmopt.load_model("mamba-130m"), ssmopt.load_hardware("array-vector"), 64)
    cuts = {"in_proj": ProjectionTiling(24, 4), "out_proj": ProjectionTiling(4, 12)}
    tiling = Tiling(tokens=32, state_tokens=8, scan=True, channel_splits=12, projections=cuts)
    instance = build_tiles(problem, tiling)

    def makespan() -> int:
        variant = BlockVariant(BlockOrder("late", "along", mixed=True, overlap=True), reserve=3, deferred=1)
        return decode(instance, *variant.plan(instance)).makespan

    with_passing = makespan()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssmopt.heuristics.fuse_block.let_ready_pass", lambda _instance, order: order)
        assert with_passing < makespan()
