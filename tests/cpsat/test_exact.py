"""The exact model against exhaustive search and known optima."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from campaign import campaign
from exhaustive import exhaustive_makespan
from random_instances import random_instance

from ssmopt.cpsat import CpOutcome, relaxed_bound, solve_exact
from ssmopt.errors import InputError
from ssmopt.instance import DRAM, Instance
from ssmopt.validate import validate

from .instances import FT06, job_shop, make_instance


def _solve(instance: Instance) -> CpOutcome:
    return solve_exact(instance, None, instance_bound=0, time_limit=60, workers=2, seed=1)


@pytest.mark.parametrize("memory_per_machine", [False, True])
def test_ft06_is_solved_to_its_known_optimum(memory_per_machine: bool) -> None:
    instance = job_shop(FT06, memory_per_machine)
    outcome = _solve(instance)
    assert outcome.schedule is not None
    assert outcome.schedule.makespan == outcome.bound == 55
    assert outcome.complete
    assert outcome.proved_optimal
    assert validate(instance, outcome.schedule) == []


@pytest.mark.parametrize("seed", campaign(30))
def test_random_instances_are_solved_to_the_optimum_of_exhaustive_search(seed: int) -> None:
    instance = random_instance(seed)
    outcome = _solve(instance)
    assert outcome.schedule is not None
    assert validate(instance, outcome.schedule) == []
    assert outcome.schedule.makespan == outcome.bound == exhaustive_makespan(instance)
    assert outcome.complete
    assert outcome.proved_optimal


@pytest.mark.parametrize("seed", campaign(15))
def test_the_relaxed_bound_is_the_optimum_with_unlimited_memory(seed: int) -> None:
    instance = random_instance(seed)
    bound = relaxed_bound(instance, None, instance_bound=0, time_limit=60, workers=2, seed=1).bound
    roomy = replace(instance, memory_capacity=np.array([max(1, int(instance.tensor_bytes.sum()))]))
    assert bound == exhaustive_makespan(roomy)
    assert bound <= exhaustive_makespan(instance)


@pytest.mark.parametrize("seed", campaign(10))
def test_two_channels_are_as_good_as_two_lanes(seed: int) -> None:
    base = random_instance(seed)
    bandwidth = int(base.channel_bandwidth[0])
    lanes = replace(base, channel_lanes=np.array([2]))
    channels = replace(
        base,
        channel_ids=("a", "b"),
        channel_bandwidth=np.array([bandwidth, bandwidth]),
        channel_lanes=np.array([1, 1]),
        channel_connects=((DRAM, 0), (DRAM, 0)),
    )
    one, two = _solve(lanes), _solve(channels)
    assert one.schedule is not None
    assert two.schedule is not None
    assert validate(channels, two.schedule) == []
    assert one.schedule.makespan == two.schedule.makespan


def test_a_transfer_takes_the_channel_that_suits_it() -> None:
    """Two weights of 12 bytes, 1 cycle on the fast channel and 4 on the slow: both go over the fast one."""
    instance = make_instance(
        [(12, "weight"), (12, "weight"), (0, "intermediate")],
        [((5,), (0, 1), (2,), ())],
        channels=[(3, 1, (DRAM, 0)), (12, 1, (DRAM, 0))],
    )
    outcome = _solve(instance)
    assert outcome.schedule is not None
    assert outcome.schedule.makespan == 7
    assert outcome.schedule.transfers.channel.tolist() == [1, 1]
    assert validate(instance, outcome.schedule) == []


def test_identical_cores_are_one_group() -> None:
    """64 tiles of 3 or 4 cycles on two cores: half of the work, proved."""
    tiles = [((3 + i % 2,), (), (i,), ()) for i in range(64)]
    instance = make_instance([(0, "intermediate")] * 64, tiles, cores=[(0, 0), (0, 0)], channels=[])
    outcome = _solve(instance)
    assert outcome.schedule is not None
    assert outcome.schedule.makespan == outcome.bound == 112
    assert validate(instance, outcome.schedule) == []


def test_common_divisor_of_durations_does_not_show_in_the_answer() -> None:
    instance = job_shop([[(machine, duration * 1_000) for machine, duration in job] for job in FT06])
    outcome = _solve(instance)
    assert outcome.schedule is not None
    assert outcome.schedule.makespan == outcome.bound == 55_000
    assert validate(instance, outcome.schedule) == []


def test_a_given_tensor_is_loaded_again_when_memory_is_short() -> None:
    """a, b, a in a chain: with room for one weight and its result at a time, a is loaded twice."""
    tensors = [(4, "weight"), (4, "weight"), (0, "intermediate"), (0, "intermediate"), (0, "intermediate")]
    tiles = [((2,), (0,), (2,), ()), ((2,), (1, 2), (3,), ()), ((2,), (0, 3), (4,), ())]
    for capacity, makespan, loads in ((4, 18, 3), (8, 12, 2)):
        instance = make_instance(tensors, tiles, capacity=[capacity])
        outcome = _solve(instance)
        assert outcome.schedule is not None
        assert outcome.schedule.makespan == outcome.bound == makespan
        assert len(outcome.schedule.transfers) == loads
        assert validate(instance, outcome.schedule) == []


def test_private_memories_are_refused() -> None:
    tensors = [(4, "weight"), (4, "intermediate"), (0, "intermediate")]
    tiles = [((1, -1), (0,), (1,), ()), ((-1, 1), (1,), (2,), ())]
    channels = [(1, 1, (DRAM, 0)), (1, 1, (0, 1))]
    instance = make_instance(tensors, tiles, capacity=[8, 8], cores=[(0, 0), (1, 1)], channels=channels)
    with pytest.raises(InputError, match=r"private memories.*'m0', 'm1'"):
        _solve(instance)


def test_a_memory_that_could_serve_as_a_second_level_is_refused() -> None:
    instance = make_instance(
        [(4, "weight"), (0, "intermediate")],
        [((1,), (0,), (1,), ())],
        capacity=[8, 8],
        channels=[(1, 1, (DRAM, 0)), (1, 1, (0, 1))],
    )
    with pytest.raises(InputError, match="private memories"):
        _solve(instance)


def test_too_small_a_capacity_is_infeasible_and_no_channel_too() -> None:
    tensors, tiles = [(9, "weight"), (0, "intermediate")], [((1,), (0,), (1,), ())]
    for instance in (
        make_instance(tensors, tiles, capacity=[8]),
        make_instance(tensors, tiles, capacity=[9], channels=[]),
    ):
        outcome = _solve(instance)
        assert outcome.infeasible
        assert outcome.schedule is None


def test_an_empty_instance_takes_no_time() -> None:
    outcome = _solve(make_instance([(4, "output")], []))
    assert outcome.schedule is not None
    assert outcome.schedule.makespan == 0
    assert outcome.proved_optimal
