"""Transfers that a tile instance forces when memory is short: what crosses a moment of every schedule off chip.

At the start of a tile, whatever its ancestors began and its descendants use is on chip or crosses that moment off chip:
then an intermediate is stored and loaded, and a weight is loaded once more. The same holds when a tensor is first read,
for what was begun before its last writer and is used from its first reader on. The proofs are in ``docs/bounds.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.instance import OUTPUT, Instance

_MOST_CELLS = 4_000_000
"""Tensors times moments that are looked at; of more moments, as many as that allows, evenly spread."""

_MOST_MOMENTS = 8
"""Moments whose transfers are added up."""

_SCALE = 1 << 20
"""Prices of a byte are whole multiples of ``1 / _SCALE`` of a cycle, so that all sums are exact."""


@dataclass(frozen=True)
class Crossing:
    """Cycles of transfers beyond the compulsory ones, on one lane, and the moments that they cross, for people."""

    cycles: int
    moments: str


def forced_crossing(instance: Instance, transfer_cycles: IntArray) -> Crossing | None:
    """What crosses the moment that forces most; then, of the other tensors, what crosses another one, and so on.

    Parameters
    ----------
    instance
        The tiles.
    transfer_cycles
        Shape (tensors,): cycles of the fastest transfer of each to or from DRAM.

    Returns
    -------
    Crossing or None
        None if no moment forces any transfer, or there are no moments.
    """
    capacity = int(instance.memory_capacity.sum())
    moments = _moments(instance)
    if int(instance.tensor_bytes.sum()) <= capacity or not len(moments):
        return None
    extra = np.where(instance.produced & (instance.tensor_kind != OUTPUT), 2, 1)  # one store of an output is compulsory
    tensors = np.flatnonzero(instance.tensor_bytes > 0)
    cost, n_bytes = (extra * transfer_cycles)[tensors], instance.tensor_bytes[tensors]
    falling = np.argsort(-cost / n_bytes, kind="stable")
    cost, n_bytes = cost[falling], n_bytes[falling]
    alive, room = _alive(instance, moments)[tensors[falling]], capacity - _occupied(instance, moments)
    found: list[tuple[int, int]] = []
    for _ in range(_MOST_MOMENTS):
        least = _forced(alive, cost, n_bytes, room)
        best = int(np.argmax(least))
        if least[best] <= 0:
            break
        found.append((int(least[best]), int(moments[best])))
        left = ~alive[:, best]  # each tensor counts at one moment only
        alive, cost, n_bytes = alive[left], cost[left], n_bytes[left]
    if not found:
        return None
    more = f" and {len(found) - 1} more moments" if len(found) > 1 else ""
    return Crossing(sum(cycles for cycles, _ in found), _name(instance, found[0][1]) + more)


def _name(instance: Instance, moment: int) -> str:
    if moment < instance.n_tiles:
        return f"the start of {instance.tile_ids[moment]}"
    return f"the first use of {instance.tensor_ids[moment - instance.n_tiles]}"


def _moments(instance: Instance) -> IntArray:
    """Tiles, for their starts, and ``n_tiles`` plus the tensors that are written and read, for their first uses."""
    passed_on = np.flatnonzero(instance.produced & (instance.readers.counts() > 0))
    every = np.concatenate([instance.topological_order, instance.n_tiles + passed_on])
    most = max(1, _MOST_CELLS // max(instance.n_tensors, 1))
    return every[:: -(-len(every) // most)]


def _occupied(instance: Instance, moments: IntArray) -> IntArray:
    """Bytes on chip at each moment that belong to what is used at that moment, and so does not cross it off chip."""
    made = np.zeros(instance.n_tiles, dtype=np.int64)
    np.add.at(made, instance.outputs.rows(), instance.tensor_bytes[instance.outputs.indices])
    least_made = np.full(instance.n_tensors, np.iinfo(np.int64).max)
    np.minimum.at(least_made, instance.readers.rows(), made[instance.readers.indices])
    by_tensor = instance.tensor_bytes + np.where(instance.readers.counts() > 0, least_made, 0)
    return np.concatenate([instance.tile_need_bytes, by_tensor])[moments]


def _alive(instance: Instance, moments: IntArray) -> npt.NDArray[np.bool_]:
    """Shape (tensors, moments): whether the tensor is begun before the moment and used after it, but not at it.

    Sets of moments are whole numbers, one bit each: a tile passes on to the tiles before it (after it) all moments
    that it comes after (before), and its own.
    """
    n_tiles, n_tensors = instance.n_tiles, instance.n_tensors
    own = [0] * (n_tiles + n_tensors)
    for bit, moment in enumerate(moments.tolist()):
        own[moment] |= 1 << bit
    of_tile, of_tensor = own[:n_tiles], own[n_tiles:]
    inputs, writes = instance.inputs.lists(), instance.writes.lists()
    readers, writers = instance.readers.lists(), instance.writers.lists()
    order = instance.topological_order.tolist()

    def spread(order: list[int], through: list[list[int]], to: list[list[int]]) -> list[int]:
        """Per tile: the moments of all tiles and tensors that it reaches in one direction."""
        reached, passed = [0] * n_tiles, [-1] * n_tensors
        for tile in order:
            found = 0
            for tensor in through[tile]:
                if passed[tensor] < 0:
                    passed[tensor] = reduce(or_, [reached[t] | of_tile[t] for t in to[tensor]], of_tensor[tensor])
                found |= passed[tensor]
            reached[tile] = found
        return reached

    before = spread(order[::-1], writes, readers)  # moments that come after the tile
    after = spread(order, inputs, writers)  # moments that come before it
    width = max(1, -(-len(moments) // 8))
    rows = bytearray()
    for tensor in range(n_tensors):
        begins, uses = writers[tensor] or readers[tensor], readers[tensor] + writers[tensor]
        begun = reduce(or_, [before[t] for t in begins], 0)
        used = reduce(or_, [after[t] for t in uses], 0)
        now = reduce(or_, [of_tile[t] for t in uses], of_tensor[tensor])
        rows += (begun & used & ~now).to_bytes(width, "little")
    packed = np.frombuffer(bytes(rows), dtype=np.uint8).reshape(n_tensors, width)
    return np.unpackbits(packed, axis=1, count=len(moments), bitorder="little").astype(np.bool_)


def _forced(alive: npt.NDArray[np.bool_], cost: IntArray, n_bytes: IntArray, room: IntArray) -> IntArray:
    """Per moment: the least cost of what does not find room, tensors in the order of cost per byte, falling.

    For any price of a byte on chip, each tensor costs at least the smaller of its transfers and its bytes' price, less
    the price of all the room. The price that decides is that of the tensor which only partly finds room.
    """
    if not len(cost):
        return np.zeros(len(room), dtype=np.int64)
    room = np.maximum(room, 0)
    filled = np.cumsum(np.where(alive, n_bytes[:, None], 0), axis=0)
    over = filled > room[None, :]
    partly = np.argmax(over, axis=0)
    price = np.where(over.any(axis=0), cost[partly] * _SCALE // n_bytes[partly], 0)
    shares = np.minimum(cost[:, None] * _SCALE, n_bytes[:, None] * price[None, :])
    total = np.where(alive, shares, 0).sum(axis=0) - price * room
    forced: IntArray = -(-total // _SCALE)
    return forced
