"""Orders in which projections run beside state updates: tile by tile, and one token tile beside another."""

from __future__ import annotations

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.heuristics.places import LATE, SUMS
from ssmopt.instance import NOT_ADMISSIBLE, Instance


def lay_evenly(instance: Instance, order: IntArray, slots: tuple[IntArray, ...], stream: IntArray) -> IntArray:
    """Within each slot, lay the tiles of several streams evenly among each other, by their durations.

    Parameters
    ----------
    instance, order
        Tiles, and an order that each stream keeps.
    slots
        Per tile: keys by which slots are told apart, and follow each other.
    stream
        Per tile: the stream that it belongs to.
    """
    _, cycles = cheapest(instance)
    place = np.empty_like(order)
    place[order] = np.arange(len(order), dtype=np.int64)
    by_stream = np.lexsort((place, stream, *slots[::-1]))
    keys = np.stack([*(key[by_stream] for key in slots), stream[by_stream]])
    head = np.ones(len(order), dtype=np.bool_)
    head[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    run = np.cumsum(head) - 1
    before = np.cumsum(cycles[by_stream]) - cycles[by_stream]
    total = np.bincount(run, weights=cycles[by_stream]).astype(np.int64)
    fraction = np.empty_like(order)
    fraction[by_stream] = (before - before[head][run]) * (1 << 20) // np.maximum(total, 1)[run]
    return np.lexsort((place, fraction, *slots[::-1]))


def overlap_token_tiles(instance: Instance, order: IntArray, token_tile: IntArray, phase: IntArray) -> IntArray:
    """Lay the first phase of a token tile among the second one of the tile before, and late sums one tile later.

    So the cores of matrix products work ahead while others update states. What the busiest cores wait for comes earlier
    by the longest tile of the other cores, so that it is over when they get there. The result need not be topological.

    Parameters
    ----------
    instance, order
        Tiles of a block, and a depth-first order of them.
    token_tile, phase
        Per tile: where it belongs (`ssmopt.heuristics.places`).
    """
    stage = np.where(phase <= SUMS, 0, np.where(phase == LATE, 2, 1)).astype(np.int64)
    order = lay_evenly(instance, order, (token_tile + stage,), stage)
    kind, cycles = cheapest(instance)
    busiest = int(np.bincount(kind, weights=cycles).argmax())
    others = kind != busiest
    if not others.any():
        return order
    busy = np.where(others, 0, cycles)[order]
    begin = np.cumsum(busy) - busy - np.where(others[order], int(cycles[others].max()), 0)
    ahead: IntArray = order[np.argsort(begin, kind="stable")]
    return ahead


def unlike_cores(instance: Instance) -> bool:
    """Whether there are cores of several kinds."""
    return len(set(instance.core_kind.tolist())) > 1


def cheapest(instance: Instance) -> tuple[IntArray, IntArray]:
    """Per tile: the kind of core that runs it in the fewest cycles, and those cycles."""
    cycles = np.where(instance.duration == NOT_ADMISSIBLE, np.iinfo(np.int64).max, instance.duration)
    return cycles.argmin(axis=1), cycles.min(axis=1)
