"""The search for a tiling: what it returns is buildable, decodes to what it says, and never depends on the clock."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_problems import problems

import ssmopt
from ssmopt.autotile import TilingChoice, choose_tiling, search
from ssmopt.autotile.points import AXES, neighbours
from ssmopt.autotile.starts import SHARES, first_points
from ssmopt.bounds import best, lower_bounds
from ssmopt.csr import IntArray
from ssmopt.decode import Policy, decode
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.validate import validate
from ssmopt.workload.needs import least_capacity
from ssmopt.workload.tiles import build_tiles, count_tiles

pytestmark = pytest.mark.searches

MODELS = [("mamba-130m", "recurrent"), ("mamba2-130m", "recurrent"), ("mamba2-130m", "chunked")]


def problem_of(model: str, length: int, sram: int, form: str = "recurrent", hardware: str = "marca") -> Problem:
    machine = ssmopt.load_hardware(hardware).override("sram", sram)
    return Problem("p", ssmopt.load_model(model), machine, length, form=form)


@pytest.mark.parametrize(("model", "form"), MODELS)
@pytest.mark.parametrize("hardware", ["marca", "marca-32core", "array-vector"])
def test_points_and_their_neighbours_stand_for_tilings_that_can_be_built(model: str, form: str, hardware: str) -> None:
    """Every number of pieces is one that its dimension has."""
    problem = problem_of(model, 6, 400_000, form, hardware)
    points = {point for share in SHARES for point in first_points(problem, share)}
    around = {other for point in points for axis in AXES for other in neighbours(problem, point, axis)}
    assert len(around) > 5 * len(points)
    for point in points | around:
        assert count_tiles(problem, point.tiling(problem)) > 0
    built = sorted(points, key=lambda point: count_tiles(problem, point.tiling(problem)))[:3]
    for point in built:
        build_tiles(problem, point.tiling(problem))


def test_the_choice_is_the_same_every_time_and_decodes_to_the_makespan_that_it_promises() -> None:
    problem = problem_of("mamba-tiny", 12, 4_000)
    choice, again = (choose_tiling(problem, should_stop=after(60)) for _ in range(2))
    assert choice == again
    assert choice.makespan == decode(*plan_of(problem, choice)).makespan
    assert choice.candidates > 1


def after(questions: int) -> Callable[[int], bool]:
    """A condition that holds once it has been asked so often."""
    asked = itertools.count()
    return lambda _: next(asked) >= questions


def plan_of(problem: Problem, choice: TilingChoice) -> tuple[Instance, IntArray, Policy]:
    instance = build_tiles(problem, choice.tiling)
    return (instance, *choice.variant.plan(instance))


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_problem_gets_a_valid_schedule_no_better_than_the_bound(data: st.DataObject) -> None:
    problem = data.draw(problems(largest=6, longest=6))
    memories = problem.hardware.memories
    least = least_capacity(problem).n_bytes
    sram = 8 * least
    problem = dataclasses.replace(
        problem,
        hardware=dataclasses.replace(
            problem.hardware, memories=tuple(dataclasses.replace(m, capacity=sram) for m in memories)
        ),
    )
    choice = choose_tiling(problem, should_stop=after(10))
    instance = build_tiles(problem, choice.tiling)
    schedule = decode(instance, *choice.variant.plan(instance))
    assert validate(instance, schedule) == []
    assert schedule.makespan >= best(lower_bounds(problem)).cycles


def test_a_prompt_too_long_to_decode_is_extrapolated_close_to_its_real_makespan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 1,500 tokens only a few token tiles are decoded."""
    monkeypatch.setattr(search, "_WHOLE", 0)
    decoded: list[int] = []
    build = search.build_tiles
    monkeypatch.setattr(search, "build_tiles", lambda p, t: (decoded.append(p.seq_len), build(p, t))[1])
    problem = problem_of("mamba-130m", 1500, 24 << 20)
    choice = choose_tiling(problem, should_stop=after(8))
    assert choice.tiling.loop_order == "tokens"
    assert min(decoded) < 800
    real = decode(*plan_of(problem, choice)).makespan
    assert real >= best(lower_bounds(problem)).cycles
    assert abs(choice.makespan - real) <= real // 50
