"""Orders in which tiles that are ready pass those that still wait, for machines with cores of several kinds."""

from __future__ import annotations

import heapq

import numpy as np

from ssmopt.csr import Csr, IntArray
from ssmopt.heuristics.overlap import cheapest
from ssmopt.instance import DRAM, Instance

_PASSED = 64
"""A tile may pass so many of those before it in the queue of its kind of core."""

_LEAD = 2
"""Other cores run ahead of the busiest ones by so many of their longest tiles."""


def let_ready_pass(instance: Instance, order: IntArray) -> IntArray:
    """The order in which tiles would start if whoever is ready passed whoever waits for other cores.

    Each kind of core takes the first tile of its queue that is ready. Memory is not looked at, so that nobody passes
    many others, and cores of matrix products do not run far ahead of the busiest ones: beyond the lead they start a
    tile only when nobody runs, between two tiles of the busiest. A tile of theirs takes at least as long as the loads
    of what it needs from DRAM.

    Parameters
    ----------
    instance, order
        Tiles, and a topological order of them.
    """
    kind, cycles = cheapest(instance)
    busiest = int(np.bincount(kind, weights=cycles).argmax())
    others = kind != busiest
    if not others.any():
        return order
    cycles = np.where(others, np.maximum(cycles, _load_cycles(instance)), cycles)
    busy = np.where(others, 0, cycles)[order]
    before = np.empty_like(order)
    before[order] = np.cumsum(busy) - busy
    lead = _LEAD * int(cycles[others].max())
    gate = np.where(others, before - lead, 0)
    start = _Cores(instance, order, kind, cycles, gate, busiest).run()
    return order[np.argsort(start[order], kind="stable")]


def _load_cycles(instance: Instance) -> IntArray:
    """Per tile: cycles of the loads of its inputs that no tile makes, over all lanes to DRAM."""
    links = [c for c, ends in enumerate(instance.channel_connects) if DRAM in ends]
    rate = int((instance.channel_bandwidth[links] * instance.channel_lanes[links]).sum())
    tensor = instance.inputs.indices
    n_bytes = np.where(instance.produced[tensor], 0, instance.tensor_bytes[tensor])
    loaded = np.bincount(instance.inputs.rows(), weights=n_bytes, minlength=instance.n_tiles).astype(np.int64)
    return loaded // max(rate, 1)


class _Cores:
    """A simulation of queues, one per kind of core."""

    def __init__(
        self, instance: Instance, order: IntArray, kind: IntArray, cycles: IntArray, gate: IntArray, busiest: int
    ):
        self.cycles, self.gate, self.busiest = cycles.tolist(), gate.tolist(), busiest
        source, target = instance.edges
        self.successors = Csr.from_pairs(source, target, instance.n_tiles).lists()
        self.waiting = np.bincount(target, minlength=instance.n_tiles).tolist()
        self.kind = kind.tolist()
        self.free = np.bincount(instance.core_kind, minlength=int(kind.max()) + 1).tolist()
        self.queue: list[list[int]] = [[] for _ in self.free]
        self.rank = [0] * instance.n_tiles
        for tile in order.tolist():
            queue = self.queue[self.kind[tile]]
            self.rank[tile] = len(queue)
            queue.append(tile)
        self.first = [0] * len(self.free)
        self.started = [False] * instance.n_tiles
        self.ready: list[list[tuple[int, int]]] = [[] for _ in self.free]
        self.start = np.zeros(instance.n_tiles, dtype=np.int64)
        for tile, count in enumerate(self.waiting):
            if count == 0:
                self._push(tile)

    def run(self) -> IntArray:
        """Start of each tile."""
        now, done = 0, 0
        running: list[tuple[int, int]] = []
        kinds = range(len(self.free))
        while True:
            # Where nobody runs, whoever is too far ahead may go on.
            taken = [tile for kind in kinds for tile in self._take(kind, done if running else None)]
            for tile in taken:
                self.start[tile] = now
                heapq.heappush(running, (now + self.cycles[tile], tile))
            if not running:
                return self.start
            now, tile = heapq.heappop(running)
            self.free[self.kind[tile]] += 1
            if self.kind[tile] == self.busiest:
                done += self.cycles[tile]
            for after in self.successors[tile]:
                self.waiting[after] -= 1
                if self.waiting[after] == 0:
                    self._push(after)

    def _push(self, tile: int) -> None:
        heapq.heappush(self.ready[self.kind[tile]], (self.rank[tile], tile))

    def _take(self, kind: int, done: int | None) -> list[int]:
        """Tiles that free cores of a kind start, at so much work done by the busiest ones (None: whatever that is)."""
        ready, queue, taken = self.ready[kind], self.queue[kind], list[int]()
        while self.free[kind] and ready:
            rank, tile = ready[0]
            if rank > self.first[kind] + _PASSED or (done is not None and self.gate[tile] > done):
                break
            heapq.heappop(ready)
            taken.append(tile)
            self.free[kind] -= 1
            self.started[tile] = True
            while self.first[kind] < len(queue) and self.started[queue[self.first[kind]]]:
                self.first[kind] += 1
        return taken
