"""`pack`: offsets for buffers with lifetimes, so that none overlap in time and space."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, islice

import numpy as np

from ssmopt.allocate.buffers import Buffers, arrange
from ssmopt.allocate.canonical import MAX_BUFFERS, CanonicalSearch
from ssmopt.allocate.greedy import fit_in_order, orders, skyline
from ssmopt.allocate.outcome import GAVE_UP, IMPOSSIBLE, Budget, Outcome
from ssmopt.allocate.overlap import first_overlap
from ssmopt.allocate.repair import repair
from ssmopt.allocate.search import can_search, place_free
from ssmopt.csr import IntArray
from ssmopt.errors import InputError, SsmoptError

EFFORT = 60.0
"""Default effort of a search, in units of about a second."""

_FIT_BUFFERS = 5_000
"""Most buffers that are also placed in a fixed order, which takes time quadratic in their number."""

_REPAIR_EFFORT = 6.0
"""Effort of the repair: beyond, a search of everything is the better use of it."""

_MANY, _FEW_ORDERS = 10_000, 2
"""Beyond so many buffers only so many orders are tried by rule: each takes seconds."""

_NODES = 1_500
"""Nodes of the depth-first search per turn."""

_WALKS = 10
"""Its turns per order and round; one in the first round."""

_NODES_PER_EFFORT = 20_000

_FIRST_EFFORT, _GROWTH = 1.0, 1.5
"""Effort of a turn of CP-SAT in the first round, and how many times as much every further round takes."""

_SHUFFLE = 0.03
"""How far a shuffled order moves its entries: the standard deviation as a share of their number."""


@dataclass(frozen=True, eq=False)
class Packing:
    """Outcome of `pack`.

    Attributes
    ----------
    offsets
        Shape (buffers,): first byte of each; None when no packing within the capacity was found.
    height
        Bytes that the packing takes; of the best one found, if none fits the capacity.
    peak
        Most bytes alive at once: no packing takes less.
    impossible
        Whether it is proved that none fits the capacity.
    method
        What found the packing.
    """

    offsets: IntArray | None
    height: int
    peak: int
    impossible: bool
    method: str


def pack(
    lower: IntArray,
    upper: IntArray,
    size: IntArray,
    capacity: int,
    *,
    effort: float = EFFORT,
    time_limit: float = math.inf,
    should_stop: Callable[[], bool] | None = None,
) -> Packing:
    """Find an offset for every buffer, so that no two that live at the same time overlap.

    Rules come first; what they leave outside is repaired, and what is small enough is searched. The result depends
    on ``effort`` alone, not on the machine, unless time runs out.

    Parameters
    ----------
    lower, upper
        Shape (buffers,): half-open lifetimes, in any unit of time.
    size
        Shape (buffers,): bytes; buffers without any get offset 0.
    capacity
        Bytes that there are.
    effort
        Limit of repairs and searches, in units of about a second.
    time_limit, should_stop
        Wall seconds, and a condition, that end them early.

    Raises
    ------
    InputError
        The columns differ in length, or hold an empty lifetime or a negative size.
    """
    buffers, rows = arrange(lower, upper, size)
    if capacity < 0:
        raise InputError(f"the capacity must not be negative, not {capacity}")
    offsets = np.zeros(len(np.asarray(size)), dtype=np.int64)
    budget = Budget(effort, time_limit, should_stop)
    if buffers.peak > capacity:
        height = max(_Component(buffers.take(part), capacity).rules(budget) for part in buffers.components())
        return Packing(None, height, buffers.peak, True, "peak")
    height, methods, impossible = 0, ["trivial"], False
    for part in buffers.components():
        component = _Component(buffers.take(part), capacity)
        impossible |= component.solve(budget)
        height = max(height, component.height)
        methods.append(component.method)
        offsets[rows[part]] = component.offset
    method = max(methods, key=_METHODS.index)
    if height > capacity:
        return Packing(None, height, buffers.peak, impossible, method)
    check_packing(lower, upper, size, offsets, capacity)
    return Packing(offsets, height, buffers.peak, False, method)


def check_packing(lower: IntArray, upper: IntArray, size: IntArray, offsets: IntArray, capacity: int) -> None:
    """Raise `SsmoptError` unless the offsets are a packing within the capacity; independent of what made them."""
    offsets, size = np.asarray(offsets, dtype=np.int64), np.asarray(size, dtype=np.int64)
    outside = np.flatnonzero((size > 0) & ((offsets < 0) | (offsets + size > capacity)))
    if len(outside):
        row = int(outside[0])
        raise SsmoptError(f"buffer {row} at offset {offsets[row]:,} lies outside the {capacity:,} bytes")
    pair = first_overlap(lower, upper, offsets, offsets + size)
    if pair is not None:
        raise SsmoptError(f"buffers {pair[0]} and {pair[1]} overlap in time and space")


_METHODS = ("trivial", "skyline", "fit", "repair", "search")


class _Component:
    """Buffers that cannot be taken apart, and the lowest packing of them so far."""

    def __init__(self, buffers: Buffers, capacity: int) -> None:
        self.buffers = buffers
        self.capacity = capacity
        # One on top of the other is always a packing.
        self.offset = np.cumsum(buffers.size) - buffers.size
        self.height = int(buffers.size.sum())
        self.method = "trivial"

    def solve(self, budget: Budget) -> bool:
        """Look for a packing within the capacity; returns whether it is proved that there is none."""
        if self.rules(budget) <= self.capacity:
            return False
        if len(self.buffers) > MAX_BUFFERS:
            self.repair(budget)
        if self.height > self.capacity and can_search(self.buffers):
            return self.search(budget)
        return False

    def rules(self, budget: Budget) -> int:
        """Try the rules, until one succeeds; returns the height."""
        if self.height <= self.capacity:
            return self.height
        most = None if len(self.buffers) <= _MANY else _FEW_ORDERS
        for _, order in islice(orders(self.buffers), most):
            offset = skyline(self.buffers, order, budget.stopped)
            if offset is not None:
                self.offer(offset, "skyline")
            if self.height <= self.capacity or budget.stopped():
                return self.height
        if len(self.buffers) <= _FIT_BUFFERS:
            for _, order in orders(self.buffers):
                for tightest in (False, True):
                    self.offer(fit_in_order(self.buffers, order, tightest=tightest), "fit")
                    if self.height <= self.capacity or budget.stopped():
                        return self.height
        return self.height

    def repair(self, budget: Budget) -> None:
        """Try to bring in what stands out of the best packing by a rule."""
        allowed = min(budget.effort, _REPAIR_EFFORT)
        share = Budget(allowed, budget.seconds / 3, budget.stopped)
        offset = repair(self.buffers, self.capacity, self.offset, share)
        budget.effort -= allowed - share.effort
        if (offset >= 0).all():
            self.offer(offset, "repair")

    def search(self, budget: Budget) -> bool:
        """Search in rounds, first depth first and then by CP-SAT, with one order after the other.

        One order may need a thousand times the effort of another; so each gets little at a time, and later rounds
        shuffle them.
        """
        tree = CanonicalSearch(self.buffers, self.capacity) if len(self.buffers) <= MAX_BUFFERS else None
        for turn in self._turns(tree, budget):
            outcome = turn()
            if outcome.offset is not None:
                self.offer(outcome.offset, "search")
            if outcome.status != GAVE_UP:
                return outcome.status == IMPOSSIBLE
            if budget.spent():
                break
        return False

    def _turns(self, tree: CanonicalSearch | None, budget: Budget) -> Iterator[Callable[[], Outcome]]:
        """Searches to try, without end."""
        rows = np.arange(len(self.buffers), dtype=np.int64)
        plain = [order for _, order in orders(self.buffers)]
        random = np.random.default_rng(0)
        for number in count():
            if tree is not None:
                for order in plain * (_WALKS if number else 1):
                    yield partial(_walk, tree, _shuffled(order, random) if number else order, budget)
            effort = _FIRST_EFFORT * _GROWTH**number
            for tie in [*(_shuffled(order, random) if number else order for order in plain), None]:
                yield partial(place_free, self.buffers, rows, tie, self.capacity, self.offset, budget, effort)

    def offer(self, offset: IntArray, method: str) -> None:
        """Keep a packing if it is lower."""
        height = int((offset + self.buffers.size).max(initial=0))
        if height < self.height:
            self.offset, self.height, self.method = offset, height, method


def _walk(tree: CanonicalSearch, order: IntArray, budget: Budget) -> Outcome:
    outcome, nodes = tree.run(order, _NODES)
    budget.effort -= nodes / _NODES_PER_EFFORT
    return outcome


def _shuffled(order: IntArray, random: np.random.Generator) -> IntArray:
    """The order with everything moved a little."""
    return order[np.argsort(np.arange(len(order)) + random.normal(0, _SHUFFLE * len(order), len(order)))]
