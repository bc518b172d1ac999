"""Instances and schedules made up for pictures: quick to build at any size, not meant to be good."""

from __future__ import annotations

import numpy as np

from ssmopt.csr import Csr
from ssmopt.ids import Ids
from ssmopt.instance import INTERMEDIATE, OUTPUT, STATE, WEIGHT, Instance, TileMeta
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable, makespan_of

OPERATORS = (
    "rms_norm", "in_proj", "conv1d", "silu_x", "x_proj", "dt_proj", "softplus", "mul_dA", "exp_dA", "mul_dB",
    "mul_dBx", "mul_hA", "add_h", "mul_hC", "skip_D", "silu_z", "gate", "out_proj", "residual",
)  # fmt: skip


def six_tiles() -> tuple[Instance, Schedule]:
    """Three tiles on each of two cores with one SRAM; weights come in, the result goes out, one spill."""
    kib = 1024
    tensors = ("w.0", "w.1", "x", "u", "v", "h", "y", "out")
    sizes = [48 * kib, 32 * kib, 16 * kib, 24 * kib, 24 * kib, 16 * kib, 24 * kib, 16 * kib]
    kinds = [WEIGHT, WEIGHT, 1, INTERMEDIATE, INTERMEDIATE, STATE, INTERMEDIATE, OUTPUT]
    tiles = ("in_proj.0", "conv1d.0", "mul_dA.0", "scan.0", "gate.0", "out_proj.0")
    instance = Instance(
        name="six tiles on two cores",
        memory_ids=("sram",), memory_capacity=np.array([160 * kib]),
        core_ids=("array", "vector"), core_memory=np.array([0, 0]), core_kind=np.array([0, 1]),
        channel_ids=("dma",), channel_bandwidth=np.array([256]), channel_lanes=np.array([1]),
        channel_connects=((-1, 0),),
        tensor_ids=Ids.of(tensors), tensor_bytes=np.array(sizes), tensor_kind=np.array(kinds, dtype=np.int8),
        tile_ids=Ids.of(tiles),
        duration=np.array([[180, -1], [-1, 90], [-1, 70], [-1, 160], [60, 80], [140, -1]]),
        inputs=Csr.from_lists([[0, 2], [3], [3], [4, 5], [6], [1, 6]]),
        outputs=Csr.from_lists([[3], [4], [5], [6], [], [7]]),
        accumulates=Csr.empty(6),
    )  # fmt: skip
    schedule = Schedule(
        tiles=TileTable(
            tile=np.arange(6), core=np.array([0, 1, 1, 1, 0, 0]),
            start=np.array([256, 436, 526, 660, 820, 880]), end=np.array([436, 526, 596, 820, 880, 1020]),
        ),
        transfers=TransferTable(
            tensor=np.array([0, 2, 1, 4, 4, 7]), channel=np.zeros(6, dtype=np.int64),
            source=np.array([-1, -1, -1, 0, -1, 0]), target=np.array([0, 0, 0, -1, 0, -1]),
            start=np.array([0, 192, 256, 526, 622, 1020]), end=np.array([192, 256, 384, 622, 718, 1084]),
        ),
        residencies=ResidencyTable(
            tensor=np.array([0, 2, 1, 3, 4, 4, 5, 6, 7]), memory=np.zeros(9, dtype=np.int64),
            start=np.array([0, 192, 256, 256, 436, 622, 526, 660, 880]),
            end=np.array([436, 436, 1020, 596, 622, 820, 820, 1020, 1084]),
        ),
        makespan=1084, solver="by hand",
    )  # fmt: skip
    return instance, schedule


def many_tiles(n: int, cores: int = 1, lanes: int = 1, memories: int = 1, seed: int = 0) -> tuple[Instance, Schedule]:
    """``n`` tiles of the operators of a block, with a phase of projections at either end."""
    random = np.random.default_rng(seed)
    phase = np.arange(n) / max(n, 1)
    state = random.integers(7, 14, n)
    operator = np.where(phase < 0.12, 1, np.where(phase < 0.2, random.integers(2, 7, n), state))
    operator = np.where(phase > 0.9, random.integers(14, 19, n), operator).astype(np.int32)
    duration = random.integers(20, 120, n)
    core = np.arange(n) % cores
    start = np.zeros(n, dtype=np.int64)
    for c in range(cores):
        mine = core == c
        busy = duration[mine] + random.integers(0, 30, mine.sum()) * (phase[mine] > 0.5)
        start[mine] = 500 + np.cumsum(busy) - busy
    end = start + duration
    memory_of_core = np.arange(cores) % memories
    capacity = 24 * 2**20 // memories
    one = np.arange(n)
    n_loads = n // 2
    kinds = np.where(phase < 0.12, WEIGHT, np.where(phase > 0.95, OUTPUT, np.where(one % 5 == 0, STATE, INTERMEDIATE)))
    instance = Instance(
        name=f"mamba1-2.7b-n64 L=1024 on a synthetic machine, {n:,} tiles",
        memory_ids=tuple(f"sram.{i}" for i in range(memories)) if memories > 1 else ("sram",),
        memory_capacity=np.full(memories, capacity),
        core_ids=tuple(f"pe.{i}" for i in range(cores)) if cores > 1 else ("pe",),
        core_memory=memory_of_core, core_kind=np.zeros(cores, dtype=np.int64),
        channel_ids=("dma", "noc") if lanes > 1 else ("dma",),
        channel_bandwidth=np.full(1 + (lanes > 1), 256), channel_lanes=np.array([1, lanes][: 1 + (lanes > 1)]),
        channel_connects=((-1, *range(memories)),) * (1 + (lanes > 1)),
        tensor_ids=Ids(("t",), np.zeros(n, dtype=np.int32), one[:, None].astype(np.int32)),
        tensor_bytes=random.integers(1, 60, n) * capacity // 4000, tensor_kind=kinds.astype(np.int8),
        tile_ids=Ids(OPERATORS, operator, one[:, None].astype(np.int32)), duration=duration[:, None],
        inputs=Csr.empty(n), outputs=Csr.from_pairs(one, one, n), accumulates=Csr.empty(n),
        meta=TileMeta(
            OPERATORS, operator, ("L",), one[:, None].astype(np.int32), one[:, None].astype(np.int32) + 1
        ),
    )  # fmt: skip
    tiles = TileTable(one, core, start, end)
    moved = np.sort(random.choice(n, n_loads, replace=False))
    length = random.integers(10, 100, n_loads)
    begin = np.cumsum(length) - length
    channel = np.zeros(n_loads, dtype=np.int64) if lanes == 1 else (random.random(n_loads) < 0.7).astype(np.int64)
    loads = random.random(n_loads) < 0.8
    source = np.where(channel == 1, 0, np.where(loads, -1, 0))
    target = np.where(channel == 1, memories - 1, np.where(loads, 0, -1))
    begin = np.where(channel == 1, begin // 3, begin)
    transfers = TransferTable(moved, channel, source, target, begin, begin + length)
    stay = random.integers(500, 8000, n)
    residencies = ResidencyTable(one, memory_of_core[core], start, start + stay)
    makespan = makespan_of(tiles, transfers)
    residencies = ResidencyTable(
        residencies.tensor, residencies.memory, residencies.start, np.minimum(residencies.end, makespan)
    )
    return instance, Schedule(tiles, transfers, residencies, makespan, "decoder")
