"""The rules V1 to V10 once more, row by row and cycle by cycle: slow, and written to be compared with."""

from __future__ import annotations

from typing import NamedTuple

from ssmopt.instance import DRAM, NOT_ADMISSIBLE, OUTPUT, Instance
from ssmopt.schedule import Schedule

NEVER = 10**9


class Run(NamedTuple):
    tile: int
    core: int
    start: int
    end: int


class Move(NamedTuple):
    tensor: int
    channel: int
    source: int
    target: int
    start: int
    end: int


class Stay(NamedTuple):
    tensor: int
    memory: int
    start: int
    end: int


class Use(NamedTuple):
    """A tile or transfer that needs a tensor in a memory; ``role``: read, write, add, source or target."""

    role: str
    tensor: int
    memory: int
    start: int
    end: int


def broken_rules(instance: Instance, schedule: Schedule) -> set[str]:
    """The rules that a schedule breaks."""
    return _Plain(instance, schedule).broken


class _Plain:
    def __init__(self, instance: Instance, schedule: Schedule) -> None:
        self.instance = instance
        self.broken: set[str] = set()
        tables = (schedule.tiles, schedule.transfers, schedule.residencies)
        rows = [list(zip(*(c.tolist() for c in vars(t).values() if c is not None), strict=True)) for t in tables]
        last = max([0, *(r[-1] for r in rows[0] + rows[1])])
        self.size = instance.tensor_bytes.tolist()
        self.inputs, self.outputs, self.adds = (
            c.lists() for c in (instance.inputs, instance.outputs, instance.accumulates)
        )
        self.runs = [run for run in (Run(*r) for r in rows[0]) if self.sound_run(run)]
        self.moves = [move for move in (Move(*r) for r in rows[1]) if self.sound_move(move)]
        self.stays = [stay for stay in (Stay(*r) for r in rows[2]) if self.sound_stay(stay)]
        self.need("V1", sorted(r[0] for r in rows[0]) == list(range(instance.n_tiles)))
        self.need("V9", schedule.makespan == last)
        self.capacities()
        self.openings()
        for use in self.uses():
            self.use(use)
        self.sums()
        self.dram()

    def need(self, rule: str, holds: bool) -> None:
        if not holds:
            self.broken.add(rule)

    def memory(self, run: Run) -> int:
        return int(self.instance.core_memory[run.core])

    def writing(self, tensor: int) -> list[Run]:
        return [r for r in self.runs if tensor in self.outputs[r.tile] + self.adds[r.tile]]

    def produced(self, tensor: int) -> bool:
        return any(tensor in row for row in self.outputs + self.adds)

    def complete(self, tensor: int) -> int:
        """When the last of the tiles that write the tensor ends."""
        tiles = {i for i in range(self.instance.n_tiles) if tensor in self.outputs[i] + self.adds[i]}
        runs = self.writing(tensor)
        return max([0, *(r.end for r in runs)]) if tiles == {r.tile for r in runs} else NEVER

    def accumulated(self, tensor: int) -> bool:
        return any(tensor in row for row in self.adds)

    # Rows by themselves.

    def sound_run(self, run: Run) -> bool:
        instance = self.instance
        if not (0 <= run.tile < instance.n_tiles and 0 <= run.core < instance.n_cores):
            self.broken.add("V1")
            return False
        duration = instance.duration[run.tile, instance.core_kind[run.core]]
        self.need("V1", duration != NOT_ADMISSIBLE and run.end - run.start == duration and run.start >= 0)
        return run.start >= 0 and run.end >= run.start

    def sound_move(self, move: Move) -> bool:
        instance = self.instance
        n = instance.n_memories
        known = 0 <= move.tensor < instance.n_tensors and 0 <= move.channel < len(instance.channel_ids)
        if not (known and -1 <= move.source < n and -1 <= move.target < n):
            self.broken.add("V6")
            return False
        ends = instance.channel_connects[move.channel]
        bandwidth = int(instance.channel_bandwidth[move.channel])
        cycles = (self.size[move.tensor] + bandwidth - 1) // bandwidth
        joined = move.source in ends and move.target in ends and move.source != move.target
        self.need("V6", joined and move.start >= 0 and move.end - move.start == cycles)
        return move.start >= 0 and move.end >= move.start

    def sound_stay(self, stay: Stay) -> bool:
        if not (0 <= stay.tensor < self.instance.n_tensors and 0 <= stay.memory < self.instance.n_memories):
            self.broken.add("V5")
            return False
        if self.size[stay.tensor] == 0:
            return False
        self.need("V5", 0 <= stay.start < stay.end)
        return 0 <= stay.start < stay.end

    # Cycle by cycle.

    def capacities(self) -> None:
        instance = self.instance
        for now in range(max([0, *(x.end for x in [*self.runs, *self.moves, *self.stays])])):
            cores = [r.core for r in self.runs if r.start <= now < r.end]
            self.need("V2", len(set(cores)) == len(cores))
            channels = [m.channel for m in self.moves if m.start <= now < m.end]
            for channel in channels:
                self.need("V6", channels.count(channel) <= instance.channel_lanes[channel])
            held = [(s.tensor, s.memory) for s in self.stays if s.start <= now < s.end]
            self.need("V5", len(set(held)) == len(held))
            for memory in range(instance.n_memories):
                bytes_held = sum(self.size[t] for t, m in held if m == memory)
                self.need("V5", bytes_held <= instance.memory_capacity[memory])

    def arrivals(self, stay: Stay) -> list[int]:
        """When what may have begun the residency ends."""
        found = [m.end for m in self.moves if (m.tensor, m.target, m.start) == (stay.tensor, stay.memory, stay.start)]
        writing = self.writing(stay.tensor)
        if self.accumulated(stay.tensor):
            writing = [r for r in writing if r.start == min(w.start for w in writing)]
        return found + [r.end for r in writing if (self.memory(r), r.start) == (stay.memory, stay.start)]

    def openings(self) -> None:
        for stay in self.stays:
            self.need("V4", bool(self.arrivals(stay)))

    def uses(self) -> list[Use]:
        found = []
        for run in self.runs:
            for role, rows in (("read", self.inputs), ("write", self.outputs), ("add", self.adds)):
                found += [Use(role, t, self.memory(run), run.start, run.end) for t in rows[run.tile]]
        for move in self.moves:
            if move.source != DRAM:
                found.append(Use("source", move.tensor, move.source, move.start, move.end))
            if move.target != DRAM:
                found.append(Use("target", move.tensor, move.target, move.start, move.end))
        return found

    def use(self, use: Use) -> None:
        writing = self.writing(use.tensor)
        complete = self.complete(use.tensor)
        added = self.accumulated(use.tensor)
        if use.role == "read" and (added or not self.size[use.tensor]):
            self.need("V10" if added else "V4", use.start >= complete)
        if not self.size[use.tensor]:
            return
        first = use.role == "add" and use.start == min(r.start for r in writing)
        there = [stay for stay in self.stays if stay[:2] == (use.tensor, use.memory)]
        over = [stay for stay in there if stay.start <= use.start and stay.end >= use.end]
        if not over:
            rules = {"source": {"V6"}, "target": {"V4"}, "add": {"V3"} if first else {"V3", "V10"}}
            self.broken |= rules.get(use.role, {"V3"})
        if use.role == "source":
            some = min((r.end for r in writing), default=NEVER)
            self.need("V6", not self.produced(use.tensor) or use.start >= (some if added else complete))
            self.need("V10", not added or not any(r.start < use.end and r.end > use.start for r in writing))
        if use.role in ("write", "target") or first or not over:
            return
        stay = max(over, key=lambda stay: (stay.end, stay.start))  # one of several overlapping ones, which break V5
        if use.start < min(self.arrivals(stay), default=-1):
            self.broken |= {"V4", "V6"} if use.role == "source" else {"V4"}
        if added:
            for run in writing:
                inside = self.memory(run) == stay.memory and run.start >= stay.start
                self.need("V10", run.start >= use.start or run.end <= stay.start or inside)

    def sums(self) -> None:
        for tensor in range(self.instance.n_tensors):
            if self.accumulated(tensor):
                runs = self.writing(tensor)
                for now in range(max((r.end for r in runs), default=0)):
                    self.need("V10", sum(r.start <= now < r.end for r in runs) <= 1)

    def valid_copy(self, tensor: int, start: int, end: int) -> bool:
        """Whether a store has ended by ``start`` and nothing was added from the store's start to ``end``."""
        runs = [r for r in self.writing(tensor) if r.start < end]
        stores = [m for m in self.moves if m.tensor == tensor and m.target == DRAM != m.source and m.end <= start]
        return bool(runs) and any(all(r.end <= m.start for r in runs) for m in stores)

    def dram(self) -> None:
        for move in self.moves:
            if move.source == DRAM != move.target and self.size[move.tensor] and self.produced(move.tensor):
                self.need("V7", self.valid_copy(move.tensor, move.start, move.end))
        for tensor, kind in enumerate(self.instance.tensor_kind.tolist()):
            if kind == OUTPUT and self.size[tensor] and self.produced(tensor):
                stores = [m for m in self.moves if m.tensor == tensor and m.target == DRAM != m.source]
                self.need("V8", any(m.start >= self.complete(tensor) for m in stores))
