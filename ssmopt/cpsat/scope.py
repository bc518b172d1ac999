"""What the exact model covers: one memory that holds data, groups of identical cores, and a common unit of time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ssmopt.errors import InputError
from ssmopt.instance import DRAM, NOT_ADMISSIBLE, Instance


@dataclass(frozen=True)
class Group:
    """Cores that are interchangeable: the same durations, and the same memory wherever memory matters."""

    cores: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Scope:
    """An instance as the model sees it. All cycles are divided by ``scale``.

    Attributes
    ----------
    instance
        The instance.
    memory
        The memory that holds every non-zero tensor; -1 when no tile uses one.
    capacity
        Bytes of that memory.
    tensors
        Non-zero tensors that some tile uses.
    channels, lanes
        Channels between DRAM and the memory, and the transfers that each carries at a time.
    groups
        Groups of interchangeable cores.
    tile_groups
        Per tile: the groups that can run it, with its cycles there.
    transfer_cycles
        Per tensor of the instance: cycles of a transfer on each of ``channels``.
    fits
        Whether all tensors fit into the memory together, so that nothing is ever worth dropping.
    scale
        Cycles per unit of time.
    """

    instance: Instance
    memory: int
    capacity: int
    tensors: tuple[int, ...]
    channels: tuple[int, ...]
    lanes: tuple[int, ...]
    groups: tuple[Group, ...]
    tile_groups: tuple[tuple[tuple[int, int], ...], ...]
    transfer_cycles: tuple[tuple[int, ...], ...]
    fits: bool
    scale: int = 1

    @staticmethod
    def of(instance: Instance) -> Scope:
        """The scope of an instance, in cycles; `InputError` when tensors live in several memories."""
        used = np.zeros(instance.n_tensors, dtype=np.bool_)
        for rows in (instance.inputs, instance.outputs, instance.accumulates):
            used[rows.indices] = True
        used &= instance.tensor_bytes > 0
        memory = _memory(instance)
        channels = tuple(
            c for c, ends in enumerate(instance.channel_connects) if memory >= 0 and DRAM in ends and memory in ends
        )
        groups, tile_groups = _groups(instance, memory)
        cycles = [instance.transfer_cycles(instance.tensor_bytes, c).tolist() for c in channels]
        capacity = int(instance.memory_capacity[memory]) if memory >= 0 else 0
        return Scope(
            instance=instance,
            memory=memory,
            capacity=capacity,
            tensors=tuple(np.flatnonzero(used).tolist()),
            channels=channels,
            lanes=tuple(int(instance.channel_lanes[c]) for c in channels),
            groups=groups,
            tile_groups=tile_groups,
            transfer_cycles=tuple(zip(*cycles, strict=True)) if channels else ((),) * instance.n_tensors,
            fits=int(instance.tensor_bytes[used].sum()) <= capacity,
        )

    def scaled(self, times: Iterable[int] = ()) -> Scope:
        """The same with the greatest common divisor of all durations, and of ``times``, taken out.

        Every start can be moved to the sum of some durations without delaying anything, so an optimal schedule
        lies on the grid of the divisor. A hint may lie off it; its times keep the grid fine enough.
        """
        durations = {d for options in self.tile_groups for _, d in options}
        durations.update(d for t in self.tensors for d in self.transfer_cycles[t])
        scale = math.gcd(*durations, *times)
        if scale <= 1:
            return self
        return replace(
            self,
            tile_groups=tuple(tuple((g, d // scale) for g, d in options) for options in self.tile_groups),
            transfer_cycles=tuple(tuple(d // scale for d in options) for options in self.transfer_cycles),
            scale=self.scale * scale,
        )

    @cached_property
    def writers(self) -> list[list[int]]:
        """Per tensor: the tiles that write it."""
        return self.instance.writers.lists()

    @cached_property
    def readers(self) -> list[list[int]]:
        """Per tensor: the tiles that read it."""
        return self.instance.readers.lists()

    def serial_cycles(self) -> int:
        """Length of a schedule that does one thing at a time and loads and stores around every use."""
        total = sum(max(d for _, d in options) for options in self.tile_groups)
        writers, readers = self.instance.writers.counts().tolist(), self.instance.readers.counts().tolist()
        for t in self.tensors:
            total += max(self.transfer_cycles[t], default=0) * (2 * writers[t] + readers[t])
        return total


def _memory(instance: Instance) -> int:
    """The one memory in which tiles use non-zero tensors; -1 if none does."""
    heavy = instance.tile_need_bytes > 0
    memories = np.flatnonzero(instance.tile_memories[heavy].any(axis=0)).tolist()
    if not memories:
        return -1
    names = [instance.memory_ids[m] for m in memories]
    for ends in instance.channel_connects:
        if memories[0] in ends:
            names += [instance.memory_ids[m] for m in ends if m not in (DRAM, *memories)]
    if len(names) > 1:
        raise InputError(
            "the cpsat solver does not support private memories yet: tensors could live in memories "
            + ", ".join(repr(name) for name in names)
        )
    return int(memories[0])


def _groups(instance: Instance, memory: int) -> tuple[tuple[Group, ...], tuple[tuple[tuple[int, int], ...], ...]]:
    """Groups of cores, and per tile its options. Where only zero-byte tensors are used, memories do not matter."""
    members: dict[tuple[bytes, bool], list[int]] = {}
    for core, (kind, home) in enumerate(zip(instance.core_kind.tolist(), instance.core_memory.tolist(), strict=True)):
        members.setdefault((instance.duration[:, kind].tobytes(), home == memory), []).append(core)
    groups = tuple(Group(tuple(cores)) for cores in members.values())
    options: list[list[tuple[int, int]]] = [[] for _ in range(instance.n_tiles)]
    for g, group in enumerate(groups):
        for tile, cycles in enumerate(instance.duration[:, instance.core_kind[group.cores[0]]].tolist()):
            if cycles != NOT_ADMISSIBLE:
                options[tile].append((g, cycles))
    return groups, tuple(tuple(o) for o in options)
