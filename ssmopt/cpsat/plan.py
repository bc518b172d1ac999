"""A schedule in the terms of the model: starts, groups, and slots of retention. Converts both ways."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from ssmopt.cpsat.scope import Scope
from ssmopt.instance import DRAM, OUTPUT
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable, makespan_of

SOLVER = "cpsat"


@dataclass(frozen=True)
class Move:
    """A load or store: its start, and the position of its channel in ``Scope.channels``."""

    start: int
    channel: int


@dataclass
class Slot:
    """One residency of a tensor: how it begins, which tiles use it, and whether it is stored."""

    uses: list[int]
    load: Move | None = None
    store: Move | None = None


@dataclass
class Plan:
    """Values of every decision of the model, in units of ``Scope.scale`` cycles.

    Attributes
    ----------
    start, end, group
        Per tile: when it starts and ends, and which group of cores runs it.
    slots
        Per non-zero tensor that is used: its residencies in order of time.
    """

    start: list[int]
    end: list[int]
    group: list[int]
    slots: dict[int, list[Slot]]

    @staticmethod
    def of_tiles(scope: Scope, start: list[int], group: list[int]) -> Plan:
        """A plan of the tiles alone."""
        cycles = [dict(options)[g] for options, g in zip(scope.tile_groups, group, strict=True)]
        return Plan(start, [s + c for s, c in zip(start, cycles, strict=True)], group, {})

    def slot_end(self, scope: Scope, tensor: int, slot: Slot) -> int:
        """When the slot's last use or its store ends, whichever is later."""
        end = max(self.end[tile] for tile in slot.uses)
        if slot.store is not None:
            end = max(end, slot.store.start + scope.transfer_cycles[tensor][slot.store.channel])
        return end

    def slot_start(self, slot: Slot) -> int:
        """When the slot's load or its first writer starts."""
        return slot.load.start if slot.load is not None else min(self.start[tile] for tile in slot.uses)


def schedule_times(schedule: Schedule) -> set[int]:
    """Every start of a schedule that a plan would take over."""
    return set(schedule.tiles.start.tolist()) | set(schedule.transfers.start.tolist())


def plan_of(scope: Scope, schedule: Schedule) -> Plan:
    """The plan of a feasible schedule, without loads, stores and residencies that nothing needs."""
    instance, scale = scope.instance, scope.scale
    core_group = {core: g for g, group in enumerate(scope.groups) for core in group.cores}
    start = [0] * instance.n_tiles
    group = [0] * instance.n_tiles
    table = schedule.tiles
    for tile, core, begin in zip(table.tile.tolist(), table.core.tolist(), table.start.tolist(), strict=True):
        start[tile], group[tile] = begin // scale, core_group[core]

    begins: dict[int, list[int]] = {t: [] for t in scope.tensors}
    rows = schedule.residencies
    for t, memory, begin in zip(rows.tensor.tolist(), rows.memory.tolist(), rows.start.tolist(), strict=True):
        if memory == scope.memory and t in begins:
            begins[t].append(begin // scale)
    loads: dict[int, list[Move]] = {t: [] for t in scope.tensors}
    stores: dict[int, list[Move]] = {t: [] for t in scope.tensors}
    position = {channel: i for i, channel in enumerate(scope.channels)}
    moves = schedule.transfers
    for t, channel, source, begin in zip(
        moves.tensor.tolist(), moves.channel.tolist(), moves.source.tolist(), moves.start.tolist(), strict=True
    ):
        if t in loads:
            (loads if source == DRAM else stores)[t].append(Move(begin // scale, position[channel]))

    plan = Plan.of_tiles(scope, start, group)
    writers, readers = instance.writers.lists(), instance.readers.lists()
    for t in scope.tensors:
        plan.slots[t] = _slots(plan, scope, t, begins[t], loads[t], stores[t], writers[t], readers[t])
    return plan


def _slots(
    plan: Plan,
    scope: Scope,
    tensor: int,
    begins: list[int],
    loads: list[Move],
    stores: list[Move],
    writers: list[int],
    readers: list[int],
) -> list[Slot]:
    """Slots of one tensor with at least one use each; stores only where the model wants one."""
    begins.sort()
    if scope.fits:
        # The model has a single slot then: later residencies are the first one prolonged.
        begins = begins[:1]
    slots = [Slot([]) for _ in begins]
    load_at = {move.start: move for move in loads}
    for k, begin in enumerate(begins):
        # A written tensor's first residency begins with its writer, whatever else starts at that time.
        if k > 0 or not writers:
            slots[k].load = load_at[begin]
    for tile in [*writers, *readers]:
        slots[bisect_right(begins, plan.start[tile]) - 1].uses.append(tile)
    written = set(writers)
    kept = [(begin, slot) for begin, slot in zip(begins, slots, strict=True) if slot.uses]
    for k, (begin, slot) in enumerate(kept):
        last = max((plan.end[tile] for tile in slot.uses if tile in written), default=-1)
        followed = k + 1 < len(kept)
        if last < 0 or not (followed or scope.instance.tensor_kind[tensor] == OUTPUT):
            continue
        until = kept[k + 1][0] if followed else None
        slot.store = min(
            (m for m in stores if m.start >= max(last, begin) and (until is None or m.start < until)),
            key=lambda m: m.start,
        )
    return [slot for _, slot in kept]


def schedule_of(scope: Scope, plan: Plan) -> Schedule:
    """The schedule of a plan: cores by interval colouring, residencies no longer than needed."""
    scale = scope.scale
    n = scope.instance.n_tiles
    cores = _colour(scope, plan)
    tiles = TileTable(*_columns([(t, cores[t], plan.start[t] * scale, plan.end[t] * scale) for t in range(n)], 4))
    transfers: list[tuple[int, ...]] = []
    residencies: list[tuple[int, ...]] = []
    for t, slots in plan.slots.items():
        for slot in slots:
            begin, end = plan.slot_start(slot), plan.slot_end(scope, t, slot)
            residencies.append((t, scope.memory, begin * scale, end * scale))
            for move, source, target in ((slot.load, DRAM, scope.memory), (slot.store, scope.memory, DRAM)):
                if move is not None:
                    first = move.start * scale
                    last = first + scope.transfer_cycles[t][move.channel] * scale
                    transfers.append((t, scope.channels[move.channel], source, target, first, last))
    transfers.sort(key=lambda row: row[4])
    residencies.sort(key=lambda row: row[2])
    moves = TransferTable(*_columns(transfers, 6))
    return Schedule(tiles, moves, ResidencyTable(*_columns(residencies, 4)), makespan_of(tiles, moves), SOLVER)


def _colour(scope: Scope, plan: Plan) -> list[int]:
    """A core for each tile: in order of start, whichever core of the group has been free the longest."""
    core = [0] * len(plan.start)
    free = [[(0, c) for c in group.cores] for group in scope.groups]
    for tile in sorted(range(len(core)), key=plan.start.__getitem__):
        heap = free[plan.group[tile]]
        core[tile] = heap[0][1]
        heapq.heapreplace(heap, (plan.end[tile], core[tile]))
    return core


def _columns(rows: list[tuple[int, ...]], width: int) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Rows of integers as ``width`` contiguous arrays."""
    table = np.array(rows, dtype=np.int64).reshape(len(rows), width)
    return [np.ascontiguousarray(table[:, i]) for i in range(width)]
