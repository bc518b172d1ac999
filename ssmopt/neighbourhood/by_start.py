"""Tiles in the order in which the schedule starts them."""

from __future__ import annotations

import random

import numpy as np

from ssmopt.heuristics.base import Plan
from ssmopt.neighbourhood.layout import Layout, positions
from ssmopt.neighbourhood.point import Neighbourhood, Point, window


def _change(layout: Layout, point: Point, rng: random.Random) -> Plan:
    table = point.schedule.tiles
    place = positions(point.order)
    key = np.empty(layout.instance.n_tiles, dtype=np.int64)
    key[table.tile] = np.argsort(np.argsort(table.start, kind="stable"), kind="stable")
    if rng.random() < 0.5:
        low, high = window(rng, len(key), 20, len(key))
        key = np.where((place >= low) & (place < high), key, place)
    return np.lexsort((place, key)), point.policy


BY_START = Neighbourhood("by-start", "tiles in the order in which they start, or a stretch of them", _change)
