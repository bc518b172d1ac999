"""What stands behind a share of an operator, against the ancestors of random sets of its points."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_problems import problems
from workload.elements import Block
from workload.elements2 import block_of

from bounds.test_demand import Point, Points, tiny, tiny2
from ssmopt.bounds.shares import Key, is_even, needed_by_all, needed_by_any
from ssmopt.problem import Problem
from ssmopt.workload.graph import problem_graph

FAMILIES = st.sampled_from(("mamba", "mamba2"))


def found(points: Points, operator: str, some: list[Point]) -> dict[Key, int]:
    """Points of each part of each ancestor, and elements from outside, behind a set of points."""
    reached = set().union(*(points.reach(point, points.before) for point in some))
    made = {element for writes in points.writes.values() for element in writes}
    counts: dict[Key, int] = {}
    for point in reached:
        if point[0] != operator:
            for part in {"", *(tensor for tensor, _ in points.writes[point])}:
                key = Key(point[0], part, False)
                counts[key] = counts.get(key, 0) + points.sizes[point]
    elements = {(e, p) for p in reached for e in points.reads[p] if e not in made}
    for tensor in {e[0] for e, _ in elements}:
        counts[Key(tensor, "", True)] = len({e for e, _ in elements if e[0] == tensor})
        for part in {name for _, p in elements for name, _ in points.writes[p]}:
            of_part = {e for e, p in elements if e[0] == tensor and part in {name for name, _ in points.writes[p]}}
            counts[Key(tensor, part, True)] = len(of_part)
    return counts


def check_shares(problem: Problem, scan: bool, seed: int) -> None:
    """Any set of points has at least its share behind it, and a single one at least what any has."""
    graph, rng = problem_graph(problem, scan=scan), random.Random(seed)
    points = Points.of(block_of(problem), scan)
    for operator in graph.operators:
        own = [point for point in points.reads if point[0] == operator.name]
        whole, single = needed_by_all(graph, operator), needed_by_any(graph, operator)
        total = sum(points.sizes[point] for point in own)
        for count in {1, len(own), rng.randint(1, len(own)), rng.randint(1, len(own))}:
            some = rng.sample(own, count)
            have, size = found(points, operator.name, some), sum(points.sizes[point] for point in some)
            for key, needed in whole.items():
                assert needed * size <= have.get(key, 0) * total, (operator.name, key, some)
            for key, needed in single.items():
                assert needed <= have.get(key, 0), (operator.name, key, some)
            for counts in ({key: n * size / total for key, n in whole.items()}, single):
                for name, is_load in {(key.name, key.is_load) for key in counts}:
                    parts = [n for key, n in counts.items() if (key.name, key.is_load) == (name, is_load)]
                    assert sum(parts) <= have[Key(name, "", is_load)] + 1e-9, (operator.name, name)


@settings(max_examples=25, deadline=None)
@given(
    FAMILIES.flatmap(lambda f: problems(largest=3, longest=4, family=f, batches=(1, 1, 2))), st.booleans(), st.randoms()
)
@example(tiny(3, 2, 3, 2, 2, 3), False, random.Random(0))
@example(tiny(3, 2, 3, 2, 2, 3), True, random.Random(1))
@example(tiny(3, 2, 3, 2, 2, 4, scope="state-update"), True, random.Random(2))
@example(tiny2(5, 2, 2, 2, 2, 2, 3, 2, form="chunked"), False, random.Random(3))
@example(tiny2(3, 2, 4, 2, 2, 2, 3, 2), True, random.Random(4))
def test_no_set_of_points_needs_less_than_its_share(problem: Problem, scan: bool, rng: random.Random) -> None:
    check_shares(problem, scan, rng.randint(0, 999))


@pytest.mark.parametrize("scan", [False, True])
def test_shares_are_not_needlessly_small(scan: bool) -> None:
    """Behind all of the gate's inputs stand both halves of in_proj, all of it, and all of the weights."""
    problem = tiny(3, 2, 3, 2, 2, 3, initial_state="zero")
    graph = problem_graph(problem, scan=scan)
    points = Points.of(Block(problem), scan)
    gate = graph.operator("gate")
    have = found(points, "gate", [point for point in points.reads if point[0] == "gate"])
    needed = needed_by_all(graph, gate)
    assert {key.name for key in have} - {key.name for key in needed} == {"b_dt"}  # a bias is not read by every tile
    for key, count in needed.items():
        if key.name not in ("residual", "out_proj"):
            assert count == have[key], key
    assert needed[Key("in_proj", "x_branch", False)] == needed[Key("in_proj", "z", False)] == 3 * 2 * 3
    assert needed[Key("W_in", "x_branch", True)] == needed[Key("W_in", "z", True)] == 2 * 3
    assert needed_by_any(graph, gate)[Key("W_in", "z", True)] == 2


def test_parts_of_uneven_work_are_told_apart() -> None:
    """A bias is added once, and a short last chunk has fewer pairs: such work is not in proportion to its points."""
    graph = problem_graph(tiny(3, 2, 3, 2, 2, 3), scan=True)
    assert [o.name for o in graph.operators if not is_even(o)] == ["dt_proj"]
    ragged = problem_graph(tiny2(5, 2, 2, 2, 2, 2, 3, 2, form="chunked"), scan=False)
    assert not is_even(ragged.operator("decay_mask"))
    assert is_even(ragged.operator("silu_z"))
