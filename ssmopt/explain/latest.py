"""Two questions about the past, answered for many moments at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray

NEVER = -1


class LatestEvents:
    """Events with a key and a time; finds the last one of a key up to a moment.

    Parameters
    ----------
    key
        Shape (events,): what the event belongs to, 0 or more.
    time
        Shape (events,): when it happens; times must be small enough that ``key * (max(time) + 2)`` fits 63 bits.
    """

    def __init__(self, key: IntArray, time: IntArray) -> None:
        self._span = int(time.max(initial=0)) + 2
        combined = key * self._span + time
        self._order = np.argsort(combined, kind="stable")
        self._combined = combined[self._order]

    def up_to(self, key: IntArray, time: IntArray) -> IntArray:
        """For each key and moment the last event of that key at or before it; of equal ones the last given."""
        place = np.searchsorted(self._combined, key * self._span + np.minimum(time, self._span - 1), side="right") - 1
        found = place >= 0
        event = np.full(len(key), NEVER, dtype=np.int64)
        same = np.zeros(len(key), dtype=np.bool_)
        same[found] = self._combined[place[found]] // self._span == key[found]
        event[same] = self._order[place[same]]
        return event


def last_above(level: IntArray, before: IntArray, threshold: IntArray) -> IntArray:
    """The last position of a sequence, before a given one, that exceeds a threshold.

    A pyramid of maxima over pairs, pairs of pairs, and so on is climbed until a block holds such a position, and
    descended to it: logarithmic time per question, linear memory.

    Parameters
    ----------
    level
        The sequence.
    before
        Shape (questions,): only positions below this one count.
    threshold
        Shape (questions,): what the level must exceed.

    Returns
    -------
    numpy.ndarray
        Shape (questions,): the position, or -1 where there is none.
    """
    pyramid = [level]
    while len(pyramid[-1]) > 1:
        low = pyramid[-1]
        padded = np.append(low, low[-1]) if len(low) % 2 else low
        pyramid.append(padded.reshape(-1, 2).max(axis=1))
    rest = np.minimum(before, len(level))  # in blocks of the current height: all blocks below are still to be searched
    height = np.full(len(before), NEVER, dtype=np.int64)
    block = np.full(len(before), NEVER, dtype=np.int64)
    open_: npt.NDArray[np.bool_] = rest > 0
    for tall, maxima in enumerate(pyramid):
        odd = np.flatnonzero(open_ & (rest % 2 == 1))
        hit = odd[maxima[rest[odd] - 1] > threshold[odd]]
        height[hit], block[hit] = tall, rest[hit] - 1
        open_[hit] = False
        rest = rest // 2
        open_ &= rest > 0
    for tall in range(len(pyramid) - 1, 0, -1):
        here = np.flatnonzero(height >= tall)
        right = np.minimum(2 * block[here] + 1, len(pyramid[tall - 1]) - 1)
        block[here] = np.where(pyramid[tall - 1][right] > threshold[here], right, 2 * block[here])
    return block
