"""All tiles of an operator, earlier or later against the others."""

from __future__ import annotations

import random

from ssmopt.heuristics.base import Plan
from ssmopt.neighbourhood.layout import Layout
from ssmopt.neighbourhood.point import Neighbourhood, Point, distance, moved


def _change(layout: Layout, point: Point, rng: random.Random) -> Plan:
    chosen = layout.tile_class == rng.randrange(layout.n_classes)
    return moved(point, chosen, distance(rng, layout.instance.n_tiles / 4))


SHIFT_CLASS = Neighbourhood("shift-operator", "all tiles of an operator some positions earlier or later", _change)
