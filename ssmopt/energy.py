"""Energy of a schedule: exact counts of operations, SRAM accesses and DRAM transfers, times the energy of each.

Every tile reads each of its inputs once from SRAM and writes each of its outputs once; an addition into a partial sum
reads and writes it, the first only writes it. A transfer accesses SRAM once at each of its ends that is no DRAM. What
circulates inside an array of processing elements costs nothing, nor does waiting (leakage).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.folded import REPEATED, FoldedSchedule
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule
from ssmopt.silicon import exact
from ssmopt.tiling import Tiling
from ssmopt.workload.counts import operations


@dataclass(frozen=True)
class Energy:
    """Energy in uJ by where it goes; None where the hardware does not say what an event costs."""

    compute_uj: Fraction | None = None
    sram_uj: Fraction | None = None
    dram_uj: Fraction | None = None

    @property
    def total_uj(self) -> Fraction | None:
        """All together; None unless all three are known."""
        if self.compute_uj is None or self.sram_uj is None or self.dram_uj is None:
            return None
        return self.compute_uj + self.sram_uj + self.dram_uj

    def as_dict(self) -> dict[str, float | None]:
        """Fields of a result."""
        parts = {
            "energy_uj": self.total_uj,
            "energy_compute_uj": self.compute_uj,
            "energy_sram_uj": self.sram_uj,
            "energy_dram_uj": self.dram_uj,
        }
        return {name: None if value is None else float(value) for name, value in parts.items()}


def energy_of(problem: Problem | None, tiling: Tiling | None, sram_bytes: int | None, dram_bytes: int | None) -> Energy:
    """Energy of a schedule.

    Parameters
    ----------
    problem, tiling
        What the tiles were made from; None of a tile instance, whose operations and hardware are not known.
    sram_bytes, dram_bytes
        Bytes read from and written to SRAM, and bytes moved to and from DRAM; None without a schedule.
    """
    if problem is None or tiling is None or sram_bytes is None or dram_bytes is None:
        return Energy()
    costs, per_bit = problem.hardware.energy, problem.hardware.dram_pj_per_bit
    compute = sram = None
    if costs is not None:
        compute = _in_uj(_operation_pj(operations(problem, tiling), costs.op_pj))
        sram = _in_uj(sram_bytes * exact(costs.sram_pj_per_byte))
    return Energy(compute, sram, None if per_bit is None else _in_uj(8 * dram_bytes * exact(per_bit)))


def sram_bytes_accessed(instance: Instance, schedule: Schedule) -> int:
    """Bytes that tiles and transfers read from memories and write to them."""
    return int(
        _tile_access_bytes(instance)[schedule.tiles.tile].sum() + _transfer_access_bytes(instance, schedule).sum()
    )


def folded_sram_bytes_accessed(folded: FoldedSchedule) -> int:
    """The same for a schedule in closed form."""
    tiles = _tile_access_bytes(folded.short)[folded.schedule.tiles.tile]
    transfers = _transfer_access_bytes(folded.short, folded.schedule)
    once = int(tiles.sum() + transfers.sum())
    again = int(tiles[folded.tile_part == REPEATED].sum() + transfers[folded.transfer_part == REPEATED].sum())
    return once + folded.copies * again


def _tile_access_bytes(instance: Instance) -> IntArray:
    """Per tile: bytes of its inputs and outputs, and twice those of sums that it adds to, once if it is the first.

    Which tile of a sum comes first does not change the total; the first of the instance stands for it.
    """
    access = np.zeros(instance.n_tiles, dtype=np.int64)
    for rows, times in ((instance.inputs, 1), (instance.outputs, 1), (instance.accumulates, 2)):
        np.add.at(access, rows.rows(), times * instance.tensor_bytes[rows.indices])
    sums, where = np.unique(instance.accumulates.indices, return_index=True)
    np.subtract.at(access, instance.accumulates.rows()[where], instance.tensor_bytes[sums])
    return access


def _transfer_access_bytes(instance: Instance, schedule: Schedule) -> IntArray:
    """Per transfer: its bytes for each end that is a memory on the chip."""
    transfers = schedule.transfers
    ends = (transfers.source >= 0).astype(np.int64) + (transfers.target >= 0)
    return instance.tensor_bytes[transfers.tensor] * ends


def _operation_pj(counts: Mapping[str, int], costs: Mapping[str, float]) -> Fraction:
    return sum((count * exact(costs[name]) for name, count in counts.items()), Fraction(0))


def _in_uj(picojoule: Fraction) -> Fraction:
    return picojoule / 10**6
