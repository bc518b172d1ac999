"""Depth-first orders in which weights stream in while states are updated: the best constructive heuristic here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode import decode
from ssmopt.heuristics.base import Heuristic, Plan
from ssmopt.heuristics.fuse_block import ROOMS, BlockVariant
from ssmopt.heuristics.overlap import unlike_cores
from ssmopt.heuristics.places import GATES, OUTS, BlockOrder
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule

FIRST_ORDERS = (
    BlockOrder(),
    BlockOrder("early"),
    BlockOrder("late", "late", mixed=True),
    BlockOrder("early", "late"),
    BlockOrder("early", "split", mixed=True),
)
"""One order of each kind, from those that need most memory to those that need least, and in between."""

OVERLAPPED = (
    BlockOrder("late", "along", mixed=True, overlap=True),
    BlockOrder("late", "split", mixed=True, overlap=True),
)
"""Orders to begin with where cores are of several kinds and there is more than one token tile."""

FIRST_ROOM, MORE_ROOM = (2, 2), (3, 1)
"""Reserve and deferred stores that orders are compared with; and what small memories often need instead."""

_BUDGET = 600_000
"""Tiles decoded to find the best orders."""

_CLOSE = 2
"""So many orders are decoded with every amount of room."""


def all_orders(*, overlap: bool = False) -> Iterator[BlockOrder]:
    """Every choice of a depth-first order, with token tiles one after another or overlapping."""
    for gate, out, mixed in itertools.product(GATES, OUTS, (False, True)):
        yield BlockOrder(gate, out, mixed, overlap)


def _pipelined(instance: Instance) -> Iterator[Plan | Schedule]:
    """Every order once, as far as the budget goes; then the best ones with more and less room."""
    orders: list[IntArray] = []
    found: list[tuple[int, int, BlockOrder]] = []
    overlapped = OVERLAPPED if unlike_cores(instance) else ()
    for choices in dict.fromkeys([*FIRST_ORDERS, *overlapped, *all_orders()]):
        if len(found) >= len(FIRST_ORDERS) and instance.n_tiles * len(found) > _BUDGET:
            break
        variant = BlockVariant(choices, *FIRST_ROOM)
        order, policy = variant.plan(instance)
        if any(np.array_equal(order, known) for known in orders):
            continue
        orders.append(order)
        schedule = decode(instance, order, policy, solver="pipelined")
        found.append((schedule.makespan, len(found), choices))
        yield schedule
    for _, _, choices in sorted(found)[:_CLOSE]:
        for room in ROOMS:
            if room != FIRST_ROOM:
                yield BlockVariant(choices, *room).plan(instance)


PIPELINED = Heuristic(
    name="pipelined",
    summary="fuse-block with the projections spread among the state updates, so that weights stream in meanwhile",
    source="this project",
    plans=_pipelined,
)
