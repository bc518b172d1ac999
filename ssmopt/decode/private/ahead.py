"""How far ahead of its use each copy is fetched, and how long stores may wait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode.policy import Policy
from ssmopt.decode.private.stays import FROM_DRAM, Cells, Stays, profile_of
from ssmopt.decode.retention import extend_begin, extend_release
from ssmopt.instance import Instance

_LOAD_WINDOW = 4_096
"""How many cells a load may run ahead: beyond what a memory holds, and it keeps decoding linear."""

_MOVE_WINDOW = 2
"""How many cells a move runs ahead: they are short, and the room is better used for loads."""

_STORE_WINDOW = 64
"""How many cells a store that makes room may wait."""


@dataclass(frozen=True, eq=False)
class Queue:
    """Fetches in the order in which they are laid out.

    Attributes
    ----------
    stay
        The stay that each begins.
    slot
        Positions before this one have to be laid out before; nothing that it needs comes later.
    """

    stay: IntArray
    slot: IntArray


def look_ahead(instance: Instance, cells: Cells, stays: Stays, policy: Policy) -> Queue:
    """Set ``begin`` and ``release`` of the stays as far as there is room, and put the fetches into a queue."""
    n = len(cells.position)
    profile = profile_of(instance, stays, n)
    window = n if policy.window is None else policy.window
    if not policy.prefetch:
        window = 0
    _defer_outputs(instance, cells, stays, profile, policy)
    lowest = cells.from_position(stays.memory, stays.floor + 1)
    moved = np.flatnonzero(stays.source >= 0)
    _run_ahead(instance, stays, profile, moved, lowest, min(window, _MOVE_WINDOW), in_order=False)
    loaded = np.flatnonzero(stays.source == FROM_DRAM)
    _run_ahead(instance, stays, profile, loaded, lowest, min(window, _LOAD_WINDOW), in_order=True)
    _defer_stores(instance, cells, stays, profile, window)

    fetched = np.flatnonzero(stays.source >= FROM_DRAM)
    slot = np.maximum(_position_before(cells, stays)[fetched], stays.floor[fetched]) + 1
    order = np.lexsort((fetched, stays.first[fetched], slot))
    return Queue(fetched[order], slot[order])


def _position_before(cells: Cells, stays: Stays) -> IntArray:
    """Per stay: the last position at which a tensor leaves the memory before the stay's first cell; -1 if none does."""
    n = len(cells.position)
    over = cells.position.copy()
    np.maximum.at(over, stays.last, stays.until)
    over = np.maximum.accumulate(cells.memory * n + over) - cells.memory * n if n else over
    first = stays.begin == cells.first[stays.memory]
    return np.where(first, -1, over[np.maximum(stays.begin - 1, 0)])


def _run_ahead(
    instance: Instance,
    stays: Stays,
    profile: IntArray,
    chosen: IntArray,
    lowest: IntArray,
    window: int,
    *,
    in_order: bool,
) -> None:
    """Let fetches run ahead as far as room and a window last; if in order, none overtakes an earlier one."""
    chosen = chosen[np.argsort(stays.cell[chosen], kind="stable")]
    columns = (
        stays.cell[chosen],
        np.maximum(lowest[chosen], stays.cell[chosen] - window),
        instance.memory_capacity[stays.memory[chosen]],
        instance.tensor_bytes[stays.tensor[chosen]],
    )
    begin = []
    frontier = 0
    for use, low, capacity, n_bytes in zip(*(column.tolist() for column in columns), strict=True):
        start = extend_begin(profile, capacity, n_bytes, max(low, frontier), use)
        begin.append(start)
        if in_order:
            frontier = start
    stays.begin[chosen] = begin


def _following(cells: Cells, stays: Stays) -> IntArray:
    """Per stay: the cell at which the same tensor's next one in this memory begins, or the memory's cells end."""
    following = cells.end[stays.memory]
    same = stays.same_as_before()[1:]
    following[:-1][same] = stays.begin[1:][same]
    return following


def _defer_outputs(instance: Instance, cells: Cells, stays: Stays, profile: IntArray, policy: Policy) -> None:
    """Let the stores of the last outputs of each memory wait until the end, as many as the budget allows."""
    if policy.deferred_store_bytes <= 0:
        return
    left = np.full(instance.n_memories, policy.deferred_store_bytes, dtype=np.int64).tolist()
    end = _following(cells, stays)
    waiting = np.flatnonzero(stays.stored & (end == cells.end[stays.memory]))
    for s in waiting[np.argsort(-stays.written[waiting], kind="stable")].tolist():
        n_bytes, memory = int(instance.tensor_bytes[stays.tensor[s]]), int(stays.memory[s])
        if n_bytes <= left[memory]:
            room = int(instance.memory_capacity[memory]) - policy.reserve_bytes
            stays.release[s] = extend_release(profile, room, n_bytes, int(stays.last[s]) + 1, int(end[s]))
            left[memory] -= n_bytes


def _defer_stores(instance: Instance, cells: Cells, stays: Stays, profile: IntArray, window: int) -> None:
    """Let every store wait while room and a window last, but not past the next stay of its tensor."""
    end = _following(cells, stays)
    stored = np.flatnonzero(stays.stored)
    stored = stored[np.argsort(stays.release[stored], kind="stable")]
    for s in stored.tolist():
        start = int(stays.release[s]) + 1
        stop = min(int(end[s]), start + min(window, _STORE_WINDOW))
        if start < stop:
            n_bytes, room = int(instance.tensor_bytes[stays.tensor[s]]), int(instance.memory_capacity[stays.memory[s]])
            stays.release[s] = extend_release(profile, room, n_bytes, start, stop)
