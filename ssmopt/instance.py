"""A tile instance: memories, cores, channels, tensors and tiles, as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ssmopt.csr import Csr, IntArray, expand_ranges
from ssmopt.errors import CapacityError, InputError
from ssmopt.ids import Ids

if TYPE_CHECKING:
    from ssmopt.problem import Problem
    from ssmopt.tiling import Tiling

DRAM = -1
"""Index that stands for DRAM wherever a memory index is expected."""

KINDS = ("weight", "input", "state", "intermediate", "output")
"""Tensor kinds, in the order of their codes."""

WEIGHT, INPUT, STATE, INTERMEDIATE, OUTPUT = range(5)

NOT_ADMISSIBLE = -1
"""Duration of a tile on a kind of core that cannot run it."""


@dataclass(frozen=True, eq=False)
class TileMeta:
    """What each tile computes; ignored by solvers, used by heuristics, pictures and execution.

    Attributes
    ----------
    operators
        Names of the operators.
    operator
        Shape (tiles,): index into ``operators``.
    dims
        Names of the dimensions.
    low, high
        Shape (tiles, dims): the half-open range of each dimension; both -1 where the operator lacks it.
    """

    operators: tuple[str, ...]
    operator: npt.NDArray[np.int32]
    dims: tuple[str, ...]
    low: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class TensorMeta:
    """Which part of which whole tensor each tensor is; ignored by solvers, needed to execute a schedule.

    Attributes
    ----------
    names, dims
        Names of the whole tensors, and the names of each one's dimensions.
    name
        Shape (tensors,): index into ``names``.
    low, high
        Shape (tensors, most dimensions): the half-open range of each dimension; both -1 beyond a tensor's last one.
    """

    names: tuple[str, ...]
    dims: tuple[tuple[str, ...], ...]
    name: npt.NDArray[np.int32]
    low: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Instance:
    """A scheduling problem: tiles with precedences through tensors, on cores, memories and channels.

    Attributes
    ----------
    name
        Name shown to people and written into schedules.
    memory_ids, memory_capacity
        Names and capacities (bytes) of the memories.
    core_ids, core_memory, core_kind
        Names of the cores, the memory that each works out of, and its kind: a column of ``duration``.
    channel_ids, channel_bandwidth, channel_lanes, channel_connects
        Names, bandwidths (bytes per cycle per transfer), lanes, and the memories (``DRAM`` included) connected.
    tensor_ids, tensor_bytes, tensor_kind
        Names, sizes (bytes) and kinds (index into ``KINDS``) of the tensors.
    tile_ids, duration
        Names of the tiles; ``duration[tile, kind]`` in cycles, ``NOT_ADMISSIBLE`` where the kind cannot run it.
    inputs, outputs, accumulates
        Per tile: the tensors that it reads, produces, and adds into.
    meta, tensor_meta
        What each tile computes, and which part of which tensor each tensor is, if known.
    problem, tiling
        Model, hardware and tiling that the instance was built from; None for one read from a file.
    """

    name: str
    memory_ids: tuple[str, ...]
    memory_capacity: IntArray
    core_ids: tuple[str, ...]
    core_memory: IntArray
    core_kind: IntArray
    channel_ids: tuple[str, ...]
    channel_bandwidth: IntArray
    channel_lanes: IntArray
    channel_connects: tuple[tuple[int, ...], ...]
    tensor_ids: Ids
    tensor_bytes: IntArray
    tensor_kind: npt.NDArray[np.int8]
    tile_ids: Ids
    duration: IntArray
    inputs: Csr
    outputs: Csr
    accumulates: Csr
    meta: TileMeta | None = None
    tensor_meta: TensorMeta | None = None
    problem: Problem | None = None
    tiling: Tiling | None = None

    def __post_init__(self) -> None:
        _check_sizes(self)
        _check_writers(self)
        _check_acyclic(self)

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return len(self.tile_ids)

    @property
    def n_tensors(self) -> int:
        """Number of tensors."""
        return len(self.tensor_ids)

    @property
    def n_cores(self) -> int:
        """Number of cores."""
        return len(self.core_ids)

    @property
    def n_memories(self) -> int:
        """Number of memories."""
        return len(self.memory_ids)

    @cached_property
    def writes(self) -> Csr:
        """Per tile: the tensors that it produces or adds into."""
        rows = np.concatenate([self.outputs.rows(), self.accumulates.rows()])
        values = np.concatenate([self.outputs.indices, self.accumulates.indices])
        return Csr.from_pairs(rows, values, self.n_tiles)

    @cached_property
    def writers(self) -> Csr:
        """Per tensor: the tiles that produce it or add into it, ascending."""
        return self.writes.transpose(self.n_tensors)

    @cached_property
    def readers(self) -> Csr:
        """Per tensor: the tiles that read it as an input, ascending."""
        return self.inputs.transpose(self.n_tensors)

    @cached_property
    def produced(self) -> npt.NDArray[np.bool_]:
        """Per tensor: whether some tile writes it (otherwise DRAM has a copy at time 0)."""
        return self.writers.counts() > 0

    @cached_property
    def edges(self) -> tuple[IntArray, IntArray]:
        """Precedences between tiles: every writer of a tensor before every reader of it (with repetitions)."""
        return _edges(self.writers, self.readers)

    @cached_property
    def topological_order(self) -> IntArray:
        """Tiles in an order in which every tile comes after all that it needs; the given order if that is one."""
        return _topological_order(self)

    @cached_property
    def tile_operators(self) -> tuple[tuple[str, ...], IntArray]:
        """Names of the operators, and each tile's; the first part of the tiles' ids where nothing better is known."""
        if self.meta is not None:
            return self.meta.operators, self.meta.operator.astype(np.int64)
        stems = [stem.split(".", 1)[0] for stem in self.tile_ids.stems]
        number = {name: i for i, name in enumerate(dict.fromkeys(stems))}
        of_stem = np.array([number[stem] for stem in stems], dtype=np.int64)
        return tuple(number), of_stem[self.tile_ids.stem]

    @cached_property
    def tile_need_bytes(self) -> IntArray:
        """Per tile: bytes that must be resident at once while it runs."""
        need = np.zeros(self.n_tiles, dtype=np.int64)
        for rows in (self.inputs, self.outputs, self.accumulates):
            np.add.at(need, rows.rows(), self.tensor_bytes[rows.indices])
        return need

    @cached_property
    def tile_memories(self) -> npt.NDArray[np.bool_]:
        """Shape (tiles, memories): whether some admissible core of the tile works out of the memory."""
        able = np.zeros((self.n_tiles, self.n_memories), dtype=np.bool_)
        for kind, memory in set(zip(self.core_kind.tolist(), self.core_memory.tolist(), strict=True)):
            able[:, memory] |= self.duration[:, kind] != NOT_ADMISSIBLE
        return able

    def transfer_cycles(self, n_bytes: IntArray, channel: int) -> IntArray:
        """Cycles of transfers of ``n_bytes`` over one lane of a channel, rounded up as rule V6 says."""
        bandwidth = int(self.channel_bandwidth[channel])
        return -(-n_bytes // bandwidth)

    def minimum_capacity(self) -> tuple[int, int]:
        """Smallest capacity (bytes) with which a schedule exists, and the tile that needs it.

        Each tile needs its tensors resident at once (rule V3), so no less will do; anything idle can be stored and
        loaded again, so no more is needed.
        """
        if self.n_tiles == 0:
            return 0, -1
        tile = int(np.argmax(self.tile_need_bytes))
        return int(self.tile_need_bytes[tile]), tile

    def check_capacity(self) -> None:
        """Raise `CapacityError` when a tile fits into no memory that it could work out of."""
        room = np.where(self.tile_memories, self.memory_capacity[None, :], -1).max(axis=1)
        excess = self.tile_need_bytes - room
        if self.n_tiles and excess.max() > 0:
            tile = int(np.argmax(excess))
            need, capacity = int(self.tile_need_bytes[tile]), int(room[tile])
            raise CapacityError(
                f"tile {self.tile_ids[tile]!r} needs {need:,} bytes at once but its memory holds {capacity:,} bytes; "
                f"the smallest capacity for this tiling is {self.minimum_capacity()[0]:,} bytes: "
                "give more SRAM or a finer tiling",
                tile=self.tile_ids[tile],
                need_bytes=need,
                capacity_bytes=capacity,
            )

    def _repr_html_(self) -> str:
        from ssmopt.export.notebook import instance_html

        return instance_html(self)

    def __repr__(self) -> str:
        return (
            f"Instance({self.name!r}: {self.n_tiles} tiles, {self.n_tensors} tensors, {self.n_cores} cores, "
            f"{self.n_memories} memories)"
        )


def _check_sizes(instance: Instance) -> None:
    """Every number positive where it must be, every index in range, every tile runnable somewhere."""
    positive = (
        ("memory", "capacity", instance.memory_ids, instance.memory_capacity),
        ("channel", "bandwidth", instance.channel_ids, instance.channel_bandwidth),
        ("channel", "lanes", instance.channel_ids, instance.channel_lanes),
    )
    for noun, field, ids, values in positive:
        for name, value in zip(ids, values.tolist(), strict=True):
            if value <= 0:
                raise InputError(f"{noun} {name!r}: {field} must be positive, not {value}")
    if not instance.core_ids and instance.n_tiles:
        raise InputError("an instance with tiles needs at least one core")
    if instance.n_tensors and instance.tensor_bytes.min() < 0:
        tensor = int(np.argmin(instance.tensor_bytes))
        raise InputError(f"tensor {instance.tensor_ids[tensor]!r}: bytes must not be negative")
    if instance.n_tiles == 0:
        return
    used_kinds = np.unique(instance.core_kind)
    runnable = instance.duration[:, used_kinds]
    if ((runnable <= 0) & (runnable != NOT_ADMISSIBLE)).any():
        tile = int(np.argmax(((runnable <= 0) & (runnable != NOT_ADMISSIBLE)).any(axis=1)))
        raise InputError(f"tile {instance.tile_ids[tile]!r}: durations must be positive")
    stuck = (runnable == NOT_ADMISSIBLE).all(axis=1)
    if stuck.any():
        raise InputError(f"tile {instance.tile_ids[int(np.argmax(stuck))]!r} can run on no core")


def _check_writers(instance: Instance) -> None:
    """A tensor has one producer, or any number of accumulating tiles, and no tile lists it twice."""
    produced = np.bincount(instance.outputs.indices, minlength=instance.n_tensors)
    added = np.bincount(instance.accumulates.indices, minlength=instance.n_tensors)
    for wrong, text in (
        (produced > 1, "is produced by more than one tile"),
        ((produced > 0) & (added > 0), "is both produced by one tile and accumulated by others"),
    ):
        if wrong.any():
            raise InputError(f"tensor {instance.tensor_ids[int(np.argmax(wrong))]!r} {text}")
    rows = np.concatenate([c.rows() for c in (instance.inputs, instance.outputs, instance.accumulates)])
    values = np.concatenate([c.indices for c in (instance.inputs, instance.outputs, instance.accumulates)])
    keys = np.sort(rows * max(instance.n_tensors, 1) + values)
    twice = keys[1:][keys[1:] == keys[:-1]]
    if len(twice):
        tile, tensor = divmod(int(twice[0]), instance.n_tensors)
        raise InputError(
            f"tile {instance.tile_ids[tile]!r} lists tensor {instance.tensor_ids[tensor]!r} more than once "
            "among its inputs, outputs and accumulates"
        )


def _check_acyclic(instance: Instance) -> None:
    _ = instance.topological_order


def _edges(writers: Csr, readers: Csr) -> tuple[IntArray, IntArray]:
    """All (writer, reader) pairs per tensor."""
    tensor = readers.rows()
    source_slots, owner = expand_ranges(writers.indptr[tensor], writers.indptr[tensor + 1])
    return writers.indices[source_slots], readers.indices[owner]


def _topological_order(instance: Instance) -> IntArray:
    """Kahn's algorithm by whole levels; ties keep the given order."""
    source, target = instance.edges
    n = instance.n_tiles
    if (source < target).all():
        return np.arange(n, dtype=np.int64)
    successors = Csr.from_pairs(source, target, n)
    waiting = np.bincount(target, minlength=n)
    frontier = np.flatnonzero(waiting == 0)
    levels = []
    while len(frontier):
        levels.append(frontier)
        slots, _ = expand_ranges(successors.indptr[frontier], successors.indptr[frontier + 1])
        reached, times = np.unique(successors.indices[slots], return_counts=True)
        waiting[reached] -= times
        frontier = reached[waiting[reached] == 0]
    order = np.concatenate(levels) if levels else np.zeros(0, dtype=np.int64)
    if len(order) < n:
        names = [instance.tile_ids[int(t)] for t in _find_cycle(successors, waiting)]
        raise InputError("the tiles depend on each other in a cycle: " + " -> ".join([*names, names[0]]))
    return order


def _find_cycle(successors: Csr, waiting: IntArray) -> list[int]:
    """One cycle among the tiles that are still waiting: each of them has a predecessor that is, too."""
    left = set(np.flatnonzero(waiting > 0).tolist())
    before = {int(s): t for t in left for s in successors[t].tolist() if s in left}
    seen: dict[int, int] = {}
    tile = min(left)
    while tile not in seen:
        seen[tile] = len(seen)
        tile = before[tile]
    walk = list(seen)[seen[tile] :]
    return walk[::-1]
