"""A schedule: when and where each tile runs, every transfer, and every residency in a memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssmopt.csr import IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ssmopt.instance import Instance


def _empty() -> IntArray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class TileTable:
    """One row per run of a tile: indices into the instance, and a half-open interval in cycles."""

    tile: IntArray
    core: IntArray
    start: IntArray
    end: IntArray

    def __post_init__(self) -> None:
        _same_length(self.tile, self.core, self.start, self.end)

    def __len__(self) -> int:
        return len(self.tile)


@dataclass(frozen=True, eq=False)
class TransferTable:
    """One row per transfer; ``source`` and ``target`` are memory indices or ``DRAM``."""

    tensor: IntArray
    channel: IntArray
    source: IntArray
    target: IntArray
    start: IntArray
    end: IntArray

    def __post_init__(self) -> None:
        _same_length(self.tensor, self.channel, self.source, self.target, self.start, self.end)

    def __len__(self) -> int:
        return len(self.tensor)

    @staticmethod
    def empty() -> TransferTable:
        """No transfers."""
        return TransferTable(*(_empty() for _ in range(6)))


@dataclass(frozen=True, eq=False)
class ResidencyTable:
    """One row per half-open interval during which a tensor occupies a memory.

    ``offset`` is the first byte that it occupies; None as long as no addresses are assigned.
    """

    tensor: IntArray
    memory: IntArray
    start: IntArray
    end: IntArray
    offset: IntArray | None = None

    def __post_init__(self) -> None:
        _same_length(self.tensor, self.memory, self.start, self.end)
        if self.offset is not None:
            _same_length(self.tensor, self.offset)

    def __len__(self) -> int:
        return len(self.tensor)

    @staticmethod
    def empty() -> ResidencyTable:
        """No residencies."""
        return ResidencyTable(*(_empty() for _ in range(4)))


@dataclass(frozen=True, eq=False)
class Schedule:
    """Tiles, transfers and residencies; feasible exactly when `ssmopt.validate.validate` finds no violation.

    Attributes
    ----------
    tiles, transfers, residencies
        Tables of integer arrays whose indices refer to one `ssmopt.instance.Instance`.
    makespan
        End of the last tile or transfer, in cycles.
    solver
        Name of what made the schedule.
    """

    tiles: TileTable
    transfers: TransferTable
    residencies: ResidencyTable
    makespan: int
    solver: str = "unknown"

    def dram_bytes(self, tensor_bytes: IntArray) -> int:
        """Bytes that cross the boundary of DRAM, both ways, given the bytes of each tensor."""
        off_chip = (self.transfers.source < 0) | (self.transfers.target < 0)
        return int(tensor_bytes[self.transfers.tensor[off_chip]].sum())

    def tile_memories(self, core_memory: IntArray) -> IntArray:
        """Per tile: the memory that it runs in, given that of each core; every tile must run once."""
        memory = np.empty(len(self.tiles), dtype=np.int64)
        memory[self.tiles.tile] = core_memory[self.tiles.core]
        return memory

    def occupancy(self, tensor_bytes: IntArray, memory: int) -> tuple[IntArray, IntArray]:
        """Bytes resident in a memory over time: the change times, and the bytes from each on."""
        mine = self.residencies.memory == memory
        size = tensor_bytes[self.residencies.tensor[mine]]
        times = np.concatenate([self.residencies.start[mine], self.residencies.end[mine]])
        change = np.concatenate([size, -size])
        moments, where = np.unique(times, return_inverse=True)
        delta = np.zeros(len(moments), dtype=np.int64)
        np.add.at(delta, where, change)
        return moments, np.cumsum(delta)

    def peak_memory_bytes(self, tensor_bytes: IntArray, memory: int = 0) -> int:
        """Largest number of bytes resident at once in a memory."""
        _, level = self.occupancy(tensor_bytes, memory)
        return int(level.max(initial=0))

    def plot(self, instance: Instance, *, ax: Axes | None = None, lower_bound: int | None = None) -> Axes:
        """Draw cores and channels over time.

        Parameters
        ----------
        instance
            What is scheduled: it knows names and operators.
        ax
            Axes to draw into; None makes some with pyplot.
        lower_bound
            Cycles below which no schedule exists: drawn as a line.

        Returns
        -------
        matplotlib.axes.Axes
            The axes that were drawn into.
        """
        from ssmopt.export.axes import draw_gantt

        return draw_gantt(instance, self, ax=ax, lower_bound=lower_bound)

    def plot_memory(self, instance: Instance, memory: int | str = 0, *, ax: Axes | None = None) -> Axes:
        """Draw the bytes in a memory (number or id) over time, against its capacity; otherwise as `plot`.

        Raises
        ------
        InputError
            There is no such memory.
        """
        from ssmopt.export.axes import draw_occupancy

        return draw_occupancy(instance, self, memory=memory, ax=ax)

    def _repr_html_(self) -> str:
        from ssmopt.export.notebook import schedule_html

        return schedule_html(self)

    def __repr__(self) -> str:
        return (
            f"Schedule({self.solver}: makespan {self.makespan:,} cycles, {len(self.tiles)} tiles, "
            f"{len(self.transfers)} transfers)"
        )


def makespan_of(tiles: TileTable, transfers: TransferTable) -> int:
    """Maximum end over tiles and transfers (rule V9); 0 when there are none."""
    return max(int(tiles.end.max(initial=0)), int(transfers.end.max(initial=0)))


def _same_length(*columns: IntArray) -> None:
    if len({len(column) for column in columns}) > 1:
        raise ValueError("the columns of a schedule table differ in length")
