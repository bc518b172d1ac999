"""What the validator reads from a schedule, and the rules that concern one row alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, NOT_ADMISSIBLE, Instance
from ssmopt.schedule import Schedule

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Violation:
    """One breach of a rule of a feasible schedule.

    Attributes
    ----------
    rule
        ``"V1"`` to ``"V10"``.
    object
        Id of the tile, tensor, channel, memory or core concerned.
    time
        When, in cycles.
    message
        What is wrong.
    """

    rule: str
    object: str
    time: int
    message: str

    def __str__(self) -> str:
        return f"{self.rule} at cycle {self.time:,}: {self.object}: {self.message}"


class Findings:
    """The first breach of each rule so far.

    ``clock`` turns the times of the tables back into cycles once they have been replaced by ranks.
    """

    def __init__(self) -> None:
        self.first: dict[str, Violation] = {}
        self.clock: IntArray | None = None

    def cycles(self, time: int) -> int:
        """A time of the tables in cycles."""
        return int(time if self.clock is None else self.clock[time])

    def add(self, rule: str, bad: BoolArray, time: IntArray, describe: Callable[[int], tuple[str, str]]) -> None:
        """Keep the earliest row of ``bad`` if the rule has no earlier breach; ``describe`` gives object and message."""
        rows = np.flatnonzero(bad)
        if not len(rows):
            return
        row = int(rows[np.argmin(time[rows])])
        when = self.cycles(int(time[row]))
        if rule not in self.first or when < self.first[rule].time:
            thing, message = describe(row)
            self.first[rule] = Violation(rule, thing, when, message)

    def in_order(self) -> list[Violation]:
        """The breaches by number of the rule."""
        return sorted(self.first.values(), key=lambda violation: int(violation.rule[1:]))


@dataclass(frozen=True)
class Runs:
    """Runs of tiles with valid indices and times; ``memory`` is that of the core."""

    tile: IntArray
    core: IntArray
    memory: IntArray
    start: IntArray
    end: IntArray


@dataclass(frozen=True)
class Transfers:
    """Transfers with valid indices and times."""

    tensor: IntArray
    channel: IntArray
    source: IntArray
    target: IntArray
    start: IntArray
    end: IntArray


@dataclass(frozen=True)
class Residencies:
    """Non-empty residencies of non-empty tensors with valid indices and times; ``offset`` None without addresses."""

    tensor: IntArray
    memory: IntArray
    start: IntArray
    end: IntArray
    offset: IntArray | None = None


Table = TypeVar("Table", Runs, Transfers, Residencies)


def select(table: Table, rows: BoolArray) -> Table:
    """The chosen rows of a table."""
    if rows.all():
        return table
    chosen = {name: column[rows] for name, column in vars(table).items() if column is not None}
    return replace(table, **chosen)


def ranked(table: Table, clock: IntArray) -> Table:
    """A table with each time replaced by its position in ``clock``: only the order of times matters from here on."""
    return replace(table, start=np.searchsorted(clock, table.start), end=np.searchsorted(clock, table.end))


def id_of(ids: Sequence[str] | Ids, index: int, noun: str) -> str:
    """Id of one object, or a text for an index that is out of range."""
    return ids[index] if 0 <= index < len(ids) else f"{noun} number {index}"


def _within(values: IntArray, low: int, high: int) -> BoolArray:
    return (values >= low) & (values < high)


def _int64(column: IntArray) -> IntArray:
    return np.asarray(column, dtype=np.int64)


def read_runs(instance: Instance, schedule: Schedule, found: Findings, last_end: int) -> Runs:
    """Rule V1, and the runs that the other rules can be checked on."""
    table = schedule.tiles
    tile, core, start, end = (_int64(c) for c in (table.tile, table.core, table.start, table.end))
    known_tile, known_core = _within(tile, 0, instance.n_tiles), _within(core, 0, instance.n_cores)

    def name(row: int) -> str:
        return id_of(instance.tile_ids, int(tile[row]), "tile")

    found.add("V1", ~known_tile, start, lambda row: (name(row), "there is no such tile"))
    found.add("V1", ~known_core, start, lambda row: (name(row), f"there is no core number {core[row]}"))
    found.add("V1", start < 0, start, lambda row: (name(row), "starts before time 0"))
    usable = np.flatnonzero(known_tile & known_core)
    duration = np.full(len(tile), NOT_ADMISSIBLE, dtype=np.int64)
    duration[usable] = instance.duration[tile[usable], instance.core_kind[core[usable]]]
    found.add(
        "V1",
        known_tile & known_core & (duration == NOT_ADMISSIBLE),
        start,
        lambda row: (name(row), f"cannot run on core {instance.core_ids[core[row]]}"),
    )
    found.add(
        "V1",
        (duration != NOT_ADMISSIBLE) & ((end < start) | (end - start != duration)),
        start,
        lambda row: (
            name(row),
            f"runs over [{start[row]}, {end[row]}) but takes {duration[row]} cycles on "
            f"core {instance.core_ids[core[row]]}",
        ),
    )
    order = np.lexsort((start, tile))
    again = np.zeros(len(tile), dtype=np.bool_)
    again[order[1:]] = tile[order[1:]] == tile[order[:-1]]
    found.add("V1", again & known_tile, start, lambda row: (name(row), "runs more than once"))

    missing = np.bincount(tile[known_tile], minlength=instance.n_tiles) == 0
    at_the_end = np.full(instance.n_tiles, last_end, dtype=np.int64)
    found.add("V1", missing, at_the_end, lambda t: (instance.tile_ids[t], "never runs"))

    good = known_tile & known_core & (start >= 0) & (end >= start)
    memory = np.full(len(tile), DRAM, dtype=np.int64)
    memory[usable] = instance.core_memory[core[usable]]
    return select(Runs(tile, core, memory, start, end), good)


def read_transfers(instance: Instance, schedule: Schedule, found: Findings) -> Transfers:
    """Rule V6 as far as it concerns one transfer alone, and the transfers that can be checked further."""
    table = schedule.transfers
    tensor, channel, source, target, start, end = (
        _int64(c) for c in (table.tensor, table.channel, table.source, table.target, table.start, table.end)
    )
    n_channels = len(instance.channel_ids)
    known = _within(tensor, 0, instance.n_tensors) & _within(channel, 0, n_channels)
    known &= _within(source, DRAM, instance.n_memories) & _within(target, DRAM, instance.n_memories)

    def name(row: int) -> str:
        return id_of(instance.tensor_ids, int(tensor[row]), "tensor")

    def place(memory: int) -> str:
        return "dram" if memory == DRAM else id_of(instance.memory_ids, memory, "memory")

    def ends(row: int) -> str:
        return (
            f"from {place(int(source[row]))} to {place(int(target[row]))} "
            f"over {id_of(instance.channel_ids, int(channel[row]), 'channel')}"
        )

    found.add("V6", ~known, start, lambda row: (name(row), f"transfer {ends(row)}: no such tensor, end or channel"))
    found.add("V6", start < 0, start, lambda row: (name(row), f"transfer {ends(row)} starts before time 0"))
    connects = np.zeros((n_channels, instance.n_memories + 1), dtype=np.bool_)
    for index, memories in enumerate(instance.channel_connects):
        connects[index, [memory + 1 for memory in memories]] = True  # column 0 is DRAM
    rows = np.flatnonzero(known)
    joined = np.zeros(len(tensor), dtype=np.bool_)
    joined[rows] = connects[channel[rows], source[rows] + 1] & connects[channel[rows], target[rows] + 1]
    found.add(
        "V6",
        known & (~joined | (source == target)),
        start,
        lambda row: (name(row), f"transfer {ends(row)}: the channel does not join two such ends"),
    )
    cycles = np.zeros(len(tensor), dtype=np.int64)
    cycles[rows] = -(-instance.tensor_bytes[tensor[rows]] // instance.channel_bandwidth[channel[rows]])
    found.add(
        "V6",
        known & ((end < start) | (end - start != cycles)),
        start,
        lambda row: (name(row), f"transfer {ends(row)} over [{start[row]}, {end[row]}) takes {cycles[row]} cycles"),
    )
    return select(Transfers(tensor, channel, source, target, start, end), known & (start >= 0) & (end >= start))


def read_residencies(instance: Instance, schedule: Schedule, found: Findings) -> Residencies:
    """Rule V5 as far as it concerns one residency alone, and the residencies that take space."""
    table = schedule.residencies
    tensor, memory, start, end = (_int64(c) for c in (table.tensor, table.memory, table.start, table.end))
    known = _within(tensor, 0, instance.n_tensors) & _within(memory, 0, instance.n_memories)

    def name(row: int) -> str:
        return id_of(instance.tensor_ids, int(tensor[row]), "tensor")

    found.add("V5", ~known, start, lambda row: (name(row), f"no such tensor, or no memory number {memory[row]}"))
    takes_space = known.copy()
    takes_space[known] = instance.tensor_bytes[tensor[known]] > 0
    found.add(
        "V5",
        takes_space & ((start < 0) | (end <= start)),
        start,
        lambda row: (name(row), f"resident over [{start[row]}, {end[row]}), which is empty or begins before time 0"),
    )
    good = takes_space & (start >= 0) & (start < end)
    offset = None if table.offset is None else _int64(table.offset)
    return select(Residencies(tensor, memory, start, end, offset), good)


def check_makespan(instance: Instance, schedule: Schedule, found: Findings) -> int:
    """Rule V9; returns the maximum end."""
    ends = np.concatenate([_int64(schedule.tiles.end), _int64(schedule.transfers.end), np.zeros(1, dtype=np.int64)])
    last = int(np.argmax(ends))
    last_end = int(ends[last])
    n_tiles, n_transfers = len(schedule.tiles), len(schedule.transfers)

    def describe(_: int) -> tuple[str, str]:
        thing = "schedule"
        if last < n_tiles:
            thing = id_of(instance.tile_ids, int(schedule.tiles.tile[last]), "tile")
        elif last < n_tiles + n_transfers:
            thing = id_of(instance.tensor_ids, int(schedule.transfers.tensor[last - n_tiles]), "tensor")
        return thing, f"the makespan is given as {schedule.makespan} but the last end is {last_end}"

    found.add("V9", np.array([schedule.makespan != last_end]), np.array([last_end]), describe)
    return last_end
