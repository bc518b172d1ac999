"""More or less memory held back for loads that run ahead, and for stores that wait."""

from __future__ import annotations

import random
from dataclasses import replace

from ssmopt.heuristics.base import Plan
from ssmopt.neighbourhood.layout import Layout
from ssmopt.neighbourhood.point import Neighbourhood, Point

_SHARES = (16, 64, 256)
"""Standard deviation of a change: one over these of the memory."""


def _change(layout: Layout, point: Point, rng: random.Random) -> Plan:
    capacity = int(layout.instance.memory_capacity.max())
    by = round(rng.gauss(0, capacity / rng.choice(_SHARES)))
    policy = point.policy
    if rng.random() < 0.5:
        reserve = min(max(0, policy.reserve_bytes + by), capacity * 3 // 4)
        return point.order, replace(policy, reserve_bytes=reserve)
    deferred = min(max(0, policy.deferred_store_bytes + by), capacity * 3 // 4)
    return point.order, replace(policy, deferred_store_bytes=deferred)


CHANGE_POLICY = Neighbourhood("change-policy", "more or less memory for loads ahead and for late stores", _change)
