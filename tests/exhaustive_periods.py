"""The smallest period of a small loop with one memory and one channel, by trying everything; from the rules alone.

It shares no code with the model, its bounds or the validator. Tiles are placed one after another in every way. As soon
as all that use a tensor are placed, every way to keep it, store it and load it is written out, cycle by cycle modulo
the period: how many transfers it has under way, and how many bytes it takes. In the end one way per tensor is chosen
so that lanes and capacity suffice. Three things are left out because they cannot help: a load more than a period
before it has to be over, or a store more than a period after it may begin (moved by whole periods they take the same
cycles of the channel, and less room), and ways that take at least as much as another in every cycle.

Stages are bounded: a tile is placed within ``reach`` periods of the earliest (or latest) moment that the tiles placed
before it allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ssmopt.instance import OUTPUT
from ssmopt.loop import Loop

Way = tuple[tuple[int, ...], tuple[int, ...]]
"""Per cycle of the period: transfers under way, and bytes resident."""


def exhaustive_period(loop: Loop, reach: int = 2, first: int = 1) -> int:
    """The smallest period, not below ``first``, of which a pattern exists within the bound on stages."""
    period = first
    while not _Search(loop, period, reach).exists():
        period += 1
    return period


class _Search:
    def __init__(self, loop: Loop, period: int, reach: int) -> None:
        body = loop.body
        self.period, self.reach = period, reach
        self.size, self.capacity = body.tensor_bytes.tolist(), int(body.memory_capacity[0])
        self.lanes = int(body.channel_lanes[0])
        self.cycles = [-(-size // int(body.channel_bandwidth[0])) for size in self.size]
        self.output = (body.tensor_kind == OUTPUT).tolist()
        self.durations = [
            [(core, row[kind]) for core, kind in enumerate(body.core_kind.tolist()) if row[kind] > 0]
            for row in body.duration.tolist()
        ]
        self.n_cores = body.n_cores
        self.alike = len(set(body.core_kind.tolist())) == 1
        self.shared = loop.shared.tolist()
        source, distance = loop.source.tolist(), loop.distance.tolist()
        # Per tensor: tiles that write it, and (tile, iterations later) that read it.
        self.writers: dict[int, list[int]] = {}
        self.readers: dict[int, list[tuple[int, int]]] = {}
        for tile, (reads, makes, adds) in enumerate(
            zip(body.inputs.lists(), body.outputs.lists(), body.accumulates.lists(), strict=True)
        ):
            for t in reads:
                own = t if source[t] < 0 else source[t]
                self.readers.setdefault(own, []).append((tile, distance[t]))
            for t in makes + adds:
                self.writers.setdefault(t, []).append(tile)
        self.tensors = sorted({*self.writers, *self.readers})
        self.users = {
            t: {*self.writers.get(t, []), *(tile for tile, _ in self.readers.get(t, []))} for t in self.tensors
        }
        self.order = self._order(len(self.durations))
        place = {tile: i for i, tile in enumerate(self.order)}
        self.complete: list[list[int]] = [[] for _ in self.order]
        for t in self.tensors:
            if self.size[t]:
                self.complete[max(place[tile] for tile in self.users[t])].append(t)
        self.start: dict[int, int] = {}
        self.end: dict[int, int] = {}

    def _order(self, n_tiles: int) -> list[int]:
        """Tiles so that each, if it can, shares a tensor of an iteration with one before."""
        order: list[int] = []
        while len(order) < n_tiles:
            left = [tile for tile in range(n_tiles) if tile not in order]
            joined = [tile for tile in left if self._neighbours(tile) & set(order)]
            order.append((joined or left)[0])
        return order

    def _neighbours(self, tile: int) -> set[int]:
        return {other for t in self.tensors if tile in self.users[t] and not self.shared[t] for other in self.users[t]}

    def exists(self) -> bool:
        """Whether a pattern exists."""
        return self._place(0, [set() for _ in range(self.n_cores)], [], [0] * self.period, [0] * self.period)

    def _place(
        self, position: int, busy: list[set[int]], ways: list[list[Way]], lanes: list[int], room: list[int]
    ) -> bool:
        """Place the next tile; ``lanes`` and ``room`` are what the tensors so far take at least."""
        if position == len(self.order):
            return self._choose(sorted(ways, key=len), [0] * self.period, [0] * self.period)
        tile = self.order[position]
        for core, cycles in self.durations[tile]:
            if cycles > self.period or (self.alike and core and not busy[core - 1]):
                continue
            for start in self._starts(tile, cycles, position):
                taken = {(start + i) % self.period for i in range(cycles)}
                if taken & busy[core] or not self._in_order(tile, start, start + cycles):
                    continue
                self.start[tile], self.end[tile] = start, start + cycles
                busy[core] |= taken
                more, least_lanes, least_room = [], lanes, room
                for t in self.complete[position]:
                    found = self.ways(t)
                    more.append(found)
                    if not found:
                        break
                    least_lanes = [a + min(w[0][i] for w in found) for i, a in enumerate(least_lanes)]
                    least_room = [a + min(w[1][i] for w in found) for i, a in enumerate(least_room)]
                fits = all(more) and max(least_lanes) <= self.lanes and max(least_room) <= self.capacity
                if fits and self._place(position + 1, busy, ways + more, least_lanes, least_room):
                    return True
                busy[core] -= taken
                del self.start[tile], self.end[tile]
        return False

    def _starts(self, tile: int, cycles: int, position: int) -> range:
        """Starts to try: around what the tiles placed before allow. Time itself may begin anywhere."""
        if position == 0:
            return range(1)
        placed = self._neighbours(tile) & set(self.start)
        if not placed:
            return range(self.period)
        low, high = [], []
        for t in self.tensors:
            for writer in self.writers.get(t, []):
                for reader, distance in self.readers.get(t, []):
                    if reader == tile and writer in self.start:
                        low.append(self.end[writer] - distance * self.period)
                    if writer == tile and reader in self.start:
                        high.append(self.start[reader] + distance * self.period - cycles)
        wide = self.reach * self.period
        if low and high:
            return range(max(low), min(high) + 1)
        if low:
            return range(max(low), max(low) + wide)
        if high:
            return range(min(high), min(high) - wide, -1)
        around = [self.start[other] for other in placed]
        return range(min(around) - wide, max(around) + wide)

    def _in_order(self, tile: int, start: int, end: int) -> bool:
        """Reads after writes, also of the tile itself, and additions into one tensor not at the same time."""
        starts, ends = {**self.start, tile: start}, {**self.end, tile: end}
        for t in self.tensors:
            if tile not in self.users[t]:
                continue
            writers = [w for w in self.writers.get(t, []) if w in starts]
            for reader, distance in self.readers.get(t, []):
                if reader in starts and any(starts[reader] + distance * self.period < ends[w] for w in writers):
                    return False
            if any(w != tile and starts[w] < end and start < ends[w] for w in writers if tile in writers):
                return False
        return True

    # --- what a tensor takes ------------------------------------------------------------------------------------

    def ways(self, t: int) -> list[Way]:
        """Every way to keep, store and load a tensor whose users are placed."""
        found = set(self._shared_ways(t) if self.shared[t] else self._own_ways(t))
        found = {way for way in found if max(way[0]) <= self.lanes and max(way[1]) <= self.capacity}
        return [
            way
            for way in found
            if not any(
                other != way and all(a <= b for a, b in zip(other[0] + other[1], way[0] + way[1], strict=True))
                for other in found
            )
        ]

    def _own_ways(self, t: int) -> Iterator[Way]:
        uses = [(self.start[w], self.end[w], True) for w in self.writers.get(t, [])]
        for reader, distance in self.readers.get(t, []):
            delay = distance * self.period
            uses.append((self.start[reader] + delay, self.end[reader] + delay, False))
        uses.sort()
        for cuts in product((False, True), repeat=len(uses) - 1):
            groups = [[uses[0]]]
            for cut, use in zip(cuts, uses[1:], strict=True):
                if cut:
                    groups.append([use])
                else:
                    groups[-1].append(use)
            yield from self._group_ways(t, groups, 0, None, [0] * self.period, [0] * self.period)

    def _group_ways(
        self,
        t: int,
        groups: list[list[tuple[int, int, bool]]],
        at: int,
        left: int | None,
        lanes: list[int],
        room: list[int],
    ) -> Iterator[Way]:
        """Residencies from the ``at``-th on; the one before was over at ``left``."""
        if at == len(groups):
            yield tuple(lanes), tuple(room)
            return
        group, cycles = groups[at], self.cycles[t]
        begins: Iterator[int] | list[int]
        loaded = at > 0 or t not in self.writers
        due = group[0][0] - cycles
        begins = range(due, due - self.period, -1) if loaded else [group[0][0]]
        last_write = max((end for _, end, writes in group if writes), default=None)
        stored = last_write is not None and (self.output[t] or at + 1 < len(groups))
        for begin in begins:
            if left is not None and begin < left:
                break
            for store in range(last_write, last_write + self.period) if stored and last_write is not None else [None]:
                end = max(end for _, end, _ in group)
                more_lanes = list(lanes)
                if loaded:
                    self._mark(more_lanes, begin, begin + cycles, 1)
                if store is not None:
                    end = max(end, store + cycles)
                    self._mark(more_lanes, store, store + cycles, 1)
                more_room = list(room)
                self._mark(more_room, begin, end, self.size[t])
                if max(more_room) <= self.capacity and max(more_lanes) <= self.lanes:
                    yield from self._group_ways(t, groups, at + 1, end, more_lanes, more_room)

    def _shared_ways(self, t: int) -> Iterator[Way]:
        """Always resident; or loaded before each group of tiles that follow each other around the period."""
        period, cycles = self.period, self.cycles[t]
        yield (0,) * period, (self.size[t],) * period
        users = [(self.start[r] % period, self.end[r] - self.start[r]) for r, _ in self.readers[t]]
        users.sort()
        for cuts in product((False, True), repeat=len(users)):
            firsts = [i for i, cut in enumerate(cuts) if cut]
            spans = []
            for first, following in zip(firsts, [*firsts[1:], *(i + len(users) for i in firsts[:1])], strict=True):
                ends = [
                    users[i % len(users)][0] + (i // len(users)) * period + users[i % len(users)][1]
                    for i in range(first, following)
                ]
                spans.append((users[first][0], max(ends)))
            for early in product(range(period), repeat=len(spans)) if spans else []:
                lanes, count = [0] * period, [0] * period
                for (begin, end), sooner in zip(spans, early, strict=True):
                    load = begin - cycles - sooner
                    self._mark(lanes, load, load + cycles, 1)
                    self._mark(count, load, end, 1)
                if max(count) <= 1:
                    yield tuple(lanes), tuple(self.size[t] * n for n in count)

    def _mark(self, cells: list[int], begin: int, end: int, amount: int) -> None:
        for time in range(begin, end):
            cells[time % self.period] += amount

    def _choose(self, ways: list[list[Way]], lanes: list[int], room: list[int]) -> bool:
        """One way per tensor within lanes and capacity."""
        if not ways:
            return True
        for way in ways[0]:
            more_lanes = [a + b for a, b in zip(lanes, way[0], strict=True)]
            more_room = [a + b for a, b in zip(room, way[1], strict=True)]
            fits = max(more_lanes) <= self.lanes and max(more_room) <= self.capacity
            if fits and self._choose(ways[1:], more_lanes, more_room):
                return True
        return False
