"""The rules of a feasible schedule that relate its rows to each other; `ssmopt.validate` says how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ssmopt.csr import Csr, IntArray, expand_ranges
from ssmopt.instance import DRAM, OUTPUT, Instance
from ssmopt.validate_addresses import check_addresses
from ssmopt.validate_search import Search, by_start, earliest_end, levels, overlaps
from ssmopt.validate_tables import BoolArray, Findings, Residencies, Runs, Transfers

_READ, _OUTPUT, _FIRST_ADD, _ADD, _SOURCE, _TARGET = range(6)
"""Why a tensor must be resident: a tile reads, produces, begins or continues it; a transfer reads or writes it."""


def _row_entries(rows: Csr, tile: IntArray) -> tuple[IntArray, IntArray]:
    """For each entry of the rows of ``tile``: the position in ``tile``, and the entry."""
    slots, owner = expand_ranges(rows.indptr[tile], rows.indptr[tile + 1])
    return owner, rows.indices[slots]


@dataclass(frozen=True)
class _Uses:
    """Uses of tensors in memories by tiles and transfers, and the residency that covers most of each.

    ``run`` is -1 for transfers. Without a residency ``stay_start``, ``stay_end`` and ``ready`` are -1.
    """

    role: IntArray
    run: IntArray
    tensor: IntArray
    memory: IntArray
    start: IntArray
    end: IntArray
    stay_start: IntArray
    stay_end: IntArray
    ready: IntArray


class Rules:
    """The rules that relate several rows, on rows with valid indices and times."""

    def __init__(
        self,
        instance: Instance,
        found: Findings,
        runs: Runs,
        transfers: Transfers,
        residencies: Residencies,
        span: int,
    ) -> None:
        self.instance = instance
        self.found = found
        self.runs = runs
        self.transfers = transfers
        self.residencies = residencies
        self.span = span
        self.size = instance.tensor_bytes
        # Per input, output and addition of a run: the run, and the tensor.
        self.reader, self.read = _row_entries(instance.inputs, runs.tile)
        self.producer, self.output = _row_entries(instance.outputs, runs.tile)
        self.adder, self.sum = _row_entries(instance.accumulates, runs.tile)
        self.add_start, self.add_end = runs.start[self.adder], runs.end[self.adder]
        self.accumulated = np.zeros(instance.n_tensors, dtype=np.bool_)
        self.accumulated[instance.accumulates.indices] = True
        self.produced = self.accumulated.copy()
        self.produced[instance.outputs.indices] = True
        # A tensor is never complete if a tile that writes it never runs.
        never = np.flatnonzero(np.bincount(runs.tile, minlength=instance.n_tiles) == 0)
        self.complete = np.zeros(instance.n_tensors, dtype=np.int64)
        self.complete[_row_entries(instance.outputs, never)[1]] = span
        self.complete[_row_entries(instance.accumulates, never)[1]] = span
        np.maximum.at(self.complete, self.output, runs.end[self.producer])
        np.maximum.at(self.complete, self.sum, self.add_end)
        first = np.full(instance.n_tensors, span, dtype=np.int64)
        np.minimum.at(first, self.sum, self.add_start)
        self.is_first = self.add_start == first[self.sum]
        # When a tensor may first be stored or moved: complete, or after its first addition.
        self.available = self.complete.copy()
        self.available[self.accumulated] = span
        np.minimum.at(self.available, self.sum, self.add_end)

    def check(self, last_end: int) -> None:
        """Check everything."""
        self.check_cores()
        self.check_lanes()
        self.check_room()
        check_addresses(self.instance, self.residencies, self.found)
        self.check_openings()
        self.check_order()
        self.check_sums()
        self.check_uses()
        self.check_dram(last_end)

    def tile_id(self, run: int | np.int64) -> str:
        """Id of the tile of a run."""
        return self.instance.tile_ids[int(self.runs.tile[run])]

    def tensor_id(self, tensor: int | np.int64) -> str:
        """Id of a tensor."""
        return self.instance.tensor_ids[int(tensor)]

    def place(self, tensor: IntArray, memory: IntArray) -> IntArray:
        """Group of a tensor in a memory."""
        return tensor * self.instance.n_memories + memory

    @cached_property
    def stays(self) -> Search:
        """The residency of latest end among those of a tensor in a memory that start up to a time."""
        stays = self.residencies
        return Search(self.place(stays.tensor, stays.memory), stays.start, stays.end, self.span)

    def check_cores(self) -> None:
        """Rule V2."""
        runs = self.runs
        early, late = overlaps(by_start(runs.core, runs.start, self.span), runs.core, runs.start, runs.end)
        self.found.add(
            "V2",
            np.ones(len(late), dtype=np.bool_),
            runs.start[late],
            lambda i: (
                self.instance.core_ids[int(runs.core[late[i]])],
                f"tile {self.tile_id(late[i])} starts while tile {self.tile_id(early[i])} runs",
            ),
        )

    def check_lanes(self) -> None:
        """Rule V6: no more transfers at a time than lanes."""
        moves, lanes = self.transfers, self.instance.channel_lanes
        order, level = levels(
            moves.channel, moves.start, moves.end, (moves.start < moves.end).astype(np.int64), self.span
        )
        self.found.add(
            "V6",
            level > lanes[moves.channel[order]],
            moves.start[order],
            lambda i: (
                self.instance.channel_ids[int(moves.channel[order[i]])],
                f"the transfer of {self.tensor_id(moves.tensor[order[i]])} is one too many at a time",
            ),
        )

    def check_room(self) -> None:
        """Rule V5: capacity, and one residency at a time per tensor and memory."""
        stays, instance = self.residencies, self.instance
        order, level = levels(stays.memory, stays.start, stays.end, self.size[stays.tensor], self.span)
        capacity = instance.memory_capacity[stays.memory[order]]
        self.found.add(
            "V5",
            level > capacity,
            stays.start[order],
            lambda i: (
                instance.memory_ids[int(stays.memory[order[i]])],
                f"{level[i]:,} bytes are resident but the capacity is {capacity[i]:,} bytes",
            ),
        )
        _, late = overlaps(self.stays.order, self.stays.group, stays.start, stays.end)
        self.found.add(
            "V5",
            np.ones(len(late), dtype=np.bool_),
            stays.start[late],
            lambda i: (
                self.tensor_id(stays.tensor[late[i]]),
                f"a second residency in {instance.memory_ids[int(stays.memory[late[i]])]} begins during another",
            ),
        )

    @cached_property
    def ready(self) -> IntArray:
        """Per residency: end of the load, move or tile that begins it; -1 if there is none."""
        moves, runs = self.transfers, self.runs
        inward = moves.target != DRAM
        starter = np.concatenate([self.producer, self.adder[self.is_first]])
        tensor = np.concatenate([moves.tensor[inward], self.output, self.sum[self.is_first]])
        memory = np.concatenate([moves.target[inward], runs.memory[starter]])
        key, end = earliest_end(
            self.place(tensor, memory),
            np.concatenate([moves.start[inward], runs.start[starter]]),
            np.concatenate([moves.end[inward], runs.end[starter]]),
            self.span,
        )
        ready = np.full(len(self.residencies.tensor), -1, dtype=np.int64)
        if len(key):
            wanted = self.stays.key
            at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
            ready[self.stays.order] = np.where(key[at] == wanted, end[at], -1)
        return ready

    def check_openings(self) -> None:
        """Rule V4: what begins a residency."""
        stays = self.residencies
        self.found.add(
            "V4",
            self.ready < 0,
            stays.start,
            lambda i: (
                self.tensor_id(stays.tensor[i]),
                f"its residency in {self.instance.memory_ids[int(stays.memory[i])]} begins without a load, a move "
                "or its producing tile",
            ),
        )

    def check_order(self) -> None:
        """Readers after the last addition (V10), and after the producer of a zero-byte tensor (V4)."""
        start = self.runs.start[self.reader]
        too_early = start < self.complete[self.read]
        added = self.accumulated[self.read]
        for rule, bad in (("V10", too_early & added), ("V4", too_early & ~added & (self.size[self.read] == 0))):
            self.found.add(
                rule,
                bad,
                start,
                lambda i: (
                    self.tile_id(self.reader[i]),
                    f"reads {self.tensor_id(self.read[i])} before it is complete",
                ),
            )

    def check_sums(self) -> None:
        """Rule V10: additions into one tensor do not overlap."""
        early, late = overlaps(by_start(self.sum, self.add_start, self.span), self.sum, self.add_start, self.add_end)
        self.found.add(
            "V10",
            np.ones(len(late), dtype=np.bool_),
            self.add_start[late],
            lambda i: (
                self.tensor_id(self.sum[late[i]]),
                f"tile {self.tile_id(self.adder[late[i]])} adds to it while tile "
                f"{self.tile_id(self.adder[early[i]])} does",
            ),
        )

    @cached_property
    def writes(self) -> tuple[Search, IntArray]:
        """The write of latest end among those of a tensor that start up to a time; and the run of each write."""
        run, tensor = np.concatenate([self.producer, self.adder]), np.concatenate([self.output, self.sum])
        return Search(tensor, self.runs.start[run], self.runs.end[run], self.span), run

    def uses(self) -> _Uses:
        """All uses of non-empty tensors in memories."""
        runs, moves, stays = self.runs, self.transfers, self.residencies
        out, into = np.flatnonzero(moves.source != DRAM), np.flatnonzero(moves.target != DRAM)
        run = np.concatenate([self.reader, self.producer, self.adder])
        sizes = (len(self.read), len(self.output), len(out), len(into))
        reads, outputs, sources, targets = (
            np.full(n, role, dtype=np.int64) for n, role in zip(sizes, (_READ, _OUTPUT, _SOURCE, _TARGET), strict=True)
        )
        role = np.concatenate([reads, outputs, np.where(self.is_first, _FIRST_ADD, _ADD), sources, targets])
        tensor = np.concatenate([self.read, self.output, self.sum, moves.tensor[out], moves.tensor[into]])
        memory = np.concatenate([runs.memory[run], moves.source[out], moves.target[into]])
        start = np.concatenate([runs.start[run], moves.start[out], moves.start[into]])
        end = np.concatenate([runs.end[run], moves.end[out], moves.end[into]])
        run = np.concatenate([run, np.full(len(out) + len(into), -1)])
        keep = self.size[tensor] > 0
        role, run, tensor, memory, start, end = (c[keep] for c in (role, run, tensor, memory, start, end))
        stay = self.stays.find(self.place(tensor, memory), start)
        # Row -1, "none", finds the -1 put behind the residencies.
        none = np.full(1, -1, dtype=np.int64)
        of_stay = (np.concatenate([c, none])[stay] for c in (stays.start, stays.end, self.ready))
        return _Uses(role, run, tensor, memory, start, end, *of_stay)

    def check_uses(self) -> None:
        """Rules V3, V4, V6 and V10: what a use needs in a memory is resident, arrived, complete and current."""
        uses = self.uses()
        role = uses.role
        resident = uses.stay_end >= uses.end
        leaves = role == _SOURCE

        def add(rule: str, bad: BoolArray, time: IntArray, text: str) -> None:
            self.found.add(rule, bad, time, lambda i: self.describe_use(uses, i, text))

        breach = np.maximum(uses.start, uses.stay_end)
        for rule, concerned in (("V3", role <= _ADD), ("V4", role == _TARGET), ("V6", leaves), ("V10", role == _ADD)):
            add(rule, concerned & ~resident, breach, "is not resident throughout")

        takes = (role == _READ) | (role == _ADD) | leaves
        early = takes & resident & (uses.start < uses.ready)
        add("V4", early, uses.start, "has not arrived")
        add("V6", leaves & (early | (uses.start < self.available[uses.tensor])), uses.start, "is not complete")

        added = np.flatnonzero(takes & self.accumulated[uses.tensor])
        writes, run = self.writes
        tensor, start = uses.tensor[added], uses.start[added]
        last = writes.find(tensor, start, before=True)
        follows = np.flatnonzero(resident[added] & (last >= 0))
        use, before = added[follows], run[last[follows]]
        kept = (self.runs.memory[before] == uses.memory[use]) & (uses.stay_start[use] <= self.runs.start[before])
        stale = np.zeros(len(role), dtype=np.bool_)
        stale[use] = ~kept & (uses.stay_start[use] < self.runs.end[before])
        add("V10", stale, uses.start, "is an old partial sum")

        moved = added[leaves[added]]
        last = writes.find(uses.tensor[moved], uses.end[moved], before=True)
        moved, during = moved[last >= 0], run[last[last >= 0]]
        clash = np.zeros(len(role), dtype=np.bool_)
        clash[moved] = self.runs.end[during] > uses.start[moved]
        time = uses.start.copy()
        time[moved] = np.maximum(time[moved], self.runs.start[during])
        add("V10", clash, time, "is being added to")

    def describe_use(self, uses: _Uses, i: int, text: str) -> tuple[str, str]:
        """Object and message of a use that breaks a rule."""
        tensor, memory = self.tensor_id(uses.tensor[i]), self.instance.memory_ids[int(uses.memory[i])]
        if uses.run[i] >= 0:
            return self.tile_id(uses.run[i]), f"needs {tensor}, which {text} in {memory}"
        end = "out of" if uses.role[i] == _SOURCE else "into"
        return tensor, f"is transferred {end} {memory}, where it {text}"

    def check_dram(self, last_end: int) -> None:
        """Rules V7 and V8: loads find a valid copy in DRAM, and outputs have one at the end."""
        moves, instance = self.transfers, self.instance
        real = self.size[moves.tensor] > 0
        store = np.flatnonzero(real & (moves.source != DRAM) & (moves.target == DRAM))
        load = np.flatnonzero(real & (moves.source == DRAM) & (moves.target != DRAM) & self.produced[moves.tensor])
        writes, run = self.writes
        last = writes.find(moves.tensor[load], moves.end[load], before=True)
        copies = Search(moves.tensor[store], moves.end[store], moves.start[store], self.span)
        copy = copies.find(moves.tensor[load], moves.start[load])
        valid = (last >= 0) & (copy >= 0)
        valid[valid] = moves.start[store[copy[valid]]] >= self.runs.end[run[last[valid]]]
        self.found.add(
            "V7",
            ~valid,
            moves.start[load],
            lambda i: (self.tensor_id(moves.tensor[load[i]]), "is loaded without a valid copy in DRAM"),
        )
        stored = np.full(instance.n_tensors, -1, dtype=np.int64)
        np.maximum.at(stored, moves.tensor[store], moves.start[store])
        due = (instance.tensor_kind == OUTPUT) & (self.size > 0) & self.produced
        self.found.add(
            "V8",
            due & (stored < self.complete),
            np.full(instance.n_tensors, last_end, dtype=np.int64),
            lambda tensor: (self.tensor_id(tensor), "is an output without a valid copy in DRAM"),
        )
