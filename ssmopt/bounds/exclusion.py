"""Tiles and transfers that cannot happen at the same time, because memory has no room for both.

While a tile runs, all that it needs is on chip, and so is a tensor while it is loaded or stored. Where they do not fit
together, one waits for the other: without room for the next operands, nothing is prefetched. The proof is in
``docs/bounds.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssmopt.bounds.machine import machine_bound
from ssmopt.csr import IntArray
from ssmopt.instance import OUTPUT, Instance

_MOST_SIZES = 8
"""Sizes of transfers whose heads and tails are looked at."""


@dataclass(frozen=True, eq=False)
class Tiles:
    """Tiles of some cores: least cycles before, of, and after each, and the bytes that it needs at once."""

    heads: IntArray
    cycles: IntArray
    tails: IntArray
    needs: IntArray


@dataclass(frozen=True, eq=False)
class Transfers:
    """Transfers that every schedule makes.

    Attributes
    ----------
    heads, cycles, tails
        Least cycles before, of, and after each.
    exclusive
        Bytes of those that overlap no tile which uses their tensor: loads, and stores of what nothing reads; else 0.
    """

    heads: IntArray
    cycles: IntArray
    tails: IntArray
    exclusive: IntArray

    @staticmethod
    def compulsory(
        instance: Instance, cycles: IntArray, heads: IntArray, tails: IntArray, shortest: IntArray
    ) -> Transfers:
        """One load of each tensor that is read and that no tile produces, and one store of each produced output.

        Parameters
        ----------
        cycles
            Shape (tensors,): cycles of the fastest transfer of each.
        heads, tails, shortest
            Shape (tiles,): least cycles before, after and of each tile.
        """
        read = instance.readers.counts() > 0
        loaded = ~instance.produced & read & (instance.tensor_bytes > 0)
        stored = (instance.tensor_kind == OUTPUT) & instance.produced & (instance.tensor_bytes > 0)
        load_tail = np.zeros(instance.n_tensors, dtype=np.int64)
        rows = instance.inputs.rows()
        np.maximum.at(load_tail, instance.inputs.indices, shortest[rows] + tails[rows])
        store_head = np.zeros(instance.n_tensors, dtype=np.int64)
        rows = instance.writes.rows()
        np.maximum.at(store_head, instance.writes.indices, heads[rows] + shortest[rows])
        return Transfers(
            heads=np.concatenate([np.zeros(int(loaded.sum()), dtype=np.int64), store_head[stored]]),
            cycles=np.concatenate([cycles[loaded], cycles[stored]]),
            tails=np.concatenate([load_tail[loaded], np.zeros(int(stored.sum()), dtype=np.int64)]),
            exclusive=np.concatenate([instance.tensor_bytes, np.where(read, 0, instance.tensor_bytes)])[
                np.concatenate([loaded, stored])
            ],
        )


def exclusion_bound(tiles: Tiles, cores: int, moved: Transfers, lanes: int, capacity: int) -> int:
    """Cycles of the tiles and transfers of some set in which no tile and transfer overlap; 0 if there is none.

    For a size of transfers: all of at least that size, and all tiles that leave less room. One core and one lane make
    it a machine on which heads and tails count.

    Parameters
    ----------
    tiles, cores
        Tiles that can run nowhere else than on so many cores.
    moved, lanes
        Transfers, and how many of them there are at a time.
    capacity
        Bytes of all memories.
    """
    sizes, size_of = np.unique(moved.exclusive, return_inverse=True)
    transfer_work = np.zeros(len(sizes), dtype=np.int64)
    np.add.at(transfer_work, size_of, moved.cycles)
    transfer_work = transfer_work[::-1].cumsum()[::-1]
    needs = np.sort(tiles.needs)
    tile_work = np.concatenate([tiles.cycles[np.argsort(tiles.needs)][::-1].cumsum()[::-1], [0]])
    beside = tile_work[np.searchsorted(needs, capacity - sizes, side="right")]
    worth = np.where((beside > 0) & (sizes > 0), -(-transfer_work // lanes) + -(-beside // cores), 0)
    best = 0
    for k in np.argsort(-worth, kind="stable")[:_MOST_SIZES].tolist():
        if worth[k] == 0:
            break
        large = moved.exclusive >= sizes[k]
        full = tiles.needs > capacity - sizes[k]
        tail = min(int(moved.tails[large].min()), int(tiles.tails[full].min()))
        head = min(int(moved.heads[large].min()), int(tiles.heads[full].min()))
        best = max(best, head + int(worth[k]) + tail)
        if cores == lanes == 1:
            best = max(
                best,
                machine_bound(
                    np.concatenate([moved.heads[large], tiles.heads[full]]),
                    np.concatenate([moved.cycles[large], tiles.cycles[full]]),
                    np.concatenate([moved.tails[large], tiles.tails[full]]),
                    1,
                ),
            )
    return best
