"""Intervals and step functions reduced to pixels, so that a picture of many tiles stays small and honest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray

FloatArray = npt.NDArray[np.float64]


def busy_share(start: IntArray, end: IntArray, edges: FloatArray) -> FloatArray:
    """Mean number of intervals that cover each bin.

    Parameters
    ----------
    start, end
        Half-open intervals in cycles.
    edges
        Ascending bin edges in cycles, one more than there are bins.
    """
    return np.diff(_elapsed_since(start, edges) - _elapsed_since(end, edges)) / np.diff(edges)


def _elapsed_since(moments: IntArray, at: FloatArray) -> FloatArray:
    """For each time of ``at``: the sum over earlier moments of the time elapsed since."""
    ordered = np.sort(moments).astype(np.float64)
    totals = np.concatenate([[0.0], np.cumsum(ordered)])
    count = np.searchsorted(ordered, at)
    return np.asarray(count * at - totals[count], dtype=np.float64)


def peak_samples(moments: IntArray, level: IntArray, edges: FloatArray) -> IntArray:
    """For each bin the position of the highest level in it; -1 before the first moment.

    Parameters
    ----------
    moments, level
        A step function: ``level[i]`` holds from ``moments[i]`` to the next moment.
    edges
        Ascending bin edges in cycles.
    """
    first = np.searchsorted(moments, edges[:-1], side="right") - 1
    last = np.maximum(np.searchsorted(moments, edges[1:], side="left"), first + 1)
    # The level in force at the bin's left edge belongs to the bin, too; before the first moment it is 0.
    padded = np.concatenate([[0], level])
    best = np.empty(len(first), dtype=np.int64)
    for i, (low, high) in enumerate(zip((first + 1).tolist(), (last + 1).tolist(), strict=True)):
        best[i] = low + int(np.argmax(padded[low:high])) - 1
    return best
