"""Instances and schedules written down by name, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ssmopt.csr import Csr
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, KINDS, NOT_ADMISSIBLE, Instance
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable, makespan_of

Row = tuple[object, ...]


def make_instance(
    tiles: Mapping[str, tuple[int | Mapping[str, int], str, str, str]],
    tensors: Mapping[str, tuple[int, str]],
    memories: Mapping[str, int],
    cores: Mapping[str, str],
    channels: Mapping[str, tuple[int, int, str]],
) -> Instance:
    """An instance by name.

    Parameters
    ----------
    tiles
        Duration (on every core, or by core), and the inputs, outputs and accumulates, separated by spaces.
    tensors
        Bytes and kind.
    memories
        Capacity.
    cores
        Memory.
    channels
        Bandwidth, lanes, and what it connects, separated by spaces.
    """
    memory = {name: index for index, name in enumerate(memories)} | {"dram": DRAM}
    tensor = {name: index for index, name in enumerate(tensors)}

    def lists(column: int) -> Csr:
        return Csr.from_lists([[tensor[name] for name in str(row[column]).split()] for row in tiles.values()])

    durations = [
        [time if isinstance(time, int) else time.get(core, NOT_ADMISSIBLE) for core in cores]
        for time, *_ in tiles.values()
    ]
    return Instance(
        name="handmade",
        memory_ids=tuple(memories),
        memory_capacity=np.array(list(memories.values()), dtype=np.int64),
        core_ids=tuple(cores),
        core_memory=np.array([memory[m] for m in cores.values()], dtype=np.int64),
        core_kind=np.arange(len(cores), dtype=np.int64),
        channel_ids=tuple(channels),
        channel_bandwidth=np.array([c[0] for c in channels.values()], dtype=np.int64),
        channel_lanes=np.array([c[1] for c in channels.values()], dtype=np.int64),
        channel_connects=tuple(tuple(memory[end] for end in c[2].split()) for c in channels.values()),
        tensor_ids=Ids.of(list(tensors)),
        tensor_bytes=np.array([t[0] for t in tensors.values()], dtype=np.int64),
        tensor_kind=np.array([KINDS.index(t[1]) for t in tensors.values()], dtype=np.int8),
        tile_ids=Ids.of(list(tiles)),
        duration=np.array(durations, dtype=np.int64).reshape(len(tiles), len(cores)),
        inputs=lists(1),
        outputs=lists(2),
        accumulates=lists(3),
    )


def make_schedule(
    instance: Instance,
    tiles: Iterable[Row],
    transfers: Iterable[Row] = (),
    residencies: Iterable[Row] = (),
    makespan: int | None = None,
) -> Schedule:
    """A schedule whose rows are the columns of each table, with names or numbers for what they refer to.

    The makespan is the last end unless given.
    """
    memory: Sequence[str] = instance.memory_ids

    def index(names: Sequence[str], name: object) -> object:
        return {"dram": DRAM, **{n: i for i, n in enumerate(names)}}[name] if isinstance(name, str) else name

    def columns(rows: Iterable[Row], names: Sequence[Sequence[str]]) -> list[np.ndarray]:
        width = len(names) + 2
        numbers = [[*(index(n, cell) for n, cell in zip(names, row, strict=False)), *row[-2:]] for row in rows]
        return list(np.array(numbers, dtype=np.int64).reshape(-1, width).T)

    tile_table = TileTable(*columns(tiles, (instance.tile_ids.all, instance.core_ids)))
    tensor_ids = instance.tensor_ids.all
    transfer_table = TransferTable(*columns(transfers, (tensor_ids, instance.channel_ids, memory, memory)))
    residency_table = ResidencyTable(*columns(residencies, (tensor_ids, memory)))
    last = makespan_of(tile_table, transfer_table) if makespan is None else makespan
    return Schedule(tile_table, transfer_table, residency_table, last, "handmade")
