"""What crosses a moment off chip: by hand, and below every optimum where memory is short."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from crowded_instances import crowded_instance
from exhaustive import exhaustive_makespan
from handmade import make_instance
from random_orders import random_order, random_policy, tight, with_more

from ssmopt.bounds import best, instance_bounds, moments
from ssmopt.bounds.crossing import Crossing, forced_transfers
from ssmopt.bounds.moments import find_moments
from ssmopt.bounds.tiled import _transfer_cycles
from ssmopt.decode import decode
from ssmopt.instance import Instance
from ssmopt.result import Bound


def is_forced(bound: Bound) -> bool:
    return "bytes of SRAM force" in bound.reason


def forced(instance: Instance) -> Crossing:
    return forced_transfers(instance, find_moments(instance), _transfer_cycles(instance))


Tiles = dict[str, tuple[int | dict[str, int], str, str, str]]
Tensors = dict[str, tuple[int, str]]

NOTHING = Crossing(0, "")

CHAIN: Tensors = {"x": (1, "intermediate"), "y": (1, "intermediate")}

CASES: dict[str, tuple[Tiles, Tensors, int, int, str]] = {
    # s is made by a and read by c; at the start of b, x, y and w take 6 of 7 bytes, so s (4) goes out and in again,
    # a fourth of it staying: 2 * 4 * 3 / 4.
    "an intermediate": (
        {"a": (1, "", "s x", ""), "b": (1, "x w", "y", ""), "c": (1, "s y", "", "")},
        {**CHAIN, "s": (4, "intermediate"), "w": (4, "weight")},
        7,
        6,
        "the start of b",
    ),
    # The same as an output: one store of it is compulsory, but not the load.
    "an output": (
        {"a": (1, "", "s x", ""), "b": (1, "x w", "y", ""), "c": (1, "s y", "", "")},
        {**CHAIN, "s": (4, "output"), "w": (4, "weight")},
        7,
        3,
        "the start of b",
    ),
    # A weight is only loaded again.
    "a weight": (
        {"a": (1, "s", "x", ""), "b": (1, "x w", "y", ""), "c": (1, "s y", "", "")},
        {**CHAIN, "s": (4, "weight"), "w": (4, "weight")},
        7,
        3,
        "the start of b",
    ),
    # A partial sum is an intermediate that its next addition reads.
    "a partial sum": (
        {"a": (1, "", "x", "s"), "b": (1, "x w", "y", ""), "c": (1, "y", "", "s")},
        {**CHAIN, "s": (4, "intermediate"), "w": (4, "weight")},
        7,
        6,
        "the start of b",
    ),
    # Of a weight (1 cycle per byte) and an intermediate (2) the intermediate stays: 8 bytes, of which 5 find room.
    "the dearest stays": (
        {"a": (1, "p", "s x", ""), "b": (1, "x w", "y", ""), "c": (1, "s p y", "", "")},
        {**CHAIN, "s": (4, "intermediate"), "p": (4, "weight"), "w": (4, "weight")},
        11,
        3,
        "the start of b",
    ),
    # No tile is between the readers of t, yet the first of them starts before the other: beside t and what the reader
    # makes, 3 of the 8 bytes of p and q find room, whichever is first.
    "the first use of a tensor": (
        {"a": (1, "", "p", ""), "b": (1, "", "q", ""), "r": (1, "p q", "t", ""), "u": (1, "p t", "j", ""),
         "v": (1, "q t", "k", "")},
        {"p": (4, "intermediate"), "q": (4, "intermediate"), "t": (3, "intermediate"), "j": (2, "output"),
         "k": (2, "output")},
        8,
        10,
        "the first use of t",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_forced_transfers_worked_out_by_hand(name: str) -> None:
    tiles, tensors, capacity, cycles, moment = CASES[name]
    instance = make_instance(tiles, tensors, {"m": capacity}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    assert forced(instance) == Crossing(cycles, moment)
    roomy = replace(instance, memory_capacity=np.array([sum(size for size, _ in tensors.values())]))
    assert forced(roomy) == NOTHING
    # The same room in two memories holds as much.
    apart = replace(
        instance,
        memory_ids=("m", "n"),
        memory_capacity=np.array([capacity - 1, 1]),
        channel_ids=("dma", "noc"),
        channel_bandwidth=np.array([1, 9]),
        channel_lanes=np.array([1, 1]),
        channel_connects=((-1, 0), (0, 1)),
    )
    assert forced(apart) == Crossing(cycles, moment)


def test_different_tensors_at_different_moments_add_up() -> None:
    """Neither s nor t finds room beside the weights, and they are never alive together."""
    tiles: Tiles = {
        "a": (1, "", "s x", ""),
        "b": (1, "x w", "y", ""),
        "c": (1, "s y", "t z", ""),
        "d": (1, "z v", "q", ""),
        "e": (1, "t q", "", ""),
    }
    small = dict.fromkeys(("x", "y", "z", "q"), (1, "intermediate"))
    tensors: Tensors = {
        **small, "s": (4, "intermediate"), "t": (3, "intermediate"), "w": (8, "weight"), "v": (8, "weight")
    }  # fmt: skip
    instance = make_instance(tiles, tensors, {"m": 10}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    assert forced(instance) == Crossing(8 + 6, "the start of b and 1 more moments")
    assert best(instance_bounds(instance)).cycles <= exhaustive_makespan(instance)


def test_a_forced_spill_can_be_all_that_keeps_the_optimum_up() -> None:
    """The channel never rests: 20 bytes of w, then s out and in beside it, to the last tile of one cycle."""
    tiles: Tiles = {"a": (1, "", "s x", ""), "b": (1, "x w", "y", ""), "c": (1, "s y", "", "")}
    tensors: Tensors = {**CHAIN, "s": (4, "intermediate"), "w": (20, "weight")}
    instance = make_instance(tiles, tensors, {"m": 22}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    bound = best(instance_bounds(instance))
    assert is_forced(bound)
    assert bound.cycles == 20 + 8 + 1
    # b cannot overlap any transfer, as nothing else fits beside it; and a comes first.
    assert exhaustive_makespan(instance) == bound.cycles + 2


@pytest.mark.parametrize("block", range(4))
def test_no_bound_exceeds_the_optimum_where_memory_is_short(block: int) -> None:
    sharper = 0
    for seed in range(25 * block, 25 * block + 25):
        for instance in (crowded_instance(seed), tight(crowded_instance(seed))):
            bounds, optimum = instance_bounds(instance), exhaustive_makespan(instance)
            assert [(b.cycles, b.reason) for b in bounds if b.cycles > optimum] == [], seed
            sharper += is_forced(best(bounds))
    assert sharper >= 3


def test_no_bound_exceeds_a_schedule_on_several_lanes_channels_and_cores() -> None:
    active = 0
    for seed in range(300):
        rng = random.Random(seed)
        instance = with_more(crowded_instance(seed), rng)
        bounds = instance_bounds(instance)
        makespan = min(
            decode(instance, random_order(instance, rng), random_policy(instance, rng)).makespan for _ in range(4)
        )
        assert [(b.cycles, b.reason) for b in bounds if b.cycles > makespan] == [], seed
        active += any(map(is_forced, bounds))
    assert active >= 100


def test_looking_at_fewer_moments_gives_no_larger_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    instances = [tight(crowded_instance(seed)) for seed in range(40)]
    all_moments = [forced(instance) for instance in instances]
    monkeypatch.setattr(moments, "_MOST_CELLS", 20)
    for instance, everything in zip(instances, all_moments, strict=True):
        assert len(find_moments(instance).numbers) * instance.n_tensors <= 20
        fewer = forced(instance)
        assert fewer.cycles == 0 or best(instance_bounds(instance)).cycles <= exhaustive_makespan(instance)
        assert everything.cycles > 0 or fewer == NOTHING


def test_tensors_without_bytes_and_machines_without_tiles() -> None:
    tiles: Tiles = {"a": (3, "", "z", ""), "b": (2, "z", "", "")}
    instance = make_instance(tiles, {"z": (0, "intermediate")}, {"m": 1}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    assert forced(instance) == NOTHING
    assert best(instance_bounds(instance)).cycles == 5
