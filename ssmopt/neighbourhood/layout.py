"""What the neighbourhoods know about an instance: classes of tiles, and the channels that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ssmopt.csr import Csr, IntArray
from ssmopt.heuristics.places import first_channels
from ssmopt.instance import NOT_ADMISSIBLE, Instance

_MOST_CLASSES = 64


@dataclass(frozen=True, eq=False)
class Layout:
    """An instance, and how its tiles can be grouped.

    Attributes
    ----------
    instance
        The tiles.
    n_classes, tile_class
        Classes, and the class of each tile: its operator, or what it looks like where operators are not known.
    channel
        First channel of each tile; 0 where there is none.
    bottleneck
        The core class (column of ``Instance.duration``) with the most work per core.
    """

    instance: Instance
    n_classes: int
    tile_class: IntArray
    channel: IntArray
    bottleneck: int

    @staticmethod
    def of(instance: Instance) -> Layout:
        """The layout of an instance of at least one tile."""
        if instance.meta is not None:
            tile_class = instance.meta.operator.astype(np.int64)
            channel = first_channels(instance, instance.meta)
        else:
            shape = np.column_stack([instance.duration, instance.inputs.counts(), instance.writes.counts()])
            tile_class = np.unique(shape, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
            tile_class %= _MOST_CLASSES
            channel = np.zeros(instance.n_tiles, dtype=np.int64)
        tile_class = np.unique(tile_class, return_inverse=True)[1].reshape(-1).astype(np.int64)
        return Layout(instance, int(tile_class.max()) + 1, tile_class, channel, _bottleneck(instance))

    @cached_property
    def before(self) -> Csr:
        """Per tile: the tiles whose results it reads, with repetitions."""
        source, target = self.instance.edges
        return Csr.from_pairs(target, source, self.instance.n_tiles)


def _bottleneck(instance: Instance) -> int:
    """The kind of core with the most work per core, were each tile to run where it is quickest."""
    kinds, cores = np.unique(instance.core_kind, return_counts=True)
    cycles = instance.duration[:, kinds]
    cycles = np.where(cycles == NOT_ADMISSIBLE, np.iinfo(np.int64).max, cycles)
    fastest = cycles.argmin(axis=1)
    work = np.bincount(fastest, weights=cycles.min(axis=1), minlength=len(kinds)) / cores
    return int(kinds[int(np.argmax(work))])


def positions(order: IntArray) -> IntArray:
    """Position of each tile in an order."""
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order), dtype=np.int64)
    return position
