"""The smallest SRAM with which a schedule exists: a bound, and a schedule that proves how much is enough."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ssmopt.autotile.choice import DEPTH_FIRST
from ssmopt.autotile.fitting import least_practical_capacity
from ssmopt.decode import decode
from ssmopt.errors import InputError
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule
from ssmopt.tiling import Tiling
from ssmopt.validate import check
from ssmopt.workload.needs import least_capacity
from ssmopt.workload.tiles import build_tiles


@dataclass(frozen=True)
class MinimumCapacity:
    """Outcome of `minimum_capacity`.

    Attributes
    ----------
    name
        Name of the problem or tile instance that was asked about.
    bound_bytes
        Bytes below which no schedule exists.
    tile, parts
        The tile (or the operator, all of whose tilings have such a tile) that needs them at once, and the bytes of
        each of the tensors that it reads or writes.
    capacity_bytes
        Bytes with which the witness is a schedule.
    any_tiling
        Whether the bound holds under every tiling, or for the given tiles only.
    instance, schedule
        The witness: tiles in memories of ``capacity_bytes``, and a schedule of them that
        `ssmopt.validate.check` has accepted.
    """

    name: str
    bound_bytes: int
    tile: str
    parts: Mapping[str, int]
    capacity_bytes: int
    any_tiling: bool
    instance: Instance
    schedule: Schedule

    @property
    def exact(self) -> bool:
        """Whether the bound is the smallest capacity itself."""
        return self.bound_bytes == self.capacity_bytes

    def as_dict(self) -> dict[str, object]:
        """What ``ssmopt capacity --json`` prints; sizes in bytes, times in cycles."""
        instance, schedule = self.instance, self.schedule
        return {
            "instance": self.name,
            "bound_bytes": self.bound_bytes,
            "tile": self.tile,
            "tile_bytes": dict(self.parts),
            "any_tiling": self.any_tiling,
            "capacity_bytes": self.capacity_bytes,
            "exact": self.exact,
            "tiling": None if instance.tiling is None else instance.tiling.describe(),
            "tiles": instance.n_tiles,
            "makespan": schedule.makespan,
            "transfers": len(schedule.transfers),
            "dram_bytes": schedule.dram_bytes(instance.tensor_bytes),
            "peak_memory_bytes": max(
                (schedule.peak_memory_bytes(instance.tensor_bytes, m) for m in range(instance.n_memories)), default=0
            ),
        }


def minimum_capacity(target: Problem | Instance, *, tiling: Tiling | None = None) -> MinimumCapacity:
    """The smallest capacity of every on-chip memory with which a schedule exists.

    For given tiles it is exact: each tile needs its tensors resident at once (rule V3), and what is idle can be stored
    and loaded again. For a problem without a tiling the bound is the need of the most demanding operator's smallest
    tile; the witness is on a coarse tiling whose every tile needs at most that, or, where that would take too many
    tiles, as little more as is found.

    Parameters
    ----------
    target
        A problem or a tile instance; the capacities of its memories do not matter.
    tiling
        How to tile a problem; None looks at all tilings.

    Raises
    ------
    InputError
        The target cannot be scheduled, or a tiling is given for a tile instance.
    """
    if isinstance(target, Problem) and tiling is None:
        return _under_any_tiling(target)
    if isinstance(target, Instance):
        if tiling is not None:
            raise InputError("a tiling can only be given for a problem, not for a tile instance")
        instance = target
    else:
        assert tiling is not None
        instance = build_tiles(target, tiling)
    need, tile = instance.minimum_capacity()
    problem = None if instance.problem is None else _with_capacity(instance.problem, need)
    name = f"{instance.name}-sram-{need}" if problem is None else problem.name
    capacity = np.full(instance.n_memories, max(need, 1), dtype=np.int64)
    small = dataclasses.replace(instance, name=name, problem=problem, memory_capacity=capacity)
    return MinimumCapacity(
        instance.name,
        need,
        "" if tile < 0 else instance.tile_ids[tile],
        {} if tile < 0 else _parts(instance, tile),
        need,
        False,
        small,
        _witness(small),
    )


def _under_any_tiling(problem: Problem) -> MinimumCapacity:
    least = least_capacity(problem)
    capacity, tiling = least_practical_capacity(problem)
    instance = build_tiles(_with_capacity(problem, capacity), tiling)
    return MinimumCapacity(
        problem.name,
        least.n_bytes,
        least.operator,
        least.parts,
        capacity,
        True,
        instance,
        _witness(instance),
    )


def _with_capacity(problem: Problem, capacity: int) -> Problem:
    """The problem with memories of that capacity, named as ``--sram`` names it."""
    hardware = problem.hardware.override("sram", max(capacity, 1))
    return dataclasses.replace(problem, name=f"{problem.name}-sram-{capacity}", hardware=hardware)


def _witness(instance: Instance) -> Schedule:
    if instance.meta is not None and instance.problem is not None:
        schedule = decode(instance, *DEPTH_FIRST.plan(instance))
    else:
        schedule = decode(instance, instance.topological_order)
    check(instance, schedule)
    return schedule


def _parts(instance: Instance, tile: int) -> dict[str, int]:
    """Bytes of the tensors of a tile, by id."""
    tensors = [t for rows in (instance.inputs, instance.outputs, instance.accumulates) for t in rows[tile].tolist()]
    return {instance.tensor_ids[t]: int(instance.tensor_bytes[t]) for t in tensors if instance.tensor_bytes[t]}
