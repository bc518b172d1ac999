"""What the bottleneck waits for, earlier; or the tile that waits, later, so that others fill the gap."""

from __future__ import annotations

import random

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.heuristics.base import Plan
from ssmopt.neighbourhood.layout import Layout, positions
from ssmopt.neighbourhood.point import Neighbourhood, Point, length, moved

_MOST_ANCESTORS = 64


def _change(layout: Layout, point: Point, rng: random.Random) -> Plan:
    instance = layout.instance
    table = point.schedule.tiles
    mine = np.flatnonzero(instance.core_kind[table.core] == layout.bottleneck)
    if len(mine) < 2:
        return moved(point, np.zeros(instance.n_tiles, dtype=np.bool_), 0.0)
    by_core = mine[np.lexsort((table.start[mine], table.core[mine]))]
    gap = table.start[by_core[1:]] - table.end[by_core[:-1]]
    gap[table.core[by_core[1:]] != table.core[by_core[:-1]]] = 0
    wide = np.flatnonzero(gap > 0)
    place = positions(point.order)
    if len(wide):
        late = int(table.tile[by_core[1 + rng.choices(wide.tolist(), gap[wide].tolist())[0]]])
    else:
        late = int(table.tile[rng.choice(by_core.tolist())])
    far = length(rng, 1, instance.n_tiles / 10) + 0.5
    if rng.random() < 0.5:
        chosen = (layout.tile_class == layout.tile_class[late]) & (place >= place[late])
        chosen &= place < place[late] + length(rng, 1, 100)
        return moved(point, chosen, far)
    chosen = np.zeros(instance.n_tiles, dtype=np.bool_)
    chosen[_ancestors(layout, late, place, rng)] = True
    return moved(point, chosen, -far)


def _ancestors(layout: Layout, tile: int, place: IntArray, rng: random.Random) -> list[int]:
    """The tile and the nearest ones in the order that must come before it."""
    before = layout.before
    back = int(place[tile]) - length(rng, 4, len(place) / 10)
    found, front = {tile}, [tile]
    while front and len(found) < _MOST_ANCESTORS:
        for other in before[front.pop(0)].tolist():
            if other not in found and place[other] >= back:
                found.add(other)
                front.append(other)
    return sorted(found)


FILL_GAP = Neighbourhood("fill-gap", "what the busiest core waits for earlier, or what waits later", _change)
