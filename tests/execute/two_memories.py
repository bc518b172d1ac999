"""A machine of two cores with a memory each, and a simple schedule of it: one thing after another, moves in between."""

from __future__ import annotations

import random

import numpy as np

from ssmopt.hardware import KERNELS, OPERATIONS, Channel, CoreGroup, Hardware, Memory
from ssmopt.instance import DRAM, OUTPUT, Instance
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable, makespan_of

TWO_MEMORIES = Hardware(
    "two",
    1.0,
    (Memory("m0", 10**9), Memory("m1", 10**9)),
    tuple(CoreGroup(f"c{i}", f"m{i}", 2, 2, 1, KERNELS, 0, dict.fromkeys(OPERATIONS, 1)) for i in (0, 1)),
    (Channel("dma", 16, ("dram", "m0", "m1")), Channel("link", 8, ("m0", "m1"))),
)
DMA, LINK = 0, 1


class Draft:
    """A schedule that grows at its end.

    Parameters
    ----------
    instance
        Tiles for `TWO_MEMORIES`.
    careless
        Whether to take old partial sums for current ones.
    """

    def __init__(self, instance: Instance, *, careless: bool = False) -> None:
        self.instance = instance
        self.careless = careless
        self.now = 0
        self.since: list[dict[int, int]] = [{}, {}]
        self.old: list[set[int]] = [set(), set()]
        self.in_dram = {int(t) for t in np.flatnonzero(~instance.produced)}
        self.to_come = np.bincount(instance.writes.indices, minlength=instance.n_tensors)
        self.tiles: list[tuple[int, ...]] = []
        self.transfers: list[tuple[int, ...]] = []
        self.residencies: list[tuple[int, ...]] = []

    def transfer(self, tensor: int, source: int, target: int) -> None:
        channel = DMA if DRAM in (source, target) else LINK
        size = self.instance.tensor_bytes[tensor]
        start, self.now = self.now, self.now + int(self.instance.transfer_cycles(size, channel))
        self.transfers.append((tensor, channel, source, target, start, self.now))
        if target == DRAM:
            self.in_dram.add(tensor)
        else:
            self.since[target][tensor] = start

    def drop(self, tensor: int, memory: int) -> None:
        self.old[memory].discard(tensor)
        self.residencies.append((tensor, memory, self.since[memory].pop(tensor), self.now))

    def bring(self, tensor: int, memory: int) -> None:
        if tensor in self.old[memory] and not self.careless:
            self.drop(tensor, memory)
        if tensor in self.since[memory]:
            return
        other = 1 - memory
        is_there = tensor in self.since[other] and tensor not in self.old[other]
        self.transfer(tensor, other if is_there else DRAM, memory)

    def run(self, tile: int, memory: int) -> None:
        instance = self.instance
        sums = instance.accumulates[tile].tolist()
        begun = [t for t in sums if any(t in self.since[m] for m in (0, 1)) or t in self.in_dram]
        for tensor in (*instance.inputs[tile].tolist(), *begun):
            self.bring(tensor, memory)
        start, self.now = self.now, self.now + int(instance.duration[tile, memory])
        self.tiles.append((tile, memory, start, self.now))
        for tensor in instance.writes[tile].tolist():
            self.since[memory].setdefault(tensor, start)
            self.old[memory].discard(tensor)
            self.to_come[tensor] -= 1
            self.in_dram.discard(tensor)
            if tensor in self.since[1 - memory]:
                self.old[1 - memory].add(tensor)
            if instance.tensor_kind[tensor] == OUTPUT and not self.to_come[tensor]:
                self.transfer(tensor, memory, DRAM)

    def spill(self, tensor: int) -> None:
        """Into DRAM, and out of both memories."""
        for memory in (0, 1):
            if tensor in self.since[memory]:
                if tensor not in self.in_dram and tensor not in self.old[memory]:
                    self.transfer(tensor, memory, DRAM)
                self.drop(tensor, memory)

    def finish(self) -> Schedule:
        for memory in (0, 1):
            for tensor in list(self.since[memory]):
                self.drop(tensor, memory)

        def columns(rows: list[tuple[int, ...]], width: int) -> list[np.ndarray]:
            return list(np.array(rows, dtype=np.int64).reshape(-1, width).T)

        tiles, transfers = TileTable(*columns(self.tiles, 4)), TransferTable(*columns(self.transfers, 6))
        residencies = ResidencyTable(*columns(self.residencies, 4))
        return Schedule(tiles, transfers, residencies, makespan_of(tiles, transfers), "two memories")


def schedule_on_two_memories(instance: Instance, rng: random.Random, *, careless: bool = False) -> Schedule:
    """Tiles in their order, each on either core; now and then something is spilled."""
    draft = Draft(instance, careless=careless)
    for tile in instance.topological_order.tolist():
        draft.run(tile, rng.randrange(2))
        held = sorted({*draft.since[0], *draft.since[1]})
        if held and rng.random() < 0.3:
            draft.spill(rng.choice(held))
    return draft.finish()
