"""Time space: starts of tiles and transfers, given what is resident from which position to which."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ssmopt.csr import Csr, IntArray
from ssmopt.decode.retention import Segments, Uses, batch_bytes, batches
from ssmopt.decode.space import Departures
from ssmopt.instance import DRAM, NOT_ADMISSIBLE, Instance

NEVER = -1


@dataclass(frozen=True, eq=False)
class Timing:
    """Starts and ends, in cycles.

    ``tile_*`` have one entry per position of the order; ``load_*`` and ``store_*`` one per entry of ``load_segment``
    and ``store_segment``.
    """

    tile_core: IntArray
    tile_start: IntArray
    tile_end: IntArray
    load_segment: IntArray
    load_channel: IntArray
    load_start: IntArray
    load_end: IntArray
    store_segment: IntArray
    store_channel: IntArray
    store_start: IntArray
    store_end: IntArray


@dataclass(frozen=True, eq=False)
class _Waits:
    """What has to be over before what, in terms of positions and of the queues of loads and stores.

    Space is given out in the order of the positions: whatever takes space waits until enough of what was given out
    before it is free again. That is safe however far the loads run ahead of the tiles, and it cannot dead-lock:
    what it waits for always lies at earlier positions.
    """

    load: IntArray
    store: IntArray
    batch: IntArray
    load_store: list[int]
    batch_release: list[int]
    batch_need: list[int]
    batch_waits: list[bool]
    batch_after: list[int]
    tile_release: list[int]
    tile_need: list[int]
    tile_load: list[int]
    stores_until: list[int]
    by_release: list[int]


def run(
    instance: Instance,
    order: IntArray,
    uses: Uses,
    segments: Segments,
    capacity: int,
    memory: int,
    *,
    prefetch: bool = True,
    window: int | None = None,
) -> Timing:
    """Start everything as early as its resource, its operands and the space for it allow.

    Tiles start in the given order (each on the admissible core that ends it first), loads in the order of their first
    use, and stores when the channel would otherwise wait, or when somebody needs the space. Without ``prefetch`` a
    load also waits for every tile before its first use, with a ``window`` for all but so many of them.
    """
    waits = _waits(instance, order, uses, segments, capacity, window if prefetch else 0)
    return _Machine(instance, order, uses, segments, waits, memory).run()


def _waits(
    instance: Instance, order: IntArray, uses: Uses, segments: Segments, capacity: int, window: int | None
) -> _Waits:
    n = len(order)
    size = instance.tensor_bytes[segments.tensor]
    load = np.flatnonzero(segments.loaded)
    load = load[np.lexsort((load, segments.first[load], segments.begin[load]))]
    store = np.flatnonzero(segments.stored)
    store = store[np.lexsort((store, segments.written[store]))]

    freed = np.zeros(n, dtype=np.int64)
    np.add.at(freed, segments.release, size)
    freed = np.cumsum(freed)
    made = np.flatnonzero(~segments.loaded)
    made_at = np.zeros(n, dtype=np.int64)
    np.add.at(made_at, segments.first[made], size[made])
    # At one position the loads that begin there come before the outputs of the tile.
    loads_until = np.zeros(n, dtype=np.int64)
    np.add.at(loads_until, segments.begin[load], size[load])
    loads_until = np.cumsum(loads_until)
    made_until = np.cumsum(made_at)
    taken_by_load = np.cumsum(size[load]) + (made_until - made_at)[segments.begin[load]]
    taken_by_tile = loads_until + made_until
    load_release = np.where(taken_by_load > capacity, np.searchsorted(freed, taken_by_load - capacity), NEVER)
    tile_release = np.where(
        (made_at > 0) & (taken_by_tile > capacity), np.searchsorted(freed, taken_by_tile - capacity), NEVER
    )

    # Small loads for one tile are one transfer as far as waiting is concerned.
    batch = batches(size[load], batch_bytes(capacity), segments.begin[load], segments.first[load])
    rank = np.full(len(segments), NEVER, dtype=np.int64)
    rank[load] = np.repeat(np.arange(len(batch), dtype=np.int64), _lengths(batch, len(load)))
    tile_load = np.full(n, NEVER, dtype=np.int64)
    np.maximum.at(tile_load, uses.position, rank[segments.of_use])

    store_rank = np.full(len(segments), NEVER, dtype=np.int64)
    store_rank[store] = np.arange(len(store), dtype=np.int64)
    load_store = _latest_store(segments, store_rank)[load]
    after = segments.previous_last()
    if window is not None:
        after = np.maximum(after, segments.first - 1 - window)
    after = after[load]
    return _Waits(
        load=load,
        store=store,
        batch=batch,
        load_store=load_store.tolist(),
        batch_release=_largest(load_release, batch),
        batch_need=_largest(taken_by_load - capacity, batch),
        batch_waits=(np.array(_largest(load_store, batch), dtype=np.int64) >= 0).tolist(),
        batch_after=_largest(after, batch),
        tile_release=tile_release.tolist(),
        tile_need=(taken_by_tile - capacity).tolist(),
        tile_load=tile_load.tolist(),
        stores_until=np.cumsum(np.bincount(segments.release[store], minlength=n)).tolist(),
        by_release=np.argsort(segments.release[store], kind="stable").tolist(),
    )


def _lengths(batch: IntArray, n: int) -> IntArray:
    """Numbers of loads of each batch."""
    return np.diff(np.append(batch, n))


def _largest(values: IntArray, batch: IntArray) -> list[int]:
    """The largest value of each batch."""
    largest: list[int] = np.maximum.reduceat(values, batch).tolist() if len(batch) else []
    return largest


def _latest_store(segments: Segments, store_rank: IntArray) -> IntArray:
    """Per segment: the last store of the same tensor in an earlier segment, as a rank in the queue of stores."""
    index = np.arange(len(segments), dtype=np.int64)
    latest = np.maximum.accumulate(np.where(store_rank >= 0, index, NEVER)) if len(index) else index
    before = np.append(np.array([NEVER], dtype=np.int64), latest[:-1])[: len(index)]
    same = (before >= 0) & (segments.tensor[before] == segments.tensor)
    return np.where(same, store_rank[before], NEVER)


def _rows(csr: Csr, order: IntArray) -> list[list[int]]:
    """Rows in an order."""
    rows = csr.lists()
    return [rows[tile] for tile in order.tolist()]


class _Machine:
    """The state of cores, channel lanes and queues while a schedule is laid out, position by position."""

    def __init__(self, instance: Instance, order: IntArray, uses: Uses, segments: Segments, waits: _Waits, memory: int):
        self.waits = waits
        self.n = len(order)
        self.single_core = instance.n_cores == 1
        self.store_segment = waits.store.tolist()
        self.core_free = [0] * instance.n_cores
        self.durations = instance.duration[order][:, instance.core_kind].tolist()
        if not self.single_core:
            # A tile waits for the last write so far of all that it reads or adds to; additions wait for each other.
            self.reads, self.adds = _rows(instance.inputs, order), _rows(instance.accumulates, order)
            self.outputs = _rows(instance.outputs, order)
            self.written = [0] * instance.n_tensors

        channels = [c for c, ends in enumerate(instance.channel_connects) if DRAM in ends and memory in ends]
        self.lane_channel = [c for c in channels for _ in range(int(instance.channel_lanes[c]))]
        self.lane_free = [0] * len(self.lane_channel)
        self.single_lane = len(self.lane_channel) == 1
        size = instance.tensor_bytes[segments.tensor]
        self.departures = None if self.single_core else Departures(uses, segments, size, self.n)
        lanes = self.lane_channel
        self.single_cycles = [instance.transfer_cycles(size[waits.load], c) for c in lanes]
        self.batch_cycles = [
            np.add.reduceat(cycles, waits.batch).tolist() if len(waits.batch) else [] for cycles in self.single_cycles
        ]
        self.batch_end_of = np.append(waits.batch[1:], len(waits.load)).tolist()
        self.batch_first = waits.batch.tolist()
        self.store_cycles = [instance.transfer_cycles(size[waits.store], c).tolist() for c in lanes]
        self.store_written = segments.written[waits.store].tolist()

        self.core = [0] * self.n
        self.start = [0] * self.n
        self.end = [0] * self.n
        self.ended_by = [0] * self.n
        self.batch_start: list[int] = []
        self.batch_lane: list[int] = []
        self.loads_ended_by: list[int] = []
        self.store_start = [NEVER] * len(waits.store)
        self.store_end = [NEVER] * len(waits.store)
        self.store_lane = [0] * len(waits.store)
        self.next_store = 0
        self.forced = 0
        self.forced_ended_by = [0]

    def run(self) -> Timing:
        """Lay out every position, then whatever stores are left."""
        tile_load = self.waits.tile_load
        done = 0
        for p in range(self.n):
            wanted = tile_load[p]
            while done <= wanted:
                self._load(done, p)
                done += 1
            ready = self.loads_ended_by[wanted] if wanted >= 0 else 0
            release = self.waits.tile_release[p]
            if release >= 0:
                ready = max(ready, self._space(release, self.waits.tile_need[p]))
            self._tile(p, ready)
        for s in range(self.next_store, len(self.store_start)):
            if self.store_start[s] < 0:
                self._store(s)
        return self._timing()

    def _tile(self, p: int, ready: int) -> None:
        durations = self.durations[p]
        if self.single_core:
            core, start = 0, max(ready, self.core_free[0])
            end = start + durations[0]
        else:
            written = self.written
            for tensor in itertools.chain(self.reads[p], self.adds[p]):
                if written[tensor] > ready:
                    ready = written[tensor]
            core, start, end = -1, 0, 0
            for c, cycles in enumerate(durations):
                if cycles != NOT_ADMISSIBLE:
                    begin = max(ready, self.core_free[c])
                    if core < 0 or begin + cycles < end:
                        core, start, end = c, begin, begin + cycles
            for tensor in itertools.chain(self.outputs[p], self.adds[p]):
                written[tensor] = end
        self.core_free[core] = end
        self.core[p], self.start[p], self.end[p] = core, start, end
        before = self.ended_by[p - 1] if p else 0
        self.ended_by[p] = end if end > before else before
        if self.departures is not None:
            self.departures.use(p, end)

    def _space(self, position: int, n_bytes: int) -> int:
        """Time by which so many bytes are free: once everything released up to the position has left, or sooner."""
        departures = self.departures
        if departures is None:
            return self._released(position)
        if not departures.knows(n_bytes):
            self._released(position)
        return departures.freed_by(n_bytes)

    def _released(self, position: int) -> int:
        """Time by which everything released at positions up to this one has left; forces the stores it needs."""
        waits = self.waits
        count = waits.stores_until[position]
        while self.forced < count:
            s = waits.by_release[self.forced]
            if self.store_start[s] < 0:
                self._store(s)
            self.forced_ended_by.append(max(self.forced_ended_by[-1], self.store_end[s]))
            self.forced += 1
        return max(self.ended_by[position], self.forced_ended_by[count])

    def _load(self, i: int, p: int) -> None:
        """Lay out a batch of loads, one after another on one lane."""
        release = self.waits.batch_release[i]
        ready = self._space(release, self.waits.batch_need[i]) if release >= 0 else 0
        if self.waits.batch_waits[i]:
            for store in self.waits.load_store[self.batch_first[i] : self.batch_end_of[i]]:
                if store >= 0:
                    if self.store_start[store] < 0:
                        self._store(store)
                    if self.store_end[store] > ready:
                        ready = self.store_end[store]
        after = self.waits.batch_after[i]
        if after >= 0:
            ready = max(ready, self.ended_by[after])
        self._fill(ready, p)
        lane, start, end = self._earliest(ready, self.batch_cycles, i)
        self.lane_free[lane] = end
        self.batch_start.append(start)
        self.batch_lane.append(lane)
        self.loads_ended_by.append(max(end, self.loads_ended_by[-1]) if i else end)

    def _fill(self, until: int, p: int) -> None:
        """Stores that are ready go out while the channel would wait for space."""
        stores = len(self.store_start)
        while self.next_store < stores:
            s = self.next_store
            if self.store_start[s] >= 0:
                self.next_store += 1
                continue
            if self.store_written[s] >= p:
                return
            _, _, end = self._earliest(self.end[self.store_written[s]], self.store_cycles, s)
            if end > until:
                return
            self._store(s)
            self.next_store += 1

    def _store(self, s: int) -> None:
        lane, start, end = self._earliest(self.end[self.store_written[s]], self.store_cycles, s)
        self.lane_free[lane] = end
        self.store_start[s], self.store_end[s], self.store_lane[s] = start, end, lane
        if self.departures is not None:
            self.departures.store(self.store_segment[s], end)

    def _earliest(self, ready: int, cycles: list[list[int]], i: int) -> tuple[int, int, int]:
        """Lane, start and end of a transfer on the lane that ends it first."""
        if self.single_lane:
            free = self.lane_free[0]
            start = ready if ready > free else free
            return 0, start, start + cycles[0][i]
        best = (0, -1, -1)
        for lane, free in enumerate(self.lane_free):
            start = max(ready, free)
            end = start + cycles[lane][i]
            if best[2] < 0 or end < best[2]:
                best = (lane, start, end)
        return best

    def _timing(self) -> Timing:
        channel = np.array(self.lane_channel, dtype=np.int64)

        def array(values: list[int]) -> IntArray:
            return np.array(values, dtype=np.int64)

        lengths = _lengths(self.waits.batch, len(self.waits.load))
        lane = np.repeat(array(self.batch_lane), lengths)
        cycles = np.array(self.single_cycles, dtype=np.int64).reshape(len(self.lane_channel), len(lane))[
            lane, np.arange(len(lane))
        ]
        before = np.cumsum(cycles) - cycles
        load_start = np.repeat(array(self.batch_start) - before[self.waits.batch], lengths) + before
        return Timing(
            tile_core=array(self.core),
            tile_start=array(self.start),
            tile_end=array(self.end),
            load_segment=self.waits.load,
            load_channel=channel[lane],
            load_start=load_start,
            load_end=load_start + cycles,
            store_segment=self.waits.store,
            store_channel=channel[array(self.store_lane)],
            store_start=array(self.store_start),
            store_end=array(self.store_end),
        )
