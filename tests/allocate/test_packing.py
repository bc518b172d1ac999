"""`pack`: every packing is one, small problems are solved to the end, hard ones within their capacity."""

from __future__ import annotations

import random

import numpy as np
import pytest
from campaign import campaign

from allocate.packings import (
    MINIMALLOC_CAPACITY,
    Problem,
    full_rectangle,
    is_packing,
    least_height,
    minimalloc,
    random_problem,
)
from ssmopt.allocate import check_packing, pack
from ssmopt.allocate.buffers import Buffers, arrange
from ssmopt.allocate.canonical import CanonicalSearch
from ssmopt.allocate.greedy import UNPLACED, fit_in_order, orders, skyline
from ssmopt.allocate.outcome import FOUND, IMPOSSIBLE, Budget
from ssmopt.allocate.overlap import first_overlap
from ssmopt.allocate.repair import repair
from ssmopt.allocate.search import place_free
from ssmopt.csr import IntArray
from ssmopt.errors import InputError, SsmoptError


def lowest(buffers: Buffers, order: IntArray) -> IntArray:
    offset = skyline(buffers, order)
    assert offset is not None
    return offset


SMALL = [random_problem(random.Random(seed), 1 + seed % 6, 6, 7) for seed in campaign(60)]


@pytest.mark.parametrize("seed", campaign(30))
def test_least_height_is_found_and_less_is_proved_impossible(seed: int) -> None:
    problem = SMALL[seed]
    height = least_height(problem)
    found = pack(*problem, height)
    assert found.offsets is not None
    assert is_packing(problem, found.offsets, height)
    assert found.height == height
    less = pack(*problem, height - 1)
    assert less.offsets is None
    assert less.impossible
    assert less.height >= height


@pytest.mark.parametrize("seed", campaign(30, 3))
def test_each_search_alone_is_complete(seed: int) -> None:
    problem = SMALL[seed]
    buffers, _ = arrange(*problem)
    height = least_height(problem)
    rows = np.arange(len(buffers))
    for name, order in orders(buffers):
        for capacity, expected in ((height, FOUND), (height - 1, IMPOSSIBLE)):
            outcome, _ = CanonicalSearch(buffers, capacity).run(order, 10**6)
            assert outcome.status == expected, name
            if outcome.offset is not None:
                assert is_packing((buffers.lower, buffers.upper, buffers.size), outcome.offset, capacity)
    free = np.full(len(rows), UNPLACED)
    for tie in (rows, None):
        for capacity, expected in ((height, FOUND), (height - 1, IMPOSSIBLE)):
            outcome = place_free(buffers, rows, tie, capacity, free, Budget(50, 50, None), 50)
            assert outcome.status == expected
            if outcome.offset is not None:
                assert is_packing((buffers.lower, buffers.upper, buffers.size), outcome.offset, capacity)


@pytest.mark.parametrize("seed", range(8))
def test_rules_never_overlap(seed: int) -> None:
    problem = random_problem(random.Random(seed), 120, 60, 30)
    buffers, rows = arrange(*problem)
    problem = problem[0][rows], problem[1][rows], problem[2][rows]
    for _, order in orders(buffers):
        for offsets in (
            lowest(buffers, order),
            *(fit_in_order(buffers, order, tightest=tightest) for tightest in (False, True)),
        ):
            assert is_packing(problem, offsets, 10**9)


@pytest.mark.parametrize("pinwheels", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_small_rectangles_are_filled_without_a_gap(seed: int, pinwheels: bool) -> None:
    problem = full_rectangle(random.Random(seed), 40, 40, 24, pinwheels=pinwheels)
    found = pack(*problem, 40)
    assert found.offsets is not None
    assert is_packing(problem, found.offsets, 40)
    assert found.peak == 40


@pytest.mark.parametrize("seed", [0, 2])
def test_large_rectangles_are_packed_with_slack(seed: int) -> None:
    problem = full_rectangle(random.Random(seed), 3_000, 1_000, 1_500, pinwheels=True)
    found = pack(*problem, 1_150)
    assert found.offsets is not None
    assert is_packing(problem, found.offsets, 1_150)


@pytest.mark.parametrize("name", ["A", "C", "E", "K"])
def test_published_problems(name: str) -> None:
    problem = minimalloc(name)
    found = pack(*problem, MINIMALLOC_CAPACITY)
    assert found.offsets is not None
    assert is_packing(problem, found.offsets, MINIMALLOC_CAPACITY)


def test_the_readme_example_of_minimalloc() -> None:
    problem: Problem = (np.array([0, 3, 0, 9, 0]), np.array([3, 9, 9, 21, 21]), np.array([4] * 5))
    found = pack(*problem, 12)
    assert found.offsets is not None
    assert is_packing(problem, found.offsets, 12)
    assert pack(*problem, 11).impossible


def test_many_buffers_that_a_rule_packs() -> None:
    rng = np.random.default_rng(1)
    lower = np.sort(rng.integers(0, 100_000, 60_000))
    problem: Problem = (lower, lower + rng.integers(1, 60, 60_000), rng.integers(1, 100, 60_000) * 64)
    peak = pack(*problem, 0).peak
    found = pack(*problem, int(peak * 1.2), effort=0)
    assert found.method == "skyline"
    assert found.offsets is not None
    check_packing(*problem, found.offsets, int(peak * 1.2))


def test_repair_brings_in_what_stands_out() -> None:
    problem = full_rectangle(random.Random(5), 300, 120, 60, pinwheels=True)
    buffers, _ = arrange(*problem)
    offset = lowest(buffers, next(iter(orders(buffers)))[1])
    assert int((offset + buffers.size).max()) > 124
    repaired = repair(buffers, 124, offset, Budget(30, 30, None))
    placed = repaired != UNPLACED
    kept = (buffers.lower[placed], buffers.upper[placed], buffers.size[placed])
    assert is_packing(kept, repaired[placed], 124)
    assert placed.sum() > (offset + buffers.size <= 124).sum()


def test_the_same_effort_gives_the_same_packing() -> None:
    problem = full_rectangle(random.Random(11), 60, 60, 40, pinwheels=True)
    first, second = (pack(*problem, 60, effort=5) for _ in range(2))
    assert (first.offsets is None) == (second.offsets is None)
    if first.offsets is not None and second.offsets is not None:
        assert first.offsets.tolist() == second.offsets.tolist()


def test_a_condition_ends_the_search() -> None:
    problem = minimalloc("D")
    assert pack(*problem, MINIMALLOC_CAPACITY, should_stop=lambda: True).method in ("skyline", "fit")
    assert pack(*problem, MINIMALLOC_CAPACITY, time_limit=0.0).offsets is None


def test_edge_cases() -> None:
    none = np.zeros(0, dtype=np.int64)
    nothing = pack(none, none, none, 0)
    assert nothing.offsets is not None
    assert (nothing.height, nothing.peak) == (0, 0)
    empty = pack(np.array([0, 0]), np.array([5, 5]), np.array([0, 3]), 3)
    assert empty.offsets is not None
    assert empty.offsets.tolist() == [0, 0]
    # One ends where the other begins, so that they share their bytes.
    shared = pack(np.array([0, 5]), np.array([5, 9]), np.array([7, 7]), 7)
    assert shared.offsets is not None
    assert shared.offsets.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("lower", "upper", "size", "words"),
    [
        ([0], [0], [1], "must end after it begins"),
        ([0], [1], [-1], "negative size"),
        ([0, 1], [2], [1], "equal length"),
        ([0, 0], [1, 1], [2**62, 2**62], "2\\*\\*62"),
    ],
)
def test_bad_buffers_are_refused(lower: list[int], upper: list[int], size: list[int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        pack(np.array(lower), np.array(upper), np.array(size), 10)


def test_a_negative_capacity_is_refused() -> None:
    with pytest.raises(InputError, match="negative"):
        pack(np.array([0]), np.array([1]), np.array([1]), -1)


@pytest.mark.parametrize("seed", range(40))
def test_the_sweep_finds_the_first_overlap(seed: int) -> None:
    rng = random.Random(seed)
    lower, upper, size = random_problem(rng, 9, 12, 3)
    offset = np.array([rng.randrange(14) for _ in range(9)])
    clashes = [
        max(lower[i], lower[j])
        for i in range(9)
        for j in range(i)
        if lower[i] < upper[j] and lower[j] < upper[i]
        if offset[i] < offset[j] + size[j] and offset[j] < offset[i] + size[i]
    ]
    pair = first_overlap(lower, upper, offset, offset + size)
    if not clashes:
        assert pair is None
    else:
        assert pair is not None
        assert max(lower[list(pair)]) == min(clashes)


def test_a_wrong_packing_is_not_let_through() -> None:
    lower, upper, size = np.array([0, 1]), np.array([2, 3]), np.array([4, 4])
    check_packing(lower, upper, size, np.array([0, 4]), 8)
    with pytest.raises(SsmoptError, match="overlap"):
        check_packing(lower, upper, size, np.array([0, 3]), 8)
    with pytest.raises(SsmoptError, match="outside"):
        check_packing(lower, upper, size, np.array([0, 5]), 8)
