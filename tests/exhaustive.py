"""The exact optimal makespan of a small instance with one memory and one channel, by best-first search.

It shares no code with the solvers or the validator. In some optimal schedule everything starts at time 0 or when a
tile or a transfer ends: otherwise it could start earlier, since only such ends free cores, lanes, data and room. So the
search decides at each such time what to start, in every combination, waiting included. A tensor stays in memory until
its room is needed, or until nobody needs it: keeping it longer costs nothing, as it may be dropped at any moment.

Sets of tiles and of tensors are bit masks. Zero-byte tensors take no part but as precedences.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from functools import cache

from exhaustive_states import Move, Node, Run, State, Witness, at_least_as_good, bits

from ssmopt.instance import DRAM, NOT_ADMISSIBLE, OUTPUT, Instance
from ssmopt.schedule import Schedule


def exhaustive_makespan(instance: Instance) -> int:
    """Optimal makespan in cycles."""
    return Search(instance).run().state.time


def exhaustive_schedule(instance: Instance) -> Schedule:
    """An optimal schedule."""
    return Witness(instance).schedule(Search(instance).run())


class Search:
    """The data of one instance as masks and lists, and the search itself."""

    def __init__(self, instance: Instance) -> None:
        assert instance.n_memories == 1
        assert [set(ends) for ends in instance.channel_connects] == [{DRAM, 0}]
        self.instance = instance
        self.capacity = int(instance.memory_capacity[0])
        self.lanes = int(instance.channel_lanes[0])
        self.size = instance.tensor_bytes.tolist()
        bandwidth = int(instance.channel_bandwidth[0])
        self.cycles = [-(-size // bandwidth) for size in self.size]
        self.kinds = sorted(set(instance.core_kind.tolist()))
        self.n_cores = {kind: instance.core_kind.tolist().count(kind) for kind in self.kinds}
        self.duration = instance.duration.tolist()
        self.n = instance.n_tiles
        self.all_done = (1 << self.n) - 1
        solid = sum(1 << t for t, size in enumerate(self.size) if size)

        def masks(lists: list[list[int]]) -> list[int]:
            return [sum(1 << t for t in row) for row in lists]

        reads, makes, adds = (masks(rows.lists()) for rows in (instance.inputs, instance.outputs, instance.accumulates))
        self.reads, self.makes, self.adds = ([m & solid for m in side] for side in (reads, makes, adds))
        self.adds_any = adds
        tensors = range(instance.n_tensors)

        def tiles_with(side: list[int], tensor: int) -> int:
            return sum(1 << i for i in range(self.n) if side[i] >> tensor & 1)

        self.readers = [tiles_with(reads, t) for t in tensors]
        self.adders = [tiles_with(adds, t) for t in tensors]
        self.writers = [tiles_with(makes, t) | self.adders[t] for t in tensors]
        self.before = [0] * self.n
        for i in range(self.n):
            for t in bits(reads[i]):
                self.before[i] |= self.writers[t]
        self.outputs = solid & sum(1 << t for t in tensors if instance.tensor_kind[t] == OUTPUT)
        self.given = solid & sum(1 << t for t in tensors if not self.writers[t])
        self.made = solid & ~self.given
        self.shortest = [
            min(self.duration[i][k] for k in self.kinds if self.duration[i][k] != NOT_ADMISSIBLE) for i in range(self.n)
        ]
        self.tail = [0] * self.n
        for i in sorted(range(self.n), key=lambda i: -self._depth(i)):
            after = [self.tail[j] for j in range(self.n) if self.before[j] >> i & 1]
            stores = [self.cycles[t] for t in bits((self.makes[i] | self.adds[i]) & self.outputs)]
            self.tail[i] = self.shortest[i] + max(after + stores, default=0)
        self.order = sorted(range(self.n), key=self._depth)
        self.bytes_of = cache(self._bytes_of)
        # Everything that can ever be started: (0, tile, kind), (1, tensor) to load, (2, tensor) to store.
        self.actions: list[tuple[int, ...]] = [
            (0, i, k) for i in self.order for k in self.kinds if self.duration[i][k] != NOT_ADMISSIBLE
        ]
        self.actions += [(2, t) for t in bits(self.made)] + [(1, t) for t in bits(solid)]

    def _depth(self, tile: int) -> int:
        return 1 + max((self._depth(j) for j in bits(self.before[tile])), default=0)

    def _bytes_of(self, mask: int) -> int:
        return sum(self.size[t] for t in bits(mask))

    # --- the search ---------------------------------------------------------------------------------------------

    def run(self) -> Node:
        """The first finished node, which is optimal because nodes come in order of their lower bound."""
        start = State(0, 0, 0, self.given, (), (), frozenset())
        queue: list[tuple[int, int, int, Node]] = []
        kept: dict[tuple[object, ...], list[State]] = {}
        count = itertools.count()
        for state in self.decide(start):
            self._push(queue, kept, count, state, Node(start, None))
        if self.finished(start):
            return Node(start, None)
        while queue:
            *_, node = heapq.heappop(queue)
            state = node.state
            if state not in kept[self._family(state)]:
                continue
            moved = self.advance(state)
            if self.finished(moved):
                return Node(moved, node)
            for following in self.decide(moved):
                self._push(queue, kept, count, following, node)
        raise AssertionError("no schedule: the capacity is too small")

    def _push(
        self,
        queue: list[tuple[int, int, int, Node]],
        kept: dict[tuple[object, ...], list[State]],
        count: Iterator[int],
        state: State,
        parent: Node,
    ) -> None:
        """Queue a state unless one at least as good in every respect is known."""
        if not state.runs and not state.moves:
            return
        family = kept.setdefault(self._family(state), [])
        if any(at_least_as_good(other, state) for other in family):
            return
        family[:] = [other for other in family if not at_least_as_good(state, other)]
        family.append(state)
        heapq.heappush(queue, (self.bound(state), -state.time, next(count), Node(state, parent)))

    @staticmethod
    def _family(state: State) -> tuple[object, ...]:
        """Only states with the same tiles done and the same things under way are compared."""
        return (state.done, tuple(r[:2] for r in state.runs), tuple(m[:2] for m in state.moves))

    def finished(self, state: State) -> bool:
        """Everything is done and stored."""
        return state.done == self.all_done and not state.runs and not state.moves and not self.outputs & ~state.copied

    def advance(self, state: State) -> State:
        """To the next end: what ends then is done, and what nobody needs any more leaves the memory."""
        time = min(thing.end for thing in state.runs + state.moves)
        done, copied = state.done, state.copied
        for run in state.runs:
            if run.end == time:
                done |= 1 << run.tile
        for move in state.moves:
            if move.end == time and not move.load:
                copied |= 1 << move.tensor
        runs = tuple(run for run in state.runs if run.end > time)
        moves = tuple(move for move in state.moves if move.end > time)
        busy = self.in_use(runs, moves)
        left = self.all_done & ~done
        held = state.held
        for t in bits(held & ~busy):
            if not left & (self.readers[t] | self.adders[t]) and not (self.outputs & ~copied) >> t & 1:
                held &= ~(1 << t)
        return State(time, done, held, copied, runs, moves, state.could)

    def in_use(self, runs: tuple[Run, ...], moves: tuple[Move, ...]) -> int:
        """Tensors that may not leave the memory now."""
        used = 0
        for run in runs:
            used |= self.reads[run.tile] | self.makes[run.tile] | self.adds[run.tile]
        for move in moves:
            used |= 1 << move.tensor
        return used

    # --- decisions ----------------------------------------------------------------------------------------------

    def decide(self, state: State) -> Iterator[State]:
        """All that may be started now, in every combination."""
        for chosen in self._combine(state, 0, 0):
            yield self._settle(chosen)

    def _combine(self, state: State, first: int, dropped: int) -> Iterator[State]:
        yield state
        for position in range(first, len(self.actions)):
            action = self.actions[position]
            new = None if action in state.could else self.needed_room(state, action, dropped)
            if new is not None:
                for drop in self.drops(state, action, new):
                    following = self.start(state, action, drop)
                    yield from self._combine(following, position + 1, dropped | drop)

    def _settle(self, state: State) -> State:
        """Note what could have started as well, for the next moment."""
        held = self.bytes_of(state.held)
        could = set()
        for action in self.actions:
            new = self.needed_room(state, action, 0)
            if new is not None and held + self.bytes_of(new) <= self.capacity:
                could.add(action)
        return state._replace(runs=tuple(sorted(state.runs)), moves=tuple(sorted(state.moves)), could=frozenset(could))

    def needed_room(self, state: State, action: tuple[int, ...], dropped: int) -> int | None:
        """Tensors that newly enter the memory if the action starts now; None if it cannot, whatever is dropped."""
        if action[0] == 0:
            return self._tile_room(state, action[1], action[2])
        tensor = action[1]
        if len(state.moves) == self.lanes or any(move.tensor == tensor for move in state.moves):
            return None
        mask = 1 << tensor
        started = state.done | sum(1 << run.tile for run in state.runs)
        wanted = self.all_done & ~started & (self.readers[tensor] | self.adders[tensor])
        if action[0] == 1:
            # Of a sum only additions and readers to come make a load worth while; dropped now, it need not come now.
            possible = wanted and state.copied & ~state.held & ~dropped & mask
            return mask if possible else None
        if not state.held & ~state.copied & mask or not (wanted or self.outputs & mask):
            return None
        if any((self.makes[run.tile] | self.adds[run.tile]) & mask for run in state.runs):
            return None
        return 0

    def _tile_room(self, state: State, tile: int, kind: int) -> int | None:
        running = sum(1 << run.tile for run in state.runs)
        if (state.done | running) >> tile & 1 or self.before[tile] & ~state.done:
            return None
        if sum(run.kind == kind for run in state.runs) == self.n_cores[kind]:
            return None
        arriving = sum(1 << move.tensor for move in state.moves if move.load)
        leaving = sum(1 << move.tensor for move in state.moves if not move.load)
        ready = state.held & ~arriving
        if self.reads[tile] & ~ready:
            return None
        new = self.makes[tile]
        for t in bits(self.adds_any[tile]):
            if self.adders[t] & running:
                return None
            if not self.adders[t] & state.done:
                new |= self.adds[tile] & 1 << t
            elif self.adds[tile] >> t & 1 and (not ready >> t & 1 or leaving >> t & 1):
                return None
        return new

    def drops(self, state: State, action: tuple[int, ...], new: int) -> Iterator[int]:
        """The smallest sets of tensors to drop so that the new ones find room."""
        excess = self.bytes_of(state.held) + self.bytes_of(new) - self.capacity
        if excess <= 0:
            yield 0
            return
        used = self.in_use(state.runs, state.moves)
        if action[0] == 0:
            used |= self.reads[action[1]] | self.adds[action[1]]
        # What DRAM lacks is still needed, or it would have left the memory by itself.
        idle = list(bits(state.held & state.copied & ~used))
        found: list[int] = []
        for count in range(1, len(idle) + 1):
            for chosen in itertools.combinations(idle, count):
                mask = sum(1 << t for t in chosen)
                if self.bytes_of(mask) >= excess and not any(other & mask == other for other in found):
                    found.append(mask)
                    yield mask

    def start(self, state: State, action: tuple[int, ...], drop: int) -> State:
        """The state with the action started."""
        held = state.held & ~drop
        if action[0] == 0:
            _, tile, kind = action
            run = Run(tile, kind, state.time + self.duration[tile][kind])
            held |= self.makes[tile] | self.adds[tile]
            return state._replace(held=held, copied=state.copied & ~self.adds[tile], runs=(*state.runs, run))
        move = Move(action[1], action[0] == 1, state.time + self.cycles[action[1]])
        if move.load:
            held |= 1 << move.tensor
        return state._replace(held=held, moves=(*state.moves, move))

    # --- the lower bound ----------------------------------------------------------------------------------------

    def bound(self, state: State) -> int:
        """No schedule that goes on from here ends before this.

        Everything that is still to run or to move is an item: it starts no earlier than its head, takes its cycles,
        and its tail follows. Items share the cores, or the lanes.
        """
        now = state.time
        ends = {run.tile: run.end for run in state.runs}
        left = self.all_done & ~state.done & ~sum(1 << tile for tile in ends)
        work = [(now, run.end - now, self.tail[run.tile] - self.shortest[run.tile]) for run in state.runs]
        moved = [(now, move.end - now, self._tail_of_load(move.tensor, left) * move.load) for move in state.moves]
        arrival = {move.tensor: move.end for move in state.moves if move.load}
        storing = sum(1 << move.tensor for move in state.moves if not move.load)
        earliest: dict[int, int] = {}
        # Per tile: tensors that have to be loaded before it starts, by itself or its ancestors.
        missing: dict[int, int] = {}
        for tile in self.order:
            if not left >> tile & 1:
                continue
            at, absent = now, 0
            for other in bits(self.before[tile] & ~state.done):
                at = max(at, ends.get(other) or earliest[other] + self.shortest[other])
                absent |= missing.get(other, 0)
            for t in bits(self.reads[tile]):
                if not state.held >> t & 1 and not self.writers[t] & ~state.done:
                    absent |= 1 << t
                elif t in arrival:
                    at = max(at, arrival[t])
            for t in bits(absent):
                at = max(at, now + self.cycles[t])
            at = max(at, now - (-sum(self.cycles[t] for t in bits(absent)) // self.lanes))
            earliest[tile], missing[tile] = at, absent
            work.append((at, self.shortest[tile], self.tail[tile] - self.shortest[tile]))
        loads = 0
        for absent in missing.values():
            loads |= absent
        moved += [(now, self.cycles[t], self._tail_of_load(t, left)) for t in bits(loads)]
        for t in bits(self.outputs & ~state.copied & ~storing):
            made = [ends.get(i) or earliest[i] + self.shortest[i] for i in bits(self.writers[t] & ~state.done)]
            moved.append((max(made, default=now), self.cycles[t], 0))
        cores = sum(self.n_cores.values())
        return max(now, shared_bound(work, cores), shared_bound(moved, self.lanes))

    def _tail_of_load(self, tensor: int, left: int) -> int:
        """What follows the load of a tensor: its readers to come, and what follows them."""
        return max((self.tail[i] for i in bits(self.readers[tensor] & left)), default=0)


def shared_bound(items: list[tuple[int, int, int]], machines: int) -> int:
    """When items of (head, cycles, tail) can all be over on identical machines, at the earliest.

    Of any set of items the last one ends, at best, when all their cycles are spread evenly from the smallest head on;
    the smallest tail follows. Sets taken are those of the largest heads, and of the largest tails.
    """
    best = 0
    for side in (0, 2):
        cycles, head, tail = 0, 1 << 60, 1 << 60
        for item in sorted(items, key=lambda item: -item[side]):
            head, cycles, tail = min(head, item[0]), cycles + item[1], min(tail, item[2])
            best = max(best, head - (-cycles // machines) + tail, sum(item))
    return best
