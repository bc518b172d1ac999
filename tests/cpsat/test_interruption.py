"""Searches that end early keep the best schedule, and never call an instance infeasible."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from ssmopt.cpsat import solve_exact
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.validate import validate

from .instances import job_shop


def _hard() -> Instance:
    """A random 15 x 15 job shop, which CP-SAT does not finish in the time of a test."""
    rng = np.random.default_rng(7)
    return job_shop([[(int(m), int(rng.integers(1, 100))) for m in rng.permutation(15)] for _ in range(15)])


def test_should_stop_ends_the_search_with_the_best_schedule() -> None:
    instance = _hard()
    seen: list[Schedule] = []
    began = time.monotonic()
    outcome = solve_exact(
        instance,
        None,
        instance_bound=5,
        time_limit=60,
        workers=2,
        seed=1,
        on_schedule=seen.append,
        should_stop=lambda: bool(seen),
    )
    assert time.monotonic() - began < 30
    assert outcome.schedule is seen[-1]
    assert not outcome.infeasible
    assert validate(instance, outcome.schedule) == []


def test_no_time_at_all_returns_the_hint_or_nothing() -> None:
    instance = _hard()
    first = solve_exact(
        instance, None, instance_bound=0, time_limit=60, workers=1, seed=1, deterministic_limit=0.2
    ).schedule
    assert first is not None
    hinted = solve_exact(instance, first, instance_bound=5, time_limit=0, workers=2, seed=1)
    assert hinted.schedule is not None
    assert hinted.schedule.makespan <= first.makespan
    cold = solve_exact(instance, None, instance_bound=5, time_limit=0, workers=2, seed=1)
    for outcome in (hinted, cold):
        assert not outcome.infeasible
        assert not outcome.proved_optimal
        assert outcome.bound >= 5


def test_a_hint_at_the_bound_is_optimal_at_once() -> None:
    instance = job_shop([[(0, 3), (1, 4)]])
    first = solve_exact(instance, None, instance_bound=0, time_limit=60, workers=1, seed=1).schedule
    assert first is not None
    assert first.makespan == 7
    outcome = solve_exact(instance, first, instance_bound=7, time_limit=0, workers=1, seed=1)
    assert outcome.schedule is first
    assert outcome.proved_optimal


@pytest.mark.parametrize("workers", [1, 2])
def test_a_deterministic_limit_gives_the_same_schedule_twice(workers: int) -> None:
    instance = _hard()
    makespans = set()
    for _ in range(2):
        outcome = solve_exact(
            instance, None, instance_bound=0, time_limit=600, workers=workers, seed=3, deterministic_limit=0.2
        )
        assert outcome.schedule is not None
        makespans.add((outcome.schedule.makespan, outcome.bound))
    assert len(makespans) == 1


def test_an_error_in_a_callback_ends_the_search_and_is_raised() -> None:
    def fail(schedule: Schedule) -> None:
        raise RuntimeError(f"cannot take {schedule.makespan}")

    with pytest.raises(RuntimeError, match="cannot take"):
        solve_exact(_hard(), None, instance_bound=0, time_limit=60, workers=2, seed=1, on_schedule=fail)


def test_an_exception_while_waiting_leaves_no_thread_behind() -> None:
    def interrupt() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve_exact(_hard(), None, instance_bound=0, time_limit=60, workers=2, seed=1, should_stop=interrupt)
    assert all(thread.name != "cpsat" for thread in threading.enumerate())
