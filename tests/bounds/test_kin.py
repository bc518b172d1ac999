"""Bounds from all that comes before and after tiles and moments: below every schedule, and tight in plain cases."""

from __future__ import annotations

import random

import numpy as np
import pytest
from exhaustive import exhaustive_makespan
from handmade import make_instance
from random_orders import random_order, random_policy

from ssmopt.bounds import best, instance_bounds
from ssmopt.bounds import kin as kin_module
from ssmopt.bounds.kin import Kin
from ssmopt.decode import decode
from ssmopt.instance import Instance


def barrier_instance(seed: int, *, unlike: bool = False) -> Instance:
    """Chunks with weights of their own, all added into one sum that later tiles of all chunks read; stores at the end.

    Some chunks have a side branch that does not wait for the sum: a tile with a weight of its own, joined at the end.
    With ``unlike`` there are two kinds of core.
    """
    rng = random.Random(seed)
    tensors: dict[str, tuple[int, str]] = {"s": (rng.choice((0, 1, 2)), "intermediate")}
    tiles: dict[str, tuple[int | dict[str, int], str, str, str]] = {}
    for k in range(rng.choice((2, 2, 3))):
        tensors |= {f"w{k}": (rng.randint(1, 6), "weight"), f"p{k}": (1, "intermediate"), f"y{k}": (1, "output")}
        tiles[f"a{k}"] = (rng.randint(1, 3), f"w{k}", f"p{k}", "s")
        joined = ""
        if rng.random() < 0.5:
            tensors |= {f"v{k}": (rng.randint(1, 6), "weight"), f"z{k}": (1, "intermediate")}
            tiles[f"z{k}"] = (rng.randint(1, 4), f"v{k}", f"z{k}", "")
            joined = f" z{k}"
        tiles[f"b{k}"] = (rng.randint(1, 5), f"s p{k}{joined}", f"y{k}", "")
    cores = rng.choice((1, 1, 2))
    channel = (rng.randint(1, 2), rng.choice((1, 1, 2)), "dram m")
    if unlike:  # cores of two kinds: all tiles of a sort run on one of them only
        cores = 2
        able = {sort: rng.choice(("c0", "c1")) for sort in "azb"}
        tiles = {name: ({able[name[0]]: cycles}, *rest) for name, (cycles, *rest) in tiles.items()}
    return make_instance(tiles, tensors, {"m": 60}, {f"c{i}": "m" for i in range(cores)}, {"dma": channel})


@pytest.mark.parametrize("block", range(4))
def test_no_bound_exceeds_the_optimum_where_all_chunks_wait_for_one_sum(block: int) -> None:
    split = 0
    for seed in range(20 * block, 20 * block + 20):
        instance = barrier_instance(seed)
        bounds = instance_bounds(instance)
        optimum = exhaustive_makespan(instance)
        assert [(b.cycles, b.reason) for b in bounds if b.cycles > optimum] == [], seed
        split += "first use" in best(bounds).reason or "last write" in best(bounds).reason
    assert split >= 1  # In some of them only what the sum splits says so much.


def test_cores_without_work_before_the_last_write_of_a_tensor_count_for_nothing() -> None:
    """What only core d can run may all start after a has written x: then no work of d is before that."""
    tiles: dict[str, tuple[int | dict[str, int], str, str, str]] = {
        "a": ({"c": 1}, "i", "u x", ""),
        "b": ({"c": 4}, "u x", "o", ""),
        "e": ({"d": 2}, "u w", "v", ""),
        "f": ({"d": 2}, "u v", "z", ""),
    }
    tensors = {
        "i": (1, "input"), "w": (3, "weight"), "u": (1, "intermediate"), "x": (3, "intermediate"), "o": (1, "output"),
        "v": (3, "intermediate"), "z": (0, "intermediate"),
    }  # fmt: skip
    instance = make_instance(tiles, tensors, {"m": 20}, {"c": "m", "d": "m"}, {"dma": (1, 1, "dram m")})
    optimum = exhaustive_makespan(instance)
    assert optimum == 8
    assert best(instance_bounds(instance)).cycles <= optimum


@pytest.mark.parametrize("unlike", [False, True])
def test_no_bound_exceeds_a_schedule_of_larger_instances(unlike: bool) -> None:
    for seed in range(60):
        rng = random.Random(seed)
        instance = barrier_instance(seed, unlike=unlike)
        makespan = min(
            decode(instance, random_order(instance, rng), random_policy(instance, rng)).makespan for _ in range(8)
        )
        assert best(instance_bounds(instance)).cycles <= makespan


def test_kin_of_some_tiles_only_still_gives_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin_module, "_MOST_CELLS", 20)
    for seed in range(30):
        instance = barrier_instance(seed)
        assert best(instance_bounds(instance)).cycles <= exhaustive_makespan(instance)


def joined() -> Instance:
    """Two tiles of 1 with loads of 4 each, then one of 2 that reads both, and two stores of 3."""
    return make_instance(
        {"a": (1, "u", "x", ""), "b": (1, "v", "y", ""), "c": (2, "x y", "", "o q")},
        {
            "u": (4, "weight"),
            "v": (4, "weight"),
            "x": (1, "intermediate"),
            "y": (1, "intermediate"),
            "o": (3, "output"),
            "q": (3, "output"),
        },
        {"m": 100},
        {"c0": "m", "c1": "m"},
        {"dma": (1, 1, "dram m")},
    )


def test_a_tile_waits_for_all_loads_of_its_ancestors_and_all_stores_follow() -> None:
    instance = joined()
    bound = best(instance_bounds(instance))
    # Loads of 8, the tile that waits for the later one, the last tile, both stores.
    assert bound.cycles == 8 + 1 + 2 + 6 == exhaustive_makespan(instance)


def test_ancestors_and_their_loads() -> None:
    instance = joined()
    kin = Kin.of(instance, np.array([0, 1]), backwards=False)
    count = kin.sums(kin.tiles, np.ones((3, 1)))[0]
    assert dict(zip(kin.chosen.tolist(), count.tolist(), strict=True)) == {0: 0, 1: 0, 2: 2}
    assert kin.sums(kin.loads, np.array([[4.0], [5.0]]))[0].tolist() == [4, 5, 9]
    assert kin.sums(kin.earlier, np.array([[4.0], [5.0]]))[0].tolist() == [0, 0, 9]


def test_what_a_sum_splits() -> None:
    """Loads of 6 before the sum is read, a side tile whose load costs more than its work, all work after."""
    instance = make_instance(
        {
            "a": (1, "u", "", "s"),
            "b": (1, "v", "", "s"),
            "z": (2, "w", "z", ""),
            "c": (5, "s z", "y", ""),
            "d": (4, "s", "q", ""),
        },
        {
            "u": (3, "weight"),
            "v": (3, "weight"),
            "w": (3, "weight"),
            "s": (1, "intermediate"),
            "z": (1, "intermediate"),
            "y": (1, "output"),
            "q": (1, "output"),
        },
        {"m": 100},
        {"c0": "m"},
        {"dma": (1, 1, "dram m")},
    )
    bound = best(instance_bounds(instance))
    # Loads of u and v, the last addition, then z (2 of work, cheaper than its load of 3), c and d, and a store.
    assert bound.cycles == 6 + 1 + 2 + 5 + 4 + 1 == exhaustive_makespan(instance)
    assert bound.reason == "loads before the first use of s, and work after it"
