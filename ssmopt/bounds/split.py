"""What a moment splits: loads before it, work after it, and for every other tile the cheaper of its loads and its work.

At the first use of a tensor all loads of the tiles that make it have ended, and all work of those that read it is still
to come. Any other tile either starts before, after its loads, which share the lanes with the others; or its work comes
after. The mirror image has the work before the last write of a tensor, and the stores after it. The proof is in
``docs/bounds.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.bounds.kin import Machines
from ssmopt.csr import IntArray
from ssmopt.instance import Instance

BoolArray = npt.NDArray[np.bool_]

_MOST_MOMENTS = 24
"""Moments that are looked at, of small instances."""

_MOST_STEPS = 200_000
"""Tiles times moments that are looked at, of large ones."""


@dataclass(frozen=True)
class Split:
    """A number of cycles, and the moment that it comes from."""

    cycles: int
    moment: str


@dataclass(frozen=True, eq=False)
class Direction:
    """The instance read forwards, with loads, or backwards in time, with stores.

    Attributes
    ----------
    order
        Tiles in an order that fits the direction.
    through, back
        Per tile: the tensors by which others wait for it, and by which it waits for others.
    before, after
        Per tensor: the tiles that come first, and those that come later.
    touches
        Per tile: the tensors whose transfers it needs.
    moved
        Shape (tensors,): cycles of the transfers; 0 for tensors without one.
    tails
        Shape (tiles,): the least time after each.
    """

    order: list[int]
    through: list[list[int]]
    back: list[list[int]]
    before: list[list[int]]
    after: list[list[int]]
    touches: list[list[int]]
    moved: IntArray
    tails: IntArray

    @staticmethod
    def forwards(instance: Instance, loads: IntArray, tails: IntArray) -> Direction:
        """Loads before, work after."""
        return Direction(
            instance.topological_order.tolist(), instance.writes.lists(), instance.inputs.lists(),
            instance.writers.lists(), instance.readers.lists(), instance.inputs.lists(), loads, tails,
        )  # fmt: skip

    @staticmethod
    def backwards(instance: Instance, stores: IntArray, heads: IntArray) -> Direction:
        """Stores after, work before."""
        return Direction(
            instance.topological_order[::-1].tolist(), instance.inputs.lists(), instance.writes.lists(),
            instance.readers.lists(), instance.writers.lists(), instance.writes.lists(), stores, heads,
        )  # fmt: skip


def split_bound(
    instance: Instance, direction: Direction, machines: list[Machines], lanes: int, shortest: IntArray
) -> Split:
    """The best bound from any of the moments that are looked at."""
    found = Split(0, "")
    for tensor in _moments(instance, direction):
        first = _reached(direction.order[::-1], direction.before[tensor], direction.back, direction.before)
        later = _reached(direction.order, direction.after[tensor], direction.through, direction.after)
        for group in machines:
            sole = group.cores == instance.n_cores == 1
            follows = int(shortest[direction.before[tensor]].min())
            cycles = _at(direction, group, first, later, lanes, shortest, follows, sole)
            if cycles > found.cycles:
                found = Split(cycles, instance.tensor_ids[tensor])
    return found


def _moments(instance: Instance, direction: Direction) -> list[int]:
    """Tensors that tiles wait for, those that most tiles wait for first; of those with the same tiles only one."""
    waiting = np.array([len(tiles) for tiles in direction.after], dtype=np.int64)
    making = np.array([len(tiles) for tiles in direction.before], dtype=np.int64)
    order = np.lexsort((-making, -waiting))
    most = max(1, min(_MOST_MOMENTS, _MOST_STEPS // max(instance.n_tiles, 1)))
    chosen: list[int] = []
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for tensor in order[(waiting[order] > 0) & (making[order] > 0)].tolist():
        key = (tuple(direction.before[tensor]), tuple(direction.after[tensor]))
        if key not in seen:
            seen.add(key)
            chosen.append(tensor)
            if len(chosen) >= most:
                break
    return chosen


def _reached(order: list[int], start: list[int], through: list[list[int]], to: list[list[int]]) -> BoolArray:
    """Per tile: whether it is one of the first, or comes after one of them in the order's direction."""
    reached = np.zeros(len(order), dtype=np.bool_)
    reached[start] = True
    flags = reached.tolist()
    passed: set[int] = set()
    for tile in order:
        if flags[tile]:
            for tensor in through[tile]:
                if tensor not in passed:
                    passed.add(tensor)
                    for other in to[tensor]:
                        flags[other] = True
    return np.array(flags, dtype=np.bool_)


def _at(
    direction: Direction,
    group: Machines,
    first: BoolArray,
    later: BoolArray,
    lanes: int,
    shortest: IntArray,
    follows: int,
    sole: bool,
) -> int:
    """The bound at one moment, for one set of cores; sums are in units of 1 / (lanes * cores) cycles.

    ``follows`` is the least time from the last transfer of the first tiles to the moment; ``sole`` says that there is
    only one core, so that other tiles begun before the moment have ended by then, too.
    """
    moved = direction.moved.tolist()
    left = [True] * len(moved)
    before = 0
    for tile in np.flatnonzero(first).tolist():
        for tensor in direction.touches[tile]:
            if left[tensor]:
                left[tensor] = False
                before += moved[tensor]
    other = [alone and cycles > 0 for alone, cycles in zip(left, moved, strict=True)]
    after = int(shortest[later & group.inside].sum())
    open_tiles = group.inside & ~first & ~later
    # A transfer belongs to the first open tile that needs it; what exceeds the work goes on to one that follows.
    carried = [0] * len(first)
    cheaper = 0
    is_open = open_tiles.tolist()
    for tile in direction.order:
        if not is_open[tile]:
            continue
        at_hand = carried[tile]
        for tensor in direction.touches[tile]:
            if other[tensor]:
                follows = min(follows, int(shortest[tile]) if sole else 0)
            if left[tensor]:
                left[tensor] = False
                at_hand += moved[tensor] * group.cores
        used = min(at_hand, int(shortest[tile]) * lanes)
        cheaper += used
        if at_hand > used:
            following = next((t for x in direction.through[tile] for t in direction.after[x] if is_open[t]), None)
            if following is not None:
                carried[following] += at_hand - used
    rest = (later | open_tiles) & group.inside
    # Only of later tiles is it certain that some work of the group is on that side of the moment.
    tail = int(direction.tails[rest].min()) if (later & group.inside).any() else 0
    total = before * group.cores + after * lanes + cheaper
    return -(-total // (lanes * group.cores)) + tail + (follows if before else 0)
