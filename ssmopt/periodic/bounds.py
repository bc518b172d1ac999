"""Bounds on the period of a loop, and on the length of so many iterations; docs/periodic.md proves them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssmopt.cpsat.scope import Scope
from ssmopt.csr import IntArray
from ssmopt.instance import OUTPUT
from ssmopt.loop import Loop
from ssmopt.periodic.uses import Uses, uses_of
from ssmopt.result import Bound


def period_bounds(loop: Loop) -> list[Bound]:
    """Every bound on the period, in cycles, the largest last.

    Raises
    ------
    InputError
        The loop's tensors live in several memories.
    """
    scope = Scope.of(loop.body)
    uses = uses_of(loop)
    bounds = [Bound(1, "time is whole"), *_core_bounds(scope), _traffic_bound(scope, uses), recurrence_bound(loop)]
    bounds.append(_memory_bound(loop, scope, uses, max(bound.cycles for bound in bounds)))
    return sorted(bounds, key=lambda bound: bound.cycles)


def length_bound(loop: Loop, repeats: int) -> Bound:
    """Cycles below which no schedule of so many iterations exists, periodic or not.

    Work and compulsory traffic add up over the iterations, and a cycle of dependences is walked as often as its
    distance goes into them.
    """
    scope = Scope.of(loop.body)
    bounds = [*_core_bounds(scope, repeats), _traffic_bound(scope, uses_of(loop), repeats)]
    period = recurrence_bound(loop).cycles
    if period:
        # Some cycle that passes no tile twice has latency >= (period - 1) * distance + 1, so rounds of it take at least
        # (period - 1) * (repeats - distance) + rounds.
        distance = loop.body.n_tiles * loop.max_distance
        walked = (period - 1) * max(0, repeats - distance) + (repeats - 1) // distance
        bounds.append(Bound(walked + int(_shortest(scope).min()), "a recurrence over the iterations"))
    return max(bounds, key=lambda bound: bound.cycles)


def recurrence_bound(loop: Loop) -> Bound:
    """The largest ratio of latency to distance over all cycles of dependences, rounded up."""
    shortest = _shortest(Scope.of(loop.body))
    edges = _dependences(uses_of(loop), loop)
    low, high = 0, int(shortest.sum())
    while low < high:
        middle = (low + high) // 2
        if _has_gaining_cycle(loop.body.n_tiles, edges, shortest, middle):
            low = middle + 1
        else:
            high = middle
    return Bound(low, "a recurrence over the iterations")


def _shortest(scope: Scope) -> IntArray:
    return np.array([min(cycles for _, cycles in options) for options in scope.tile_groups], dtype=np.int64)


def _dependences(uses: dict[int, Uses], loop: Loop) -> IntArray:
    """Rows (writer, reader, distance)."""
    rows = [(w.tile, r.tile, r.distance) for one in uses.values() for w in one.writers for r in one.readers]
    return np.array(sorted(set(rows)), dtype=np.int64).reshape(-1, 3)


def _has_gaining_cycle(n_tiles: int, edges: IntArray, shortest: IntArray, period: int) -> bool:
    """Whether some cycle has more latency than ``period`` times its distance (Bellman and Ford, from everywhere)."""
    start = np.zeros(n_tiles, dtype=np.int64)
    weight = shortest[edges[:, 0]] - period * edges[:, 2]
    for _ in range(n_tiles + 1):
        later = start.copy()
        np.maximum.at(later, edges[:, 1], start[edges[:, 0]] + weight)
        if (later == start).all():
            return False
        start = later
    return True


def _core_bounds(scope: Scope, repeats: int = 1) -> list[Bound]:
    """Work of the tiles that only some cores can run over those cores; and the longest tile, for a period."""
    able = [frozenset(g for g, _ in options) for options in scope.tile_groups]
    shortest = _shortest(scope)
    bounds = [Bound(int(shortest.max(initial=0)), "the longest tile")]
    for groups in {*able, frozenset().union(*able)}:
        work = repeats * int(sum(c for c, of in zip(shortest.tolist(), able, strict=True) if of <= groups))
        cores = sum(len(scope.groups[g].cores) for g in groups)
        if cores:
            bounds.append(Bound(-(-work // cores), "work of the cores"))
    return bounds


def _traffic_bound(scope: Scope, uses: dict[int, Uses], repeats: int = 1) -> Bound:
    """What each iteration has to load or store at least once, over all lanes."""
    cycles = 0
    for tensor, one in uses.items():
        loads = not one.writers
        stores = bool(one.writers) and scope.instance.tensor_kind[tensor] == OUTPUT
        if scope.instance.tensor_bytes[tensor] and (loads or stores):
            cycles += min(scope.transfer_cycles[tensor], default=0)
    lanes = sum(scope.lanes)
    return Bound(-(-repeats * cycles // lanes) if lanes else 0, "compulsory traffic of an iteration")


def _memory_bound(loop: Loop, scope: Scope, uses: dict[int, Uses], least: int) -> Bound:
    """Bytes times cycles that residencies take at least, over the capacity."""
    size = loop.body.tensor_bytes
    taken = sum(int(size[t]) * _least_stay(scope, t, one) for t, one in uses.items())
    shared = []
    readers = loop.body.readers.lists()
    shortest = _shortest(scope)
    for tensor in np.flatnonzero(loop.shared & (size > 0)).tolist():
        if readers[tensor]:
            stay = min(scope.transfer_cycles[tensor], default=0) + max(shortest[readers[tensor]].tolist())
            shared.append((int(size[tensor]), stay))
    period = least
    while scope.capacity and taken + sum(b * min(period, stay) for b, stay in shared) > period * scope.capacity:
        period += 1
    return Bound(period, "bytes times cycles in memory")


def _least_stay(scope: Scope, tensor: int, uses: Uses) -> int:
    """Cycles for which a copy of the tensor is resident at least."""
    if not scope.instance.tensor_bytes[tensor]:
        return 0

    def cycles(tile: int) -> int:
        return min(c for _, c in scope.tile_groups[tile])

    move = min(scope.transfer_cycles[tensor], default=0)
    made = sum(cycles(use.tile) for use in uses.writers) if uses.writers else move
    ends: Sequence[int] = [cycles(use.tile) for use in uses.readers]
    stored = move if uses.writers and scope.instance.tensor_kind[tensor] == OUTPUT else 0
    return made + max([stored, *ends])
