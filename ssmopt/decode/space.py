"""When enough space has become free, on machines with several cores."""

from __future__ import annotations

import heapq
from bisect import bisect_left

import numpy as np

from ssmopt.csr import Csr, IntArray
from ssmopt.decode.retention import Segments, Uses


class Departures:
    """Segments that have left the memory, earliest first, and what they have freed.

    Positions next to each other run on different cores, so that segments do not leave in the order of their release.
    Whoever waits for space waits until enough of *any* segments have left.

    Parameters
    ----------
    uses, segments
        What is resident from which position to which.
    size
        Bytes of each segment.
    n
        Number of positions.
    """

    def __init__(self, uses: Uses, segments: Segments, size: IntArray, n: int):
        self._size = size.tolist()
        self._at = Csr.from_pairs(uses.position, segments.of_use, n).lists()
        pending = np.bincount(segments.of_use, minlength=len(segments)) + segments.stored
        self._pending = pending.tolist()
        self.left = [0] * len(segments)
        """Per segment: the end of its last use or store so far; once it has none to come, when it leaves."""
        self._leaving: list[tuple[int, int]] = []
        self._known = 0
        self._freed = [0]
        self._times = [0]

    def use(self, position: int, end: int) -> None:
        """The tile at a position ends then."""
        for segment in self._at[position]:
            self._over(segment, end)

    def _over(self, segment: int, end: int) -> None:
        if end > self.left[segment]:
            self.left[segment] = end
        self._pending[segment] -= 1
        if not self._pending[segment]:
            size = self._size[segment]
            heapq.heappush(self._leaving, (self.left[segment], size))
            self._known += size

    def store(self, segment: int, end: int) -> None:
        """The store in a segment ends then."""
        self._over(segment, end)

    def knows(self, n_bytes: int) -> bool:
        """Whether the segments laid out so far free that many bytes sooner or later."""
        return self._known >= n_bytes

    def freed_by(self, n_bytes: int) -> int:
        """The time by which that many bytes have become free."""
        while self._freed[-1] < n_bytes:
            end, size = heapq.heappop(self._leaving)
            self._freed.append(self._freed[-1] + size)
            self._times.append(max(end, self._times[-1]))
        return self._times[bisect_left(self._freed, n_bytes)]
