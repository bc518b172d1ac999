"""Time windows of tiles: what must come before and after each, by longest path and by the work of its kin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.cpsat.scope import Scope
from ssmopt.csr import Csr, IntArray
from ssmopt.instance import OUTPUT

CLOSURE_LIMIT = 4_000
"""Tiles up to which the sets of all ancestors and descendants are formed (quadratic memory)."""

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Windows:
    """For every schedule of the instance, in units of ``Scope.scale`` cycles.

    Attributes
    ----------
    head
        Per tile: the earliest start.
    tail
        Per tile: the least time from its end to the makespan.
    """

    head: list[int]
    tail: list[int]

    @staticmethod
    def of(scope: Scope) -> Windows:
        """Heads from loads that must come before, tails from output stores that must come after."""
        instance = scope.instance
        n = instance.n_tiles
        source, target = instance.edges
        pairs = np.unique(source * max(n, 1) + target)
        source, target = pairs // max(n, 1), pairs % max(n, 1)
        used = np.zeros(instance.n_tensors, dtype=np.bool_)
        used[list(scope.tensors)] = True
        moved = np.array([min(options, default=0) for options in scope.transfer_cycles], dtype=np.int64)
        loaded = np.where(used & ~instance.produced, moved, 0)
        stored = np.where(used & (instance.tensor_kind == OUTPUT) & instance.produced, moved, 0)
        order = instance.topological_order
        before, after = Csr.from_pairs(target, source, n), Csr.from_pairs(source, target, n)
        return Windows(
            head=_heads(scope, order, before, instance.inputs, loaded),
            tail=_heads(scope, order[::-1], after, instance.writes, stored),
        )


def _heads(scope: Scope, order: IntArray, before: Csr, touches: Csr, moved: IntArray) -> list[int]:
    """Earliest starts when ``before`` must end first, and the transfers ``moved`` of all touched tensors too.

    Read backwards in time the same function gives tails: an output's store after its writers mirrors a load.
    """
    n = len(order)
    shortest = [min(d for _, d in options) for options in scope.tile_groups]
    own = np.zeros(n, dtype=np.int64)
    np.maximum.at(own, touches.rows(), moved[touches.indices])
    least = own
    if 0 < n <= CLOSURE_LIMIT:
        kin = _closure(order, before)
        least = np.maximum(least, _transfer_work(scope, kin, touches, moved))
        least = np.maximum(least, _group_work(scope, kin))
    head = least.tolist()
    before_lists = before.lists()
    for tile in order.tolist():
        for earlier in before_lists[tile]:
            reach = head[earlier] + shortest[earlier]
            if reach > head[tile]:
                head[tile] = reach
    return head


def _closure(order: IntArray, before: Csr) -> BoolArray:
    """``kin[t, s]``: tile ``s`` must end before tile ``t`` starts."""
    n = len(order)
    kin = np.zeros((n, n), dtype=np.bool_)
    for tile in order.tolist():
        direct = before[tile]
        if len(direct):
            np.logical_or.reduce(kin[direct], axis=0, out=kin[tile])
            kin[tile, direct] = True
    return kin


def _transfer_work(scope: Scope, kin: BoolArray, touches: Csr, moved: IntArray) -> IntArray:
    """Cycles for which all channels together are busy with transfers that a tile or its kin need."""
    lanes = sum(scope.lanes)
    needed = np.flatnonzero(moved)
    if lanes == 0 or len(needed) == 0:
        return np.zeros(len(kin), dtype=np.int64)
    column = np.full(len(moved), -1, dtype=np.int64)
    column[needed] = np.arange(len(needed))
    touch = np.zeros((len(kin), len(needed)), dtype=np.float32)
    entry = column[touches.indices]
    touch[touches.rows()[entry >= 0], entry[entry >= 0]] = 1
    # Counts of at most a few thousand are exact in single precision, whose matrix product is fast.
    reach = kin.astype(np.float32) @ touch + touch > 0
    cycles: IntArray = reach.astype(np.int64) @ moved[needed]
    return -(-cycles // lanes)


def _group_work(scope: Scope, kin: BoolArray) -> IntArray:
    """Cycles for which the cores of some group are busy with kin that can run nowhere else."""
    least = np.zeros(len(kin), dtype=np.int64)
    for g, group in enumerate(scope.groups):
        work = [options[0][1] if len(options) == 1 and options[0][0] == g else 0 for options in scope.tile_groups]
        cycles: IntArray = kin.astype(np.int64) @ np.array(work, dtype=np.int64)
        least = np.maximum(least, -(-cycles // len(group.cores)))
    return least
