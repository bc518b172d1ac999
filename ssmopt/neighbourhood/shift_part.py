"""The tiles of an operator within a stretch of the order, earlier or later."""

from __future__ import annotations

import random

from ssmopt.heuristics.base import Plan
from ssmopt.neighbourhood.layout import Layout, positions
from ssmopt.neighbourhood.point import Neighbourhood, Point, distance, moved, window


def _change(layout: Layout, point: Point, rng: random.Random) -> Plan:
    n = layout.instance.n_tiles
    low, high = window(rng, n, 20, n // 2)
    place = positions(point.order)
    chosen = (layout.tile_class == rng.randrange(layout.n_classes)) & (place >= low) & (place < high)
    return moved(point, chosen, distance(rng, n / 4))


SHIFT_PART = Neighbourhood(
    "shift-part", "the tiles of an operator in a stretch of the order, earlier or later", _change
)
