"""Work that has to wait: no schedule and no proved optimum beats the bound where it is the largest."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from small_problems import ONE_EACH, core_group, hardware, problems, tilings

import ssmopt
from bounds.test_untiled import check_against
from ssmopt.bounds import best, lower_bounds
from ssmopt.bounds.waiting import Resource, Waiting
from ssmopt.cpsat import solve_exact
from ssmopt.decode import decode
from ssmopt.hardware import Channel, Hardware
from ssmopt.model import Model
from ssmopt.problem import Dtype, Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.tiles import build_tiles, count_tiles


def narrow(bandwidth: int, array: int, lanes: int = 1) -> Hardware:
    """An array for matrix products and a narrow core for everything else, without overhead."""
    groups = [
        core_group("array", array, array, 1, ("gemm",), 0, ONE_EACH),
        core_group("vector", lanes, 1, 1, ("depthwise", "elementwise", "reduction"), 0, ONE_EACH),
    ]
    return hardware(*groups, channels=(Channel("dma", bandwidth, ("dram", "sram")),))


@st.composite
def machines_with_a_narrow_core(draw: st.DrawFn) -> Hardware:
    """Bandwidths and arrays that keep the narrow core waiting, or not quite."""
    sizes = st.sampled_from((1, 1, 2, 3))
    return narrow(draw(st.sampled_from((2, 4, 8, 16))), draw(sizes), draw(sizes))


@settings(max_examples=25, deadline=None, suppress_health_check=(HealthCheck.filter_too_much, HealthCheck.too_slow))
@given(st.data())
def test_no_schedule_beats_the_bound_where_a_narrow_core_waits(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(("mamba", "mamba", "mamba2")))
    machine = machines_with_a_narrow_core()
    problem = data.draw(problems(largest=5, longest=5, on=machine, family=family, batches=(1, 1, 2)))
    tiling = data.draw(tilings(problem))
    assume(count_tiles(problem, tiling) <= 400)
    check_against(problem, tiling)
    if problem.scope == "block" and problem.seq_len < 3:
        layers = dataclasses.replace(problem, model=dataclasses.replace(problem.model, layers=2), layers=2)
        check_against(layers, tiling)


@pytest.mark.parametrize(
    ("width", "inner", "state", "length", "bandwidth"),
    [(1, 2, 1, 3, 4), (1, 2, 3, 3, 4), (2, 2, 1, 3, 4), (3, 2, 3, 3, 4)],
)
@pytest.mark.parametrize("array", [1, 2])
def test_no_schedule_of_the_exact_model_beats_the_bound_where_it_is_the_largest(
    width: int, inner: int, state: int, length: int, bandwidth: int, array: int
) -> None:
    """Heavy weights and tiles of single elements, so that little but the bound's own reasons is left."""
    model, weights = Model("m", "mamba", 1, width, inner, state, 1, 1), Dtype(16, 1, 1)
    problem = Problem("p", model, narrow(bandwidth, array), length, dtype=weights)
    bound = best(lower_bounds(problem))
    assert "what cannot come before" in bound.reason
    instance = build_tiles(problem, Tiling(tokens=1, scan=True, channel_splits=model.d_inner))
    start = decode(instance, instance.topological_order)
    outcome = solve_exact(instance, start, instance_bound=0, time_limit=60, workers=1, seed=0, deterministic_limit=0.2)
    assert outcome.schedule is not None
    assert bound.cycles <= outcome.schedule.makespan


def test_of_the_reference_on_two_kinds_of_core_half_of_what_the_array_makes_early_is_not_worth_it() -> None:
    """By hand, on array-vector. Loads before softplus: 139,573 cycles. In those the array projects 43.6 tokens of 64.

    So, of the convolution and its silu, 640 cycles per token, the other tokens wait or delay softplus by five times as
    much; and so does silu_z, 20,480 cycles, whose weights take 131,072 cycles to load.
    """
    problem = Problem("p", ssmopt.load_model("mamba1-2.7b-n64"), ssmopt.load_hardware("array-vector"), 64)
    bound = best(lower_bounds(problem))
    assert bound.reason == "release of softplus, then work of vector and what cannot come before, then its tail"
    loads = Fraction(139_573)
    by_hand = loads + 3_315_200 + 20_480 + (64 - loads / 3_200) * 640
    assert abs(bound.cycles - by_hand) < 1_500


def test_without_limits_nothing_has_to_wait() -> None:
    """Fast channels and an array that takes no time: all else can come before, and only work is left."""
    machine = narrow(10**9, 64)
    problem = Problem("p", Model("m", "mamba", 1, 2, 3, 2, 2, 1), machine, 4)
    graph = problem_graph(problem, scan=True)
    operators = [o for o in graph.operators if o.kernel != "gemm"]
    waiting = Waiting(graph, operators, [Resource({}, is_load=True)])
    work = {o.name: Fraction(10) for o in operators}
    names = list(work)
    assert waiting.least(work, names[3:], Fraction(7), Fraction(0)) == 10 * len(names)
    assert waiting.least(work, names[1:], Fraction(25), Fraction(0)) == 25 + 10 * (len(names) - 1)
