"""Time space with several memories: starts of tiles and transfers, given what stays where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssmopt.csr import Csr, IntArray
from ssmopt.decode.private.ahead import Queue
from ssmopt.decode.private.lanes import Lanes
from ssmopt.decode.private.links import Links
from ssmopt.decode.private.stays import FROM_DRAM, MADE, Cells, Stays, Touches
from ssmopt.decode.space import Room
from ssmopt.instance import DRAM, NOT_ADMISSIBLE, Instance

NEVER = -1


@dataclass(frozen=True, eq=False)
class Timing:
    """Starts and ends, in cycles.

    Attributes
    ----------
    core, start, end
        Per position of the order.
    transfers
        Rows of tensor, channel, source, target, start and end.
    stay_start, stay_end
        Per stay.
    """

    core: IntArray
    start: IntArray
    end: IntArray
    transfers: IntArray
    stay_start: IntArray
    stay_end: IntArray


class _Space:
    """Where in the sequence of everything that takes space in a memory each fetch and each tile stands.

    Space is given out in the order of the cells, at one cell the fetches that begin there before what its tile makes.
    Whoever takes space waits until enough of what was given out before is free again: that always lies at earlier
    positions, so that nothing waits in a circle.
    """

    def __init__(self, instance: Instance, cells: Cells, stays: Stays, queue: Queue):
        n = len(cells.position)
        size = instance.tensor_bytes[stays.tensor]
        capacity = instance.memory_capacity

        def until(cell: IntArray, n_bytes: IntArray) -> IntArray:
            """Bytes up to each cell, from the first one of its memory on."""
            at = np.zeros(n, dtype=np.int64)
            np.add.at(at, cell, n_bytes)
            total = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(at)])
            here: IntArray = total[1:] - total[cells.first[cells.memory]]
            return here

        freed = until(stays.release, size)
        made = stays.source == MADE
        made_at = np.zeros(n, dtype=np.int64)
        np.add.at(made_at, stays.cell[made], size[made])
        made_until = until(stays.cell[made], size[made])
        fetched_until = until(stays.begin[~made], size[~made])

        fetch = queue.stay
        memory, cell = stays.memory[fetch], stays.begin[fetch]
        order = np.lexsort((np.arange(len(fetch)), cell, memory))
        running = np.cumsum(size[fetch][order])
        head = np.searchsorted(memory[order], memory[order])
        taken = np.empty(len(fetch), dtype=np.int64)
        taken[order] = running - running[head] + size[fetch][order][head]
        self.need = taken + (made_until - made_at)[cell] - capacity[memory]
        tile_need = fetched_until + made_until - capacity[cells.memory]
        # A position that frees enough; nothing is waited for where there is room anyway.
        self.cell = _freeing(freed, self.need, cells, memory)
        tile_cell = _freeing(freed, np.where(made_at > 0, tile_need, 0), cells, cells.memory)
        self.tile_need = np.empty(n, dtype=np.int64)
        self.tile_cell = np.empty(n, dtype=np.int64)
        self.tile_need[cells.position], self.tile_cell[cells.position] = tile_need, tile_cell


def _freeing(freed: IntArray, need: IntArray, cells: Cells, memory: IntArray) -> IntArray:
    """The cell of a memory up to which at least so many bytes are released; `NEVER` where none are needed."""
    span = max(int(freed.max(initial=0)), int(need.max(initial=0))) + 1
    keys = cells.memory * span + freed
    at = np.searchsorted(keys, memory * span + np.maximum(need, 0))
    return np.where(need > 0, at, NEVER)


class Machine:
    """The state of cores, lanes, memories and queues while a schedule is laid out, position by position."""

    def __init__(
        self,
        instance: Instance,
        order: IntArray,
        place: IntArray,
        cells: Cells,
        touches: Touches,
        stays: Stays,
        queue: Queue,
        links: Links,
    ):
        self.n = n = len(order)
        self.links = links
        self.memory_at = place[order].tolist()
        cores_of: list[list[int]] = [[] for _ in range(instance.n_memories)]
        for core, memory in enumerate(instance.core_memory.tolist()):
            cores_of[memory].append(core)
        self.cores_of = cores_of
        self.kind = instance.core_kind.tolist()
        self.durations = instance.duration[order].tolist()
        self.core_free = [0] * instance.n_cores
        self.lanes = Lanes(instance.channel_lanes.tolist(), instance.channel_bandwidth.tolist())
        self.between: dict[tuple[int, int], tuple[int, ...]] = {}

        # A tile waits for the last write so far of all that it reads or adds to; additions wait for each other, and
        # for transfers of the partial sum that they make old.
        self.reads = _rows(instance.inputs, order)
        self.adds = _rows(instance.accumulates, order)
        self.makes = _rows(instance.outputs, order)
        self.written = [0] * instance.n_tensors
        self.transferred = [0] * instance.n_tensors

        real = ~touches.carries
        self.stays_at = Csr.from_pairs(touches.position[real], stays.of_touch[real], n).lists()
        self.tensor, self.memory = stays.tensor.tolist(), stays.memory.tolist()
        self.size = instance.tensor_bytes[stays.tensor].tolist()
        self.source = stays.source.tolist()
        pending = np.bincount(stays.of_touch[real], minlength=len(stays)) + stays.stored
        copied = stays.source[stays.source >= 0]
        self.pending = (pending + np.bincount(copied, minlength=len(stays))).tolist()
        self.before = np.where(stays.same_as_before(), np.arange(len(stays)) - 1, NEVER).tolist()
        self.rooms = [Room() for _ in range(instance.n_memories)]
        self.left = [0] * len(stays)
        self.arrived = [0] * len(stays)
        self.begun = [NEVER] * len(stays)

        self.fetches = queue.stay.tolist()
        rank = np.full(len(stays), NEVER, dtype=np.int64)
        rank[queue.stay] = np.arange(len(queue.stay), dtype=np.int64)
        wanted = np.full(n, NEVER, dtype=np.int64)
        np.maximum.at(wanted, touches.position[real], rank[stays.of_touch[real]])
        self.wanted = wanted.tolist()
        space = _Space(instance, cells, stays, queue)
        self.fetch_need, self.fetch_cell = space.need.tolist(), space.cell.tolist()
        self.tile_need, self.tile_cell = space.tile_need.tolist(), space.tile_cell.tolist()

        store = np.flatnonzero(stays.stored)
        self.stores = store[np.lexsort((store, stays.written[store]))].tolist()
        self.written_at = stays.written.tolist()
        self.is_stored = stays.stored.tolist()
        self.stored_at = [NEVER] * len(stays)
        self.next_store = 0
        by_release = store[np.argsort(stays.release[store], kind="stable")]
        self.by_release = by_release.tolist()
        # Stores of a memory that are released up to a cell are those up to an index of that list, past forced ones.
        self.released = np.searchsorted(stays.release[by_release], np.arange(n), side="right").tolist()
        self.forced = np.searchsorted(stays.release[by_release], cells.first).tolist()
        self.writer = stays.writer.tolist()

        self.core, self.start, self.end = [0] * n, [0] * n, [0] * n
        self.rows: list[tuple[int, int, int, int, int, int]] = []

    def run(self) -> Timing:
        """Lay out every position, then whatever stores are left."""
        done = 0
        for p in range(self.n):
            while done <= self.wanted[p]:
                self._fetch(done, p)
                done += 1
            self._tile(p)
        for s in self.stores[self.next_store :]:
            self._store(s)
        rows = np.array(self.rows, dtype=np.int64).reshape(-1, 6)
        return Timing(
            core=np.array(self.core, dtype=np.int64),
            start=np.array(self.start, dtype=np.int64),
            end=np.array(self.end, dtype=np.int64),
            transfers=rows,
            stay_start=np.array(self.begun, dtype=np.int64),
            stay_end=np.array(self.left, dtype=np.int64),
        )

    def _tile(self, p: int) -> None:
        memory = self.memory_at[p]
        ready = 0
        if self.tile_cell[p] >= 0:
            ready = self._space(memory, self.tile_cell[p], self.tile_need[p])
        arrived, written = self.arrived, self.written
        for stay in self.stays_at[p]:
            if arrived[stay] > ready:
                ready = arrived[stay]
        for tensor in self.reads[p]:
            if written[tensor] > ready:
                ready = written[tensor]
        for tensor in self.adds[p]:
            ready = max(ready, written[tensor], self.transferred[tensor])
        core, start, end = -1, 0, 0
        for c in self.cores_of[memory]:
            cycles = self.durations[p][self.kind[c]]
            if cycles != NOT_ADMISSIBLE:
                begin = max(ready, self.core_free[c])
                if core < 0 or begin + cycles < end:
                    core, start, end = c, begin, begin + cycles
        self.core_free[core] = end
        self.core[p], self.start[p], self.end[p] = core, start, end
        for tensor in self.makes[p]:
            self.written[tensor] = end
        for tensor in self.adds[p]:
            self.written[tensor] = end
        for stay in self.stays_at[p]:
            if self.begun[stay] < 0:
                self.begun[stay] = start
            self._over(stay, end)

    def _over(self, stay: int, end: int) -> None:
        """One of the things that a stay waits for ends then; after the last one its space is free."""
        if end > self.left[stay]:
            self.left[stay] = end
        self.pending[stay] -= 1
        if not self.pending[stay]:
            self.rooms[self.memory[stay]].leave(self.left[stay], self.size[stay])

    def _space(self, memory: int, cell: int, n_bytes: int) -> int:
        """Time by which so many bytes have been freed; if need be it forces the stores up to a cell."""
        room = self.rooms[memory]
        if not room.knows(n_bytes):
            while self.forced[memory] < self.released[cell]:
                self._store(self.by_release[self.forced[memory]])
                self.forced[memory] += 1
        return room.freed_by(n_bytes)

    def _fetch(self, i: int, p: int) -> None:
        """Lay out a load or a move."""
        stay = self.fetches[i]
        memory, tensor = self.memory[stay], self.tensor[stay]
        ready = 0
        if self.fetch_cell[i] >= 0:
            ready = self._space(memory, self.fetch_cell[i], self.fetch_need[i])
        before = self.before[stay]
        if before >= 0:
            # A tensor has one residency in a memory at a time.
            self._store(before)
            ready = max(ready, self.left[before])
        source = self.source[stay]
        if source == FROM_DRAM:
            writer = self.writer[stay]
            if writer >= 0:
                self._store(writer)
                ready = max(ready, self.stored_at[writer])
            place, channels = DRAM, self.links.of_dram[memory]
            self._fill(ready, p)
        else:
            ready = max(ready, self.arrived[source], self.written[tensor])
            place = self.memory[source]
            channels = self._between(place, memory)
        start, end = self._transfer(tensor, channels, place, memory, ready, self.size[stay])
        self.begun[stay], self.arrived[stay] = start, end
        if source >= 0:
            self._over(source, end)

    def _between(self, source: int, target: int) -> tuple[int, ...]:
        key = (source, target)
        if key not in self.between:
            self.between[key] = self.links.between(source, target)
        return self.between[key]

    def _transfer(
        self, tensor: int, channels: tuple[int, ...], source: int, target: int, ready: int, n_bytes: int
    ) -> tuple[int, int]:
        chosen = self.lanes.earliest(channels, ready, n_bytes)
        self.lanes.take(chosen)
        channel, _, start, end = chosen
        self.rows.append((tensor, channel, source, target, start, end))
        self.transferred[tensor] = max(self.transferred[tensor], end)
        return start, end

    def _fill(self, until: int, p: int) -> None:
        """Stores that are ready go out while the channel would wait for space."""
        while self.next_store < len(self.stores):
            s = self.stores[self.next_store]
            if self.stored_at[s] < 0:
                if self.written_at[s] >= p:
                    return
                channels, ready = self.links.of_dram[self.memory[s]], self.end[self.written_at[s]]
                if self.lanes.earliest(channels, ready, self.size[s])[3] > until:
                    return
                self._store(s)
            self.next_store += 1

    def _store(self, s: int) -> None:
        """Lay out the store of a stay, if it has one and has not been laid out."""
        if self.stored_at[s] >= 0 or not self.is_stored[s]:
            return
        memory = self.memory[s]
        ready = self.end[self.written_at[s]]
        _, end = self._transfer(self.tensor[s], self.links.of_dram[memory], memory, DRAM, ready, self.size[s])
        self.stored_at[s] = end
        self._over(s, end)


def _rows(csr: Csr, order: IntArray) -> list[list[int]]:
    """Rows in an order."""
    rows = csr.lists()
    return [rows[tile] for tile in order.tolist()]
