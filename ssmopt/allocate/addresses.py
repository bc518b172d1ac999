"""Addresses for a schedule: every residency gets an offset in its memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ssmopt.allocate.packing import EFFORT, Packing, pack
from ssmopt.csr import IntArray
from ssmopt.errors import SsmoptError
from ssmopt.instance import Instance
from ssmopt.result import Allocation
from ssmopt.schedule import Schedule
from ssmopt.validate import check


class AllocationError(SsmoptError):
    """No addresses were found for a schedule that respects the capacity.

    Attributes
    ----------
    memory
        Name of the memory.
    height_bytes, capacity_bytes
        What the best packing found takes, and what the memory holds.
    """

    def __init__(self, memory: str, height_bytes: int, capacity_bytes: int, impossible: bool) -> None:
        self.memory = memory
        self.height_bytes = height_bytes
        self.capacity_bytes = capacity_bytes
        why = "there are no addresses" if impossible else "found no addresses"
        super().__init__(
            f"{why} for the residencies in {memory}: the best packing found takes {height_bytes:,} of its "
            f"{capacity_bytes:,} bytes"
        )


def allocate(
    instance: Instance,
    schedule: Schedule,
    *,
    effort: float = EFFORT,
    time_limit: float = math.inf,
    should_stop: Callable[[], bool] | None = None,
) -> Schedule:
    """Give every residency of a schedule an offset, without changing anything else.

    Parameters
    ----------
    instance, schedule
        A feasible schedule; offsets that it has are replaced.
    effort, time_limit, should_stop
        Limits of the search, as for `ssmopt.allocate.pack`.

    Returns
    -------
    Schedule
        With ``residencies.offset`` in bytes; the validator has accepted it.

    Raises
    ------
    AllocationError
        No packing was found.
    InvalidScheduleError
        The schedule is not feasible.
    """
    check(instance, without_addresses(schedule))
    table = schedule.residencies
    size = instance.tensor_bytes[table.tensor]
    offset = np.zeros(len(table), dtype=np.int64)
    for memory in np.unique(table.memory).tolist():
        mine = np.flatnonzero((table.memory == memory) & (size > 0))
        capacity = int(instance.memory_capacity[memory])
        packing = pack_rows(schedule, size, mine, capacity, effort, time_limit, should_stop)
        if packing.offsets is None:
            raise AllocationError(instance.memory_ids[memory], packing.height, capacity, packing.impossible)
        offset[mine] = packing.offsets
    placed = replace(schedule, residencies=replace(table, offset=offset))
    check(instance, placed)
    return placed


def pack_rows(
    schedule: Schedule,
    size: IntArray,
    rows: IntArray,
    capacity: int,
    effort: float,
    time_limit: float,
    should_stop: Callable[[], bool] | None,
) -> Packing:
    """Pack some of the residencies."""
    table = schedule.residencies
    return pack(
        table.start[rows],
        table.end[rows],
        size[rows],
        capacity,
        effort=effort,
        time_limit=time_limit,
        should_stop=should_stop,
    )


def without_addresses(schedule: Schedule) -> Schedule:
    """The schedule without offsets."""
    return replace(schedule, residencies=replace(schedule.residencies, offset=None))


def allocation_of(instance: Instance, schedule: Schedule, lost_cycles: int = 0) -> Allocation | None:
    """What the addresses of a schedule take; None when it has none."""
    table = schedule.residencies
    if table.offset is None:
        return None
    size = instance.tensor_bytes[table.tensor]
    height = peak = 0
    for memory in range(instance.n_memories):
        mine = (table.memory == memory) & (size > 0)
        height += int((table.offset + size)[mine].max(initial=0))
        peak += schedule.peak_memory_bytes(instance.tensor_bytes, memory)
    return Allocation(height, peak, lost_cycles)
