"""A stretch of a schedule: what comes out is valid, shorter by what CP-SAT says, and uses all its freedom."""

from __future__ import annotations

import random

import numpy as np
import pytest
from handmade import make_instance
from ortools.sat.python import cp_model
from random_instances import random_instance
from random_orders import random_order, random_policy, tight, with_more

import ssmopt
from ssmopt.cpsat.hint import makespan_of_plan
from ssmopt.cpsat.plan import Plan, plan_of, schedule_of, schedule_times
from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.search import new_solver
from ssmopt.cpsat.stretch import StretchModel
from ssmopt.cpsat.timeline import Stretch
from ssmopt.decode import Policy, decode
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.tiling import Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles


def begun(instance: Instance, schedule: Schedule) -> tuple[Scope, Plan]:
    scope = Scope.of(instance).scaled(schedule_times(schedule))
    return scope, plan_of(scope, schedule)


def solved(scope: Scope, plan: Plan, stretch: Stretch) -> tuple[Plan, int, int]:
    """The plan with the stretch solved anew, its gain, and how many tensors are kept."""
    built = StretchModel(scope, plan, stretch)
    assert not built.model.validate()
    solver = new_solver(60, 1, 0, 1.0)
    assert solver.solve(built.model) in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    kept = sum(int(solver.value(kept)) for kept in built.keep.values())
    return built.plan_from(solver), int(solver.value(built.gain)), kept


@pytest.mark.parametrize("block", range(3))
def test_any_stretch_of_any_schedule_stays_valid_and_gets_shorter_by_its_gain(block: int) -> None:
    gains = keeps = 0
    for seed in range(40 * block, 40 * block + 40):
        rng = random.Random(seed)
        instance = with_more(random_instance(seed), rng) if seed % 2 else random_instance(seed)
        instance = tight(instance) if seed % 3 == 0 else instance
        scope, plan = begun(instance, decode(instance, random_order(instance, rng), random_policy(instance, rng)))
        for _ in range(3):
            makespan = makespan_of_plan(scope, plan)
            if makespan < 2:
                break
            begin = rng.randrange(makespan)
            movable = frozenset(t for t in range(instance.n_tiles) if rng.random() < 0.5)
            stretch = Stretch(begin, rng.randint(begin + 1, makespan), rng.choice((None, None, movable)))
            plan, gain, kept = solved(scope, plan, stretch)
            assert validate(instance, schedule_of(scope, plan)) == [], (seed, stretch)
            assert makespan_of_plan(scope, plan) <= makespan - gain
            gains, keeps = gains + (gain > 0), keeps + kept
    assert gains >= 5
    assert keeps >= 5


def chain(capacity: int) -> Instance:
    """Two chains on one core; w is read by the first and the last tile."""
    return make_instance(
        {
            "a": (4, "w", "x", ""),
            "b": (4, "u", "y", ""),
            "c": (4, "v", "z", ""),
            "d": (4, "w x y z", "o", ""),
        },
        {
            "w": (4, "weight"), "u": (4, "weight"), "v": (4, "weight"),
            "x": (1, "intermediate"), "y": (1, "intermediate"), "z": (1, "intermediate"), "o": (1, "output"),
        },
        {"m": capacity},
        {"c0": "m"},
        {"dma": (1, 1, "dram m")},
    )  # fmt: skip


def test_what_is_dropped_and_loaded_again_is_kept_where_there_is_room() -> None:
    crowded, roomy = chain(9), chain(15)
    schedule = decode(crowded, crowded.topological_order)
    assert np.bincount(schedule.transfers.tensor).max() == 2
    scope, plan = begun(roomy, schedule)
    better, gain, kept = solved(scope, plan, Stretch(0, schedule.makespan))
    assert kept >= 1
    assert gain > 0
    assert len(schedule_of(scope, better).transfers) < len(schedule.transfers)


def test_tiles_that_may_not_move_keep_their_order() -> None:
    instance = chain(20)
    order = np.array([1, 2, 0, 3])
    scope, plan = begun(instance, decode(instance, order, Policy()))
    kept_order, _, _ = solved(scope, plan, Stretch(0, makespan_of_plan(scope, plan), frozenset()))
    assert np.argsort(kept_order.start, kind="stable").tolist() == order.tolist()


def test_what_idles_may_be_dropped_and_loaded_again() -> None:
    hardware = ssmopt.load_hardware("array-vector").override("sram", 6_000)
    problem = ssmopt.Problem("b", ssmopt.load_model("mamba-tiny"), hardware, 8)
    instance = build_tiles(problem, Tiling(tokens=4, channel_splits=4))
    drops = 0
    for seed in range(12):
        rng = random.Random(seed)
        scope, plan = begun(instance, decode(instance, random_order(instance, rng), random_policy(instance, rng)))
        makespan = makespan_of_plan(scope, plan)
        begin = rng.randrange(makespan)
        built = StretchModel(scope, plan, Stretch(begin, begin + rng.randint(1, makespan // 10)))
        # As many drops as possible, whatever they cost.
        built.model.maximize(sum(dropped for dropped, _ in built.drop.values()))
        solver = new_solver(60, 1, 0, 0.1)
        assert solver.solve(built.model) in (cp_model.OPTIMAL, cp_model.FEASIBLE)
        drops += sum(int(solver.value(dropped)) for dropped, _ in built.drop.values())
        assert validate(instance, schedule_of(scope, built.plan_from(solver))) == [], seed
    assert drops >= 5


def test_what_is_before_stays_and_what_is_after_moves_as_a_whole() -> None:
    rng = random.Random(4)
    for seed in range(20):
        instance = random_instance(seed)
        scope, plan = begun(instance, decode(instance, random_order(instance, rng), random_policy(instance, rng)))
        makespan = makespan_of_plan(scope, plan)
        begin, end = makespan // 3, 2 * makespan // 3 + 1
        new, gain, _ = solved(scope, plan, Stretch(begin, end))
        for before, after in zip(plan.start, new.start, strict=True):
            assert after == before if before < begin else after >= begin
            assert after == before - gain or before < end
