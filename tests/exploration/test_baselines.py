"""Baselines to compare machines with: the best of some tilings and policies, for long prompts those of shorter ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ssmopt
from ssmopt.autotile.fitting import coarse_tilings
from ssmopt.bounds import best, lower_bounds
from ssmopt.exploration import baselines
from ssmopt.exploration.baselines import baseline_results
from ssmopt.heuristics.base import schedules_of
from ssmopt.problem import Problem
from ssmopt.result import Result
from ssmopt.solvers import HEURISTICS
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles

NAMES = ("fuse-all", "mem-aware")


def small(seq_len: int, sram: int = 16 << 10) -> Problem:
    hardware = ssmopt.load_hardware("marca").override("sram", sram)
    return Problem("p", ssmopt.load_model("mamba-tiny"), hardware, seq_len)


def results(problem: Problem) -> dict[str, Result | None]:
    return baseline_results(problem, NAMES, best(lower_bounds(problem)), Stop())


def every(problem: Problem, name: str, tilings: list[Tiling] | None = None) -> dict[tuple[int, int], int]:
    """Makespan of each plan on each coarse tiling, or on each of those given."""
    heuristic, found = HEURISTICS[name], {}
    for number, tiling in enumerate(tilings or coarse_tilings(problem)):
        asked = tiling if heuristic.prescribe is None else heuristic.prescribe(problem, tiling)[0]
        for plan, schedule in enumerate(schedules_of(heuristic, build_tiles(problem, asked))):
            found[number, plan] = schedule.makespan
    return found


def chosen(makespans: dict[tuple[int, int], int]) -> tuple[int, int]:
    """The tiling on which the first plan is best, and the best plan there."""
    tiling = min((number for number, plan in makespans if plan == 0), key=lambda number: makespans[number, 0])
    return min((key for key in makespans if key[0] == tiling), key=lambda key: makespans[key])


@pytest.mark.parametrize("seq_len", [1, 5, 24])
def test_short_prompts_take_the_best_policy_on_the_best_tiling(seq_len: int) -> None:
    problem = small(seq_len)
    for name, result in results(problem).items():
        makespans = every(problem, name)
        assert result is not None
        assert result.schedule is not None
        assert validate(result.instance, result.schedule) == []
        assert result.makespan == makespans[chosen(makespans)]
        assert result.bound.cycles <= (result.makespan or 0)


def test_long_prompts_take_the_tiling_and_the_policy_of_shorter_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_SHORT", 8)
    hardware = ssmopt.load_hardware("marca").override("sram", 192 << 10)
    problem = Problem("p", ssmopt.load_model("mamba-130m"), hardware, 24)
    for name, result in results(problem).items():
        assert result is not None
        assert result.schedule is not None
        assert validate(result.instance, result.schedule) == []
        assert result.instance.problem == problem
        short = every(replace(problem, seq_len=8), name, coarse_tilings(problem))
        makespans = every(problem, name)
        assert result.makespan == makespans[chosen(short)]
        assert makespans[chosen(short)] < makespans[0, 0]


def test_a_known_plan_is_the_one_that_is_carried_out() -> None:
    problem, heuristic = small(24, sram=1 << 10), HEURISTICS["mem-aware"]
    tilings = coarse_tilings(problem)
    makespans = every(problem, "mem-aware")
    assert len(set(makespans.values())) > 1
    first = next(baselines._tries(problem, heuristic, tilings, Stop()))
    for (number, plan), makespan in makespans.items():
        known = replace(first, tiling=number, plan=plan)
        again = baselines._same(problem, heuristic, tilings, known, Stop())
        assert again is not None
        assert again.schedule.makespan == makespan


def test_there_is_no_baseline_where_no_tile_fits_or_tiles_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert results(small(4, sram=64)) == dict.fromkeys(NAMES)
    monkeypatch.setattr(baselines, "_MOST_TILES", 3)
    assert results(small(4)) == dict.fromkeys(NAMES)
