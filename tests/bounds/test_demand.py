"""What must come before and after any tile, against the ancestors and descendants of every single point."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_problems import core_group, hardware, problems
from workload.elements import WEIGHTS, Block, Element

from ssmopt.bounds.demand import after, before, compulsory_bytes
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.workload.graph import problem_graph

Point = tuple[str, tuple[int, ...]]


@dataclass
class Points:
    """Every point of every operator, and the points directly before and after each.

    No tiling cuts the taps of the convolution, so that its points have all of them.
    """

    block: Block
    reads: dict[Point, list[Element]]
    writes: dict[Point, list[Element]]
    before: dict[Point, set[Point]]
    after: dict[Point, set[Point]]

    @staticmethod
    def of(block: Block, scan: bool) -> Points:
        reads: dict[Point, list[Element]] = {}
        writes: dict[Point, list[Element]] = {}
        writers: dict[Element, set[Point]] = defaultdict(set)
        for operator in block.operators(scan):
            dims = block.dims(operator)
            for index in itertools.product(*(range(size) for dim, size in dims.items() if dim != "W")):
                point = operator, index
                reads[point], writes[point] = _point(block, operator, dims, index)
                for element in writes[point]:
                    writers[element].add(point)
        earlier = {p: {w for e in elements for w in writers[e]} for p, elements in reads.items()}
        later: dict[Point, set[Point]] = {p: set() for p in reads}
        for point, sources in earlier.items():
            for source in sources:
                later[source].add(point)
        return Points(block, reads, writes, earlier, later)

    def reach(self, point: Point, steps: dict[Point, set[Point]]) -> set[Point]:
        """The point, and all before (or after) it."""
        found, front = {point}, [point]
        while front:
            new = [p for p in steps[front.pop()] if p not in found]
            found.update(new)
            front += new
        return found

    def is_output(self, element: Element) -> bool:
        tensor, index = element
        return self.block.kind(tensor, index, produced=True) == "output"

    def loaded_bytes(self, points: set[Point]) -> int:
        """Bytes that have to be loaded for a set of points."""
        elements = {e for p in points for e in self.reads[p]} - {e for p in self.reads for e in self.writes[p]}
        return sum(self.block.element_bytes(tensor) for tensor, _ in elements)

    def stored_bytes(self, points: set[Point]) -> int:
        """Bytes that have to be stored because of a set of points."""
        elements = {e for p in points for e in self.writes[p] if self.is_output(e)}
        return sum(self.block.element_bytes(tensor) for tensor, _ in elements)


def _point(
    block: Block, operator: str, dims: dict[str, int], index: tuple[int, ...]
) -> tuple[list[Element], list[Element]]:
    if "W" not in dims:
        return block.points(operator, dict(zip(dims, index, strict=True)))
    taps = [block.points(operator, dict(zip(dims, (*index, w), strict=True))) for w in range(dims["W"])]
    return sorted({e for reads, _ in taps for e in reads}), taps[0][1]


def volume(counts: dict[str, int]) -> int:
    result = 1
    for count in counts.values():
        result *= count
    return result


def sizes_of(points: set[Point], taps: int) -> dict[str, int]:
    """Multiply-accumulates or elements of each operator."""
    sizes: dict[str, int] = defaultdict(int)
    for operator, _ in points:
        sizes[operator] += taps if operator == "conv1d" else 1
    return sizes


def tiny(length: int, *sizes: int, scope: str = "block", initial_state: str = "load") -> Problem:
    """A problem of L, and D, E, N, R, W."""
    width, inner, state, rank, taps = sizes
    model = Model("small", "mamba", 1, width, inner, state, taps, rank)
    return Problem("small", model, hardware(core_group()), length, scope=scope, initial_state=initial_state)


@settings(max_examples=25, deadline=None)
@given(problems(largest=3, longest=4), st.booleans())
@example(tiny(3, 2, 3, 2, 2, 3), False)
@example(tiny(3, 2, 3, 2, 2, 3), True)
@example(tiny(1, 2, 3, 2, 2, 4, initial_state="zero"), True)
@example(tiny(3, 2, 3, 2, 2, 4, scope="state-update"), True)
def test_no_point_needs_less_than_the_demand_says(problem: Problem, scan: bool) -> None:
    """A tile is at least one point, so what the cheapest point of an operator needs is a bound for all tiles."""
    graph = problem_graph(problem, scan=scan)
    points = Points.of(Block(problem), scan)
    for operator in graph.operators:
        needed, following = before(graph, operator), after(graph, operator)
        for point in points.reads:
            if point[0] != operator.name:
                continue
            ancestors = points.reach(point, points.before)
            have = sizes_of(ancestors, problem.model.d_conv)
            for name, counts in needed.counts.items():
                assert volume(counts) <= have[name], (operator.name, point, name)
            assert needed.moved_bytes <= points.loaded_bytes(ancestors), (operator.name, point)
            descendants = points.reach(point, points.after)
            have = sizes_of(descendants, problem.model.d_conv)
            for name, counts in following.counts.items():
                assert volume(counts) <= have[name], (operator.name, point, name)
            assert following.moved_bytes <= points.stored_bytes(descendants), (operator.name, point)


@settings(max_examples=25, deadline=None)
@given(problems(largest=4, longest=5), st.booleans())
@example(tiny(1, 2, 3, 2, 2, 4), True)
def test_compulsory_bytes_are_those_of_all_points(problem: Problem, scan: bool) -> None:
    points = Points.of(Block(problem), scan)
    everything = set(points.reads)
    stored = points.stored_bytes(everything)
    assert compulsory_bytes(problem_graph(problem, scan=scan)) == (points.loaded_bytes(everything), stored)


@pytest.mark.parametrize("scan", [False, True])
def test_demands_are_not_needlessly_small(scan: bool) -> None:
    """From the first token's points: what they need is found in full, up to the state and the columns from before."""
    problem = tiny(3, 2, 3, 2, 2, 3, initial_state="zero")
    graph = problem_graph(problem, scan=scan)
    points = Points.of(Block(problem), scan)
    for operator in graph.operators:
        first = min(point for point in points.reads if point[0] == operator.name)
        ancestors = points.reach(first, points.before)
        have, needed = sizes_of(ancestors, 3), before(graph, operator)
        shared = {name: volume(counts) for name, counts in needed.counts.items()}
        # The two halves of in_proj, and the three parts of x_proj, are not added up.
        exact = {name for name in have if name not in ("in_proj", "x_proj", operator.name)}
        assert {n: shared[n] for n in exact} == {n: have[n] for n in exact}, operator.name
        if operator.name not in ("rms_norm", "in_proj") and graph.operators.index(operator) <= 10:
            weights = {e for p in ancestors for e in points.reads[p] if e[0] in WEIGHTS}
            assert needed.moved_bytes >= 4 * (len(weights) - have["in_proj"] - have["x_proj"])


def test_what_follows_the_state_is_the_rest_of_its_token() -> None:
    """After any tile of the recurrence: a row of out_proj for its channel, a row of residual, and its store."""
    for scan in (False, True):
        graph = problem_graph(tiny(3, 4, 3, 2, 2, 3), scan=scan)
        demand = after(graph, graph.operator("scan" if scan else "mul_hC"))
        assert {name: volume(counts) for name, counts in demand.counts.items()} == {
            "skip_D": 1, "gate": 1, "out_proj": 4, "residual": 4
        }  # fmt: skip
        assert demand.moved_bytes == 4 * 4
