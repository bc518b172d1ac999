"""Addresses of schedules: `allocate`, `solve(..., allocate=True)`, and what happens when nothing fits."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import replace

import numpy as np
import pytest
from random_instances import random_instance
from random_orders import random_order, random_policy

import ssmopt
from ssmopt.allocate import AllocationError, allocation_of
from ssmopt.allocate.fit import allocate_or_refit
from ssmopt.decode import Policy, decode
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.validate import InvalidScheduleError


def random_schedule(seed: int) -> tuple[Instance, Schedule]:
    instance, rng = random_instance(seed), random.Random(seed)
    return instance, decode(instance, random_order(instance, rng), random_policy(instance, rng))


@pytest.mark.parametrize("seed", range(40))
def test_random_schedules_get_valid_addresses_or_none(seed: int) -> None:
    instance, schedule = random_schedule(seed)
    try:
        placed = ssmopt.allocate(instance, schedule, effort=5)
    except AllocationError:
        return
    assert placed.residencies.offset is not None
    assert ssmopt.validate(instance, placed) == []
    assert placed.makespan == schedule.makespan
    found = allocation_of(instance, placed)
    assert found is not None
    assert found.peak_bytes <= found.height_bytes <= int(instance.memory_capacity.sum())


def fragmented(capacity: int) -> tuple[Instance, Schedule]:
    """A schedule of 64 tokens in an SRAM that it fills to the last byte, so that its addresses do not fit."""
    problem, _ = ssmopt.load_problem("mamba-130m-marca-L64")
    problem = replace(problem, hardware=problem.hardware.override("sram", capacity))
    tiling = ssmopt.Tiling(tokens=64, norm_tokens=8, state_tokens=2, scan=True, channel_splits=12)
    result = ssmopt.solve(problem, tiling=tiling, solver="fuse-block", time_limit=20)
    assert result.schedule is not None
    return result.instance, result.schedule


def test_a_schedule_without_addresses_is_decoded_again_with_less_memory() -> None:
    instance, schedule = fragmented(1_500_000)
    tight = replace(
        instance, memory_capacity=np.array([schedule.peak_memory_bytes(instance.tensor_bytes)], dtype=np.int64)
    )
    with pytest.raises(AllocationError, match="in sram") as raised:
        ssmopt.allocate(tight, schedule, effort=0)
    assert raised.value.height_bytes > raised.value.capacity_bytes == tight.memory_capacity[0]
    placed = allocate_or_refit(tight, schedule, time_limit=24)
    assert placed.residencies.offset is not None
    assert ssmopt.validate(tight, placed) == []
    assert placed.makespan >= schedule.makespan - schedule.makespan // 10


def test_solve_gives_addresses_and_says_what_they_cost() -> None:
    problem = ssmopt.build_instance("mamba-tiny", "tiny", seq_len=4)
    result = ssmopt.solve(problem, solver="fuse-block", time_limit=20, allocate=True)
    assert result.schedule is not None
    assert result.schedule.residencies.offset is not None
    assert result.allocation is not None
    assert "fragmentation" in result.note
    assert "lost" in result.note
    assert result.as_dict()["allocated_bytes"] == result.allocation.height_bytes
    plain = ssmopt.solve(problem, solver="fuse-block", time_limit=20)
    assert "allocated_bytes" not in plain.as_dict()


def test_nothing_is_lost_where_the_memory_is_large() -> None:
    problem, _ = ssmopt.load_problem("mamba-130m-marca-L64")
    result = ssmopt.solve(problem, time_limit=20, allocate=True)
    assert result.status == "OPTIMAL"
    assert result.allocation is not None
    assert result.allocation.lost_cycles == 0
    assert "no cycles lost" in result.note


def test_an_invalid_schedule_is_refused() -> None:
    instance, schedule = random_schedule(1)
    broken = dataclasses.replace(schedule, makespan=schedule.makespan + 1)
    with pytest.raises(InvalidScheduleError):
        ssmopt.allocate(instance, broken)


def test_old_addresses_are_replaced() -> None:
    instance = ssmopt.build_instance("mamba-tiny", "tiny", seq_len=4)
    schedule = decode(instance, instance.topological_order, Policy())
    nonsense = replace(schedule.residencies, offset=np.full(len(schedule.residencies), -7, dtype=np.int64))
    assert ssmopt.validate(instance, replace(schedule, residencies=nonsense))
    placed = ssmopt.allocate(instance, replace(schedule, residencies=nonsense))
    assert ssmopt.validate(instance, placed) == []
