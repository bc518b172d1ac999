"""What must come before and after any tile, against the ancestors and descendants of every single point."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import pytest
from campaign import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_problems import core_group, hardware, problems
from workload.elements import WEIGHTS, Block, Element
from workload.elements2 import WHOLE_CHUNKS, Block2, block_of

from ssmopt.bounds.demand import _token_share, after, before, compulsory_bytes
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.workload.graph import problem_graph

Point = tuple[str, tuple[int, ...]]


@dataclass
class Points:
    """Every point of every operator, and the points directly before and after each.

    No tiling cuts the taps of the convolution, nor the chunks of some operators, so that their points have all of them.
    """

    block: Block
    sizes: dict[Point, int]
    reads: dict[Point, list[Element]]
    writes: dict[Point, list[Element]]
    before: dict[Point, set[Point]]
    after: dict[Point, set[Point]]

    @staticmethod
    def of(block: Block, scan: bool) -> Points:
        reads: dict[Point, list[Element]] = {}
        writes: dict[Point, list[Element]] = {}
        writers: dict[Element, set[Point]] = defaultdict(set)
        sizes: dict[Point, int] = {}
        for operator in block.operators(scan):
            dims = block.dims(operator)
            axes = [_together(block, operator, dim, size) for dim, size in dims.items()]
            for ranges in itertools.product(*axes):
                point = operator, tuple(r[0] for r in ranges)
                sizes[point] = prod(len(r) for r in ranges)
                reads[point], writes[point] = _point(block, operator, list(dims), ranges)
                for element in writes[point]:
                    writers[element].add(point)
        earlier = {p: {w for e in elements for w in writers[e]} for p, elements in reads.items()}
        later: dict[Point, set[Point]] = {p: set() for p in reads}
        for point, sources in earlier.items():
            for source in sources:
                later[source].add(point)
        return Points(block, sizes, reads, writes, earlier, later)

    def reach(self, point: Point, steps: dict[Point, set[Point]]) -> set[Point]:
        """The point, and all before (or after) it."""
        found, front = {point}, [point]
        while front:
            new = [p for p in steps[front.pop()] if p not in found]
            found.update(new)
            front += new
        return found

    def volumes(self, points: set[Point]) -> dict[str, int]:
        """Multiply-accumulates or elements of each operator."""
        volumes: dict[str, int] = defaultdict(int)
        for point in points:
            volumes[point[0]] += self.sizes[point]
        return volumes

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


def _together(block: Block, operator: str, dim: str, size: int) -> list[range]:
    """The indices of a dimension that no tiling takes apart."""
    if dim == "W":
        return [range(size)]
    if dim == "L" and isinstance(block, Block2) and block.chunked and operator in WHOLE_CHUNKS:
        return sorted({block.chunk_of(token) for token in range(size)}, key=lambda chunk: chunk[0])
    return [range(i, i + 1) for i in range(size)]


def _point(
    block: Block, operator: str, dims: list[str], ranges: tuple[range, ...]
) -> tuple[list[Element], list[Element]]:
    found = [block.at(operator, dict(zip(dims, index, strict=True))) for index in itertools.product(*ranges)]
    reads, writes = ({e for sides in found for e in sides[side]} for side in (0, 1))
    return sorted(reads), sorted(writes)


def volume(counts: dict[str, int]) -> int:
    result = 1
    for count in counts.values():
        result *= count
    return result


def tiny(length: int, *sizes: int, scope: str = "block", initial_state: str = "load") -> Problem:
    """A problem of L, and D, E, N, R, W."""
    width, inner, state, rank, taps = sizes
    model = Model("small", "mamba", 1, width, inner, state, taps, rank)
    return Problem("small", model, hardware(core_group()), length, scope=scope, initial_state=initial_state)


def tiny2(
    length: int, *sizes: int, form: str = "recurrent", initial_state: str = "load", scope: str = "block", batch: int = 1
) -> Problem:
    """A problem of L, and D, H, P, G, N, W, Q."""
    width, heads, channels, groups, state, taps, chunk = sizes
    model = Model(
        "small", "mamba2", 1, width, heads * channels, state, taps,
        head_dim=channels, n_groups=groups, chunk_size=chunk,
    )  # fmt: skip
    return Problem(
        "small",
        model,
        hardware(core_group()),
        length,
        form=form,
        initial_state=initial_state,
        scope=scope,
        batch=batch,
    )


@settings(max_examples=25, deadline=None)
@given(problems(largest=3, longest=4, batches=(1, 1, 2)), st.booleans())
@example(tiny(3, 2, 3, 2, 2, 3), False)
@example(tiny(3, 2, 3, 2, 2, 3), True)
@example(tiny(1, 2, 3, 2, 2, 4, initial_state="zero"), True)
@example(tiny(3, 2, 3, 2, 2, 4, scope="state-update"), True)
def test_no_point_needs_less_than_the_demand_says(problem: Problem, scan: bool) -> None:
    check_demands(problem, scan)


@settings(max_examples=examples(15), deadline=None)
@given(problems(largest=3, longest=5, family="mamba2", batches=(1, 1, 2)), st.booleans())
@example(tiny2(5, 2, 2, 2, 2, 2, 3, 2, form="chunked"), False)
@example(tiny2(5, 1, 4, 2, 2, 1, 2, 3, form="chunked", initial_state="zero"), False)
@example(tiny2(3, 2, 4, 2, 2, 2, 3, 2), True)
def test_no_point_of_mamba2_needs_less(problem: Problem, scan: bool) -> None:
    check_demands(problem, scan)


def check_demands(problem: Problem, scan: bool) -> None:
    """A tile is at least one point, so what the cheapest point of an operator needs is a bound for all tiles."""
    graph = problem_graph(problem, scan=scan)
    points = Points.of(block_of(problem), scan)
    for operator in graph.operators:
        needed, following = before(graph, operator), after(graph, operator)
        for point in points.reads:
            if point[0] != operator.name:
                continue
            ancestors = points.reach(point, points.before)
            have = points.volumes(ancestors)
            for name, counts in needed.counts.items():
                assert volume(counts) <= have[name], (operator.name, point, name)
            assert needed.moved_bytes <= points.loaded_bytes(ancestors), (operator.name, point)
            descendants = points.reach(point, points.after)
            have = points.volumes(descendants)
            for name, counts in following.counts.items():
                assert volume(counts) <= have[name], (operator.name, point, name)
            assert following.moved_bytes <= points.stored_bytes(descendants), (operator.name, point)


FAMILIES = st.sampled_from(("mamba", "mamba2"))


@settings(max_examples=50, deadline=None)
@given(FAMILIES.flatmap(lambda f: problems(largest=4, longest=5, family=f, batches=(1, 2))), st.booleans())
@example(tiny(1, 2, 3, 2, 2, 4), True)
@example(tiny2(5, 2, 2, 2, 2, 2, 3, 2, form="chunked"), False)
def test_compulsory_bytes_are_those_of_all_points(problem: Problem, scan: bool) -> None:
    points = Points.of(block_of(problem), scan)
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
        have, needed = points.volumes(ancestors), before(graph, operator)
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


def test_mamba2_demands_are_not_needlessly_small() -> None:
    """Any tile of these needs all of its chunk, all channels, or all tokens of a group; nothing of that is left out."""
    graph = problem_graph(tiny2(8, 2, 4, 2, 2, 3, 2, 4, form="chunked"))
    state = {name: volume(counts) for name, counts in before(graph, graph.operator("chunk_state")).counts.items()}
    assert state["cumsum_dA"] == state["mul_dA"] == state["mul_dtx"] == 4  # one head (or channel), four tokens
    assert state["silu_xBC"] == 4
    assert state["in_proj"] == 4 * 2
    diagonal = before(graph, graph.operator("chunk_diag")).counts
    assert volume(diagonal["chunk_CB"]) == 3
    assert volume(diagonal["decay_mask"]) == 1
    scaled = {name: volume(counts) for name, counts in before(graph, graph.operator("norm_scale")).counts.items()}
    assert scaled["norm_square"] == scaled["gate"] == 4  # the channels of a group
    assert scaled["skip_D"] == scaled["mul_mask"] * 2 == 4  # two heads
    product = {name: volume(counts) for name, counts in before(graph, graph.operator("out_proj")).counts.items()}
    assert product["norm_scale"] == 1
    assert product["gate"] == 4
    after_state = {name: volume(counts) for name, counts in after(graph, graph.operator("add_off")).counts.items()}
    assert after_state == {"skip_D": 1, "gate": 1, "norm_square": 1, "norm_scale": 4, "out_proj": 8, "residual": 2}
    mask = {name: volume(counts) for name, counts in after(graph, graph.operator("decay_mask")).counts.items()}
    assert (mask["mul_mask"], mask["chunk_diag"], mask["add_off"]) == (1, 2, 2)


@pytest.mark.parametrize(("length", "chunk"), [(7, 3), (6, 3), (9, 4), (4, 5), (5, 1), (10, 9)])
def test_a_share_of_the_tokens_has_at_least_its_share_of_the_work(length: int, chunk: int) -> None:
    """Whatever tokens they are, and whether a step counts pairs of a chunk, tokens or chunks."""
    graph = problem_graph(tiny2(length, 1, 1, 1, 1, 1, 1, chunk, form="chunked"))
    operator = graph.operator("decay_mask")
    lengths = [min(chunk, length - token // chunk * chunk) for token in range(length)]
    for count in range(1, length + 1):
        share = _token_share(operator, count)
        for tokens in itertools.combinations(range(length), count):
            pairs = Fraction(sum(lengths[t] for t in tokens), sum(lengths))
            chunks = Fraction(len({t // chunk for t in tokens}), len({t // chunk for t in range(length)}))
            assert share <= min(pairs, chunks, Fraction(count, length))
