"""All that belongs to some neighbouring channels, earlier or later."""

from __future__ import annotations

import random

import numpy as np

from ssmopt.heuristics.base import Plan
from ssmopt.neighbourhood.layout import Layout, positions
from ssmopt.neighbourhood.point import Neighbourhood, Point, distance, moved, window


def _change(layout: Layout, point: Point, rng: random.Random) -> Plan:
    n = layout.instance.n_tiles
    pieces = np.unique(layout.channel)
    first, last = window(rng, len(pieces), 1, max(1, len(pieces) // 4))
    low, high = window(rng, n, max(1, n // 20), n)
    place = positions(point.order)
    chosen = (layout.channel >= pieces[first]) & (layout.channel <= pieces[last - 1]) & (place >= low) & (place < high)
    return moved(point, chosen, distance(rng, n / 10))


SHIFT_CHANNELS = Neighbourhood("shift-channels", "the tiles of some channels (a chunk), earlier or later", _change)
