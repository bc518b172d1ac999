"""Coarse tilings whose every tile fits a capacity."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import core_group, hardware, problems

import ssmopt
from ssmopt.autotile import choose_tiling
from ssmopt.autotile.choice import DEPTH_FIRST
from ssmopt.autotile.fitting import least_practical_capacity, most_tiles, tiling_that_fits
from ssmopt.autotile.search import search_tilings
from ssmopt.decode import decode
from ssmopt.errors import CapacityError
from ssmopt.model import Model
from ssmopt.problem import Dtype, Problem
from ssmopt.workload.needs import finest_tiling, least_capacity
from ssmopt.workload.tiles import build_tiles, count_tiles

pytestmark = pytest.mark.searches


@pytest.mark.parametrize("family", ["mamba", "mamba2"])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_tile_fits_any_capacity_from_the_least_on(family: str, data: st.DataObject) -> None:
    problem = data.draw(problems(family=family))
    least = least_capacity(problem).n_bytes
    # What comes before a scan is not part of the bound if the state begins as zero.
    low = least if problem.initial_state == "load" else min(
        build_tiles(problem, finest_tiling(problem, scan=scan)).minimum_capacity()[0] for scan in (False, True)
    )  # fmt: skip
    capacity = data.draw(st.integers(low, 8 * low))
    assert build_tiles(problem, tiling_that_fits(problem, capacity)).minimum_capacity()[0] <= capacity
    with pytest.raises(CapacityError, match=f"the smallest capacity is {least:,} bytes") as caught:
        tiling_that_fits(problem, least - 1)
    assert (caught.value.need_bytes, caught.value.capacity_bytes) == (least, least - 1)


def problem_of(model: str, length: int, form: str = "recurrent") -> Problem:
    return Problem("p", ssmopt.load_model(model), ssmopt.load_hardware("marca"), length, form=form)


@pytest.mark.parametrize(("model", "form"), [("mamba1-2.7b-n64", "recurrent"), ("mamba2-2.7b", "chunked")])
def test_what_need_not_be_cut_stays_whole(model: str, form: str) -> None:
    problem = problem_of(model, 64, form)
    assert count_tiles(problem, tiling_that_fits(problem, 1 << 40)) < 40
    counts = [count_tiles(problem, tiling_that_fits(problem, 1 << exponent)) for exponent in (15, 19, 23)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] < 110_000


def test_long_prompts_get_more_memory_before_they_get_too_many_tiles() -> None:
    problem = problem_of("mamba2-130m", 1024, "chunked")
    least = least_capacity(problem).n_bytes
    capacity, tiling = least_practical_capacity(problem)
    assert least < capacity <= 2 * least
    assert count_tiles(problem, tiling) <= most_tiles(problem) < count_tiles(problem, tiling_that_fits(problem, least))


def test_the_state_before_a_scan_may_raise_the_smallest_capacity_above_the_bound() -> None:
    """One byte per activation and four per state: then the state, read and written, is what needs most."""
    model = Model("small", "mamba", 1, 1, 1, 1, 1, 1)
    problem = Problem(
        "p", model, hardware(core_group()), 3, scope="state-update", initial_state="zero", dtype=Dtype(1, 1, 4)
    )
    needs = {scan: build_tiles(problem, finest_tiling(problem, scan=scan)).minimum_capacity()[0] for scan in (0, 1)}
    least = least_capacity(problem).n_bytes
    assert least <= min(needs.values())
    for capacity in range(least, min(needs.values())):
        with pytest.raises(CapacityError):
            tiling_that_fits(problem, capacity)
    assert least_practical_capacity(problem)[0] <= min(needs.values())


def test_in_a_small_memory_the_choice_is_the_better_of_both() -> None:
    problem = problem_of("mamba-130m", 1)
    capacity = least_capacity(problem).n_bytes
    small = dataclasses.replace(problem, hardware=problem.hardware.override("sram", capacity))
    choice = choose_tiling(small, should_stop=lambda _: True)
    searched, fitted = search_tilings(small, should_stop=lambda _: True), tiling_that_fits(small, capacity)
    instance = build_tiles(small, fitted)
    makespan = decode(instance, *DEPTH_FIRST.plan(instance)).makespan
    assert choice.makespan == min(makespan, searched.makespan)
    assert choice.tiling == (fitted if makespan < searched.makespan else searched.tiling)
