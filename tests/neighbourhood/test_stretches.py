"""The stretch search: every kind gives valid schedules, chance is seeded, and the best is never lost."""

from __future__ import annotations

import random

import pytest
from random_instances import random_instance
from random_orders import optimum, random_order, random_policy, searched

import ssmopt
from ssmopt.decode import decode
from ssmopt.instance import Instance
from ssmopt.neighbourhood import NeighbourhoodSearch, Parameters
from ssmopt.neighbourhood.layout import Layout
from ssmopt.neighbourhood.solving import Budget, StretchSolver
from ssmopt.neighbourhood.stretches import KINDS, Kind, StretchSearch
from ssmopt.schedule import Schedule
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles


def block() -> Instance:
    """A small block on two unlike cores, short of memory."""
    hardware = ssmopt.load_hardware("array-vector").override("sram", 6_000)
    problem = ssmopt.Problem("b", ssmopt.load_model("mamba-tiny"), hardware, 4)
    return build_tiles(problem, Tiling(tokens=4, channel_splits=2))


def poor(instance: Instance) -> Schedule:
    """A schedule with much to gain."""
    return decode(instance, random_order(instance, random.Random(0)))


def budget(workers: int = 1) -> Budget:
    return Budget(lambda: 60.0, 0.005, workers, 0, lambda _, __: None, lambda: False)


def improved(instance: Instance, start: Schedule, tries: int, seed: int = 0, workers: int = 1) -> list[Schedule]:
    """What a search by stretches alone finds."""
    found: list[Schedule] = []
    left = iter(range(tries))
    search = StretchSearch(instance, Parameters(), random.Random(seed), budget(workers))
    search.run(start, lambda: float(next(left, None) is None), found.append)
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_gives_stretches_that_can_be_solved(kind: Kind) -> None:
    for instance in (block(), *(random_instance(seed) for seed in range(8))):
        rng = random.Random(3)
        start = decode(instance, random_order(instance, rng), random_policy(instance, rng))
        solver, layout = StretchSolver(instance, start, budget()), Layout.of(instance)
        for size in (3, 12):
            before = solver.makespan
            view = solver.view(layout)
            (answer,) = solver.improve([kind.choose(view, rng, min(size, len(view.starts) - 1))])
            assert validate(instance, solver.schedule()) == []
            assert solver.makespan <= before - answer.gain


def test_schedules_get_shorter_and_each_is_valid() -> None:
    instance = block()
    start = poor(instance)
    found = improved(instance, start, 15)
    assert found
    for schedule in found:
        assert validate(instance, schedule) == []
    makespans = [start.makespan, *(schedule.makespan for schedule in found)]
    assert makespans == sorted(set(makespans), reverse=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_equal_seeds_find_equal_schedules_also_side_by_side(workers: int) -> None:
    instance = random_instance(6)
    start = poor(instance)
    runs = [[s.tiles.start.tolist() for s in improved(instance, start, 5, seed, workers)] for seed in (5, 5)]
    assert runs[0] == runs[1] != []


def test_no_random_instance_falls_below_its_optimum_and_most_reach_it() -> None:
    reached, seeds = 0, searched(range(8))
    for seed in seeds:
        instance = random_instance(seed)
        rng = random.Random(seed)
        start = decode(instance, random_order(instance, rng), random_policy(instance, rng))
        best = min([start, *improved(instance, start, 4)], key=lambda schedule: schedule.makespan)
        assert best.makespan >= optimum(seed)
        reached += best.makespan == optimum(seed)
    assert reached >= 0.6 * len(seeds)


def test_the_whole_search_ends_with_stretches_and_is_never_worse() -> None:
    instance = block()
    start = poor(instance)
    search = NeighbourhoodSearch(instance, Stop(work_limit=0.3))
    best = search.run(start, lambda _: None)
    assert best.makespan < start.makespan
    assert sum(tally.tried for tally in search.stretches.values()) > 0


def test_a_search_without_time_for_stretches_makes_none() -> None:
    instance = block()
    start = poor(instance)
    search = StretchSearch(instance, Parameters(), random.Random(0), budget())
    assert search.run(start, lambda: 1.0, lambda _: None) is start
