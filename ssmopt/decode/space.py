"""When enough space has become free, on machines with several cores."""

from __future__ import annotations

import heapq
from bisect import bisect_left

import numpy as np

from ssmopt.csr import Csr, IntArray
from ssmopt.decode.retention import Segments, Uses


class Room:
    """What has left a memory, earliest first, and how many bytes that has freed."""

    def __init__(self) -> None:
        self._leaving: list[tuple[int, int]] = []
        self._known = 0
        self._freed = [0]
        self._times = [0]

    def leave(self, time: int, n_bytes: int) -> None:
        """So many bytes leave then."""
        heapq.heappush(self._leaving, (time, n_bytes))
        self._known += n_bytes

    def knows(self, n_bytes: int) -> bool:
        """Whether what is known to leave frees that many bytes sooner or later."""
        return self._known >= n_bytes

    def freed_by(self, n_bytes: int) -> int:
        """The time by which that many bytes have become free."""
        while self._freed[-1] < n_bytes:
            end, size = heapq.heappop(self._leaving)
            self._freed.append(self._freed[-1] + size)
            self._times.append(max(end, self._times[-1]))
        return self._times[bisect_left(self._freed, n_bytes)]


class Departures(Room):
    """Segments that have left the memory.

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
        super().__init__()
        self._size = size.tolist()
        self._at = Csr.from_pairs(uses.position, segments.of_use, n).lists()
        pending = np.bincount(segments.of_use, minlength=len(segments)) + segments.stored
        self._pending = pending.tolist()
        self.left = [0] * len(segments)
        """Per segment: the end of its last use or store so far; once it has none to come, when it leaves."""

    def use(self, position: int, end: int) -> None:
        """The tile at a position ends then."""
        for segment in self._at[position]:
            self._over(segment, end)

    def _over(self, segment: int, end: int) -> None:
        if end > self.left[segment]:
            self.left[segment] = end
        self._pending[segment] -= 1
        if not self._pending[segment]:
            self.leave(self.left[segment], self._size[segment])

    def store(self, segment: int, end: int) -> None:
        """The store in a segment ends then."""
        self._over(segment, end)
