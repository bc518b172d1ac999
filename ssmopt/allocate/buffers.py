"""What is packed: buffers with a lifetime and a size, by sections of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.errors import InputError

_LARGEST = 2**62
"""Sizes together stay below this, so that no sum overflows."""


@dataclass(frozen=True, eq=False)
class Buffers:
    """Buffers of positive size, ascending by the section of time in which they begin.

    Time is cut at every start and end; only the order of these matters for a packing, so ``lower`` and ``upper``
    count sections.

    Attributes
    ----------
    lower, upper
        Shape (buffers,): the half-open range of sections in which each buffer is alive.
    size
        Shape (buffers,): bytes.
    live
        Shape (sections,): bytes alive in each section.
    """

    lower: IntArray
    upper: IntArray
    size: IntArray
    live: IntArray

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def peak(self) -> int:
        """Most bytes alive at once: no packing is lower."""
        return int(self.live.max(initial=0))

    def take(self, rows: IntArray) -> Buffers:
        """Some of the buffers, with sections of their own; ``rows`` ascend."""
        return _by_section(self.lower[rows], self.upper[rows], self.size[rows])

    def components(self) -> list[IntArray]:
        """Rows of the buffers between moments at which nothing is alive: each group can be packed alone."""
        ends = np.maximum.accumulate(self.upper)
        fresh = np.flatnonzero(self.lower[1:] >= ends[:-1]) + 1
        return np.split(np.arange(len(self), dtype=np.int64), fresh)

    def peak_while_alive(self) -> IntArray:
        """Per buffer: most bytes alive at once during its lifetime."""
        tables, width = [self.live], 1
        while 2 * width <= len(self.live):
            before = tables[-1]
            tables.append(np.maximum(before[:-width], before[width:]))
            width *= 2
        power = np.log2(self.upper - self.lower).astype(np.int64)
        peak = np.zeros(len(self), dtype=np.int64)
        for k, table in enumerate(tables):
            mine = power == k
            peak[mine] = np.maximum(table[self.lower[mine]], table[self.upper[mine] - (1 << k)])
        return peak


def arrange(lower: IntArray, upper: IntArray, size: IntArray) -> tuple[Buffers, IntArray]:
    """Buffers from lifetimes and sizes.

    Parameters
    ----------
    lower, upper
        Shape (n,): half-open lifetimes in any unit.
    size
        Shape (n,): bytes, not negative.

    Returns
    -------
    buffers
        Those with bytes.
    rows
        For each of them its position among what was given.

    Raises
    ------
    InputError
        The columns differ in length, a lifetime is empty, or a size is negative or too large.
    """
    lower, upper, size = (np.asarray(column, dtype=np.int64) for column in (lower, upper, size))
    if not lower.shape == upper.shape == size.shape or lower.ndim != 1:
        raise InputError("lifetimes and sizes must be columns of equal length")
    for bad, text in ((upper <= lower, "must end after it begins"), (size < 0, "must not have a negative size")):
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(f"buffer {row} ({size[row]} bytes over [{lower[row]}, {upper[row]})) {text}")
    if len(size) and int(size.max()) > _LARGEST // len(size):
        raise InputError(f"the sizes of {len(size)} buffers add up to more than 2**62 bytes")
    rows = np.flatnonzero(size > 0)
    rows = rows[np.lexsort((upper[rows], lower[rows]))]
    return _by_section(lower[rows], upper[rows], size[rows]), rows


def _by_section(lower: IntArray, upper: IntArray, size: IntArray) -> Buffers:
    moments = np.unique(np.concatenate([lower, upper]))
    first, last = np.searchsorted(moments, lower), np.searchsorted(moments, upper)
    change = np.zeros(len(moments), dtype=np.int64)
    np.add.at(change, first, size)
    np.add.at(change, last, -size)
    return Buffers(first, last, size, np.cumsum(change)[:-1])
