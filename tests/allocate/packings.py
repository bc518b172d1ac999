"""Packing problems for the tests: random ones, ones cut from full rectangles, published ones, and what is true of them.

A problem is a tuple of lower ends, upper ends and sizes.
"""

from __future__ import annotations

import random
from itertools import permutations
from pathlib import Path

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.files.buffers import read_buffers

DATA = Path(__file__).parent.parent / "data" / "minimalloc"
MINIMALLOC_CAPACITY = 1_048_576

Problem = tuple[IntArray, IntArray, IntArray]
Box = tuple[int, int, int, int]


def minimalloc(name: str) -> Problem:
    table = read_buffers(DATA / f"{name}.{MINIMALLOC_CAPACITY}.csv")
    return table.lower, table.upper, table.size


def random_problem(rng: random.Random, count: int, span: int, largest: int) -> Problem:
    lower = [rng.randrange(span) for _ in range(count)]
    upper = [rng.randint(low + 1, span) for low in lower]
    size = [rng.randint(1, largest) for _ in range(count)]
    return np.array(lower, dtype=np.int64), np.array(upper, dtype=np.int64), np.array(size, dtype=np.int64)


def full_rectangle(rng: random.Random, width: int, height: int, pieces: int, *, pinwheels: bool) -> Problem:
    """A rectangle of time and space cut into pieces: they can be packed into exactly that height, without a gap.

    Cuts go all the way through a piece; with ``pinwheels`` some cut it into five instead, which cannot be undone by
    cuts that go all the way through.
    """
    boxes: list[Box] = [(0, width, 0, height)]
    for _ in range(100 * pieces):
        if len(boxes) >= pieces:
            break
        place = rng.randrange(len(boxes))
        left, right, low, high = boxes[place]
        if pinwheels and right - left > 3 and high - low > 3 and rng.random() < 0.6:
            a, b = sorted(rng.sample(range(left + 1, right), 2))
            c, d = sorted(rng.sample(range(low + 1, high), 2))
            boxes[place : place + 1] = [
                (left, b, low, c), (b, right, low, d), (a, right, d, high), (left, a, c, high), (a, b, c, d),
            ]  # fmt: skip
        elif rng.random() < 0.5 and right - left > 1:
            cut = rng.randrange(left + 1, right)
            boxes[place : place + 1] = [(left, cut, low, high), (cut, right, low, high)]
        elif high - low > 1:
            cut = rng.randrange(low + 1, high)
            boxes[place : place + 1] = [(left, right, low, cut), (left, right, cut, high)]
    rng.shuffle(boxes)
    table = np.array(boxes, dtype=np.int64)
    return table[:, 0], table[:, 1], table[:, 3] - table[:, 2]


def least_height(problem: Problem) -> int:
    """The smallest height of any packing, by trying every order from the bottom up."""
    lower, upper, size = (column.tolist() for column in problem)
    best = sum(size)
    for order in permutations(range(len(size))):
        tops: list[tuple[int, int]] = []
        for i in order:
            under = [top for j, top in tops if lower[j] < upper[i] and lower[i] < upper[j]]
            tops.append((i, max(under, default=0) + size[i]))
            if tops[-1][1] >= best:
                break
        else:
            best = max(top for _, top in tops)
    return best


def is_packing(problem: Problem, offsets: IntArray, capacity: int) -> bool:
    """Pair by pair, from the definition."""
    lower, upper, size = problem
    if not ((offsets >= 0) & (offsets + size <= capacity))[size > 0].all():
        return False
    in_time = (lower[:, None] < upper) & (lower < upper[:, None])
    in_space = (offsets[:, None] < offsets + size) & (offsets < (offsets + size)[:, None])
    clash = in_time & in_space & (size > 0) & (size > 0)[:, None]
    np.fill_diagonal(clash, False)
    return not clash.any()
