"""Work that has to wait: no schedule and no proved optimum beats the bound where it is the largest."""

from __future__ import annotations

import dataclasses
import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ortools.graph.python.max_flow import SimpleMaxFlow
from small_problems import ONE_EACH, core_group, hardware, problems, tilings
from workload.elements import Element
from workload.elements2 import block_of

import ssmopt
from bounds.test_demand import Point, Points, tiny, tiny2
from bounds.test_untiled import check_against
from ssmopt.bounds import best, lower_bounds
from ssmopt.bounds.shares import is_even
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


@pytest.mark.parametrize(
    "tiling", [Tiling(tokens=1, scan=True), Tiling(tokens=3), Tiling(tokens=3, state_tokens=3, scan=True)]
)
def test_no_proved_optimum_beats_the_bound_where_it_is_the_largest(tiling: Tiling) -> None:
    problem = Problem("p", Model("m", "mamba", 1, 1, 2, 1, 1, 1), narrow(4, 1), 3, dtype=Dtype(16, 1, 1))
    bound = best(lower_bounds(problem))
    assert "what cannot come before" in bound.reason
    instance = build_tiles(problem, tiling)
    start = decode(instance, instance.topological_order)
    outcome = solve_exact(instance, start, instance_bound=0, time_limit=600, workers=1, seed=0, deterministic_limit=2)
    assert outcome.proved_optimal
    assert outcome.schedule is not None
    assert bound.cycles <= outcome.bound == outcome.schedule.makespan


@dataclasses.dataclass(frozen=True)
class Before:
    """What may have been started before the first tile of a released operator, point by point.

    Attributes
    ----------
    points
        The points of all operators.
    released
        Operators none of which has started.
    early
        Cycles of each point of the class's other operators, spread over its cores.
    taken
        Per resource: cycles of each point, or of each element from outside, that it takes.
    """

    points: Points
    released: set[str]
    early: dict[Point, Fraction]
    taken: list[dict[Point | Element, Fraction]]

    def cheapest(self, first: Point, weights: list[Fraction]) -> set[Point | Element]:
        """The set, closed under what its points need, of the least weighted cost: a smallest cut of a network.

        ``weights`` are those of the resources and then of the class itself. Work of the class that is not in the set
        costs as much as it takes. All that ``first`` needs is in the set.
        """
        numbers: dict[Point | Element, int] = {}
        arcs: list[tuple[int, int, Fraction | None]] = []

        def number(item: Point | Element) -> int:
            return numbers.setdefault(item, len(numbers) + 2)

        for item in dict.fromkeys(item for taken in self.taken for item in taken):
            price = sum((w * t[item] for w, t in zip(weights, self.taken, strict=False) if item in t), Fraction(0))
            arcs.append((number(item), 1, price))
        for point, cycles in self.early.items():
            arcs.append((0, number(point), (1 - weights[-1]) * cycles))
        for point, sources in self.points.before.items():
            origin = 0 if point == first else number(point)
            if point[0] in self.released and point != first:
                arcs.append((origin, 1, None))
            arcs += [(origin, number(other), None) for other in (*sources, *self.points.reads[point])]
        scale = math.lcm(*(capacity.denominator for *_, capacity in arcs if capacity is not None))
        flow = SimpleMaxFlow()
        sides = np.array([(source, target) for source, target, _ in arcs])
        capacities = [10**15 if capacity is None else int(capacity * scale) for *_, capacity in arcs]
        flow.add_arcs_with_capacity(sides[:, 0], sides[:, 1], np.array(capacities, dtype=np.int64))
        assert flow.solve(0, 1) == flow.OPTIMAL
        assert flow.optimal_flow() < 10**15
        inside = set(flow.get_source_side_min_cut())
        return {item for item, position in numbers.items() if position in inside}

    def cycles(self, done: set[Point | Element], release: Fraction) -> Fraction:
        """The least time of the first released tile, plus the work of the class that is left, if this is done."""
        of_class = sum((cycles for point, cycles in self.early.items() if point in done), Fraction(0))
        used = [sum((c for item, c in taken.items() if item in done), Fraction(0)) for taken in self.taken]
        return max(release, of_class, *used) + sum(self.early.values()) - of_class


def check_waiting(problem: Problem, scan: bool, rng: random.Random) -> list[Fraction]:
    """Random costs: no closed set of points is done so soon, and leaves so little, as to beat what is claimed.

    Returns the part of the best set's cycles that is claimed, per case.
    """
    graph, points = problem_graph(problem, scan=scan), Points.of(block_of(problem), scan)
    kernels = rng.choice((("gemm",), ("gemm", "depthwise"), ("gemm", "reduction"), ("elementwise",)))
    own = [o for o in graph.operators if o.kernel not in kernels]
    other = [o for o in graph.operators if o.kernel in kernels]
    made = {element for writes in points.writes.values() for element in writes}
    outside = {element for reads in points.reads.values() for element in reads} - made
    load = {t: Fraction(rng.choice((1, 1, 2, 9)), rng.choice((1, 4))) for t in sorted({e[0] for e in outside})}
    other_costs = {o.name: Fraction(rng.choice((1, 2, 9)), rng.choice((1, 3))) for o in other if is_even(o)}
    waiting = Waiting(graph, own, [Resource(load, is_load=True), Resource(other_costs, is_load=False)])
    taken: list[dict[Point | Element, Fraction]] = [
        {element: load[element[0]] for element in sorted(outside)},
        {p: other_costs[p[0]] * size for p, size in points.sizes.items() if p[0] in other_costs},
    ]
    work, early = {}, {}
    for operator in own:
        per_index = Fraction(rng.choice((1, 1, 4)), rng.choice((1, 2)))
        early |= {p: per_index * size for p, size in points.sizes.items() if p[0] == operator.name}
        work[operator.name] = sum((c for p, c in early.items() if p[0] == operator.name), Fraction(0))
    claims = []
    for position in rng.sample(range(1, len(own)), min(4, len(own) - 1)):
        released = [operator.name for operator in own[position:]]
        certain = sum(work[name] for name in released)
        release = Fraction(rng.choice((0, 1, 20)))
        claimed = waiting.least(work, released, release, Fraction(0))
        late = set(released)
        before = Before(points, late, {p: c for p, c in early.items() if p[0] not in late}, taken)
        firsts = [p for p in points.reads if p[0] in late and not any(q[0] in late for q in points.before[p])]
        firsts = [p for p in firsts if not any(q[0] in late for q in points.reach(p, points.before) - {p})]
        found = []
        for first in (firsts[0], rng.choice(firsts)):
            for parts in [
                (24, 0, 0),
                (0, 24, 0),
                (0, 0, 24),
                *([rng.randint(0, 12), rng.randint(0, 12), 0] for _ in "abc"),
            ]:
                weights = [Fraction(parts[0], 24), Fraction(parts[1], 24), Fraction(parts[2], 24)]
                found.append(before.cycles(before.cheapest(first, weights), release) + certain)
        assert claimed <= min(found), (released, kernels)
        claims.append(claimed / min(found))
    return claims


@settings(max_examples=12, deadline=None, suppress_health_check=(HealthCheck.filter_too_much, HealthCheck.too_slow))
@given(
    st.sampled_from(("mamba", "mamba", "mamba2")).flatmap(
        lambda f: problems(largest=2 if f == "mamba2" else 3, longest=4, family=f, batches=(1, 1, 2))
    ),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_nothing_that_could_be_done_before_beats_the_least(problem: Problem, scan: bool, rng: random.Random) -> None:
    """Against the cheapest sets of points, element by element, that are closed under what they need."""
    assume(problem.batch * problem.seq_len * problem.model.d_inner * problem.model.d_model <= 36)
    check_waiting(problem, scan, rng)


def test_the_least_is_about_reached_by_some_set_of_points() -> None:
    rng = random.Random(1)
    block = [tiny(3, 2, 2, 1, 1, 2), tiny2(2, 2, 2, 1, 1, 1, 2, 1), tiny(4, 1, 2, 2, 1, 1, initial_state="zero")]
    claims = [claim for problem in block for scan in (False, True) for claim in check_waiting(problem, scan, rng)]
    assert max(claims) == 1
    assert sorted(claims)[len(claims) // 2] > Fraction(4, 5)


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
