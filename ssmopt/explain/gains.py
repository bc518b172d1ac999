"""What a larger machine could gain: bounds of the changed machine, and a schedule on it where one is cheap."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ssmopt.bounds import best, instance_bounds, lower_bounds
from ssmopt.csr import IntArray
from ssmopt.decode import Policy, decode
from ssmopt.errors import SsmoptError
from ssmopt.heuristics.base import roomy_policies
from ssmopt.instance import DRAM, NOT_ADMISSIBLE, Instance
from ssmopt.problem import Problem
from ssmopt.result import Bound
from ssmopt.schedule import Schedule
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles

_MANY_TILES = 100_000
"""Instances of more tiles are bounded only: decoding them again takes seconds for every change."""

_FEW_TILES = 5_000
"""Up to this many tiles several policies are tried."""


@dataclass(frozen=True)
class Gain:
    """One change of the machine.

    Attributes
    ----------
    change
        Such as ``bandwidth x2``.
    bound
        Cycles below which no schedule on the changed machine exists, and why.
    makespan
        Of the schedule that is explained, in cycles.
    found
        Makespan of a valid schedule on the changed machine, with the tiles in the order that they have now: the
        shorter of the decoder's and the present one; None where that was not tried.
    """

    change: str
    bound: Bound
    makespan: int
    found: int | None

    @property
    def most(self) -> float:
        """The largest possible gain, as a share of the makespan."""
        return max(0.0, 1 - self.bound.cycles / self.makespan) if self.makespan else 0.0

    @property
    def reached(self) -> float | None:
        """The gain of the schedule that was found, as a share of the makespan."""
        return None if self.found is None else (1 - self.found / self.makespan if self.makespan else 0.0)

    def as_dict(self) -> dict[str, object]:
        """All fields, by name, and the gains."""
        return {
            "change": self.change,
            "lower_bound": self.bound.cycles,
            "bound_reason": self.bound.reason,
            "gain_at_most": self.most,
            "found_makespan": self.found,
            "found_gain": self.reached,
        }


def gains(instance: Instance, schedule: Schedule, on_change: Callable[[str], None] | None = None) -> list[Gain]:
    """What each of a few larger machines could gain, the present one first.

    Parameters
    ----------
    instance, schedule
        What is explained. The bounds hold under any tiling if the instance knows its problem, and for its tiles
        otherwise.
    on_change
        Called with each change before it is tried.
    """
    order = _order(schedule)
    found = []
    for change, bound, changed in _machines(instance):
        if on_change is not None:
            on_change(change)
        makespan: int | None = schedule.makespan
        if change != PRESENT:
            makespan = _found(changed, order, schedule.makespan)
        found.append(Gain(change, bound(), schedule.makespan, makespan))
    return found


PRESENT = "as it is"
"""The change that changes nothing."""


def _order(schedule: Schedule) -> IntArray:
    """The tiles by start."""
    tiles = schedule.tiles
    return tiles.tile[np.lexsort((tiles.tile, tiles.end, tiles.start))]


def _found(build: Callable[[], Instance], order: IntArray, makespan: int) -> int | None:
    """The shortest valid schedule on a machine that is no slower anywhere; None when there are too many tiles."""
    if len(order) > _MANY_TILES:
        return None
    changed = build()
    policies = roomy_policies(changed)[::4] if len(order) <= _FEW_TILES else [Policy()]
    for policy in policies:
        try:
            again = decode(changed, order, policy)
        except SsmoptError:  # tensors in several memories
            return None
        if again.makespan < makespan and not validate(changed, again):
            makespan = again.makespan
    return makespan


_Machine = tuple[str, Callable[[], Bound], Callable[[], Instance]]


def _machines(instance: Instance) -> Iterator[_Machine]:
    """Name, bound and tiles of the machine as it is and of the larger ones."""
    problem, tiling = instance.problem, instance.tiling
    if problem is not None and tiling is not None:
        for change, bigger in _bigger_hardware(problem):
            yield change, lambda p=bigger: best(lower_bounds(p)), lambda p=bigger: build_tiles(p, tiling)  # type: ignore[misc]
    else:
        for change, changed in _bigger_instances(instance):
            yield change, lambda i=changed: best(instance_bounds(i)), lambda i=changed: i  # type: ignore[misc]


def _bigger_hardware(problem: Problem) -> Iterator[tuple[str, Problem]]:
    hardware = problem.hardware
    yield PRESENT, problem
    off_chip = [channel for channel in hardware.channels if "dram" in channel.connects]
    for quarters in (5, 8):
        faster = hardware
        for channel in off_chip:
            faster = faster.override(f"channels.{channel.id}.bandwidth", _scaled(channel.bandwidth, quarters))
        yield f"DRAM bandwidth x{quarters / 4:g}", dataclasses.replace(problem, hardware=faster)
    larger = hardware
    for memory in hardware.memories:
        larger = larger.override(f"memories.{memory.id}.capacity", 2 * memory.capacity)
    yield "SRAM x2", dataclasses.replace(problem, hardware=larger)
    for group in hardware.cores:
        wider = hardware.override(f"cores.{group.id}.array", _doubled(group.rows, group.columns))
        yield f"PEs of {group.id} x2", dataclasses.replace(problem, hardware=wider)


def _bigger_instances(instance: Instance) -> Iterator[tuple[str, Instance]]:
    """Changes of tiles that come without a problem: their durations are all that is known of the cores."""
    yield PRESENT, instance
    off_chip = np.array([DRAM in ends for ends in instance.channel_connects], dtype=np.bool_)
    if off_chip.any() and instance.tensor_bytes.any():
        for quarters in (5, 8):
            faster = np.where(off_chip, -(-instance.channel_bandwidth * quarters // 4), instance.channel_bandwidth)
            yield f"DRAM bandwidth x{quarters / 4:g}", dataclasses.replace(instance, channel_bandwidth=faster)
        yield "SRAM x2", dataclasses.replace(instance, memory_capacity=2 * instance.memory_capacity)
    halved = np.where(instance.duration == NOT_ADMISSIBLE, NOT_ADMISSIBLE, -(-instance.duration // 2))
    yield "cores twice as fast", dataclasses.replace(instance, duration=halved)


def _doubled(rows: int, columns: int) -> list[int]:
    """An array of twice the processing elements: its shorter side doubled, or a row of lanes made longer."""
    double_rows = (rows <= columns) == (min(rows, columns) > 1)
    return [2 * rows, columns] if double_rows else [rows, 2 * columns]


def _scaled(bandwidth: int, quarters: int) -> int:
    """A bandwidth times ``quarters / 4``, rounded up so that the bound stays one."""
    return -(-bandwidth * quarters // 4)
