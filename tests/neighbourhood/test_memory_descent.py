"""The memory descent: the least memory for a target, never more of it, and schedules that fit in the end."""

from __future__ import annotations

import random

import numpy as np
import pytest
from random_instances import random_instance

import ssmopt
from ssmopt.decode import Policy, decode
from ssmopt.instance import Instance
from ssmopt.neighbourhood.layout import Layout
from ssmopt.neighbourhood.memory_descent import STEPS, MemoryDescent, Room
from ssmopt.neighbourhood.parameters import Parameters
from ssmopt.tiling import Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles


def short_of_memory() -> Instance:
    """A block whose weights and states do not fit together."""
    hardware = ssmopt.load_hardware("marca").override("sram", 5_963_776)
    problem = ssmopt.Problem("b", ssmopt.load_model("mamba-130m"), hardware, 64)
    return build_tiles(problem, Tiling(64, state_tokens=16, scan=True, channel_splits=2))


def descent(instance: Instance, seed: int = 0) -> MemoryDescent:
    return MemoryDescent(
        Room(instance),
        Layout.of(instance),
        Parameters(),
        random.Random(seed),
        lambda _: None,
        0,
        instance.topological_order,
        Policy(),
    )


def makespan(search: MemoryDescent, excess: int) -> int:
    return decode(search.room.with_excess(excess), search.order, search.policy).makespan


def test_steps_add_the_same_part_to_every_memory() -> None:
    problem = ssmopt.Problem("p", ssmopt.load_model("mamba-tiny"), ssmopt.load_hardware("marca-32core-private"), 8)
    instance = build_tiles(problem, Tiling(8))
    room = Room(instance)
    assert room.with_excess(0) is instance
    assert room.with_excess(7) is room.with_excess(7)
    for excess in range(200):
        room.with_excess(excess)
    assert len(room._made) <= 64
    more = room.with_excess(STEPS).memory_capacity
    assert np.array_equal(more, instance.memory_capacity + instance.memory_capacity // STEPS * STEPS)


def test_the_excess_is_the_least_that_keeps_the_target() -> None:
    instance = short_of_memory()
    search = descent(instance)
    roomy = makespan(search, 2 * STEPS)
    assert roomy < makespan(search, 0)
    assert search.aim(roomy)
    assert search.excess is not None
    assert 0 < search.excess <= 2 * STEPS
    assert makespan(search, search.excess) <= roomy < makespan(search, search.excess - 1)


def test_an_order_that_needs_too_much_memory_is_refused() -> None:
    search = descent(short_of_memory())
    roomy = makespan(search, 2 * STEPS)
    assert search.aim(roomy)
    needed = search.excess or 0
    assert search.aim(roomy, needed)
    assert not search.aim(roomy, needed - 1)
    assert search.excess is None
    assert not search.aim(1)


def test_it_keeps_the_target_with_ever_less_memory() -> None:
    search = descent(short_of_memory())
    target = makespan(search, 2 * STEPS)
    search.aim(target)
    last = first = search.excess or 0
    for _ in range(12):
        search.run(20, lambda: False)
        assert search.excess is not None
        assert search.excess <= last
        assert makespan(search, search.excess) <= target
        last = search.excess
    assert last < first
    assert search.tried <= 240


def test_what_fits_is_a_valid_schedule_by_the_target() -> None:
    fitted = 0
    for seed in range(60):
        instance = random_instance(seed)
        search = descent(instance, seed)
        target = min(makespan(search, 4 * STEPS), makespan(search, 0) - 1)
        if search.aim(target):
            search.run(20, lambda: False)
            assert (search.schedule is None) == (search.excess != 0)
        if search.schedule is not None:
            fitted += 1
            assert search.schedule.makespan <= target
            assert validate(instance, search.schedule) == []
    assert fitted >= 3


@pytest.mark.parametrize("allowed", [0, 7])
def test_it_asks_before_each_change(allowed: int) -> None:
    search = descent(short_of_memory())
    search.aim(makespan(search, STEPS // 8))
    asked: list[bool] = []

    def should_stop() -> bool:
        asked.append(len(asked) >= allowed)
        return asked[-1]

    search.run(100, should_stop)
    assert search.tried == allowed


def test_equal_seeds_make_equal_descents() -> None:
    searches = [descent(short_of_memory(), seed) for seed in (1, 1, 2)]
    for search in searches:
        search.aim(makespan(search, STEPS))
        search.run(60, lambda: False)
    one, same, other = (search.order.tolist() for search in searches)
    assert one == same
    assert one != other
