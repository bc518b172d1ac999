"""The states of the exhaustive search, and the schedule that a sequence of them amounts to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ssmopt.instance import DRAM, Instance
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable


class Run(NamedTuple):
    """A tile that runs until ``end``."""

    tile: int
    kind: int
    end: int


class Move(NamedTuple):
    """A load or store that lasts until ``end``."""

    tensor: int
    load: bool
    end: int


class State(NamedTuple):
    """What is true just after the decisions of one moment.

    ``held``: tensors in memory, arriving ones included. ``copied``: tensors with a valid copy in DRAM. ``could``: what
    could have started as well, with nothing dropped; to start it at the next moment instead is never better.
    """

    time: int
    done: int
    held: int
    copied: int
    runs: tuple[Run, ...]
    moves: tuple[Move, ...]
    could: frozenset[tuple[int, ...]]


@dataclass
class Node:
    """A state and how the search came to it."""

    state: State
    parent: Node | None


def bits(mask: int) -> Iterator[int]:
    """Positions of the set bits."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def at_least_as_good(one: State, other: State) -> bool:
    """Whether all that can follow ``other`` can follow ``one`` as well, no later."""
    return (
        one.time <= other.time
        and not other.held & ~one.held
        and not other.copied & ~one.copied
        and all(a.end <= b.end for a, b in zip(one.runs, other.runs, strict=True))
        and all(a.end <= b.end for a, b in zip(one.moves, other.moves, strict=True))
        and one.could <= other.could
    )


class Witness:
    """Turns the states on the way to a finished node into a schedule."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.tiles: list[tuple[int, int, int, int]] = []
        self.transfers: list[tuple[int, int, int, int, int, int]] = []
        self.residencies: list[tuple[int, int, int, int]] = []

    def schedule(self, last: Node) -> Schedule:
        """The schedule that ends with ``last``."""
        path = []
        node: Node | None = last
        while node is not None:
            path.append(node.state)
            node = node.parent
        path.reverse()
        held_since: dict[int, int] = {}
        free_at = [0] * self.instance.n_cores
        before = path[0]
        for state in path[1:]:
            self._record(before, state, free_at)
            for t in bits(before.held & ~state.held):
                self.residencies.append((t, 0, held_since.pop(t), state.time))
            for t in bits(state.held & ~before.held):
                held_since[t] = state.time
            before = state
        self.residencies += [(t, 0, since, before.time) for t, since in held_since.items()]

        def columns(rows: list[tuple[int, ...]], width: int) -> list[np.ndarray]:
            return list(np.array(sorted(rows), dtype=np.int64).reshape(-1, width).T)

        return Schedule(
            TileTable(*columns(self.tiles, 4)),
            TransferTable(*columns(self.transfers, 6)),
            ResidencyTable(*columns(self.residencies, 4)),
            before.time,
            "exhaustive",
        )

    def _record(self, before: State, state: State, free_at: list[int]) -> None:
        """Tiles and transfers that are under way in a state but were not in the one before."""
        core_kind = self.instance.core_kind
        for run in set(state.runs) - set(before.runs):
            core = next(c for c, free in enumerate(free_at) if free <= state.time and core_kind[c] == run.kind)
            free_at[core] = run.end
            self.tiles.append((run.tile, core, state.time, run.end))
        for move in set(state.moves) - set(before.moves):
            ends = (DRAM, 0) if move.load else (0, DRAM)
            self.transfers.append((move.tensor, 0, *ends, state.time, move.end))
