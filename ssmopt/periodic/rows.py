"""Rows of tiles, transfers and residencies one by one, while a schedule is put together; and as tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.instance import DRAM
from ssmopt.schedule import ResidencyTable, TileTable, TransferTable


@dataclass(frozen=True)
class Row:
    """One row of a schedule of a loop.

    Attributes
    ----------
    kind
        ``tile``, ``load``, ``store`` or ``stay``.
    tensor
        Tile or tensor of the body.
    place
        Core of a tile, channel of a transfer, memory of a residency.
    start, end
        Cycles.
    memory
        The memory that a transfer goes to or comes from.
    first, last
        Of a row that repeats: how many of the first and last iterations lack it.
    iteration
        Of a row that does not repeat: which iteration it is of.
    """

    kind: str
    tensor: int
    place: int
    start: int
    end: int
    memory: int = DRAM
    first: int = 0
    last: int = 0
    iteration: int | None = None

    @property
    def stays(self) -> bool:
        """Whether it is a residency."""
        return self.kind == "stay"

    def moved(self, cycles: int) -> Row:
        """The same row later."""
        return replace(self, start=self.start + cycles, end=self.end + cycles)


def tables(
    rows: Iterable[Row], *, skips: bool
) -> tuple[TileTable, IntArray, TransferTable, IntArray, ResidencyTable, IntArray]:
    """Rows as tables, each followed by its rows' skips or iterations."""
    tiles: list[list[int]] = []
    moves: list[list[int]] = []
    stays: list[list[int]] = []
    for row in rows:
        own = [row.first, row.last] if skips else [row.iteration or 0, 0]
        if row.kind == "tile":
            tiles.append([row.tensor, row.place, row.start, row.end, *own])
        elif row.stays:
            stays.append([row.tensor, row.place, row.start, row.end, *own])
        else:
            ends = [DRAM, row.memory] if row.kind == "load" else [row.memory, DRAM]
            moves.append([row.tensor, row.place, *ends, row.start, row.end, *own])
    tile, move, stay = (
        np.array(found, dtype=np.int64).reshape(-1, width) for found, width in ((tiles, 6), (moves, 8), (stays, 6))
    )

    def own_of(table: IntArray) -> IntArray:
        return table[:, -2:].copy() if skips else table[:, -2].copy()

    return (
        TileTable(*tile[:, :4].T.copy()),
        own_of(tile),
        TransferTable(*move[:, :6].T.copy()),
        own_of(move),
        ResidencyTable(*stay[:, :4].T.copy()),
        own_of(stay),
    )
