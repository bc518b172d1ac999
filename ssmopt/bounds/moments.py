"""Moments of every schedule of a tile instance, and what is certain to happen before and after each.

A moment is the start of a tile, or the first use of a tensor: the earliest start of its readers. Before the start of a
tile its ancestors have ended, and its descendants start later; before the first use of a tensor its writers and their
ancestors have ended, and its readers and their descendants start then or later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.instance import Instance

BoolArray = npt.NDArray[np.bool_]

_MOST_CELLS = 2_000_000
"""Tensors times moments that are looked at; of more moments, as many as that allows, evenly spread."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of a tile instance.

    Attributes
    ----------
    numbers
        Shape (moments,): a tile, for its start, or ``n_tiles`` plus a tensor, for its first use.
    occupied
        Shape (moments,): bytes on chip that belong to what is used at the moment.
    alive
        Shape (tensors, moments): the tensor is begun before the moment and used after it, but not at the moment.
    loaded_before
        Shape (tensors, moments): no tile writes the tensor, and it is used before the moment or by the tile itself.
    written_after
        Shape (tensors, moments): some tile that writes the tensor ends after the moment.
    """

    numbers: IntArray
    occupied: IntArray
    alive: BoolArray
    loaded_before: BoolArray
    written_after: BoolArray

    def name(self, instance: Instance, position: int) -> str:
        """A moment in words."""
        number = int(self.numbers[position])
        if number < instance.n_tiles:
            return f"the start of {instance.tile_ids[number]}"
        return f"the first use of {instance.tensor_ids[number - instance.n_tiles]}"


def find_moments(instance: Instance) -> Moments:
    """All moments of an instance, or of a large one some of them.

    Sets of moments are whole numbers, one bit each: a tile passes on to the tiles before it (after it) all moments
    that it comes after (before), and its own.
    """
    numbers = _numbers(instance)
    n_tiles, n_tensors = instance.n_tiles, instance.n_tensors
    own = [0] * (n_tiles + n_tensors)
    for bit, number in enumerate(numbers.tolist()):
        own[number] |= 1 << bit
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
    width = max(1, -(-len(numbers) // 8))
    alive, loaded, written = bytearray(), bytearray(), bytearray()
    for tensor, (reading, writing) in enumerate(zip(readers, writers, strict=True)):
        begun = reduce(or_, [before[t] for t in writing or reading], 0)
        used = reduce(or_, [after[t] for t in reading + writing], 0)
        now = reduce(or_, [of_tile[t] for t in reading + writing], 0)
        alive += (begun & used & ~(now | of_tensor[tensor])).to_bytes(width, "little")
        loaded += (0 if writing else begun | now).to_bytes(width, "little")
        written += reduce(or_, [after[t] | of_tile[t] for t in writing], 0).to_bytes(width, "little")

    def unpacked(rows: bytearray) -> BoolArray:
        packed = np.frombuffer(bytes(rows), dtype=np.uint8).reshape(n_tensors, width)
        return np.unpackbits(packed, axis=1, count=len(numbers), bitorder="little").astype(np.bool_)

    return Moments(numbers, _occupied(instance)[numbers], unpacked(alive), unpacked(loaded), unpacked(written))


def _numbers(instance: Instance) -> IntArray:
    """Starts of all tiles, and first uses of the tensors that are written and read; evenly spread if too many."""
    passed_on = np.flatnonzero(instance.produced & (instance.readers.counts() > 0))
    every = np.concatenate([instance.topological_order, instance.n_tiles + passed_on])
    most = max(1, _MOST_CELLS // max(instance.n_tensors, 1))
    return every[:: max(1, -(-len(every) // most))]


def _occupied(instance: Instance) -> IntArray:
    """Per tile what it needs, then per tensor its bytes and the least that one of its readers makes."""
    made = np.zeros(instance.n_tiles, dtype=np.int64)
    np.add.at(made, instance.outputs.rows(), instance.tensor_bytes[instance.outputs.indices])
    least_made = np.full(instance.n_tensors, np.iinfo(np.int64).max)
    np.minimum.at(least_made, instance.readers.rows(), made[instance.readers.indices])
    of_tensor = instance.tensor_bytes + np.where(instance.readers.counts() > 0, least_made, 0)
    return np.concatenate([instance.tile_need_bytes, of_tensor])
