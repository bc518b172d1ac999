"""Depth-first search through canonical packings, after MiniMalloc (Moffitt, ASPLOS 2023).

A packing is canonical when each buffer lies at 0 or right on top of another one that lives at the same time. Letting
everything fall down turns any packing into a canonical one, so none is missed. They are built from below: at each
node the waiting buffer that can lie lowest is put there, or *postponed* until something is put under it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssmopt.allocate.buffers import Buffers
from ssmopt.allocate.outcome import FOUND, GAVE_UP, IMPOSSIBLE, Outcome
from ssmopt.csr import IntArray

MAX_BUFFERS = 1_000
"""Beyond this many buffers the tables of pairs are too large."""

_FAR = 2**60

BoolArray = npt.NDArray[np.bool_]
_Node = tuple[IntArray, BoolArray, BoolArray, IntArray, IntArray, int]


class CanonicalSearch:
    """The search tree of some buffers in a capacity (bytes), without an order yet.

    A node holds, per buffer, its floor (the top of what was put under it), whether it is postponed, whether it is
    still to be placed, and its offset; per crowd the bytes still to be placed; and the number of buffers left.
    """

    def __init__(self, buffers: Buffers, capacity: int) -> None:
        n = len(buffers)
        self.size = buffers.size
        self.capacity = capacity
        together = (buffers.lower[:, None] < buffers.upper) & (buffers.upper[:, None] > buffers.lower)
        np.fill_diagonal(together, False)
        self.beside = [np.flatnonzero(row) for row in together]
        # A postponed buffer lies on top of at least its smallest neighbour.
        self.least_under = np.where(together, self.size, _FAR).min(axis=1, initial=_FAR)
        crowds = crowds_of(buffers.lower, buffers.upper)
        self.bytes_left = np.array([self.size[crowd].sum() for crowd in crowds], dtype=np.int64)
        self.crowd = np.full((len(crowds), max(map(len, crowds), default=0)), n, dtype=np.int64)
        member = np.zeros((len(crowds), n), dtype=np.bool_)
        for i, crowd in enumerate(crowds):
            self.crowd[i, : len(crowd)] = crowd
            member[i, crowd] = True
        self.crowds_of = [np.flatnonzero(member[:, row]) for row in range(n)]
        same = np.unique(np.stack([buffers.lower, buffers.upper, self.size]), axis=1, return_inverse=True)[1]
        self.twin = same.reshape(-1)

    def run(self, order: IntArray, max_nodes: int) -> tuple[Outcome, int]:
        """Search, breaking ties between buffers that can lie equally low by ``order``; also returns the nodes."""
        n = len(self.size)
        rank = np.empty(n, dtype=np.int64)
        rank[order] = np.arange(n, dtype=np.int64)
        none, every = np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)
        stack: list[_Node] = [(np.zeros(n, dtype=np.int64), none, every, self.bytes_left, np.zeros(n, np.int64), n)]
        nodes = 0
        while stack:
            node = stack.pop()
            if node[-1] == 0:
                return Outcome(FOUND, node[-2]), nodes
            if nodes >= max_nodes:
                return Outcome(GAVE_UP), nodes
            nodes += 1
            stack.extend(self._children(node, rank))
        return Outcome(IMPOSSIBLE), nodes

    def _children(self, node: _Node, rank: IntArray) -> list[_Node]:
        """The node with the lowest buffer postponed, if that can help, and the one with it placed, to be tried first.

        None when the node is a dead end: all that is left is postponed, or does not fit.
        """
        floor, postponed, to_place, bytes_left, offset, left = node
        n = len(floor)
        key = np.where(to_place & ~postponed, floor * n + rank, _FAR)
        row = int(key.argmin())
        if key[row] == _FAR:
            return []
        level = int(floor[row])  # nothing will be put lower than this from here on
        least = np.full(n + 1, _FAR, dtype=np.int64)  # offset of each buffer that is left; of no buffer at the end
        np.copyto(least[:n], np.where(postponed, np.maximum(floor, level + self.least_under), floor), where=to_place)
        if (least[:n] + self.size > self.capacity)[to_place].any():
            return []
        lowest = least[self.crowd].min(axis=1, initial=_FAR)
        if ((lowest + bytes_left > self.capacity) & (bytes_left > 0)).any():
            return []

        children: list[_Node] = []
        beside = self.beside[row]
        beside = beside[to_place[beside]]
        top = level + int(self.size[row])
        # Where it fits below everything beside it, there is no reason to put it elsewhere.
        if len(beside) and int(least[beside].min()) < top:
            later = postponed | ((self.twin == self.twin[row]) & to_place)
            children.append((floor, later, to_place, bytes_left, offset, left))
        raised = floor.copy()
        raised[beside] = np.maximum(floor[beside], top)
        rest = to_place.copy()
        rest[row] = False
        bytes_rest = bytes_left.copy()
        bytes_rest[self.crowds_of[row]] -= self.size[row]
        placed = offset.copy()
        placed[row] = level
        children.append((raised, postponed & (raised == floor), rest, bytes_rest, placed, left - 1))
        return children


def crowds_of(lower: IntArray, upper: IntArray) -> list[list[int]]:
    """Sets of at least two buffers alive at once that are part of no larger one."""
    n = len(lower)
    events = np.concatenate([upper * 2, lower * 2 + 1])  # at one moment ends come before starts
    live: set[int] = set()
    crowds, grew = [], False
    for event in np.argsort(events, kind="stable").tolist():
        if event >= n:
            live.add(event - n)
            grew = True
            continue
        if grew and len(live) > 1:
            crowds.append(sorted(live))
        grew = False
        live.discard(event)
    return crowds
