"""Transfers that a tile instance forces when memory is short: what crosses a moment of every schedule off chip.

Whatever is begun before a moment and used after it is on chip at that moment, or crosses it off chip: then an
intermediate is stored before and loaded after, and a weight is loaded once more. The proofs are in ``docs/bounds.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssmopt.bounds.moments import BoolArray, Moments
from ssmopt.csr import IntArray
from ssmopt.instance import OUTPUT, Instance

_MOST_MOMENTS = 8
"""Moments whose transfers are added up."""

_SCALE = 1 << 20
"""Prices of a byte are whole multiples of ``1 / _SCALE`` of a cycle, so that all sums are exact."""


@dataclass(frozen=True)
class Crossing:
    """A number of cycles, and the moments (for people) at which they are forced."""

    cycles: int
    moments: str


def forced_transfers(instance: Instance, moments: Moments, transfer_cycles: IntArray) -> Crossing:
    """Lane cycles of transfers beyond the compulsory ones.

    What crosses the moment that forces most; then, of the other tensors, what crosses another moment, and so on.

    Parameters
    ----------
    instance, moments
        The tiles, and the moments that are looked at.
    transfer_cycles
        Shape (tensors,): cycles of the fastest transfer of each to or from DRAM.
    """
    # A weight is loaded again; of an output, one store is compulsory.
    extra = np.where(instance.produced & (instance.tensor_kind != OUTPUT), 2, 1)
    left = np.ones(instance.n_tensors, dtype=np.bool_)
    total, names = 0, list[str]()
    while len(names) < _MOST_MOMENTS:
        forced = _off_chip(instance, moments, np.where(left, extra * transfer_cycles, 0))
        best = int(np.argmax(forced))
        if forced[best] <= 0:
            break
        total += int(forced[best])
        names.append(moments.name(instance, best))
        left &= ~moments.alive[:, best]  # each tensor counts at one moment only
    more = f" and {len(names) - 1} more moments" if len(names) > 1 else ""
    return Crossing(total, names[0] + more if names else "")


def before_and_after(
    instance: Instance, moments: Moments, transfer_cycles: IntArray, lanes: int, head: IntArray, tail: IntArray
) -> Crossing:
    """The best of, over all moments: the least time until then, plus the least time from then to the makespan.

    Parameters
    ----------
    instance, moments, transfer_cycles
        As for `forced_transfers`.
    lanes
        Lanes to DRAM.
    head, tail
        Shape (moments,): cycles before each moment, and after it, for other reasons.
    """
    produced, is_output = instance.produced, instance.tensor_kind == OUTPUT
    loads = transfer_cycles @ moments.loaded_before
    stores = np.where(is_output, transfer_cycles, 0) @ moments.written_after
    spilled = _off_chip(instance, moments, np.where(produced, transfer_cycles, 0))
    fetched = _off_chip(instance, moments, transfer_cycles)
    until = np.maximum(head, -(-(loads + spilled) // lanes))
    since = np.maximum(tail, -(-(stores + fetched) // lanes))
    best = int(np.argmax(until + since))
    return Crossing(int((until + since)[best]), moments.name(instance, best))


def _off_chip(instance: Instance, moments: Moments, cost: IntArray) -> IntArray:
    """Per moment: the least cost of what is alive and does not find room, each tensor costing what is given.

    For any price of a byte on chip, each tensor costs at least the smaller of its cost and its bytes' price, less the
    price of all the room. The price that decides is that of the tensor which, the dearest bytes first, only partly
    finds room.
    """
    room = np.maximum(int(instance.memory_capacity.sum()) - moments.occupied, 0)
    counts = np.flatnonzero((cost > 0) & moments.alive.any(axis=1))
    if not len(counts):
        return np.zeros(len(room), dtype=np.int64)
    order = counts[np.argsort(-cost[counts] / instance.tensor_bytes[counts], kind="stable")]
    alive: BoolArray = moments.alive[order]
    cost, n_bytes = cost[order], instance.tensor_bytes[order]
    over = np.cumsum(np.where(alive, n_bytes[:, None], 0), axis=0) > room[None, :]
    partly = np.argmax(over, axis=0)
    price = np.where(over.any(axis=0), cost[partly] * _SCALE // n_bytes[partly], 0)
    shares = np.minimum(cost[:, None] * _SCALE, n_bytes[:, None] * price[None, :])
    forced: IntArray = -(-(np.where(alive, shares, 0).sum(axis=0) - price * room) // _SCALE)
    return forced
