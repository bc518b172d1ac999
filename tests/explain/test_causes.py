"""What tiles and transfers waited for: moving any of them earlier breaks a rule exactly before the moment named."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from handmade import INSTANCES, make_instance, make_schedule, schedule_of
from hypothesis import given
from hypothesis import strategies as st
from random_instances import random_instance
from random_orders import random_order, random_policy, with_more

from ssmopt.decode import decode
from ssmopt.explain.causes import (
    DEPENDENCE,
    HELD,
    NOTHING,
    RESOURCE,
    SPACE,
    TRANSFER,
    Causes,
    find_causes,
)
from ssmopt.explain.latest import LatestEvents, last_above
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule, makespan_of
from ssmopt.validate import validate


def random_schedules(seed: int) -> Iterator[tuple[Instance, Schedule]]:
    """Schedules of two small instances, one of them with several cores, channels and lanes."""
    rng = random.Random(seed)
    for instance in (random_instance(seed), with_more(random_instance(seed), rng)):
        yield instance, decode(instance, random_order(instance, rng), random_policy(instance, rng))


def moved(instance: Instance, schedule: Schedule, activity: int, start: int) -> Schedule:
    """The schedule with one tile or transfer moved, and with it the beginning of the residencies that it began."""
    tiles, transfers, residencies = schedule.tiles, schedule.transfers, schedule.residencies
    first = residencies.start.copy()
    if activity < len(tiles):
        row = activity
        old, tile = int(tiles.start[row]), int(tiles.tile[row])
        memory, tensors = int(instance.core_memory[tiles.core[row]]), instance.writes[tile]
        starts, ends = tiles.start.copy(), tiles.end.copy()
        ends[row] += start - old
        starts[row] = start
        tiles = replace(tiles, start=starts, end=ends)
    else:
        row = activity - len(tiles)
        old = int(transfers.start[row])
        memory, tensors = int(transfers.target[row]), transfers.tensor[row : row + 1]
        starts, ends = transfers.start.copy(), transfers.end.copy()
        ends[row] += start - old
        starts[row] = start
        transfers = replace(transfers, start=starts, end=ends)
    began = (residencies.memory == memory) & np.isin(residencies.tensor, tensors) & (residencies.start == old)
    first[began] = start
    return replace(
        schedule,
        tiles=tiles,
        transfers=transfers,
        residencies=replace(residencies, start=first),
        makespan=makespan_of(tiles, transfers),
    )


@pytest.mark.parametrize("seed", range(120))
def test_nothing_could_start_before_the_moment_named_and_everything_could_then(seed: int) -> None:
    for instance, schedule in random_schedules(seed):
        causes = find_causes(instance, schedule)
        assert (causes.ready <= causes.start).all()
        for activity, ready in enumerate(causes.ready.tolist()):
            if causes.start[activity] == causes.end[activity]:
                continue  # a transfer of nothing
            assert not validate(instance, moved(instance, schedule, activity, ready))
            if ready > 0:
                assert validate(instance, moved(instance, schedule, activity, ready - 1))


@pytest.mark.parametrize("seed", range(120))
def test_who_is_named_ends_when_the_wait_does(seed: int) -> None:
    for instance, schedule in random_schedules(seed):
        causes = find_causes(instance, schedule)
        for reason in (RESOURCE, TRANSFER, DEPENDENCE):
            known = causes.release[reason] >= 0
            assert (causes.end[causes.blocker[reason][known]] == causes.release[reason][known]).all()
            assert (causes.blocker[reason][~known] == -1).all()
        known = np.flatnonzero(causes.release[SPACE] >= 0)
        assert (schedule.residencies.end[causes.room[known]] == causes.release[SPACE][known]).all()
        used = known[causes.blocker[SPACE][known] >= 0]
        assert (causes.end[causes.blocker[SPACE][used]] <= causes.release[SPACE][used]).all()


def reasons(causes: Causes) -> list[int]:
    return causes.reason.tolist()


def test_each_reason_by_hand() -> None:
    instance = make_instance(
        tiles={"a": (4, "w", "x", ""), "b": (3, "x", "y", ""), "c": (2, "v y", "z", "")},
        tensors={
            "w": (4, "weight"), "v": (6, "weight"), "x": (2, "intermediate"), "y": (2, "intermediate"),
            "z": (2, "output"),
        },
        memories={"sram": 10}, cores={"one": "sram", "two": "sram"}, channels={"dma": (1, 1, "dram sram")},
    )  # fmt: skip
    schedule = make_schedule(
        instance,
        tiles=[("a", "one", 4, 8), ("b", "two", 8, 11), ("c", "two", 17, 19)],
        transfers=[("w", "dma", "dram", "sram", 0, 4), ("v", "dma", "dram", "sram", 8, 14),
                   ("z", "dma", "sram", "dram", 20, 22)],
        residencies=[("w", "sram", 0, 8), ("x", "sram", 4, 11), ("y", "sram", 8, 19), ("v", "sram", 8, 19),
                     ("z", "sram", 17, 22)],
    )  # fmt: skip
    assert not validate(instance, schedule)
    causes = find_causes(instance, schedule)
    # a waits for w to arrive, b for a, c was held back after v had arrived; w for nothing, v for the room of w.
    assert reasons(causes) == [TRANSFER, DEPENDENCE, HELD, NOTHING, SPACE, HELD]
    assert causes.waited_for.tolist() == [3, 0, 4, -1, 0, 2]
    assert causes.ready.tolist() == [4, 8, 14, 0, 8, 19]
    assert schedule.residencies.tensor[causes.room[4]] == 0  # w


@pytest.mark.parametrize("which", sorted(INSTANCES))
def test_several_memories(which: str) -> None:
    instance, schedule = INSTANCES[which][0], schedule_of(which)
    causes = find_causes(instance, schedule)
    assert not validate(instance, schedule)
    for activity, ready in enumerate(causes.ready.tolist()):
        assert not validate(instance, moved(instance, schedule, activity, ready))
        if ready > 0:
            assert validate(instance, moved(instance, schedule, activity, ready - 1))


def test_a_partial_sum_that_is_carried_away_is_waited_for() -> None:
    instance, schedule = INSTANCES["added"][0], schedule_of("added")
    causes = find_causes(instance, schedule)
    x2, move = 1, len(schedule.tiles)
    assert causes.reason[x2] == TRANSFER
    assert causes.waited_for[x2] == move
    assert causes.reason[move] == DEPENDENCE
    assert causes.waited_for[move] == 0


levels = st.lists(st.integers(0, 9), max_size=40)


@given(levels, st.integers(0, 41), st.integers(-1, 9))
def test_last_above_agrees_with_a_scan(level: list[int], before: int, threshold: int) -> None:
    expected = max((i for i, v in enumerate(level[:before]) if v > threshold), default=-1)
    found = last_above(np.array(level, dtype=np.int64), np.array([before]), np.array([threshold]))
    assert found.tolist() == [expected]


events = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=20)


@given(events, st.integers(0, 5), st.integers(0, 12))
def test_latest_events_agree_with_a_scan(given_events: list[tuple[int, int]], key: int, time: int) -> None:
    keys, times = (np.array([e[i] for e in given_events], dtype=np.int64) for i in (0, 1))
    expected = max(((t, i) for i, (k, t) in enumerate(given_events) if k == key and t <= time), default=(0, -1))[1]
    assert LatestEvents(keys, times).up_to(np.array([key]), np.array([time])).tolist() == [expected]
