"""`decode_private`: an order and a policy in, a feasible schedule on several memories out."""

from __future__ import annotations

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode.policy import Policy
from ssmopt.decode.private.ahead import look_ahead
from ssmopt.decode.private.links import Links
from ssmopt.decode.private.placement import check_place, place_tiles
from ssmopt.decode.private.stays import FROM_DRAM, Stays, decide_stays
from ssmopt.decode.private.timing import Machine, Timing
from ssmopt.instance import DRAM, Instance
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable, makespan_of


def decode_private(
    instance: Instance, order: IntArray, policy: Policy, *, cutoff: int | None, solver: str
) -> Schedule | None:
    """Turn an order of tiles into a feasible schedule on a machine with several memories.

    Parameters
    ----------
    instance
        Tiles each of which fits a memory that it can work out of.
    order
        Shape (tiles,): every tile once, each after the tiles whose results it reads.
    policy
        What to keep, and which memory each tile runs in.
    cutoff
        None is returned as soon as the transfers to and from DRAM alone take so many cycles or more (None: never).
    solver
        Name written into the schedule.

    Raises
    ------
    InputError
        A memory that a tile runs in has no channel to DRAM, or cannot hold or run it.
    """
    links = Links.of(instance)
    place = place_tiles(instance, order) if policy.memories is None else policy.memories
    check_place(instance, place)
    links.check(np.unique(place[instance.tile_need_bytes > 0]))
    cells, touches, stays = decide_stays(instance, order, place, policy, links)
    if cutoff is not None and _traffic_cycles(instance, stays) >= cutoff:
        return None
    queue = look_ahead(instance, cells, stays, policy)
    timing = Machine(instance, order, place, cells, touches, stays, queue, links).run()
    return _tables(order, stays, timing, solver)


def _traffic_cycles(instance: Instance, stays: Stays) -> int:
    """Cycles that the transfers to and from DRAM take at least, spread evenly over all lanes."""
    channels = [c for c, ends in enumerate(instance.channel_connects) if DRAM in ends]
    fastest = max(channels, key=lambda c: int(instance.channel_bandwidth[c]))
    cycles = instance.transfer_cycles(instance.tensor_bytes[stays.tensor], fastest)
    total = int(cycles[stays.source == FROM_DRAM].sum()) + int(cycles[stays.stored].sum())
    return total // int(instance.channel_lanes[channels].sum())


def _tables(order: IntArray, stays: Stays, timing: Timing, solver: str) -> Schedule:
    transfers = TransferTable(*(np.ascontiguousarray(column) for column in timing.transfers.T))
    residencies = ResidencyTable(stays.tensor, stays.memory, timing.stay_start, timing.stay_end)
    tiles = TileTable(order, timing.core, timing.start, timing.end)
    return Schedule(tiles, transfers, residencies, makespan_of(tiles, transfers), solver)
