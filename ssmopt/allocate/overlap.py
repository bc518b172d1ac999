"""Whether rectangles of time and space overlap, by a sweep over time."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from ssmopt.csr import IntArray


def first_overlap(start: IntArray, end: IntArray, low: IntArray, high: IntArray) -> tuple[int, int] | None:
    """Two rectangles ``[start, end) x [low, high)`` that overlap, such that none overlap earlier; None if none do.

    Empty rectangles overlap with nothing. The earlier one comes first.
    """
    rows = np.flatnonzero((start < end) & (low < high))
    n = len(rows)
    # At one moment ends come before starts.
    moments = np.concatenate([end[rows], start[rows]])
    kinds = np.repeat(np.array([0, 1]), n)
    low_of, high_of = low[rows].tolist(), high[rows].tolist()
    lows: list[int] = []  # of what is alive, ascending; by then no two overlap, so that the highs ascend as well
    alive: list[int] = []
    for event in np.lexsort((kinds, moments)).tolist():
        box = event % n
        at = bisect_left(lows, low_of[box])
        if event < n:
            del lows[at], alive[at]
            continue
        for other in alive[max(at - 1, 0) : at + 1]:
            if low_of[other] < high_of[box] and low_of[box] < high_of[other]:
                return int(rows[other]), int(rows[box])
        lows.insert(at, low_of[box])
        alive.insert(at, box)
    return None
