"""The smallest period against exhaustive search, and the schedules against the validator."""

from __future__ import annotations

import numpy as np
import pytest
from exhaustive_periods import exhaustive_period
from handmade import make_instance
from random_loops import random_loop

from ssmopt.errors import CapacityError, InputError
from ssmopt.instance import OUTPUT, Instance
from ssmopt.loop import Loop, expand_loop
from ssmopt.periodic import length_bound, period_bounds, schedule_loop
from ssmopt.periodic.bounds import recurrence_bound
from ssmopt.periodic_schedule import expand
from ssmopt.validate import validate

SEEDS = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    16,
    18,
    22,
    23,
    27,
    35,
    36,
    39,
    44,
    47,
    48,
    50,
    52,
    53,
    56,
    60,
    61,
    62,
    63,
    64,
    65,
    71,
    73,
    74,
    76,
    77,
    79,
    83,
    88,
    92,
    96,
    98,
    101,
    109,
    116,
)
"""Fifty loops that exhaustive search is quick for."""


def loop_of(
    body: Instance, shared: str = "", carried: dict[str, tuple[str, int]] | None = None, drains: str = ""
) -> Loop:
    """A loop by names; carried tensors with source and distance."""
    names = body.tensor_ids.lookup
    source, distance = np.full(len(names), -1, dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    for name, (origin, d) in (carried or {}).items():
        source[names[name]], distance[names[name]] = names[origin], d

    def mask(given: str) -> np.ndarray:
        return np.isin(body.tensor_ids.all, given.split())

    return Loop(body, mask(shared), source, distance, mask(drains))


def scan(capacity: int, distance: int = 1) -> Loop:
    """One tile of 3 cycles that turns an input and a state into an output and the next state, with a weight."""
    body = make_instance(
        {"f": (3, "w x h", "y g", "")},
        {"w": (2, "weight"), "x": (1, "input"), "h": (2, "state"), "y": (1, "output"), "g": (2, "intermediate")},
        {"m": capacity},
        {"c": "m"},
        {"dma": (1, 1, "dram m")},
    )
    return loop_of(body, "w", {"h": ("g", distance)}, "g")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_period_is_the_smallest_and_every_expansion_is_feasible(seed: int) -> None:
    loop = random_loop(seed)
    result = schedule_loop(loop)
    assert result.status == "OPTIMAL"
    assert result.period == result.bound.cycles == exhaustive_period(loop)
    assert period_bounds(loop)[-1].cycles <= result.period
    fewest = result.schedule.fewest_repeats
    for repeats in (fewest, fewest + 1, fewest + 2, fewest + 7):
        run, instance = result.schedule.with_repeats(repeats), expand_loop(loop, repeats)
        schedule = expand(loop, run)
        assert validate(instance, schedule) == []
        assert run.makespan == max(schedule.tiles.end.max(), schedule.transfers.end.max(initial=0))
        assert run.dram_bytes(loop.body.tensor_bytes) == schedule.dram_bytes(instance.tensor_bytes)
        assert run.makespan >= length_bound(loop, repeats).cycles


def test_random_loops_have_every_feature() -> None:
    loops = [random_loop(seed) for seed in SEEDS]
    assert len(loops) == 50
    assert {loop.body.n_tiles for loop in loops} == set(range(1, 7))
    assert {loop.body.n_cores for loop in loops} == {1, 2}
    assert {loop.max_distance for loop in loops} == {0, 1, 2}
    assert any(loop.shared.any() for loop in loops)
    assert any(loop.drains.any() for loop in loops)
    assert any(len(loop.body.accumulates.indices) for loop in loops)
    assert any(len(set(of := loop.source[loop.carried].tolist())) < len(of) for loop in loops)
    assert any((loop.carried & ~loop.body.produced[loop.source]).any() for loop in loops)


# With 8 bytes w, x, h, y and g just fit while f runs, and the channel takes one at a time: f [0,3), store y [3,4), load
# x of the next iteration [4,5). One byte more lets the last y leave, and then the next x come, while f runs.
@pytest.mark.parametrize(("capacity", "period"), [(8, 5), (9, 3), (20, 3)])
def test_periods_worked_out_by_hand(capacity: int, period: int) -> None:
    assert schedule_loop(scan(capacity)).period == period == exhaustive_period(scan(capacity))


def test_a_recurrence_over_two_iterations_takes_half_its_latency() -> None:
    body = make_instance(
        {"a": (4, "h", "k", ""), "b": (3, "k", "g", "")},
        {"h": (0, "state"), "k": (0, "intermediate"), "g": (0, "intermediate")},
        {"m": 1},
        {"c": "m", "d": "m"},
        {"dma": (1, 1, "dram m")},
    )
    assert [recurrence_bound(loop_of(body, carried={"h": ("g", d)})).cycles for d in (1, 2, 3)] == [7, 4, 3]
    assert recurrence_bound(loop_of(body)).cycles == 0
    assert [schedule_loop(loop_of(body, carried={"h": ("g", d)})).period for d in (1, 2, 3)] == [7, 4, 4]
    # Three rounds of 7 cycles lie between iterations 0 and 6, and b follows.
    assert length_bound(loop_of(body, carried={"h": ("g", 2)}), 7).cycles <= 3 * 7 + 7


def test_a_search_without_time_repeats_the_body() -> None:
    result = schedule_loop(scan(9), time_limit=0.0)
    assert (result.status, result.schedule.fewest_repeats) == ("FEASIBLE", 1)
    assert result.bound == period_bounds(scan(9))[-1]
    assert validate(expand_loop(scan(9), 3), expand(scan(9), result.schedule.with_repeats(3))) == []


def test_final_states_are_stored() -> None:
    loop = scan(20)
    assert (expand_loop(loop, 5).tensor_kind == OUTPUT).sum() == 6
    run = schedule_loop(loop).schedule.with_repeats(50)
    # w, the first and the last state once; x and y in every iteration.
    assert run.dram_bytes(loop.body.tensor_bytes) == 2 + 2 + 2 + 50 * 2


def test_loops_that_cannot_be_scheduled_are_refused() -> None:
    with pytest.raises(CapacityError, match="needs 8 bytes at once"):
        schedule_loop(scan(7))
    empty = make_instance({}, {}, {"m": 1}, {"c": "m"}, {})
    with pytest.raises(InputError, match="without tiles"):
        schedule_loop(loop_of(empty))
