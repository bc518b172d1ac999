"""Redundant constraints: tiles and loads that cannot overlap, since memory has no room for both."""

from __future__ import annotations

import numpy as np
from ortools.sat.python import cp_model

from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.variables import Variables

_MOST_SETS = 4
"""Sets per pair of a core and a channel; those that come first have most to do."""


def add_exclusions(model: cp_model.CpModel, scope: Scope, variables: Variables) -> None:
    """On a core and a channel that do one thing at a time: one of large loads, and of tiles that leave less room.

    A load of a tensor overlaps no tile that uses it, in whichever residency, and no tile beside which it has no room.
    So these are pairwise disjoint, which CP-SAT does not see from the memory's capacity alone, as long as it has not
    decided which residency a tile uses.
    """
    if scope.fits or not scope.tensors:
        return
    needs = scope.instance.tile_need_bytes.tolist()
    for g, group in enumerate(scope.groups):
        if len(group.cores) != 1:
            continue
        tiles = [
            (needs[t], cycles, interval)
            for t, tile in enumerate(variables.tiles)
            for other, cycles, _, interval in tile.options
            if other == g
        ]
        for channel, lanes in enumerate(scope.lanes):
            if lanes != 1:
                continue
            loads = [
                (int(scope.instance.tensor_bytes[tensor]), cycles, interval)
                for tensor, slots in variables.slots.items()
                for slot in slots
                if slot.load is not None
                for other, cycles, _, interval in slot.load.options
                if other == channel
            ]
            for members in _largest_sets(tiles, loads, scope.capacity):
                model.add_no_overlap(members)


Sized = tuple[int, int, cp_model.IntervalVar]
"""Bytes, cycles, and the interval."""


def _largest_sets(tiles: list[Sized], loads: list[Sized], capacity: int) -> list[list[cp_model.IntervalVar]]:
    """For some sizes of loads: those of at least that size, and the tiles that leave less room."""
    need, tile_work = np.array([t[:2] for t in tiles], dtype=np.int64).reshape(-1, 2).T
    size, load_work = np.array([m[:2] for m in loads], dtype=np.int64).reshape(-1, 2).T
    found: dict[bytes, tuple[int, int]] = {}
    for least in np.unique(size).tolist():
        full = need > capacity - least
        work = int(tile_work[full].sum()) + int(load_work[size >= least].sum())
        # Of sizes with the same tiles the least has most loads, and comes first.
        if full.any():
            found.setdefault(full.tobytes(), (work, least))
    chosen = sorted(found.values(), reverse=True)[:_MOST_SETS]
    return [
        [interval for need, _, interval in tiles if need > capacity - least]
        + [interval for size, _, interval in loads if size >= least]
        for _, least in chosen
    ]
