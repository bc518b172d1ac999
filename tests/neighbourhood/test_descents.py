"""Descents that take turns: from the orders that need least memory, for the bound first and then for more."""

from __future__ import annotations

import pytest

from neighbourhood.test_memory_descent import short_of_memory
from ssmopt.bounds import bounds_of
from ssmopt.heuristics.base import schedules_of
from ssmopt.instance import Instance
from ssmopt.neighbourhood import descents as module
from ssmopt.neighbourhood.descents import Descents
from ssmopt.neighbourhood.parameters import Parameters
from ssmopt.schedule import Schedule
from ssmopt.solvers import HEURISTICS
from ssmopt.validate import validate

INSTANCE = short_of_memory()
STARTS = [
    schedule for name in ("fuse-block", "pipelined", "heft") for schedule in schedules_of(HEURISTICS[name], INSTANCE)
]
BEST = min(STARTS, key=lambda schedule: schedule.makespan)
BOUND = bounds_of(INSTANCE)[1].cycles


def descents(bound: int = BOUND, instance: Instance = INSTANCE) -> Descents:
    return Descents(instance, Parameters(), lambda _: None, 3, bound, STARTS)


def begun(bound: int = BOUND) -> Descents:
    """Descents of which all have begun."""
    played = descents(bound)
    while played.preparing:
        played.step(BEST, lambda: False, lambda _: None)
    return played


def test_those_begin_that_need_least_memory_and_no_order_takes_all_places() -> None:
    played = begun()
    excess = [descent.excess for descent in played.descents]
    assert None not in excess
    assert excess == sorted(excess, key=lambda e: e or 0)
    assert len(excess) == module._BEGIN
    starts = [descent.start for descent in played.descents]
    assert max(starts.count(start) for start in starts) <= module._PER_START
    # None of the others needs less memory, but for those of the same orders.
    kept = set(starts)
    for number, order, policy in descents()._beginnings():
        if number not in kept:
            other = played.descents[0]
            rival = type(other)(
                other.room, other.layout, other.parameters, other.rng, other.spend, number, order, policy
            )
            assert not rival.aim(BOUND, (excess[-1] or 0) - 1)


def test_a_block_is_solved_from_heuristics_that_are_far_from_its_bound() -> None:
    assert BEST.makespan > 1.05 * BOUND
    played = descents()
    found: list[Schedule] = []
    for _ in range(400):
        played.step(found[-1] if found else BEST, lambda: False, found.append)
        if found and found[-1].makespan == BOUND:
            break
    assert found[-1].makespan == BOUND
    assert validate(INSTANCE, found[-1]) == []


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST", 2)
    monkeypatch.setattr(module, "_STEP", 2)
    monkeypatch.setattr(module, "_STALLED", 2)


@pytest.mark.usefixtures("short")
def test_targets_that_are_missed_lead_to_larger_ones_below_the_best_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROUNDS", 1)
    played = begun(bound=BOUND - 500)
    assert played.target == BOUND - 500
    assert not played.bound_missed
    targets = [played.target]
    best = BEST
    while played.rounds == 0:

        def better(schedule: Schedule) -> None:
            nonlocal best
            assert schedule.makespan <= targets[-1]
            best = schedule

        played.step(best, lambda: False, better)
        assert BOUND - 500 <= played.target < best.makespan
        targets.append(played.target)
    missed = sorted(set(targets[:-1]))
    assert len(missed) > 5
    assert best.makespan - missed[-1] <= BOUND // module._FINE + 1
    assert played.bound_missed


@pytest.mark.usefixtures("short")
def test_few_tiles_aim_at_the_bound_in_the_first_rounds() -> None:
    played = begun(bound=BOUND - 500)
    targets = set()
    while played.rounds < module._ROUNDS - 1:
        targets.add(played.target)
        played.step(BEST, lambda: False, lambda _: None)
    assert targets == {BOUND - 500}
    assert not played.bound_missed


@pytest.mark.usefixtures("short")
def test_targets_far_out_of_reach_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FAR", 0)
    monkeypatch.setattr(module, "_ROUNDS", 1)
    played = begun()
    played.step(BEST, lambda: False, lambda _: None)
    assert played.bound_missed
    assert played.target > BOUND
    assert all(descent.tried == 0 for descent in played.descents)


def test_a_better_schedule_from_elsewhere_lowers_the_target() -> None:
    played = begun()
    played.missed, played.target = BOUND + 10, BEST.makespan
    played.step(BEST, lambda: False, lambda _: None)
    assert played.target == (BOUND + 10 + BEST.makespan) // 2


def test_a_better_bound_raises_the_target() -> None:
    played = begun()
    played.bound = BOUND + 100
    played.step(BEST, lambda: False, lambda _: None)
    assert BOUND + 100 <= played.target < BEST.makespan


def test_nothing_happens_once_the_bound_is_reached() -> None:
    played = descents(bound=BEST.makespan)
    waiting = played.preparing
    played.step(BEST, lambda: False, lambda _: pytest.fail("there is nothing to find"))
    assert played.preparing == waiting
