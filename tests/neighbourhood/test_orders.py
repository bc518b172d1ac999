"""The order search: every neighbourhood gives valid schedules, chance is seeded, and the best is never lost."""

from __future__ import annotations

import random

import pytest
from random_instances import random_instance
from random_orders import optimum, searched

import ssmopt
from ssmopt.decode import decode
from ssmopt.heuristics.base import topological
from ssmopt.instance import Instance
from ssmopt.neighbourhood import NeighbourhoodSearch, Parameters
from ssmopt.neighbourhood.layout import Layout
from ssmopt.neighbourhood.orders import ORDERS
from ssmopt.neighbourhood.point import Neighbourhood, Point
from ssmopt.neighbourhood.roulette import Roulette
from ssmopt.schedule import Schedule
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles


def block(sram: str = "array-vector") -> Instance:
    """A small block on two unlike cores."""
    problem = ssmopt.Problem("b", ssmopt.load_model("mamba-tiny"), ssmopt.load_hardware(sram), 8)
    return build_tiles(problem, Tiling(tokens=4, channel_splits=4))


def improved(instance: Instance, start: Schedule, work: float, seed: int = 0) -> list[Schedule]:
    found: list[Schedule] = []
    NeighbourhoodSearch(instance, Stop(work_limit=work), seed=seed).run(start, found.append)
    return found


@pytest.mark.parametrize("neighbourhood", ORDERS, ids=lambda n: n.name)
def test_every_neighbourhood_gives_an_order_of_all_tiles(neighbourhood: Neighbourhood) -> None:
    instances = [block(), *(random_instance(seed) for seed in range(30))]
    for instance in instances:
        rng = random.Random(3)
        layout = Layout.of(instance)
        order = instance.topological_order
        here = Point(order, ssmopt.Policy(), decode(instance, order))
        for _ in range(5):
            order, policy = neighbourhood.change(layout, here, rng)
            assert sorted(order.tolist()) == list(range(instance.n_tiles))
            schedule = decode(instance, topological(instance, order), policy)
            assert validate(instance, schedule) == []
            here = Point(schedule.tiles.tile, policy, schedule)


def test_neighbourhoods_change_something() -> None:
    instance = block()
    layout, order = Layout.of(instance), instance.topological_order
    here = Point(order, ssmopt.Policy(), decode(instance, order))
    for neighbourhood in ORDERS:
        rng = random.Random(1)
        changed = [neighbourhood.change(layout, here, rng) for _ in range(20)]
        assert any(o.tolist() != order.tolist() or p != here.policy for o, p in changed), neighbourhood.name


def test_each_schedule_is_valid_and_better_than_the_one_before() -> None:
    instance = block()
    start = decode(instance, instance.topological_order)
    found = improved(instance, start, work=0.5)
    assert found
    assert all(validate(instance, schedule) == [] for schedule in found)
    makespans = [start.makespan, *(schedule.makespan for schedule in found)]
    assert makespans == sorted(set(makespans), reverse=True)


def test_random_instances_are_improved_but_never_beyond_the_optimum() -> None:
    reached = better = 0
    for seed in searched(range(60)):
        instance = random_instance(seed)
        start = decode(instance, instance.topological_order)
        if start.makespan == optimum(seed) or instance.n_tiles < 2:
            continue
        last = (improved(instance, start, work=0.002) or [start])[-1]
        assert optimum(seed) <= last.makespan
        better += last.makespan < start.makespan
        reached += last.makespan == optimum(seed)
    assert better > 5
    assert reached > 0


def test_equal_seeds_give_equal_searches_and_others_differ() -> None:
    instance = block()
    start = decode(instance, instance.topological_order)
    runs = [[s.tiles.start.tobytes() for s in improved(instance, start, 0.2, seed)] for seed in (5, 5, 6)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_the_search_ends_at_its_target() -> None:
    instance = block()
    start = decode(instance, instance.topological_order)
    stop = Stop(work_limit=1000)
    NeighbourhoodSearch(instance, stop, target=start.makespan).run(start, lambda _: None)
    assert stop.work < 1


def test_roulette_prefers_what_brought_something_and_forgets_nobody() -> None:
    parameters = Parameters()
    roulette = Roulette("abc", parameters, random.Random(0))
    for _ in range(100):
        roulette.reward(0, parameters.reward_best)
        roulette.reward(1, 0.0)
    drawn = [roulette.draw() for _ in range(2000)]
    assert drawn.count(0) > drawn.count(2) > drawn.count(1) > 0
    assert roulette.weights[1] == parameters.least_weight
