"""What follows the makespan: fewest bytes moved or held, against exhaustive search, and never a cycle more."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import TINY, Run, refused
from exhaustive import exhaustive_makespan
from exhaustive_traffic import exhaustive_traffic
from random_instances import random_instance

import ssmopt.second_stage
from ssmopt.build import load_instance
from ssmopt.errors import InputError
from ssmopt.instance import Instance
from ssmopt.second_stage import OBJECTIVES
from ssmopt.solve import solve
from ssmopt.validate import validate

SEEDS = range(40)
BUSY = "mamba-130m-marca-L64"


def _with_capacity(instance: Instance, capacity: int) -> Instance:
    return replace(instance, memory_capacity=np.array([capacity], dtype=np.int64))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_schedule_of_least_makespan_moves_fewer_bytes(seed: int) -> None:
    instance = random_instance(seed)
    result = solve(instance, then="dram", time_limit=60, workers=1)
    assert result.schedule is not None
    assert result.second is not None
    assert validate(instance, result.schedule) == []
    assert (result.status, result.makespan) == ("OPTIMAL", exhaustive_makespan(instance))
    assert result.second.proved
    assert result.second.bytes == result.as_dict()["dram_bytes"] == exhaustive_traffic(instance, result.makespan)
    assert result.second.bytes <= result.second.before_bytes


@pytest.mark.parametrize("seed", SEEDS)
def test_no_schedule_of_least_makespan_fits_a_smaller_memory(seed: int) -> None:
    instance = random_instance(seed)
    result = solve(instance, then="sram", time_limit=60, workers=1)
    assert result.schedule is not None
    assert result.second is not None
    assert validate(instance, result.schedule) == []
    assert result.status == "OPTIMAL"
    assert result.second.proved
    peak = result.second.bytes
    assert peak == result.as_dict()["peak_memory_bytes"] <= result.second.before_bytes
    least = exhaustive_makespan(instance)
    assert result.makespan == least == exhaustive_makespan(_with_capacity(instance, max(peak, 1)))
    if peak > max(1, instance.minimum_capacity()[0]):
        assert exhaustive_makespan(_with_capacity(instance, peak - 1)) > least


def test_some_of_these_instances_have_something_to_gain() -> None:
    """Otherwise the tests above could not fail."""
    for then in OBJECTIVES:
        gains = [solve(random_instance(seed), then=then, time_limit=60, workers=1).second for seed in SEEDS]
        assert any(second is not None and second.bytes < second.before_bytes for second in gains), then


@pytest.mark.parametrize("then", OBJECTIVES)
def test_without_the_exact_model_schedules_stay_valid_and_as_short(then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssmopt.second_stage, "EXACT_TILES", 0)
    instance = load_instance(BUSY)
    plain = solve(instance, solver="pipelined", time_limit=30)
    result = solve(instance, solver="pipelined", then=then, time_limit=30)
    assert result.schedule is not None
    assert result.second is not None
    assert plain.makespan is not None
    assert result.schedule.makespan <= plain.makespan
    assert validate(instance, result.schedule) == []
    assert result.second.bytes <= result.second.before_bytes
    assert result.second.proved == (then == "dram")  # everything fits, so that only the compulsory bytes move


def test_an_instance_without_bytes_has_nothing_to_minimise() -> None:
    instance = replace(random_instance(0), name="tasks", tensor_bytes=np.zeros_like(random_instance(0).tensor_bytes))
    for then in OBJECTIVES:
        second = solve(instance, then=then, time_limit=30, workers=1).second
        assert second is not None
        assert (second.bytes, second.proved) == (0, True)


def test_what_cannot_be_asked_for_is_refused() -> None:
    with pytest.raises(InputError, match=r"unknown second objective 'dran'; did you mean 'dram'\?"):
        solve(random_instance(0), then="dran")
    with pytest.raises(InputError, match="either allocate or then"):
        solve(random_instance(0), then="dram", allocate=True)


class TestCommand:
    def test_json_says_what_was_gained(self, run: Run) -> None:
        found = json.loads(run("solve", *TINY, "--then", "sram", "--json", "--quiet", "--time-limit", "5").out)
        assert found["then"] == "sram"
        assert found["then_bytes"] == found["peak_memory_bytes"] <= found["then_before_bytes"]
        assert found["then_bound_bytes"] <= found["then_bytes"]
        assert found["then_proved"] == (found["then_bound_bytes"] == found["then_bytes"])

    def test_the_table_says_it_in_words(self, run: Run) -> None:
        outcome = run("solve", "tiny-state-L1", "--then", "dram", "--no-plot", "--quiet")
        assert "second objective  dram: " in outcome.out
        assert "the least for this makespan" in outcome.out

    def test_bad_input_is_one_line(self, run: Run) -> None:
        refused(run("solve", *TINY, "--then", "srma", "--quiet"), "--then: unknown second objective", "'sram'")
        refused(run("solve", *TINY, "--then", "sram", "--allocate", "--quiet"), "either --allocate or --then")


def test_it_is_limited_by_time_alone() -> None:
    with pytest.raises(InputError, match="limited by time alone"):
        solve(load_instance("tiny-state-L4-scan"), then="dram", work_limit=1)
