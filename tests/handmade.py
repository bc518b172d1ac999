"""Instances and schedules written down by name, and three of them with two memories, for tests."""

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


TWO_MEMORIES = {
    "memories": {"m0": 8, "m1": 8},
    "cores": {"c0": "m0", "c1": "m1"},
    "channels": {"dma": (2, 1, "dram m0 m1"), "link": (4, 2, "m0 m1")},
}

MOVED = make_instance(
    tiles={"p": ({"c0": 3}, "w", "a", ""), "q": (2, "a", "out", "")},
    tensors={"w": (4, "weight"), "a": (4, "intermediate"), "out": (2, "output")},
    **TWO_MEMORIES,
)
MOVED_ROWS: dict[str, Row] = {
    "load w": ("w", "dma", "dram", "m0", 0, 2),
    "w m0": ("w", "m0", 0, 5),
    "p": ("p", "c0", 2, 5),
    "a m0": ("a", "m0", 2, 6),
    "move a": ("a", "link", "m0", "m1", 5, 6),
    "a m1": ("a", "m1", 5, 8),
    "q": ("q", "c1", 6, 8),
    "out m1": ("out", "m1", 6, 9),
    "store out": ("out", "dma", "m1", "dram", 8, 9),
}

ADDED = make_instance(
    tiles={"x1": (2, "", "", "s"), "x2": (2, "", "", "s"), "x3": (2, "", "", "s"), "r": (2, "s", "o", "")},
    tensors={"s": (4, "output"), "o": (2, "output")},
    **TWO_MEMORIES,
)
ADDED_ROWS: dict[str, Row] = {
    "x1": ("x1", "c0", 0, 2),
    "s m0 first": ("s", "m0", 0, 3),
    "move s": ("s", "link", "m0", "m1", 2, 3),
    "s m1": ("s", "m1", 2, 7),
    "x2": ("x2", "c1", 3, 5),
    "spill s": ("s", "dma", "m1", "dram", 5, 7),
    "load s": ("s", "dma", "dram", "m0", 7, 9),
    "s m0": ("s", "m0", 7, 14),
    "x3": ("x3", "c0", 9, 11),
    "r": ("r", "c0", 11, 13),
    "o m0": ("o", "m0", 11, 14),
    "store s": ("s", "dma", "m0", "dram", 11, 13),
    "store o": ("o", "dma", "m0", "dram", 13, 14),
}

JOBS = make_instance(
    tiles={"j1": ({"c0": 3}, "", "k", "z"), "j2": ({"c1": 4}, "k", "end", ""), "j3": ({"c1": 2}, "", "", "z")},
    tensors={"k": (0, "intermediate"), "end": (0, "output"), "z": (0, "intermediate")},
    **TWO_MEMORIES,
)
JOBS_ROWS: dict[str, Row] = {"j1": ("j1", "c0", 0, 3), "j2": ("j2", "c1", 5, 9), "j3": ("j3", "c1", 3, 5)}

INSTANCES = {"moved": (MOVED, MOVED_ROWS), "added": (ADDED, ADDED_ROWS), "jobs": (JOBS, JOBS_ROWS)}


def schedule_of(which: str, changes: dict[str, Row | None] | None = None, makespan: int | None = None) -> Schedule:
    """A hand-made schedule with rows replaced, added or (None) left out."""
    instance, rows = INSTANCES[which]
    kept = [row for row in (rows | (changes or {})).values() if row is not None]
    tiles = [row for row in kept if row[0] in instance.tile_ids.lookup or row[0] == 99]
    others = [row for row in kept if row not in tiles]
    return make_schedule(
        instance,
        tiles,
        [row for row in others if len(row) == 6],
        [row for row in others if len(row) == 4],
        makespan,
    )
