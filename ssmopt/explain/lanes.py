"""Transfers spread over the lanes of their channel, so that those of one lane do not overlap."""

from __future__ import annotations

import heapq

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.schedule import TransferTable


def assign_lanes(transfers: TransferTable) -> IntArray:
    """For each transfer a lane of its channel, counted from 0: the lowest that is free.

    Rule V6 says only how many transfers a channel carries at a time, so that any such choice is as good as another.
    """
    lane = np.zeros(len(transfers), dtype=np.int64)
    busy: dict[int, list[tuple[int, int]]] = {}
    free: dict[int, list[int]] = {}
    used: dict[int, int] = {}
    order = np.lexsort((transfers.end, transfers.start))
    columns = (order, transfers.channel[order], transfers.start[order], transfers.end[order])
    for row, channel, start, end in zip(*(column.tolist() for column in columns), strict=True):
        running, idle = busy.setdefault(channel, []), free.setdefault(channel, [])
        while running and running[0][0] <= start:
            heapq.heappush(idle, heapq.heappop(running)[1])
        if idle:
            number = heapq.heappop(idle)
        else:
            number = used.get(channel, 0)
            used[channel] = number + 1
        heapq.heappush(running, (end, number))
        lane[row] = number
    return lane
