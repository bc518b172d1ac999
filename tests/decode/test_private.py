"""Several memories: every order, place and policy gives a feasible schedule, however little memory there is."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from handmade import make_instance
from random_instances import large_instance, random_instance
from random_orders import random_memories, random_order, random_policy, tight_memories, with_private_memories

from ssmopt.decode import Policy, decode
from ssmopt.errors import InputError
from ssmopt.instance import DRAM
from ssmopt.validate import validate


@pytest.mark.parametrize("block", range(10))
def test_any_order_place_and_policy_is_feasible(block: int) -> None:
    """With room, and with no more of it in any memory than its largest tile takes."""
    for seed in range(60 * block, 60 * block + 60):
        rng = random.Random(seed)
        roomy = with_private_memories(random_instance(seed), rng)
        for instance in (roomy, tight_memories(roomy, rng)):
            order = random_order(instance, rng)
            place = random_memories(instance, rng) if rng.random() < 0.8 else None
            policy = replace(random_policy(instance, rng), memories=place)
            schedule = decode(instance, order, policy)
            assert [str(v) for v in validate(instance, schedule)] == [], (seed, order, policy)


@pytest.mark.parametrize("block", range(4))
def test_many_tiles_with_long_chains_of_partial_sums(block: int) -> None:
    moved = spilled = 0
    for seed in range(40 * block, 40 * block + 40):
        rng = random.Random(seed)
        roomy = with_private_memories(large_instance(seed, rng.randint(8, 40)), rng)
        for instance in (roomy, tight_memories(roomy, rng)):
            policy = replace(
                random_policy(instance, rng),
                memories=random_memories(instance, rng),
                window=rng.choice((None, None, 0, 1, 5)),
            )
            schedule = decode(instance, random_order(instance, rng), policy)
            assert [str(v) for v in validate(instance, schedule)] == [], seed
            summed = np.isin(schedule.transfers.tensor, instance.accumulates.indices)
            moved += int((summed & (schedule.transfers.source != DRAM) & (schedule.transfers.target != DRAM)).sum())
            spilled += int((summed & (schedule.transfers.source == DRAM)).sum())
    assert moved > 10
    assert spilled > 10


def machine(*, joined: bool = True, capacity: int = 9) -> dict[str, dict[str, object]]:
    channels = {"dma": (1, 1, "dram m n"), **({"noc": (2, 1, "m n")} if joined else {})}
    return {"memories": {"m": capacity, "n": capacity}, "cores": {"c": "m", "d": "n"}, "channels": channels}


def test_what_two_memories_read_is_loaded_once_and_moved_on() -> None:
    """Load w [0,4) into m, move it [4,6) to n; a [4,7) on c, b [6,9) on d."""
    tiles = {"a": (3, "w", "", ""), "b": (3, "w", "", "")}
    instance = make_instance(tiles, {"w": (4, "weight")}, **machine())
    schedule = decode(instance, np.array([0, 1]), Policy(memories=np.array([0, 1])))
    assert validate(instance, schedule) == []
    assert schedule.makespan == 9
    assert sorted(zip(schedule.transfers.source.tolist(), schedule.transfers.target.tolist(), strict=True)) == [
        (DRAM, 0),
        (0, 1),
    ]


def test_without_a_link_results_go_through_dram() -> None:
    """a [0,1), store x [1,5), load x [5,9), b [9,10)."""
    tiles = {"a": (1, "", "x", ""), "b": (1, "x", "", "")}
    apart = machine()
    apart["channels"] = {"one": (1, 1, "dram m"), "two": (1, 1, "dram n")}
    instance = make_instance(tiles, {"x": (4, "intermediate")}, **apart)
    schedule = decode(instance, np.array([0, 1]), Policy(memories=np.array([0, 1])))
    assert validate(instance, schedule) == []
    assert schedule.makespan == 10


def test_a_move_does_not_take_the_channel_to_dram_where_there_is_another() -> None:
    tiles = {"a": (1, "", "x", ""), "b": (1, "x", "", "")}
    instance = make_instance(tiles, {"x": (4, "intermediate")}, **machine())
    schedule = decode(instance, np.array([0, 1]), Policy(memories=np.array([0, 1])))
    assert [instance.channel_ids[c] for c in schedule.transfers.channel.tolist()] == ["noc"]
    only_one = make_instance(tiles, {"x": (4, "intermediate")}, **machine(joined=False))
    schedule = decode(only_one, np.array([0, 1]), Policy(memories=np.array([0, 1])))
    assert validate(only_one, schedule) == []
    assert [only_one.channel_ids[c] for c in schedule.transfers.channel.tolist()] == ["dma"]


def test_a_partial_sum_goes_from_memory_to_memory() -> None:
    """p [0,2) on c, move s [2,4), q [4,6) on d, move s back [6,8), r [8,10) on c, store s [10,14)."""
    tiles = {"p": (2, "", "", "s"), "q": (2, "", "", "s"), "r": (2, "", "", "s")}
    instance = make_instance(tiles, {"s": (4, "output")}, **machine())
    schedule = decode(instance, np.array([0, 1, 2]), Policy(memories=np.array([0, 1, 0])))
    assert validate(instance, schedule) == []
    assert schedule.makespan == 14
    assert schedule.transfers.source.tolist() == [0, 1, 0]


def test_without_room_at_the_source_a_result_goes_through_dram() -> None:
    """x does not fit beside y, so it is stored before b and loaded into the other memory."""
    tiles = {"a": (1, "", "x", ""), "b": (1, "", "y", ""), "c": (1, "x y", "", "")}
    tensors = {"x": (4, "intermediate"), "y": (4, "intermediate")}
    instance = make_instance(tiles, tensors, **machine(capacity=7) | {"memories": {"m": 7, "n": 8}})
    schedule = decode(instance, np.array([0, 1, 2]), Policy(memories=np.array([0, 0, 1])))
    assert validate(instance, schedule) == []
    x = schedule.transfers.tensor == 0
    assert schedule.transfers.target[x].tolist() == [DRAM, 1]


def test_tiles_without_a_place_run_where_they_end_first() -> None:
    """Two tiles with a weight each, side by side."""
    tiles = {"a": (9, "v", "", ""), "b": (9, "w", "", "")}
    instance = make_instance(tiles, {"v": (1, "weight"), "w": (1, "weight")}, **machine())
    schedule = decode(instance, np.array([0, 1]))
    assert schedule.makespan == 11
    assert sorted(schedule.tiles.core.tolist()) == [0, 1]


def test_places_that_cannot_be_are_refused() -> None:
    tiles = {"a": ({"c": 1}, "w", "", ""), "b": (1, "w", "", "")}
    instance = make_instance(tiles, {"w": (4, "weight")}, **machine())
    for memories, message in (
        ([1, 0], "tile 'a' cannot run in memory 'n'"),
        ([0, 2], "tile 'b' cannot run in memory '2'"),
        ([0], "expected a memory for each of 2 tiles"),
    ):
        with pytest.raises(InputError, match=message):
            decode(instance, np.array([0, 1]), Policy(memories=np.array(memories)))
    small = replace(instance, memory_capacity=np.array([9, 3]))
    with pytest.raises(InputError, match="tile 'b' cannot run in memory 'n'"):
        decode(small, np.array([0, 1]), Policy(memories=np.array([0, 1])))


def test_every_memory_needs_a_channel_to_dram() -> None:
    tiles = {"a": (1, "w", "", ""), "b": (1, "w", "", "")}
    cut_off = machine()
    cut_off["channels"] = {"dma": (1, 1, "dram m"), "noc": (1, 1, "m n")}
    instance = make_instance(tiles, {"w": (4, "weight")}, **cut_off)
    with pytest.raises(InputError, match="no channel connects DRAM and memory 'n'"):
        decode(instance, np.array([0, 1]), Policy(memories=np.array([0, 1])))


def test_the_same_call_gives_the_same_schedule() -> None:
    for seed in range(40):
        rng = random.Random(seed)
        instance = with_private_memories(random_instance(seed), rng)
        order, policy = random_order(instance, rng), random_policy(instance, rng)
        first, again = (decode(i, order.copy(), policy) for i in (instance, replace(instance)))
        for table in ("tiles", "transfers", "residencies"):
            for one, other in zip(
                vars(getattr(first, table)).values(), vars(getattr(again, table)).values(), strict=True
            ):
                assert one is None or one.tobytes() == other.tobytes()
