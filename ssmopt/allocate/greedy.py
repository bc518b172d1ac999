"""Packings by rule: one buffer after another, never moved again."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import count

import numpy as np

from ssmopt.allocate.buffers import Buffers
from ssmopt.csr import IntArray

UNPLACED = -1

_STEPS = 16_384
"""Steps between two looks at the clock."""

_LONG_SHARE = 16
"""Buffers that live for more than one part in this many of all sections are looked at one by one."""


def orders(buffers: Buffers) -> Iterator[tuple[str, IntArray]]:
    """Orders in which to place buffers, by name; those that succeed most often come first."""
    size, life = buffers.size, buffers.upper - buffers.lower
    area = size.astype(np.float64) * life
    yield "area", np.lexsort((-size, -area))
    yield "size", np.lexsort((-life, -size))
    contested = buffers.peak_while_alive()
    yield "contested-life", np.lexsort((-size, -life, -contested))
    yield "life", np.lexsort((-size, -life))
    yield "contested-area", np.lexsort((-area, -contested))


def skyline(buffers: Buffers, order: IntArray, stopped: Callable[[], bool] | None = None) -> IntArray | None:
    """Place, again and again, the buffer that can lie lowest on those below it; ties go by ``order``.

    Nothing is put below what lies already, so that every packing found is one in which buffers come by ascending
    offset; some packing of least height is of that kind.

    Returns
    -------
    IntArray
        Shape (buffers,): offsets in bytes; None if ``stopped``, which is asked now and then, ended it.
    """
    n = len(buffers)
    near = _Neighbours(buffers)
    ranked = order.tolist()
    sizes = buffers.size.tolist()
    floor = np.zeros(n, dtype=np.int64)  # of buffers that are not placed yet; afterwards meaningless
    offset = np.zeros(n, dtype=np.int64)
    queue = list(range(n))  # floor * n + rank; a floor may have risen since
    replace, read = heapq.heapreplace, floor.item
    for step in count(1):
        if not queue:
            break
        if step % _STEPS == 0 and stopped is not None and stopped():
            return None
        key = queue[0]
        rank = key % n
        row = ranked[rank]
        lowest = read(row)
        risen = lowest * n + rank
        if risen > key:
            replace(queue, risen)
            continue
        heapq.heappop(queue)
        offset[row] = lowest
        near.raise_floor(floor, row, lowest + sizes[row])
    return offset


def fit_in_order(buffers: Buffers, order: IntArray, *, tightest: bool) -> IntArray:
    """Place buffers in the given order, each into the lowest gap that takes it, or the tightest one.

    Returns
    -------
    IntArray
        Shape (buffers,): offsets in bytes.
    """
    offset = np.full(len(buffers), UNPLACED, dtype=np.int64)
    lower, upper, low, high = (np.empty(len(buffers), dtype=np.int64) for _ in range(4))
    for placed, row in enumerate(order.tolist()):
        beside = np.flatnonzero((lower[:placed] < buffers.upper[row]) & (upper[:placed] > buffers.lower[row]))
        start = lowest_gap(low[beside], high[beside], int(buffers.size[row]), None, tightest=tightest)
        lower[placed], upper[placed] = buffers.lower[row], buffers.upper[row]
        low[placed], high[placed] = start, start + buffers.size[row]
        offset[row] = start
    return offset


def lowest_gap(low: IntArray, high: IntArray, size: int, capacity: int | None, *, tightest: bool) -> int:
    """Offset of the lowest (or the tightest) gap of at least ``size`` bytes between the ranges ``[low, high)``.

    Without a capacity there is room without end above the ranges; with one, ``UNPLACED`` when nothing is free.
    """
    order = np.argsort(low, kind="stable")
    top = np.maximum.accumulate(high[order]) if len(order) else high
    begin = np.concatenate([[0], top])
    gap = np.concatenate([low[order], [np.iinfo(np.int64).max if capacity is None else capacity]]) - begin
    fits = np.flatnonzero(gap >= size)
    if not len(fits):
        return UNPLACED
    return int(begin[fits[np.argmin(gap[fits])] if tightest else fits[0]])


class _Neighbours:
    """Which buffers live at the same time as a given one, without listing all pairs.

    Rows ascend by ``lower``. What begins during a buffer is a range of rows. What began before and is still alive is
    found in a short range of rows, too, once the few buffers that live long are set aside.
    """

    def __init__(self, buffers: Buffers) -> None:
        n = len(buffers)
        self.lower = buffers.lower
        self.after = np.searchsorted(buffers.lower, buffers.upper, side="left").tolist()
        life = buffers.upper - buffers.lower
        is_long = life > max(len(buffers.live) // _LONG_SHARE, 1)
        self.long = np.flatnonzero(is_long)
        self.long_upper = buffers.upper[self.long]
        self.long_before = np.searchsorted(self.long, np.arange(n)).tolist()
        self.upper = np.where(is_long, 0, buffers.upper)  # as if dead: found among the long ones instead
        reach = np.maximum.accumulate(self.upper)
        self.before = np.searchsorted(reach, buffers.lower, side="right").tolist()
        self.starts = buffers.lower.tolist()

    def raise_floor(self, floor: IntArray, row: int, top: int) -> None:
        """Lift the floor of everything that lives together with ``row`` to at least ``top``."""
        ahead = floor[row + 1 : self.after[row]]
        np.maximum(ahead, top, out=ahead)
        start = self.starts[row]
        first = self.before[row]
        if first < row:
            behind = floor[first:row]
            np.maximum(behind, top, out=behind, where=self.upper[first:row] > start)
        known = self.long_before[row]
        if known:
            rows = self.long[:known][self.long_upper[:known] > start]
            floor[rows] = np.maximum(floor[rows], top)
