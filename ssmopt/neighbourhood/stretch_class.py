"""The tiles of an operator, spread wider or closer around some position."""

from __future__ import annotations

import math
import random

from ssmopt.heuristics.base import Plan
from ssmopt.neighbourhood.layout import Layout, positions
from ssmopt.neighbourhood.point import Neighbourhood, Point, moved

_DEVIATION = 0.02
"""Standard deviation of the logarithm of the factor."""


def _change(layout: Layout, point: Point, rng: random.Random) -> Plan:
    n = layout.instance.n_tiles
    factor, middle = math.exp(rng.gauss(0, _DEVIATION)), rng.random() * n
    by = (positions(point.order) - middle) * (factor - 1)
    return moved(point, layout.tile_class == rng.randrange(layout.n_classes), by)


STRETCH_CLASS = Neighbourhood("stretch-operator", "the tiles of an operator spread wider or closer", _change)
