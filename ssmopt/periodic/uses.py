"""Which tiles use which tensor of a loop, in which later iteration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssmopt.loop import Loop


@dataclass(frozen=True)
class Use:
    """A tile uses a tensor of iteration ``i`` in iteration ``i + distance``.

    Attributes
    ----------
    tile
        Tile of the body.
    distance
        Iterations later; 0 for writers.
    name
        The tensor of the body that the tile lists: the tensor itself, or one that carries it.
    """

    tile: int
    distance: int
    name: int


@dataclass(frozen=True)
class Uses:
    """Uses of one tensor of each iteration: its writers and its readers, carried ones included."""

    writers: tuple[Use, ...]
    readers: tuple[Use, ...]

    @property
    def all(self) -> tuple[Use, ...]:
        """Writers, then readers."""
        return self.writers + self.readers


def uses_of(loop: Loop) -> dict[int, Uses]:
    """Per tensor with a copy in each iteration that some tile uses: its uses."""
    body = loop.body
    writers, readers = body.writers.lists(), body.readers.lists()
    found = {}
    for tensor in loop.own.tolist():
        carriers = np.flatnonzero(loop.source == tensor).tolist()
        names = [(tensor, 0), *((v, int(loop.distance[v])) for v in carriers)]
        uses = Uses(
            tuple(Use(tile, 0, tensor) for tile in writers[tensor]),
            tuple(Use(tile, distance, name) for name, distance in names for tile in readers[name]),
        )
        if uses.all:
            found[tensor] = uses
    return found
