"""Small tile instances for the tests of the exact model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssmopt.csr import Csr
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, INTERMEDIATE, KINDS, Instance

FT06 = (
    ((2, 1), (0, 3), (1, 6), (3, 7), (5, 3), (4, 6)),
    ((1, 8), (2, 5), (4, 10), (5, 10), (0, 10), (3, 4)),
    ((2, 5), (3, 4), (5, 8), (0, 9), (1, 1), (4, 7)),
    ((1, 5), (0, 5), (2, 5), (3, 3), (4, 8), (5, 9)),
    ((2, 9), (1, 3), (4, 5), (5, 4), (0, 3), (3, 1)),
    ((1, 3), (3, 3), (5, 9), (0, 10), (4, 4), (2, 1)),
)
"""Fisher and Thompson's 6x6 job shop: per job its (machine, duration) steps. Its optimum is 55."""


def make_instance(
    tensors: Sequence[tuple[int, str]],
    tiles: Sequence[tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]]],
    *,
    capacity: Sequence[int] = (100,),
    cores: Sequence[tuple[int, int]] = ((0, 0),),
    channels: Sequence[tuple[int, int, Sequence[int]]] = ((1, 1, (DRAM, 0)),),
) -> Instance:
    """An instance from (bytes, kind) tensors and (durations per kind of core, inputs, outputs, accumulates) tiles.

    Cores are (memory, kind), channels (bandwidth, lanes, ends).
    """
    return Instance(
        name="test",
        memory_ids=tuple(f"m{i}" for i in range(len(capacity))),
        memory_capacity=np.array(capacity, dtype=np.int64),
        core_ids=tuple(f"c{i}" for i in range(len(cores))),
        core_memory=np.array([m for m, _ in cores], dtype=np.int64),
        core_kind=np.array([k for _, k in cores], dtype=np.int64),
        channel_ids=tuple(f"ch{i}" for i in range(len(channels))),
        channel_bandwidth=np.array([b for b, _, _ in channels], dtype=np.int64),
        channel_lanes=np.array([n for _, n, _ in channels], dtype=np.int64),
        channel_connects=tuple(tuple(ends) for _, _, ends in channels),
        tensor_ids=Ids.of([f"x{i}" for i in range(len(tensors))]),
        tensor_bytes=np.array([b for b, _ in tensors], dtype=np.int64),
        tensor_kind=np.array([KINDS.index(k) for _, k in tensors], dtype=np.int8),
        tile_ids=Ids.of([f"t{i}" for i in range(len(tiles))]),
        duration=np.array([t[0] for t in tiles], dtype=np.int64).reshape(len(tiles), 1 + max(k for _, k in cores)),
        inputs=Csr.from_lists([t[1] for t in tiles]),
        outputs=Csr.from_lists([t[2] for t in tiles]),
        accumulates=Csr.from_lists([t[3] for t in tiles]),
    )


def job_shop(jobs: Sequence[Sequence[tuple[int, int]]], memory_per_machine: bool = False) -> Instance:
    """A job shop: zero-byte tensors between the steps of a job, a core per machine."""
    machines = 1 + max(machine for job in jobs for machine, _ in job)
    tensors: list[tuple[int, str]] = []
    tiles = []
    for job in jobs:
        previous: list[int] = []
        for machine, duration in job:
            durations = [-1] * machines
            durations[machine] = duration
            tensors.append((0, KINDS[INTERMEDIATE]))
            tiles.append((durations, previous, [len(tensors) - 1], []))
            previous = [len(tensors) - 1]
    memories = machines if memory_per_machine else 1
    cores = [(m if memory_per_machine else 0, m) for m in range(machines)]
    return make_instance(tensors, tiles, capacity=[1] * memories, cores=cores, channels=[])
