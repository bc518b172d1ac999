"""Bounds for one tile instance: its durations, and whole transfers."""

from __future__ import annotations

import itertools

import numpy as np

from ssmopt.bounds.crossing import before_and_after, forced_transfers
from ssmopt.bounds.exclusion import Tiles, Transfers, exclusion_bound
from ssmopt.bounds.kin import Kin, Machines, heads_from_transfers, heads_from_work, worth_while
from ssmopt.bounds.machine import machine_bound
from ssmopt.bounds.moments import BoolArray, Moments, find_moments
from ssmopt.bounds.split import Direction, split_bound
from ssmopt.csr import IntArray
from ssmopt.instance import DRAM, NOT_ADMISSIBLE, OUTPUT, Instance
from ssmopt.result import Bound


def instance_bounds(instance: Instance) -> list[Bound]:
    """Cycles below which no schedule of this tile instance exists, with reasons.

    Longest path; per set of cores, and over the channels to DRAM: release, work and tail; tiles and transfers that
    exclude each other; all that must come before and after some tile, or some moment. Transfers counted are those that
    every schedule makes: one load of each tensor that is read and that no tile produces, one store of each produced
    output; and, where memory is short, those that cross some moment of every schedule off chip.
    """
    if instance.n_tiles == 0:
        return [Bound(0, "nothing to do")]
    heads, tails, shortest = _paths(instance)
    bounds = [Bound(int((heads + shortest + tails).max()), "longest path")]
    close = worth_while(instance)
    if close:
        heads, tails = _with_kin(instance, heads, tails, shortest)
    bounds += _core_bounds(instance, heads, tails, shortest)
    bounds += _traffic_bound(instance, heads, tails, shortest)
    bounds += _exclusion_bounds(instance, heads, tails, shortest)
    if close:
        value = int((heads + shortest + tails).max())
        bounds.append(Bound(value, "all loads and work before some tile, and all work and stores after it"))
        bounds += _split_bounds(instance, heads, tails, shortest)
    return bounds + _crossing_bounds(instance, heads, tails, shortest)


def _transfer_cycles(instance: Instance) -> IntArray:
    """Per tensor: cycles of its fastest transfer to or from DRAM; 0 for tensors without bytes."""
    channels = [c for c, ends in enumerate(instance.channel_connects) if DRAM in ends]
    if not channels:
        return np.zeros(instance.n_tensors, dtype=np.int64)
    fastest = max(channels, key=lambda c: int(instance.channel_bandwidth[c]))
    return instance.transfer_cycles(instance.tensor_bytes, fastest)


def _stored(instance: Instance) -> BoolArray:
    """Per tensor: whether every schedule stores it."""
    is_output: BoolArray = instance.tensor_kind == OUTPUT
    return is_output & instance.produced & (instance.tensor_bytes > 0)


def _paths(instance: Instance) -> tuple[IntArray, IntArray, IntArray]:
    """Per tile: longest path before its start, after its end, and its shortest duration.

    A loaded operand precedes by its transfer; a stored output follows by its. Tiles that add into one tensor run one
    after another, so that a reader also waits for the sum of them.
    """
    columns = instance.duration[:, instance.core_kind]
    never = np.iinfo(np.int64).max
    shortest = np.where(columns == NOT_ADMISSIBLE, never, columns).min(axis=1)
    cycles = _transfer_cycles(instance)
    loads = np.where(instance.produced, 0, cycles)
    stores = np.where(_stored(instance), cycles, 0)

    head = np.zeros(instance.n_tiles, dtype=np.int64)
    np.maximum.at(head, instance.inputs.rows(), loads[instance.inputs.indices])
    tail = np.zeros(instance.n_tiles, dtype=np.int64)
    np.maximum.at(tail, instance.writes.rows(), stores[instance.writes.indices])
    return _heads(instance, head, shortest), _tails(instance, tail, shortest), shortest


def _heads(instance: Instance, start: IntArray, shortest: IntArray) -> IntArray:
    """Longest path to the start of each tile, given what its loads alone ask for.

    Tiles that add into one tensor run one after another (rule V10), so their durations add up.
    """
    head, cycles = start.tolist(), shortest.tolist()
    inputs, writers = instance.inputs.lists(), instance.writers.lists()
    ready: dict[int, int] = {}
    for tile in instance.topological_order.tolist():
        for tensor in inputs[tile]:
            if tensor not in ready:
                tiles = writers[tensor]
                ready[tensor] = max((head[t] + cycles[t] for t in tiles), default=0)
                if len(tiles) > 1:
                    ready[tensor] = max(ready[tensor], min(head[t] for t in tiles) + sum(cycles[t] for t in tiles))
            head[tile] = max(head[tile], ready[tensor])
    return np.array(head, dtype=np.int64)


def _tails(instance: Instance, start: IntArray, shortest: IntArray) -> IntArray:
    """Longest path from the end of each tile, given what its stores alone ask for."""
    tail, cycles = start.tolist(), shortest.tolist()
    writes, readers = instance.writes.lists(), instance.readers.lists()
    for tile in instance.topological_order[::-1].tolist():
        for tensor in writes[tile]:
            for reader in readers[tensor]:
                tail[tile] = max(tail[tile], cycles[reader] + tail[reader])
    return np.array(tail, dtype=np.int64)


def _with_kin(instance: Instance, heads: IntArray, tails: IntArray, shortest: IntArray) -> tuple[IntArray, IntArray]:
    """Heads and tails that count all loads and all work before a tile, and all work and stores after it."""
    cycles = _transfer_cycles(instance)
    lanes = _lanes(instance)
    machines = [Machines(len(cores), inside) for cores, inside in _confined(instance)]
    loaded = np.flatnonzero(~instance.produced & (cycles > 0) & (instance.readers.counts() > 0))
    stored = np.flatnonzero(_stored(instance) & (cycles > 0))
    before = Kin.of(instance, loaded, backwards=False)
    if lanes:
        moved = heads_from_transfers(instance, before, cycles, lanes, shortest, backwards=False)
        heads = _heads(instance, np.maximum(heads, moved), shortest)
    heads = _heads(instance, np.maximum(heads, heads_from_work(before, machines, heads, shortest)), shortest)
    after = Kin.of(instance, stored, backwards=True)
    if lanes:
        moved = heads_from_transfers(instance, after, cycles, lanes, shortest, backwards=True)
        tails = _tails(instance, np.maximum(tails, moved), shortest)
    tails = _tails(instance, np.maximum(tails, heads_from_work(after, machines, tails, shortest)), shortest)
    return heads, tails


def _split_bounds(instance: Instance, heads: IntArray, tails: IntArray, shortest: IntArray) -> list[Bound]:
    """Loads before some moment, work after it, and the cheaper of both for all else; and the mirror image."""
    lanes = _lanes(instance)
    if not lanes:
        return []
    cycles = _transfer_cycles(instance)
    machines = [Machines(len(cores), inside) for cores, inside in _confined(instance)]
    forwards = Direction.forwards(instance, np.where(instance.produced, 0, cycles), tails)
    backwards = Direction.backwards(instance, np.where(_stored(instance), cycles, 0), heads)
    early = split_bound(instance, forwards, machines, lanes, shortest)
    late = split_bound(instance, backwards, machines, lanes, shortest)
    return [
        Bound(early.cycles, f"loads before the first use of {early.moment}, and work after it"),
        Bound(late.cycles, f"work before the last write of {late.moment}, and stores after it"),
    ]


def _lanes(instance: Instance) -> int:
    """Lanes to DRAM of all channels together."""
    return sum(int(instance.channel_lanes[c]) for c, ends in enumerate(instance.channel_connects) if DRAM in ends)


def _core_bounds(instance: Instance, heads: IntArray, tails: IntArray, shortest: IntArray) -> list[Bound]:
    """One bound per set of kinds of core, over the tiles that can run nowhere else."""
    bounds = []
    for cores, inside in _confined(instance):
        value = machine_bound(heads[inside], shortest[inside], tails[inside], len(cores))
        bounds.append(Bound(value, "release, work and tail of " + _names(instance, cores)))
    return bounds


def _confined(instance: Instance) -> list[tuple[IntArray, BoolArray]]:
    """Sets of cores, and per tile whether it can run on no others."""
    kinds = np.unique(instance.core_kind)
    able = instance.duration[:, kinds] != NOT_ADMISSIBLE
    patterns = np.unique(able, axis=0)
    found = []
    for pattern in _unions(patterns):
        cores = np.flatnonzero(np.isin(instance.core_kind, kinds[pattern]))
        found.append((cores, ~(able & ~pattern).any(axis=1)))
    return found


def _unions(
    patterns: BoolArray,
) -> list[BoolArray]:
    """The distinct unions of up to three of the patterns: sets of kinds that confine some tiles."""
    found: dict[bytes, BoolArray] = {}
    for count in range(1, 4):
        for chosen in itertools.combinations(range(len(patterns)), count):
            union: BoolArray = np.asarray(patterns[list(chosen)].any(axis=0))
            found[union.tobytes()] = union
            if len(found) >= 64:
                return list(found.values())
    return list(found.values())


def _names(instance: Instance, cores: IntArray) -> str:
    if len(cores) > 3:
        return f"{len(cores)} cores {instance.core_ids[int(cores[0])]} ... {instance.core_ids[int(cores[-1])]}"
    return ", ".join(instance.core_ids[int(c)] for c in cores)


def _traffic_bound(instance: Instance, heads: IntArray, tails: IntArray, shortest: IntArray) -> list[Bound]:
    """Loads and stores that every schedule makes, over all lanes to DRAM."""
    lanes = _lanes(instance)
    moved = Transfers.compulsory(instance, _transfer_cycles(instance), heads, tails, shortest)
    if not lanes or not len(moved.cycles):
        return []
    ends = zip(instance.channel_ids, instance.channel_connects, strict=True)
    names = " and ".join(name for name, memories in ends if DRAM in memories)
    value = machine_bound(moved.heads, moved.cycles, moved.tails, lanes)
    return [Bound(value, f"compulsory traffic of channel {names}")]


def _exclusion_bounds(instance: Instance, heads: IntArray, tails: IntArray, shortest: IntArray) -> list[Bound]:
    """Tiles and transfers of which no two happen at a time, since memory has no room for both."""
    lanes = _lanes(instance)
    moved = Transfers.compulsory(instance, _transfer_cycles(instance), heads, tails, shortest)
    if not lanes or not len(moved.cycles):
        return []
    capacity = int(instance.memory_capacity.sum())
    bounds = []
    for cores, inside in _confined(instance):
        tiles = Tiles(heads[inside], shortest[inside], tails[inside], instance.tile_need_bytes[inside])
        cycles = exclusion_bound(tiles, len(cores), moved, lanes, capacity)
        if cycles:
            reason = f"transfers for which {capacity:,} bytes of SRAM have no room beside tiles of"
            bounds.append(Bound(cycles, f"{reason} {_names(instance, cores)}"))
    return bounds


def _crossing_bounds(instance: Instance, heads: IntArray, tails: IntArray, shortest: IntArray) -> list[Bound]:
    """What short memory forces: with all compulsory traffic, and before and after some moment of every schedule."""
    capacity = int(instance.memory_capacity.sum())
    channels = [c for c, ends in enumerate(instance.channel_connects) if DRAM in ends]
    if int(instance.tensor_bytes.sum()) <= capacity or not channels:
        return []
    cycles = _transfer_cycles(instance)
    lanes = int(instance.channel_lanes[channels].sum())
    moments = find_moments(instance)
    bounds = []
    forced = forced_transfers(instance, moments, cycles)
    if forced.cycles > 0:
        loads = int(cycles[~instance.produced & (instance.readers.counts() > 0)].sum())
        stores = int(cycles[_stored(instance)].sum())
        # What crosses a moment follows the end of some tile, and some tile follows it.
        head, tail = int((heads + shortest).min()), int((shortest + tails).min())
        value = max(
            -(-(loads + stores + forced.cycles) // lanes),
            -(-(loads + forced.cycles) // lanes) + tail,
            head + -(-(stores + forced.cycles) // lanes),
        )
        reason = f"compulsory traffic, and {forced.cycles:,} cycles of transfers that {capacity:,} bytes of SRAM force"
        bounds.append(Bound(value, f"{reason} at {forced.moments}"))
    until, since = _around(instance, moments, heads, tails, shortest)
    both = before_and_after(instance, moments, cycles, lanes, until, since)
    reason = f"what comes before and after {both.moments}, with the transfers that {capacity:,} bytes of SRAM force"
    return [*bounds, Bound(both.cycles, reason)]


def _around(
    instance: Instance, moments: Moments, heads: IntArray, tails: IntArray, shortest: IntArray
) -> tuple[IntArray, IntArray]:
    """Per moment: the longest path before it, and after it."""
    written = np.zeros(instance.n_tensors, dtype=np.int64)
    np.maximum.at(written, instance.writes.indices, (heads + shortest)[instance.writes.rows()])
    read = np.full(instance.n_tensors, np.iinfo(np.int64).max)
    np.minimum.at(read, instance.inputs.indices, (shortest + tails)[instance.inputs.rows()])
    until = np.concatenate([heads, written])
    since = np.concatenate([shortest + tails, read])
    return until[moments.numbers], since[moments.numbers]
