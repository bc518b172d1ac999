"""`minimum_capacity`: a bound, a schedule that fits, and solvers that agree with both."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from exhaustive import exhaustive_makespan
from handmade import make_instance
from random_instances import random_instance
from random_orders import searched

import ssmopt
from ssmopt.autotile import choose_tiling
from ssmopt.autotile.fitting import least_practical_capacity
from ssmopt.errors import CapacityError, InputError
from ssmopt.library import load_problem
from ssmopt.problem import Problem
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles


def problem_of(model: str, hardware: str, length: int, form: str = "recurrent", scope: str = "block") -> Problem:
    machine = ssmopt.load_hardware(hardware)
    return Problem("p", ssmopt.load_model(model), machine, length, form=form, scope=scope)


def with_sram(problem: Problem, n_bytes: int) -> Problem:
    return dataclasses.replace(problem, hardware=problem.hardware.override("sram", n_bytes))


def check_witness(found: ssmopt.MinimumCapacity) -> None:
    instance, schedule = found.instance, found.schedule
    assert validate(instance, schedule) == []
    assert set(instance.memory_capacity.tolist()) == {max(found.capacity_bytes, 1)}
    assert schedule.peak_memory_bytes(instance.tensor_bytes) <= found.capacity_bytes
    assert found.bound_bytes <= found.capacity_bytes
    assert sum(found.parts.values()) == found.bound_bytes


@pytest.mark.parametrize("seed", searched(range(12)))
def test_tile_instances_have_an_exact_smallest_capacity(seed: int) -> None:
    instance = random_instance(seed)
    found = ssmopt.minimum_capacity(instance)
    check_witness(found)
    assert found.exact
    assert not found.any_tiling
    assert found.tile in instance.tile_ids.all
    assert exhaustive_makespan(found.instance) <= found.schedule.makespan
    if found.bound_bytes > 1:
        below = dataclasses.replace(instance, memory_capacity=np.array([found.bound_bytes - 1]))
        with pytest.raises(CapacityError, match=f"the smallest capacity for this tiling is {found.bound_bytes:,} "):
            ssmopt.solve(below, time_limit=5)


def test_precedences_without_bytes_need_no_memory() -> None:
    tiles = {"a": (3, "", "x", ""), "b": (2, "x", "", "")}
    one = {"memories": {"m": 9}, "cores": {"c": "m"}, "channels": {"dma": (1, 1, "dram m")}}
    found = ssmopt.minimum_capacity(make_instance(tiles, {"x": (0, "intermediate")}, **one))
    assert (found.bound_bytes, found.capacity_bytes, found.schedule.makespan) == (0, 0, 5)


def test_a_given_tiling_has_its_own_smallest_capacity() -> None:
    problem, tiling = load_problem("tiny-state-L4-scan")
    assert tiling is not None
    found = ssmopt.minimum_capacity(problem, tiling=tiling)
    check_witness(found)
    assert (found.exact, found.any_tiling, found.tile) == (True, False, "scan.0.0")
    # Four tokens of Abar and dBx, two states, four of C and of y.
    assert found.bound_bytes == 4 * (4 * 2 * 64 + 2 * 64 + 4 * 4 + 4 * 16)
    assert ssmopt.minimum_capacity(problem).bound_bytes < found.bound_bytes
    with pytest.raises(InputError, match="a tiling can only be given for a problem"):
        ssmopt.minimum_capacity(found.instance, tiling=tiling)


@pytest.mark.parametrize(
    ("model", "hardware", "length", "form", "scope"),
    [
        ("mamba-tiny", "tiny", 1, "recurrent", "block"),
        ("mamba-tiny", "tiny-2core", 7, "recurrent", "block"),
        ("mamba-tiny", "tiny", 5, "recurrent", "state-update"),
        ("mamba2-tiny", "tiny", 9, "recurrent", "block"),
        ("mamba2-tiny", "tiny", 9, "chunked", "block"),
        ("mamba-130m", "marca", 1, "recurrent", "block"),
        ("mamba-130m", "marca", 2, "recurrent", "block"),
        ("mamba1-2.7b-n64", "marca", 1, "recurrent", "block"),
        ("mamba2-130m", "array-vector", 1, "chunked", "block"),
        ("mamba2-130m", "marca", 2, "recurrent", "block"),
    ],
)
def test_solvers_work_with_the_smallest_capacity_and_refuse_less(
    model: str, hardware: str, length: int, form: str, scope: str
) -> None:
    problem = problem_of(model, hardware, length, form, scope)
    found = ssmopt.minimum_capacity(problem)
    check_witness(found)
    assert found.exact
    assert found.any_tiling
    least = found.capacity_bytes
    result = ssmopt.solve(with_sram(problem, least), time_limit=0.5, workers=2)
    assert result.schedule is not None
    assert validate(result.instance, result.schedule) == []
    assert result.makespan is not None
    assert result.lower_bound <= result.makespan
    for solver in ("auto", "fuse-block", "layer-by-layer"):
        if solver == "fuse-block" or form == "recurrent":
            with pytest.raises(CapacityError, match=rf"tile '{found.tile}' needs {least:,} bytes.*under every tiling"):
                ssmopt.solve(with_sram(problem, least - 1), solver=solver, time_limit=5)


def test_a_prompt_that_would_need_too_many_tiles_is_refused_with_both_numbers() -> None:
    problem = problem_of("mamba2-130m", "marca", 1024, "chunked")
    with pytest.raises(CapacityError, match=r"the smallest capacity is 66,816 bytes.* bytes take fewer") as caught:
        ssmopt.solve(with_sram(problem, 66_816), time_limit=5)
    enough = caught.value.need_bytes
    assert enough == least_practical_capacity(problem)[0]
    assert 66_816 < enough < 2 * 66_816


def test_between_the_smallest_capacity_and_the_search_for_tilings_there_is_always_one() -> None:
    problem = problem_of("mamba-130m", "marca", 2)
    least = ssmopt.minimum_capacity(problem).capacity_bytes
    for capacity in (least, least + 1, least * 5 // 4):
        tiling = choose_tiling(with_sram(problem, capacity), should_stop=lambda _: True).tiling
        assert build_tiles(problem, tiling).minimum_capacity()[0] <= capacity
