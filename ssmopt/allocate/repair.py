"""Repair of a packing that is nearly one: a few buffers stand out, and what surrounds them is packed afresh."""

from __future__ import annotations

import numpy as np

from ssmopt.allocate.buffers import Buffers
from ssmopt.allocate.greedy import UNPLACED, lowest_gap
from ssmopt.allocate.outcome import Budget
from ssmopt.allocate.search import place_free
from ssmopt.csr import IntArray

MOST_OUTSIDE = 100
"""With more buffers outside than this there is no hope."""

_FIRST_WINDOW = 40
_LAST_WINDOW = 1_300
"""Buffers that are packed afresh at first, and at most; each attempt at a place doubles their number."""

_EFFORT_PER_WINDOW = 1.0


def repair(buffers: Buffers, capacity: int, offset: IntArray, budget: Budget) -> IntArray:
    """Bring buffers that stick out into the capacity.

    Parameters
    ----------
    buffers, capacity
        What is packed, and into how many bytes.
    offset
        Shape (buffers,): offsets without an overlap, some of them too high.
    budget
        What the repair may cost.

    Returns
    -------
    IntArray
        Offsets without an overlap, ``UNPLACED`` where no place was found.
    """
    offset = offset.copy()
    outside = np.flatnonzero(offset + buffers.size > capacity)
    if len(outside) > MOST_OUTSIDE:
        return offset
    offset[outside] = UNPLACED
    for row in outside[np.argsort(-buffers.size[outside], kind="stable")].tolist():
        offset[row] = _gap_for(buffers, row, capacity, offset)
    window = dict.fromkeys(np.flatnonzero(offset == UNPLACED).tolist(), _FIRST_WINDOW)
    while window and not budget.spent():
        row = min(window, key=lambda r: (window[r], r))
        if window[row] > _LAST_WINDOW:
            break
        free = _surroundings(buffers, row, offset, window[row])
        life = buffers.upper[free] - buffers.lower[free]
        order = free[np.lexsort((-buffers.size[free], -buffers.size[free].astype(np.float64) * life))]
        outcome = place_free(buffers, free, order, capacity, offset, budget, _EFFORT_PER_WINDOW)
        if outcome.offset is not None:
            offset[free] = outcome.offset
            del window[row]
        else:
            window[row] *= 2
    return offset


def _gap_for(buffers: Buffers, row: int, capacity: int, offset: IntArray) -> int:
    beside = np.flatnonzero(
        (buffers.lower < buffers.upper[row]) & (buffers.upper > buffers.lower[row]) & (offset != UNPLACED)
    )
    low = offset[beside]
    return lowest_gap(low, low + buffers.size[beside], int(buffers.size[row]), capacity, tightest=True)


def _surroundings(buffers: Buffers, row: int, offset: IntArray, count: int) -> IntArray:
    """The buffer and those ``count`` placed ones beside it that live shortest: moving them disturbs the fewest."""
    beside = np.flatnonzero(
        (buffers.lower < buffers.upper[row]) & (buffers.upper > buffers.lower[row]) & (offset != UNPLACED)
    )
    life = buffers.upper[beside] - buffers.lower[beside]
    near = beside[np.argsort(life, kind="stable")][:count]
    return np.sort(np.append(near, row))
