"""Heads and tails from all that must come before or after a tile.

A longest path counts one thing after another. But a tile waits for the loads of all its ancestors, which share the
lanes to DRAM, and for their work, which shares the cores; and the mirror image. The proofs are in ``docs/bounds.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
import numpy.typing as npt

from ssmopt.csr import Csr, IntArray
from ssmopt.instance import Instance

_MOST_CELLS = 24_000_000
"""Tiles and transfers, times the tiles whose kin is looked at; of more tiles as many as that allows, evenly spread."""

_MOST_TILES = 200_000
"""Instances with more tiles are left alone: walking through them takes longer than it is worth."""

_THRESHOLDS = 8
"""Thresholds on the heads of kin."""

_CHUNK = 1_024


@dataclass(frozen=True, eq=False)
class Kin:
    """What must end before some tiles start, or start after some tiles end.

    Attributes
    ----------
    chosen
        Shape (chosen,): the tiles.
    tiles
        Per tile, packed bits: for which of the chosen ones it is kin.
    loads
        Per transfer, packed bits: for which chosen ones it is needed by the tile itself or its kin.
    earlier
        The same for kin alone.
    moved
        Shape (transfers,): the tensors of the transfers.
    """

    chosen: IntArray
    tiles: list[int]
    loads: list[int]
    earlier: list[int]
    moved: IntArray

    @staticmethod
    def of(instance: Instance, moved: IntArray, *, backwards: bool) -> Kin:
        """Ancestors with the loads of ``moved``; with ``backwards`` descendants, with its stores."""
        order = instance.topological_order[::-1] if backwards else instance.topological_order
        cells = instance.n_tiles + 2 * len(moved)
        step = max(1, -(-instance.n_tiles * cells // _MOST_CELLS))
        chosen = order[::step]
        own = [0] * instance.n_tiles
        for bit, tile in enumerate(chosen.tolist()):
            own[tile] = 1 << bit
        if backwards:
            tiles = _passed_on(order[::-1], own, instance.inputs, instance.writers.lists())
            touch = instance.writers.lists()
        else:
            tiles = _passed_on(order[::-1], own, instance.writes, instance.readers.lists())
            touch = instance.readers.lists()
        loads, earlier = [], []
        for tensor in moved.tolist():
            earlier.append(reduce(or_, [tiles[t] for t in touch[tensor]], 0))
            loads.append(reduce(or_, [own[t] for t in touch[tensor]], earlier[-1]))
        return Kin(chosen, tiles, loads, earlier, moved)

    def sums(self, rows: list[int], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Shape (columns, chosen): per chosen tile and column of ``weights``, the sum over its rows."""
        width = max(1, -(-len(self.chosen) // 8))
        total = np.zeros((weights.shape[1], len(self.chosen)))
        for low in range(0, len(rows), _CHUNK):
            packed = b"".join(row.to_bytes(width, "little") for row in rows[low : low + _CHUNK])
            bits = np.frombuffer(packed, dtype=np.uint8).reshape(-1, width)
            cells = np.unpackbits(bits, axis=1, count=len(self.chosen), bitorder="little")
            # Sums of cycles are far below 2 ** 53, so they are exact.
            total += weights[low : low + _CHUNK].T @ cells.astype(np.float64)
        return total


def _passed_on(order: IntArray, own: list[int], through: Csr, to: list[list[int]]) -> list[int]:
    """Per tile: the chosen tiles that it reaches through its tensors; ``order`` has the reached ones first."""
    reached = [0] * len(own)
    passed: dict[int, int] = {}
    rows = through.lists()
    for tile in order.tolist():
        found = 0
        for tensor in rows[tile]:
            if tensor not in passed:
                passed[tensor] = reduce(or_, [reached[t] | own[t] for t in to[tensor]], 0)
            found |= passed[tensor]
        reached[tile] = found
    return reached


@dataclass(frozen=True)
class Machines:
    """Cores that some tiles are confined to.

    Attributes
    ----------
    cores
        How many.
    inside
        Shape (tiles,): whether the tile can run on no other.
    """

    cores: int
    inside: npt.NDArray[np.bool_]


def heads_from_transfers(
    instance: Instance, kin: Kin, cycles: IntArray, lanes: int, shortest: IntArray, *, backwards: bool
) -> IntArray:
    """Earliest starts from the loads of a tile and its ancestors over the lanes; backwards, tails from stores."""
    least = np.zeros(instance.n_tiles, dtype=np.int64)
    if not len(kin.moved):
        return least
    weights = cycles[kin.moved].astype(np.float64)[:, None]
    # What only kin needs is followed by at least one of those right before the tile.
    nearest = _nearest(instance, shortest, backwards=backwards)[kin.chosen]
    own = _over(kin.sums(kin.loads, weights)[0], lanes)
    earlier = _over(kin.sums(kin.earlier, weights)[0], lanes)
    least[kin.chosen] = np.maximum(own, np.where(earlier > 0, earlier + nearest, 0))
    return least


def heads_from_work(kin: Kin, machines: list[Machines], heads: IntArray, shortest: IntArray) -> IntArray:
    """Earliest starts from the work of ancestors: those released at a threshold or later share their cores."""
    least = np.zeros(len(heads), dtype=np.int64)
    for group in machines:
        if not group.inside.any():
            continue
        thresholds = _some(heads[group.inside])
        columns = np.where(group.inside[:, None] & (heads[:, None] >= thresholds), shortest[:, None], 0)
        work = _over(kin.sums(kin.tiles, columns.astype(np.float64)), group.cores)
        reach = np.where(work > 0, work + thresholds[:, None], 0).max(axis=0)
        least[kin.chosen] = np.maximum(least[kin.chosen], reach)
    return least


def _over(sums: npt.NDArray[np.float64], count: int) -> IntArray:
    whole: IntArray = sums.astype(np.int64)
    return -(-whole // count)


def _some(values: IntArray) -> IntArray:
    """Some of the values, evenly spread by rank, the smallest among them."""
    known = np.unique(values)
    return known[:: max(1, -(-len(known) // _THRESHOLDS))]


def _nearest(instance: Instance, shortest: IntArray, *, backwards: bool) -> IntArray:
    """Per tile: the shortest duration among those right before it, or right after it; 0 if there are none."""
    source, target = instance.edges[::-1] if backwards else instance.edges
    most = np.iinfo(np.int64).max
    nearest = np.full(instance.n_tiles, most)
    np.minimum.at(nearest, target, shortest[source])
    nearest[nearest == most] = 0
    return nearest


def worth_while(instance: Instance) -> bool:
    """Whether the instance is small enough for its kin to be walked through."""
    return 0 < instance.n_tiles <= _MOST_TILES
