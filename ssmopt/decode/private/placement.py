"""Which memory each tile runs in, where nothing else says so: that in which it ends first."""

from __future__ import annotations

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode.private.links import Links
from ssmopt.errors import InputError
from ssmopt.instance import DRAM, NOT_ADMISSIBLE, Instance

_NEVER = np.iinfo(np.int64).max // 4


def place_tiles(instance: Instance, order: IntArray) -> IntArray:
    """The memory of each tile when, in the given order, each runs on the core that ends it first.

    Operands arrive from where they are made, or from DRAM, after one transfer; nothing waits for a channel or for
    room, and what a memory once had it keeps (Topcuoglu, Hariri and Wu, 2002).

    Parameters
    ----------
    instance, order
        Tiles, and an order in which each comes after those whose results it reads.

    Returns
    -------
    array
        Shape (tiles,).
    """
    links = Links.of(instance)
    size = instance.tensor_bytes
    load = np.stack([_cycles(size, instance, links.of_dram[m]) for m in range(instance.n_memories)], axis=1)
    move = np.minimum(_move_cycles(instance), 2 * load.max(axis=1))
    fits = instance.tile_need_bytes[:, None] <= instance.memory_capacity[instance.core_memory][None, :]
    duration = instance.duration[:, instance.core_kind]
    duration = np.where((duration == NOT_ADMISSIBLE) | ~fits, _NEVER, duration)
    home = instance.core_memory
    arrival = np.where(size[:, None] > 0, load, 0)
    free = np.zeros(instance.n_cores, dtype=np.int64)
    complete = np.zeros(instance.n_tensors, dtype=np.int64)
    place = np.empty(instance.n_tiles, dtype=np.int64)
    reads, adds, makes = (c.lists() for c in (instance.inputs, instance.accumulates, instance.outputs))
    begun = np.zeros(instance.n_tensors, dtype=np.bool_)
    for tile in order.tolist():
        wanted = reads[tile] + [t for t in adds[tile] if begun[t]]
        start = free
        if wanted:
            start = np.maximum(start, arrival[wanted].max(axis=0)[home])
        end = start + duration[tile]
        core = int(np.argmin(end))
        memory = int(home[core])
        place[tile] = memory
        free[core] = end[core]
        for tensor in reads[tile]:
            arrival[tensor, memory] = min(arrival[tensor, memory], int(start[core]))
        for tensor in (*makes[tile], *adds[tile]):
            complete[tensor] = end[core]
            arrival[tensor] = end[core] + (move[tensor] if size[tensor] else 0)
            arrival[tensor, memory] = end[core]
            begun[tensor] = True
    return place


def _cycles(n_bytes: IntArray, instance: Instance, channels: tuple[int, ...]) -> IntArray:
    if not channels:
        return np.full(len(n_bytes), _NEVER, dtype=np.int64)
    fastest: IntArray = np.min([instance.transfer_cycles(n_bytes, c) for c in channels], axis=0)
    return fastest


def _move_cycles(instance: Instance) -> IntArray:
    """Per tensor: cycles of a move between memories."""
    apart = [c for c, ends in enumerate(instance.channel_connects) if sum(end != DRAM for end in ends) > 1]
    return _cycles(instance.tensor_bytes, instance, tuple(apart))


def check_place(instance: Instance, place: IntArray) -> None:
    """Raise `InputError` unless every tile can run in its memory, and fits there."""
    if place.shape != (instance.n_tiles,):
        raise InputError(f"expected a memory for each of {instance.n_tiles} tiles, not {place.shape}", key="memories")
    known = (place >= 0) & (place < instance.n_memories)
    tiles = np.arange(instance.n_tiles)
    able = known & instance.tile_memories[tiles, np.where(known, place, 0)]
    able &= instance.tile_need_bytes <= instance.memory_capacity[np.where(known, place, 0)]
    if not able.all():
        tile = int(np.argmin(able))
        name = instance.memory_ids[int(place[tile])] if known[tile] else str(place[tile])
        raise InputError(f"tile {instance.tile_ids[tile]!r} cannot run in memory {name!r}", key="memories")
