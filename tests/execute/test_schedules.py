"""Schedules of every solver, under any tiling and with hardly any memory, compute the model."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_orders import random_policy
from small_problems import OF_ONE_MEMORY, core_group, hardware, tiled_problems

from ssmopt.build import tile_problem
from ssmopt.decode import decode
from ssmopt.errors import InputError
from ssmopt.execute import execute
from ssmopt.heuristics.base import schedules_of
from ssmopt.instance import DRAM, Instance
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.solve import solve
from ssmopt.solvers import HEURISTICS
from ssmopt.tiling import Tiling
from ssmopt.workload.counts import operator_counts
from ssmopt.workload.tiles import build_tiles, count_tiles

from .comparing import FAMILIES, any_order, differences, differing, instances, with_room


@pytest.mark.parametrize("family", FAMILIES)
def test_any_order_policy_and_tiling(family: str) -> None:
    spills = 0

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(instances(family), st.randoms(use_true_random=False))
    def check(instance: Instance, rng: random.Random) -> None:
        nonlocal spills
        schedule = decode(instance, any_order(instance, rng), random_policy(instance, rng))
        assert differences(instance, schedule) == []
        loads = schedule.transfers.tensor[schedule.transfers.source == DRAM]
        spills += bool(instance.produced[loads].any())

    check()
    assert spills > 10


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", OF_ONE_MEMORY)
def test_every_heuristic(name: str, family: str) -> None:
    heuristic = HEURISTICS[name]
    executed = 0

    @settings(max_examples=12, deadline=None, derandomize=True)
    @given(tiled_problems(5, 9, family=family), st.sampled_from((1.0, 1.3, 1e6)))
    def check(drawn: tuple[Problem, Tiling], room: float) -> None:
        nonlocal executed
        problem, tiling = drawn
        if heuristic.prescribe is not None:
            tiling, _ = heuristic.prescribe(problem, tiling)
        assume(count_tiles(problem, tiling) <= 600)
        instance = with_room(build_tiles(problem, tiling), room)
        if not heuristic.applies_to(instance):
            return
        for schedule in itertools.islice(schedules_of(heuristic, instance), 3):
            assert differences(instance, schedule) == []
            executed += 1

    check()
    assert executed > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_the_exact_solver(family: str, seed: int) -> None:
    rng = random.Random(seed)
    model = Model("small", "mamba", 1, 2, 4, 2, 3, dt_rank=1)
    if family == "mamba2":
        model = Model("small", "mamba2", 1, 2, 4, 2, 3, head_dim=2, n_groups=2, chunk_size=2)
    problem = Problem(
        "small", model, hardware(core_group(count=1 + seed % 2)), 3, initial_state=("load", "zero")[seed % 2]
    )
    tiling = Tiling(tokens=2, channel_splits=rng.choice((1, 2)), state_tokens=2, scan=bool(seed % 2))
    instance = with_room(tile_problem(problem, tiling), (1.0, 1.5, 3.0)[seed])
    result = solve(instance, solver="cpsat", time_limit=3, workers=2)
    assert result.schedule is not None
    assert differences(instance, result.schedule) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_what_tiles_do_adds_up_to_what_operators_are(family: str) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(instances(family, 400))
    def check(instance: Instance) -> None:
        problem, tiling = instance.problem, instance.tiling
        assert problem is not None
        assert tiling is not None
        execution = execute(instance, decode(instance, instance.topological_order))
        expected = operator_counts(problem, tiling)
        if problem.model.n_groups > 1 and "norm_scale" in expected:
            # Its durations know one root per token of a tile, although there is one for each group.
            del expected["norm_scale"]
        assert {name: execution.distinct[name] for name in expected} == expected
        for name, once in execution.distinct.items():
            every = execution.counts[name]
            assert (every.macs, every.operations) == (once.macs, once.operations)
            assert every.weight_bytes >= once.weight_bytes
            assert every.read_bytes >= once.read_bytes
            assert every.written_bytes >= once.written_bytes

    check()


def test_types_of_arrays_and_seeds() -> None:
    model = Model("small", "mamba", 1, 4, 8, 3, 4, dt_rank=2)
    problem = Problem("small", model, hardware(core_group()), 5)
    instance = build_tiles(problem, Tiling(tokens=2, channel_splits=2, scan=True, state_tokens=2))
    schedule = decode(instance, instance.topological_order)
    double, single = (execute(instance, schedule, dtype=dtype) for dtype in (np.float64, np.float32))
    assert {array.dtype for array in single.outputs.values()} == {np.dtype(np.float32)}
    assert {array.dtype for array in double.outputs.values()} == {np.dtype(np.float64)}
    assert all(np.abs(single.outputs[name] - double.outputs[name]).max() < 1e-4 for name in double.outputs)
    assert not np.array_equal(execute(instance, schedule, seed=1).outputs["out"], double.outputs["out"])
    assert differing(instance, execute(instance, schedule, seed=1)) == []


def test_progress() -> None:
    model = Model("small", "mamba", 1, 4, 8, 3, 4, dt_rank=2)
    problem = Problem("small", model, hardware(core_group()), 9)
    instance = build_tiles(problem, Tiling(tokens=1, channel_splits=8))
    seen: list[tuple[int, int]] = []
    schedule = decode(instance, instance.topological_order)
    execute(instance, schedule, on_progress=lambda done, total: seen.append((done, total)))
    total = 2 * (len(schedule.tiles) + len(schedule.transfers) + len(schedule.residencies))
    assert [done for done, _ in seen] == list(range(0, total, 256))
    assert {number for _, number in seen} == {total}


def test_tiles_must_say_which_model_they_compute() -> None:
    from handmade import MOVED, schedule_of

    with pytest.raises(InputError, match="which model"):
        execute(MOVED, schedule_of("moved"))
