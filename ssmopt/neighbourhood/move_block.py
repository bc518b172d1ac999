"""A stretch of the order, earlier or later as a whole."""

from __future__ import annotations

import random

from ssmopt.heuristics.base import Plan
from ssmopt.neighbourhood.layout import Layout, positions
from ssmopt.neighbourhood.point import Neighbourhood, Point, distance, moved, window


def _change(layout: Layout, point: Point, rng: random.Random) -> Plan:
    n = layout.instance.n_tiles
    low, high = window(rng, n, 1, max(1, n // 10))
    place = positions(point.order)
    return moved(point, (place >= low) & (place < high), distance(rng, n / 10))


MOVE_BLOCK = Neighbourhood("move-block", "a stretch of the order, earlier or later as a whole", _change)
