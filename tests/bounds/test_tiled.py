"""Bounds of a tile instance: below every schedule, and tight where the optimum is plain."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from campaign import campaign
from exhaustive import exhaustive_makespan
from handmade import make_instance
from random_instances import random_instance
from random_orders import optimum, random_order, random_policy, searched, tight, with_more

from ssmopt.bounds import best, bounds_of, instance_bounds
from ssmopt.decode import decode
from ssmopt.instance import Instance


@pytest.mark.parametrize("block", campaign(5))
def test_no_bound_exceeds_the_optimum(block: int) -> None:
    met = 0
    for seed in searched(range(25 * block, 25 * block + 25)):
        bounds = instance_bounds(random_instance(seed))
        assert [(b.cycles, b.reason) for b in bounds if b.cycles > optimum(seed)] == [], seed
        met += best(bounds).cycles == optimum(seed)
    assert met >= 10 or block >= 10  # Over half of these instances are solved by their bound.


def test_less_memory_only_adds_what_it_forces() -> None:
    for seed in range(0, 120, 5):
        instance = random_instance(seed)
        roomy = replace(instance, memory_capacity=np.array([10**6]))
        bounds = instance_bounds(tight(instance))
        assert [b for b in bounds if "SRAM" not in b.reason] == instance_bounds(roomy)
        assert best(bounds).cycles <= exhaustive_makespan(tight(instance))


@pytest.mark.parametrize("block", campaign(2))
def test_no_bound_exceeds_a_schedule_on_several_lanes_channels_and_cores(block: int) -> None:
    met = 0
    for seed in range(100 * block, 100 * block + 100):
        rng = random.Random(seed)
        instance = with_more(random_instance(seed), rng)
        bounds = instance_bounds(instance)
        makespan = min(
            decode(instance, random_order(instance, rng), random_policy(instance, rng)).makespan for _ in range(6)
        )
        assert [(b.cycles, b.reason) for b in bounds if b.cycles > makespan] == [], seed
        met += best(bounds).cycles == makespan
    assert met >= 25 or block >= 5


def one_memory(
    tiles: dict[str, tuple[int | dict[str, int], str, str, str]],
    tensors: dict[str, tuple[int, str]],
    cores: int = 1,
    lanes: int = 1,
) -> Instance:
    """One large memory, a core per letter, and a channel of two bytes per cycle."""
    core_ids = {f"c{i}": "m" for i in range(cores)}
    return make_instance(tiles, tensors, {"m": 10**6}, core_ids, {"dma": (2, lanes, "dram m")})


CASES = {
    # Load w [0,3), a [3,5), b [5,9), store y [9,11).
    "longest path": (
        one_memory(
            {"a": (2, "w", "x", ""), "b": (4, "x", "y", "")},
            {"w": (5, "weight"), "x": (8, "intermediate"), "y": (4, "output")},
        ),
        11,
        "longest path",
    ),
    # Three additions of 4 in a row whatever the cores, then the reader.
    "additions in a row": (
        one_memory(
            {"a": (4, "", "", "s"), "b": (4, "", "", "s"), "c": (4, "", "", "s"), "r": (1, "s", "", "")},
            {"s": (2, "intermediate")},
            cores=3,
        ),
        13,
        "longest path",
    ),
    # Five tiles of 3 on two cores, all after a load of 4, and a store of 1 after the last.
    "release and tail": (
        one_memory(
            {f"t{i}": (3, "w", f"o{i}", "") for i in range(5)},
            {"w": (8, "weight"), **{f"o{i}": (1, "output") for i in range(5)}},
            cores=2,
        ),
        4 + 8 + 1,
        "release, work and tail of c0, c1",
    ),
    # p and q run on c0 only: 10 cycles there, though two cores share 11.
    "cores of one kind": (
        one_memory(
            {"p": ({"c0": 5}, "", "", ""), "q": ({"c0": 5}, "", "", ""), "r": (1, "", "", "")},
            {},
            cores=2,
        ),
        10,
        "release, work and tail of c0",
    ),
    # Loads of 5 and 3 cycles on one lane; the shorter tail after both is 2.
    "loads, then a tile": (
        one_memory({"a": (2, "u", "", ""), "b": (2, "v", "", "")}, {"u": (9, "weight"), "v": (6, "weight")}, cores=2),
        10,
        "compulsory traffic of channel dma",
    ),
    # The same on two lanes: the load of 5, then its tile.
    "loads on two lanes": (
        one_memory(
            {"a": (2, "u", "", ""), "b": (2, "v", "", "")}, {"u": (9, "weight"), "v": (6, "weight")}, cores=2, lanes=2
        ),
        7,
        "longest path",
    ),
    # A tile of 1, then two stores of 3 cycles each.
    "stores after a tile": (
        one_memory({"a": (1, "", "x y", "")}, {"x": (5, "output"), "y": (6, "output")}),
        7,
        "release, work and tail of c0",
    ),
    # An input that no tile reads is not loaded, an output that no tile makes is there already.
    "nothing moves": (
        one_memory({"a": (2, "", "", "")}, {"u": (9, "input"), "v": (9, "output")}),
        2,
        "longest path",
    ),
    "nothing to do": (one_memory({}, {}), 0, "nothing to do"),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds_worked_out_by_hand(name: str) -> None:
    instance, cycles, reason = CASES[name]
    bound = best(instance_bounds(instance))
    assert bound.cycles == cycles
    assert bound.reason == reason
    if name != "nothing to do":
        assert exhaustive_makespan(instance) >= cycles


def test_for_an_instance_from_a_file_both_bounds_are_the_same() -> None:
    instance = CASES["longest path"][0]
    bound, tile_bound = bounds_of(instance)
    assert bound == tile_bound
    assert bound.cycles == 11


def test_of_equal_bounds_the_first_is_reported() -> None:
    instance = one_memory({"a": (3, "", "", "")}, {})
    assert [b.cycles for b in instance_bounds(instance)] == [3, 3, 3, 0, 0]
    assert best(instance_bounds(instance)).reason == "longest path"


def test_the_fastest_channel_counts() -> None:
    """5 bytes: 5 cycles on one channel, 2 on the other."""
    tiles, tensors = {"a": (1, "w", "", "")}, {"w": (5, "weight")}
    channels = {"slow": (1, 1, "dram m"), "fast": (3, 1, "m dram"), "noc": (9, 1, "m n")}
    instance = make_instance(tiles, tensors, {"m": 9, "n": 9}, {"c": "m"}, channels)
    assert best(instance_bounds(instance)).cycles == 3
    assert np.isin("compulsory traffic of channel slow and fast", [b.reason for b in instance_bounds(instance)])
