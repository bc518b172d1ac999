"""The exact optimal makespan of a tiny instance with several memories and channels, by best-first search.

Like `exhaustive`, with which and with the solvers it shares no code: everything starts at time 0 or when a tile or a
transfer ends, in every combination, waiting included; a copy stays until its room is needed, or until it is no use.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from ssmopt.instance import DRAM, NOT_ADMISSIBLE, OUTPUT, Instance


class Run(NamedTuple):
    tile: int
    kind: int
    memory: int
    end: int


class Move(NamedTuple):
    tensor: int
    channel: int
    source: int
    target: int
    end: int


class State(NamedTuple):
    """What is done, what each memory holds (arriving or being made included), and what DRAM has a valid copy of."""

    time: int
    done: frozenset[int]
    held: tuple[frozenset[int], ...]
    copied: frozenset[int]
    runs: tuple[Run, ...]
    moves: tuple[Move, ...]


def optimal_makespan(instance: Instance, most_states: int = 60_000) -> int | None:
    """Optimal makespan in cycles; None when the search takes more states."""
    return _Search(instance).run(most_states)


class _Search:
    def __init__(self, instance: Instance) -> None:
        self.n = instance.n_tiles
        self.memories = range(instance.n_memories)
        self.size = instance.tensor_bytes.tolist()
        self.capacity = instance.memory_capacity.tolist()
        self.lanes = instance.channel_lanes.tolist()
        self.bandwidth = instance.channel_bandwidth.tolist()
        self.ends = instance.channel_connects
        self.duration = instance.duration.tolist()
        places = list(zip(instance.core_kind.tolist(), instance.core_memory.tolist(), strict=True))
        self.cores = {place: places.count(place) for place in places}
        solid = {t for t, size in enumerate(self.size) if size}
        rows = (instance.inputs, instance.outputs, instance.accumulates)
        reads, makes, adds = ([set(row) for row in side.lists()] for side in rows)
        self.adds_any = adds
        self.reads, self.makes, self.adds = ([row & solid for row in side] for side in (reads, makes, adds))
        self.adders = {t: {i for i in range(self.n) if t in adds[i]} for t in range(instance.n_tensors)}
        self.writers = {
            t: self.adders[t] | {i for i in range(self.n) if t in makes[i]} for t in range(instance.n_tensors)
        }
        self.before = [set().union(*(self.writers[t] for t in reads[i])) for i in range(self.n)]
        self.wanting = {t: {i for i in range(self.n) if t in self.reads[i] | self.adds[i]} for t in solid}
        self.outputs = {t for t in solid if instance.tensor_kind[t] == OUTPUT and self.writers[t]}
        self.solid = sorted(solid)
        self.able = [
            [place for place in self.cores if self.duration[i][place[0]] != NOT_ADMISSIBLE] for i in range(self.n)
        ]
        shortest = [min(self.duration[i][kind] for kind, _ in self.able[i]) for i in range(self.n)]
        self.tail = [0] * self.n
        for i in sorted(range(self.n), key=self._depth, reverse=True):
            after = max((self.tail[j] for j in range(self.n) if i in self.before[j]), default=0)
            self.tail[i] = shortest[i] + after
        self.actions: list[tuple[int, ...]] = [(0, i, *place) for i in range(self.n) for place in self.able[i]]
        for c, ends in enumerate(self.ends):
            for source, target in itertools.permutations(ends, 2):
                self.actions += [(1, t, c, source, target) for t in self.solid]

    def _depth(self, tile: int) -> int:
        return 1 + max((self._depth(j) for j in self.before[tile]), default=0)

    def run(self, most_states: int) -> int | None:
        given = frozenset(t for t in self.solid if not self.writers[t])
        start = State(0, frozenset(), tuple(frozenset[int]() for _ in self.memories), given, (), ())
        queue: list[tuple[int, int, State]] = []
        seen: set[State] = set()
        count = itertools.count()
        if self.finished(start):
            return 0
        todo = [start]
        while True:
            for state in todo:
                for following in self.choose(state, 0):
                    key = following._replace(runs=tuple(sorted(following.runs)), moves=tuple(sorted(following.moves)))
                    if key not in seen and (key.runs or key.moves):
                        seen.add(key)
                        heapq.heappush(queue, (self.bound(key), next(count), key))
            if not queue:
                raise AssertionError("no schedule")
            if len(seen) > most_states:
                return None
            state = self.advance(heapq.heappop(queue)[2])
            if self.finished(state):
                return state.time
            todo = [state]

    def finished(self, state: State) -> bool:
        return len(state.done) == self.n and not state.runs and not state.moves and self.outputs <= state.copied

    def bound(self, state: State) -> int:
        ends = [thing.end for thing in (*state.runs, *state.moves)]
        running = {run.tile for run in state.runs}
        left = [state.time + self.tail[i] for i in range(self.n) if i not in state.done and i not in running]
        return max([state.time + 1, *ends, *left])

    def advance(self, state: State) -> State:
        """To the next end; copies that nobody will want leave."""
        time = min(thing.end for thing in (*state.runs, *state.moves))
        done = state.done | {run.tile for run in state.runs if run.end == time}
        stored = {move.tensor for move in state.moves if move.end == time and move.target == DRAM}
        runs = tuple(run for run in state.runs if run.end > time)
        moves = tuple(move for move in state.moves if move.end > time)
        copied = state.copied | stored
        moved = State(time, done, state.held, copied, runs, moves)
        held = tuple(
            frozenset(t for t in state.held[m] if self.in_use(moved, t, m) or self.is_wanted(moved, t))
            for m in self.memories
        )
        return moved._replace(held=held)

    def is_wanted(self, state: State, tensor: int) -> bool:
        return bool(self.wanting[tensor] - state.done) or (tensor in self.outputs and tensor not in state.copied)

    def in_use(self, state: State, tensor: int, memory: int) -> bool:
        for run in state.runs:
            if run.memory == memory and tensor in self.reads[run.tile] | self.makes[run.tile] | self.adds[run.tile]:
                return True
        return any(move.tensor == tensor and memory in (move.source, move.target) for move in state.moves)

    def choose(self, state: State, first: int) -> Iterator[State]:
        """Everything that can be started now, in every combination."""
        yield state
        for position in range(first, len(self.actions)):
            action = self.actions[position]
            started = self.tile(state, *action[1:]) if action[0] == 0 else self.transfer(state, *action[1:])
            if started is not None:
                memory, new, following = started
                for room in self.rooms(following, memory, new, action):
                    yield from self.choose(room, position + 1)

    def ready(self, state: State, tensor: int, memory: int) -> bool:
        """Whether a memory has a copy that has arrived, and that nobody is writing."""
        if tensor not in state.held[memory]:
            return False
        arriving = any(move.tensor == tensor and move.target == memory for move in state.moves)
        return not arriving and not any(run.tile in self.writers[tensor] for run in state.runs)

    def tile(self, state: State, tile: int, kind: int, memory: int) -> tuple[int, set[int], State] | None:
        running = {run.tile for run in state.runs}
        if tile in state.done or tile in running or not self.before[tile] <= state.done:
            return None
        if sum((run.kind, run.memory) == (kind, memory) for run in state.runs) == self.cores[kind, memory]:
            return None
        if not all(self.ready(state, t, memory) for t in self.reads[tile]):
            return None
        new = set(self.makes[tile])
        for t in self.adds_any[tile]:
            if self.adders[t] & running or any(move.tensor == t for move in state.moves):
                return None
            if not self.adders[t] & state.done:
                new |= {t} & self.adds[tile]
            elif t in self.adds[tile] and not self.ready(state, t, memory):
                return None
        run = Run(tile, kind, memory, state.time + self.duration[tile][kind])
        held = [set(copies) for copies in state.held]
        for m in self.memories:
            if m != memory:
                held[m] -= self.adds[tile]
        return memory, new, state._replace(
            runs=(*state.runs, run),
            held=tuple(frozenset(copies) for copies in held),
            copied=state.copied - self.adds[tile],
        )  # fmt: skip

    def transfer(
        self, state: State, tensor: int, channel: int, source: int, target: int
    ) -> tuple[int, set[int], State] | None:
        if sum(move.channel == channel for move in state.moves) == self.lanes[channel]:
            return None
        if any(move.tensor == tensor and move.target == target for move in state.moves):
            return None
        started = state.done | {run.tile for run in state.runs}
        wanted = self.wanting[tensor] - started
        if source == DRAM:
            if tensor not in state.copied:
                return None
        elif not self.ready(state, tensor, source):
            return None
        if target == DRAM:
            if tensor in state.copied or not self.writers[tensor] or not (wanted or tensor in self.outputs):
                return None
        elif tensor in state.held[target] or not any(place[1] == target for i in wanted for place in self.able[i]):
            return None
        cycles = -(-self.size[tensor] // self.bandwidth[channel])
        move = Move(tensor, channel, source, target, state.time + cycles)
        return target, set() if target == DRAM else {tensor}, state._replace(moves=(*state.moves, move))

    def rooms(self, state: State, memory: int, new: set[int], action: tuple[int, ...]) -> Iterator[State]:
        """The state with what is new in the memory, for each smallest set of copies that can be dropped for it."""
        del action
        if memory == DRAM:
            yield state
            return
        held = state.held[memory]
        excess = sum(self.size[t] for t in held | new) - self.capacity[memory]
        idle = [t for t in sorted(held) if not self.in_use(state, t, memory) and self.is_elsewhere(state, t, memory)]
        found: list[set[int]] = []
        for count in range(len(idle) + 1):
            for chosen in map(set, itertools.combinations(idle, count)):
                if sum(self.size[t] for t in chosen) >= excess and not any(other <= chosen for other in found):
                    found.append(chosen)
                    copies = list(state.held)
                    copies[memory] = held - chosen | new
                    yield state._replace(held=tuple(copies))

    def is_elsewhere(self, state: State, tensor: int, memory: int) -> bool:
        """Whether the tensor can be dropped here: another copy is complete, or nobody wants it."""
        others = any(self.ready(state, tensor, m) for m in self.memories if m != memory)
        return tensor in state.copied or others or not self.is_wanted(state, tensor)
