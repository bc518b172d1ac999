"""Every order and policy gives a feasible schedule, however little memory there is."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from campaign import campaign
from handmade import make_instance
from random_instances import random_instance
from random_orders import optimum, random_order, random_policy, searched, tight, with_more

from ssmopt.decode import Policy, decode, decode_below
from ssmopt.errors import CapacityError, InputError
from ssmopt.instance import DRAM, Instance
from ssmopt.schedule import Schedule
from ssmopt.validate import validate


def rows(schedule: Schedule) -> list[bytes]:
    """Every table of a schedule, to the last byte."""
    tables = (schedule.tiles, schedule.transfers, schedule.residencies)
    return [column.tobytes() for table in tables for column in vars(table).values() if column is not None]


def problems_of(schedule: Schedule, instance: Instance) -> list[str]:
    return [str(violation) for violation in validate(instance, schedule)]


@pytest.mark.parametrize("block", campaign(10))
def test_any_order_and_policy_is_feasible_at_the_smallest_capacity(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        rng = random.Random(seed)
        instance = tight(random_instance(seed))
        for _ in range(2):
            order, policy = random_order(instance, rng), random_policy(instance, rng)
            schedule = decode(instance, order, policy)
            assert problems_of(schedule, instance) == [], (seed, order, policy)
            assert schedule.tiles.tile.tolist() == order.tolist()


@pytest.mark.parametrize("block", campaign(5))
def test_several_lanes_channels_and_kinds_of_core(block: int) -> None:
    seen: set[int] = set()
    for seed in range(50 * block, 50 * block + 50):
        rng = random.Random(seed)
        for instance in (tight(with_more(random_instance(seed), rng)), with_more(random_instance(seed), rng)):
            order, policy = random_order(instance, rng), random_policy(instance, rng)
            schedule = decode(instance, order, policy)
            assert problems_of(schedule, instance) == [], (seed, order, policy)
            seen.update(schedule.tiles.core.tolist())
            seen.update(10 + schedule.transfers.channel)
    assert seen == {0, 1, 2, 10, 11}


@pytest.mark.parametrize("block", campaign(5))
def test_no_order_beats_the_optimum(block: int) -> None:
    """And some order reaches it more often than not."""
    reached = 0
    for seed in searched(range(20 * block, 20 * block + 20)):
        rng = random.Random(seed)
        instance = random_instance(seed)
        makespans = [decode(instance, random_order(instance, rng), random_policy(instance, rng)).makespan] + [
            decode(instance, random_order(instance, rng)).makespan for _ in range(10)
        ]
        assert min(makespans) >= optimum(seed), seed
        reached += min(makespans) == optimum(seed)
    assert reached >= 10 or block >= 10  # what later blocks reach is left to chance


def test_the_smallest_capacity_is_just_enough() -> None:
    for seed in range(100):
        instance = tight(random_instance(seed))
        need, tile = instance.minimum_capacity()
        if need < 2:
            continue
        less = replace(instance, memory_capacity=np.array([need - 1]))
        with pytest.raises(CapacityError) as caught:
            decode(less, less.topological_order)
        assert caught.value.need_bytes == need
        assert caught.value.capacity_bytes == need - 1
        assert caught.value.tile == instance.tile_ids[tile]
        for part in (repr(caught.value.tile), f"needs {need} bytes", f"holds {need - 1} bytes"):
            assert part in str(caught.value)


def test_a_capacity_error_counts_inputs_outputs_and_sums() -> None:
    tensors = {"w": (1_000, "weight"), "s": (200, "intermediate"), "o": (30, "output"), "v": (999, "weight")}
    tiles = {"small": (1, "v", "", "s"), "big": (1, "w", "o", "s")}
    instance = make_instance(tiles, tensors, {"m": 1_229}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    with pytest.raises(CapacityError, match=r"tile 'big' needs 1,230 bytes at once but its memory holds 1,229 bytes"):
        decode(instance, np.array([0, 1]))
    enough = replace(instance, memory_capacity=np.array([1_230]))
    assert validate(enough, decode(enough, np.array([0, 1]))) == []


CHAIN = make_instance(
    {"a": (1, "", "x", ""), "b": (1, "x", "y", ""), "c": (1, "y", "z", "")},
    {"x": (1, "intermediate"), "y": (0, "intermediate"), "z": (1, "output")},
    {"m": 9},
    {"c": "m"},
    {"dma": (1, 1, "dram m")},
)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, 1], "an order must name every tile exactly once"),
        ([], "an order must name every tile exactly once"),
        ([0, 1, 1], "an order must name every tile exactly once"),
        ([0, 1, 3], "an order must name every tile exactly once"),
        ([-1, 0, 1], "an order must name every tile exactly once"),
        ([1, 0, 2], "the order puts 'b' before 'a', whose result it reads"),
        ([0, 2, 1], "the order puts 'c' before 'b', whose result it reads"),  # through a zero-byte tensor
    ],
)
def test_a_wrong_order_is_refused(order: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode(CHAIN, np.array(order, dtype=np.int64))


def test_a_reader_of_a_sum_comes_after_every_addition() -> None:
    tiles = {"p": (1, "", "", "s"), "q": (1, "", "", "s"), "r": (1, "s", "", "")}
    instance = make_instance(tiles, {"s": (0, "intermediate")}, {"m": 1}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    with pytest.raises(InputError, match="the order puts 'r' before 'q'"):
        decode(instance, np.array([0, 2, 1]))
    assert decode(instance, np.array([1, 0, 2])).makespan == 3


def test_additions_on_several_cores_take_turns() -> None:
    """Zero-byte sums, too; the tile that adds to nothing runs beside them."""
    tiles = {"p": (3, "", "", "s"), "q": (3, "", "", "s"), "free": (4, "", "", "")}
    for n_bytes in (0, 2):
        tensors = {"s": (n_bytes, "intermediate")}
        instance = make_instance(tiles, tensors, {"m": 2}, {"c0": "m", "c1": "m"}, {"dma": (1, 1, "dram m")})
        schedule = decode(instance, np.array([0, 1, 2]))
        assert validate(instance, schedule) == []
        assert schedule.makespan == 6


def test_the_same_call_gives_the_same_schedule_to_the_last_byte() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        instance = random_instance(seed) if seed % 2 else tight(with_more(random_instance(seed), rng))
        order, policy = random_order(instance, rng), random_policy(instance, rng)
        first = decode(instance, order, policy)
        again = decode(replace(instance), order.copy(), policy)
        assert rows(first) == rows(again)
        assert first.makespan == again.makespan


def test_inputs_are_left_alone() -> None:
    instance = random_instance(7)
    order = instance.topological_order
    policy = Policy(groups=np.arange(instance.n_tiles))
    before = order.copy(), policy.groups.copy()
    decode(instance, order, policy)
    assert np.array_equal(order, before[0])
    assert np.array_equal(policy.groups, before[1])


def test_groups_send_everything_between_them_through_dram() -> None:
    """x goes from one group to another, y stays within one; prefetch changes nothing about what moves."""
    tiles = {"a": (1, "", "x", ""), "b": (1, "x", "y", ""), "c": (1, "y", "z", "")}
    tensors = {"x": (1, "intermediate"), "y": (1, "intermediate"), "z": (1, "output")}
    instance = make_instance(tiles, tensors, {"m": 9}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    for prefetch in (False, True):
        groups = np.array([0, 1, 1], dtype=np.int64)
        schedule = decode(instance, np.arange(3), Policy(groups=groups, prefetch=prefetch))
        assert validate(instance, schedule) == []
        moved = sorted(
            (instance.tensor_ids[t], "load" if source == DRAM else "store")
            for t, source in zip(schedule.transfers.tensor.tolist(), schedule.transfers.source.tolist(), strict=True)
        )
        assert moved == [("x", "load"), ("x", "store"), ("z", "store")]


def test_loads_run_ahead_of_their_tile_only_if_they_may() -> None:
    """a runs [0,4) and w is loaded [0,3), b [4,5), store z [5,6); without prefetch w is loaded [4,7), b [7,8)."""
    tiles = {"a": (4, "", "x", ""), "b": (1, "w x", "z", "")}
    tensors = {"w": (3, "weight"), "x": (1, "intermediate"), "z": (1, "output")}
    instance = make_instance(tiles, tensors, {"m": 9}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    assert decode(instance, np.arange(2)).makespan == 6
    late = decode(instance, np.arange(2), Policy(prefetch=False))
    assert validate(instance, late) == []
    assert late.makespan == 9
    assert late.transfers.start.tolist() == [4, 8]


def test_the_tensor_used_furthest_away_is_dropped() -> None:
    """Room for three: at c one of u (used next) and v (used last) has to go, and v does, which is loaded twice."""
    tiles = {
        "a": (1, "u", "", ""),
        "b": (1, "v", "", ""),
        "c": (1, "w", "", ""),
        "d": (1, "u", "", ""),
        "e": (1, "v", "", ""),
    }
    tensors = {"u": (1, "weight"), "v": (1, "weight"), "w": (2, "weight")}
    instance = make_instance(tiles, tensors, {"m": 3}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    schedule = decode(instance, np.arange(5))
    assert validate(instance, schedule) == []
    loaded = [instance.tensor_ids[t] for t in schedule.transfers.tensor.tolist()]
    assert sorted(loaded) == ["u", "v", "v", "w"]


def test_without_bytes_nothing_lives_anywhere() -> None:
    two = {"memories": {"m": 9, "n": 9}, "cores": {"c": "m", "d": "n"}, "channels": {"dma": (1, 1, "dram m n")}}
    plain = make_instance({"a": (1, "", "x", "")}, {"x": (0, "output")}, **two)
    assert validate(plain, decode(plain, np.array([0]))) == []


def test_a_memory_without_a_channel_to_dram_is_refused() -> None:
    memories, channels = {"m": 9, "n": 9}, {"noc": (1, 1, "m n")}
    instance = make_instance({"a": (1, "w", "", "")}, {"w": (1, "weight")}, memories, {"c": "m"}, channels)
    with pytest.raises(InputError, match="no channel connects DRAM and memory 'm'"):
        decode(instance, np.array([0]))


def test_nothing_to_do_takes_no_time() -> None:
    empty = make_instance({}, {}, {"m": 1}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    schedule = decode(empty, np.zeros(0, dtype=np.int64))
    assert schedule.makespan == 0
    assert validate(empty, schedule) == []


@pytest.mark.parametrize("seed", campaign(30))
def test_a_cutoff_gives_up_exactly_when_the_transfers_alone_take_as_long(seed: int) -> None:
    """With one lane their cycles add up; below that the schedule is the one without a cutoff."""
    rng = random.Random(seed)
    instance = tight(random_instance(seed))
    if int(instance.channel_lanes.sum()) > 1:
        pytest.skip("several lanes")
    order, policy = random_order(instance, rng), random_policy(instance, rng)
    schedule = decode(instance, order, policy)
    busy = int((schedule.transfers.end - schedule.transfers.start).sum())
    assert decode_below(instance, order, policy, cutoff=busy) is None
    below = decode_below(instance, order, policy, cutoff=busy + 1)
    assert below is not None
    assert below.makespan == schedule.makespan >= busy
