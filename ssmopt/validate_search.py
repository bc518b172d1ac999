"""Searches by group and time in sorted arrays, for the validator."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ssmopt.csr import IntArray


def positions(key: IntArray, wanted: IntArray, side: Literal["left", "right"]) -> IntArray:
    """``np.searchsorted``, which is several times slower on large arrays unless what it looks for is sorted, too."""
    order = np.argsort(wanted)
    found = np.empty(len(wanted), dtype=np.int64)
    found[order] = np.searchsorted(key, wanted[order], side=side)
    return found


def by_start(group: IntArray, start: IntArray, span: int) -> IntArray:
    """Rows in order of group and start."""
    return np.argsort(group * span + start, kind="stable")


class Search:
    """Finds, within a group, the row of the largest value among those up to a time.

    Parameters
    ----------
    group, time, value
        One entry per row; times and values lie in ``[0, span)``.
    span
        Larger than every time and value.
    """

    def __init__(self, group: IntArray, time: IntArray, value: IntArray, span: int) -> None:
        order = by_start(group, time, span)
        self.span = span
        self.group = group
        self.order = order
        self.key = (group * span + time)[order]
        # The running maximum of (group, value) starts afresh with each group, since groups ascend.
        ranking = group[order] * span + value[order]
        is_best = ranking >= np.maximum.accumulate(ranking) if len(ranking) else np.zeros(0, dtype=np.bool_)
        self.best = order[np.maximum.accumulate(np.where(is_best, np.arange(len(order)), 0))]

    def find(self, group: IntArray, time: IntArray, *, before: bool = False) -> IntArray:
        """Row of the largest value of each ``group`` up to ``time`` (or strictly before it); -1 if there is none."""
        position = positions(self.key, group * self.span + time, "left" if before else "right") - 1
        if not len(self.key):
            return position
        row = self.best[np.maximum(position, 0)]
        return np.where((position >= 0) & (self.group[row] == group), row, -1)


def overlaps(order: IntArray, group: IntArray, start: IntArray, end: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of rows of one group that overlap and follow each other by start; the first overlap is among them."""
    order = order[start[order] < end[order]]
    early, late = order[:-1], order[1:]
    clash = (group[early] == group[late]) & (start[late] < end[early])
    return early[clash], late[clash]


def levels(group: IntArray, start: IntArray, end: IntArray, amount: IntArray, span: int) -> tuple[IntArray, IntArray]:
    """Total amount under way in a row's group just after the row starts; rows in order of group and start.

    Of rows that start together only the last has the whole amount. All that starts in a group ends in it, so that
    running totals over all groups may be subtracted.
    """
    order, end_order = by_start(group, start, span), by_start(group, end, span)
    ended = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(amount[end_order])])
    end_key = (group * span + end)[end_order]
    gone = ended[np.searchsorted(end_key, (group * span + start)[order], side="right")]
    return order, np.cumsum(amount[order]) - gone


def earliest_end(group: IntArray, start: IntArray, end: IntArray, span: int) -> tuple[IntArray, IntArray]:
    """Distinct keys (group * span + start), ascending, and the smallest end of each."""
    key = group * span + start
    order = np.argsort(key, kind="stable")
    key = key[order]
    if not len(key):
        return key, end[order]
    first = np.flatnonzero(np.concatenate([np.ones(1, dtype=np.bool_), key[1:] != key[:-1]]))
    return key[first], np.minimum.reduceat(end[order], first)
