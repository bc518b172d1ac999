"""Where a speed-up comes from: the steps multiply up, and each is what it says."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

import ssmopt
from ssmopt.autotile.fitting import coarse_tilings
from ssmopt.experiments import attribution
from ssmopt.experiments.attribution import Attribution, attribute, best_baseline, least_sram, makespan_or_none
from ssmopt.problem import Problem


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem("tiny", ssmopt.load_model("mamba-tiny"), ssmopt.load_hardware("tiny"), 4)


@pytest.fixture(scope="module")
def found(problem: Problem) -> Attribution:
    return attribute(problem, seconds=1.0, workers=1)


def test_either_pair_of_steps_multiplies_up_to_the_whole(found: Attribution) -> None:
    for pair in (found.scheduling_first, found.tiling_first):
        assert math.isclose(found.scheme * pair[0] * pair[1], found.total)
    assert found.best.makespan is not None
    assert found.unfused.makespan == pytest.approx(found.total * found.best.makespan)


def test_each_step_changes_what_it_says(found: Attribution) -> None:
    assert found.unfused.solver == "layer-by-layer"
    assert found.fused.solver == found.same_order.solver == "fuse-all"
    assert found.same_tiles.instance.tiling == found.fused.instance.tiling
    tiling, fused = found.best.instance.tiling, found.same_order.instance.tiling
    assert tiling is not None
    assert fused is not None
    assert (fused.state_tokens, fused.scan) == (1, False)
    assert fused.tokens == tiling.tokens


def test_scheduling_the_same_tiles_is_never_worse_and_nothing_beats_the_bound(found: Attribution) -> None:
    cycles = [r.makespan or 0 for r in (found.best, found.same_tiles, found.fused, found.unfused)]
    assert found.bound.cycles <= cycles[0]
    assert cycles == sorted(cycles)
    for result in (found.unfused, found.fused, found.same_tiles, found.same_order, found.best):
        assert result.schedule is not None
        assert not ssmopt.validate(result.instance, result.schedule)


def test_a_baseline_takes_the_best_of_its_tilings(problem: Problem) -> None:
    every = [
        ssmopt.solve(problem, tiling=tiling, solver="mem-aware", work_limit=0.5).makespan or 0
        for tiling in coarse_tilings(problem)
    ]
    assert best_baseline(problem, "mem-aware").makespan == min(every)


def test_the_least_sram_is_the_smallest_that_is_enough(problem: Problem) -> None:
    cycles = {1000: None, 2000: 90, 3000: 120, 4000: 80}

    def makespan(smaller: Problem) -> int | None:
        return cycles[smaller.hardware.memories[0].capacity]

    assert least_sram(problem, [4000, 1000, 3000, 2000], 100, makespan) == 2000
    assert least_sram(problem, [1000, 3000, 4000], 100, makespan) == 4000
    assert least_sram(problem, list(cycles), 79, makespan) is None
    assert makespan_or_none(lambda: best_baseline(least_problem(problem), "fuse-all")) is None


def least_problem(problem: Problem) -> Problem:
    """The problem with an SRAM in which nothing fits."""
    return Problem("least", problem.model, problem.hardware.override("sram", 64), problem.seq_len)


def test_a_signal_ends_all_steps(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = SimpleNamespace(interrupted=2)
    monkeypatch.setattr(attribution, "solve", lambda *_, **__: interrupted)
    with pytest.raises(KeyboardInterrupt):
        attribute(problem)
