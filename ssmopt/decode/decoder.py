"""`decode`: an order and a policy in, a feasible schedule out."""

from __future__ import annotations

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode.policy import Policy
from ssmopt.decode.private import decode_private
from ssmopt.decode.retention import Segments, Uses, decide_retention
from ssmopt.decode.timing import Timing, run
from ssmopt.errors import InputError
from ssmopt.instance import DRAM, Instance
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable, makespan_of


def decode(instance: Instance, order: IntArray, policy: Policy | None = None, *, solver: str = "decode") -> Schedule:
    """Turn an order of tiles into a feasible schedule.

    When the working set exceeds the memory, tensors are dropped by furthest next use and loaded again, after a store
    where DRAM has no copy. Any order in which tiles come after what they need gives a schedule, as long as every
    single tile fits.

    Parameters
    ----------
    instance
        The tiles; where their tensors may live in several memories, see `ssmopt.decode.private`.
    order
        Shape (tiles,): every tile once, each after the tiles whose results it reads.
    policy
        What to keep; None keeps whatever fits.
    solver
        Name written into the schedule.

    Raises
    ------
    CapacityError
        A tile does not fit its memory.
    InputError
        The order is no topological order, or a memory in use has no channel to DRAM.
    """
    schedule = decode_below(instance, order, policy, cutoff=None, solver=solver)
    assert schedule is not None
    return schedule


def decode_below(
    instance: Instance, order: IntArray, policy: Policy | None = None, *, cutoff: int | None, solver: str = "decode"
) -> Schedule | None:
    """`decode`, but None as soon as the transfers alone take ``cutoff`` cycles or more (None: never).

    Raises
    ------
    CapacityError, InputError
        As `decode`.
    """
    instance.check_capacity()
    _check_order(instance, order)
    policy = policy or Policy()
    memories = working_memories(instance)
    if len(memories) > 1:
        return decode_private(instance, order, policy, cutoff=cutoff, solver=solver)
    memory = int(memories[0]) if len(memories) else 0
    if len(memories) and not any(DRAM in ends and memory in ends for ends in instance.channel_connects):
        raise InputError(f"no channel connects DRAM and memory {instance.memory_ids[memory]!r}")
    capacity = int(instance.memory_capacity[memory])
    uses, segments = decide_retention(instance, order, capacity, policy)
    if cutoff is not None and _traffic_cycles(instance, memory, segments) >= cutoff:
        return None
    timing = run(instance, order, uses, segments, capacity, memory, prefetch=policy.prefetch, window=policy.window)
    return _tables(order, memory, uses, segments, timing, solver)


def decode_work(instance: Instance) -> float:
    """Work that one decoding of the instance takes, in the units of `ssmopt.stopping.Stop`."""
    return (instance.n_tiles + len(instance.inputs.indices) + len(instance.writes.indices)) / 1e6


def _traffic_cycles(instance: Instance, memory: int, segments: Segments) -> int:
    """Cycles that the transfers take at least, spread evenly over the lanes between DRAM and the memory."""
    channels = [c for c, ends in enumerate(instance.channel_connects) if DRAM in ends and memory in ends]
    if not channels:
        return 0
    fastest = max(channels, key=lambda c: int(instance.channel_bandwidth[c]))
    size = instance.tensor_bytes[segments.tensor]
    cycles = instance.transfer_cycles(size[segments.loaded], fastest).sum()
    cycles += instance.transfer_cycles(size[segments.stored], fastest).sum()
    return int(cycles) // int(instance.channel_lanes[channels].sum())


def working_memories(instance: Instance) -> IntArray:
    """The memories that tensors with bytes may live in: those of cores that can run a tile with such tensors."""
    sized = np.zeros(instance.n_tiles, dtype=np.bool_)
    for rows in (instance.inputs, instance.writes):
        sized[rows.rows()[instance.tensor_bytes[rows.indices] > 0]] = True
    return np.flatnonzero(instance.tile_memories[sized].any(axis=0))


def _check_order(instance: Instance, order: IntArray) -> None:
    if len(order) != instance.n_tiles or not np.array_equal(np.sort(order), np.arange(instance.n_tiles)):
        raise InputError("an order must name every tile exactly once")
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order), dtype=np.int64)
    source, target = instance.edges
    wrong = position[source] > position[target]
    if wrong.any():
        edge = int(np.argmax(wrong))
        raise InputError(
            f"the order puts {instance.tile_ids[int(target[edge])]!r} before "
            f"{instance.tile_ids[int(source[edge])]!r}, whose result it reads"
        )


def _tables(order: IntArray, memory: int, uses: Uses, segments: Segments, timing: Timing, solver: str) -> Schedule:
    """Schedule tables from positions and times."""
    n_loads, n_stores = len(timing.load_segment), len(timing.store_segment)
    dram_to = np.full(n_loads, DRAM, dtype=np.int64)
    transfers = TransferTable(
        tensor=segments.tensor[np.concatenate([timing.load_segment, timing.store_segment])],
        channel=np.concatenate([timing.load_channel, timing.store_channel]),
        source=np.concatenate([dram_to, np.full(n_stores, memory, dtype=np.int64)]),
        target=np.concatenate([np.full(n_loads, memory, dtype=np.int64), np.full(n_stores, DRAM, dtype=np.int64)]),
        start=np.concatenate([timing.load_start, timing.store_start]),
        end=np.concatenate([timing.load_end, timing.store_end]),
    )
    start = timing.tile_start[segments.first]
    start[timing.load_segment] = timing.load_start
    end = np.zeros(len(segments), dtype=np.int64)
    np.maximum.at(end, segments.of_use, timing.tile_end[uses.position])
    end[timing.store_segment] = np.maximum(end[timing.store_segment], timing.store_end)
    residencies = ResidencyTable(segments.tensor, np.full(len(segments), memory, dtype=np.int64), start, end)
    tiles = TileTable(order, timing.tile_core, timing.tile_start, timing.tile_end)
    return Schedule(tiles, transfers, residencies, makespan_of(tiles, transfers), solver)
