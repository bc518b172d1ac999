"""The order search: change the order or the policy of the best schedule, decode, and keep what is no worse."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode import Policy, decode_below, decode_work
from ssmopt.heuristics.base import topological
from ssmopt.heuristics.fuse_block import ROOMS
from ssmopt.instance import Instance
from ssmopt.neighbourhood.by_start import BY_START
from ssmopt.neighbourhood.change_policy import CHANGE_POLICY
from ssmopt.neighbourhood.fill_gap import FILL_GAP
from ssmopt.neighbourhood.layout import Layout
from ssmopt.neighbourhood.move_block import MOVE_BLOCK
from ssmopt.neighbourhood.parameters import Parameters
from ssmopt.neighbourhood.point import Neighbourhood, Point
from ssmopt.neighbourhood.roulette import Roulette
from ssmopt.neighbourhood.shift_channels import SHIFT_CHANNELS
from ssmopt.neighbourhood.shift_class import SHIFT_CLASS
from ssmopt.neighbourhood.shift_part import SHIFT_PART
from ssmopt.neighbourhood.stretch_class import STRETCH_CLASS
from ssmopt.schedule import Schedule

ORDERS: tuple[Neighbourhood, ...] = (
    SHIFT_CLASS,
    SHIFT_PART,
    SHIFT_CHANNELS,
    STRETCH_CLASS,
    MOVE_BLOCK,
    FILL_GAP,
    BY_START,
    CHANGE_POLICY,
)
"""Neighbourhoods of orders and policies; all of them go through the decoder."""

SOLVER = "lns"


@dataclass
class Tally:
    """What a neighbourhood did: how often it was tried, accepted and best, and the cycles that it won."""

    tried: int = 0
    accepted: int = 0
    best: int = 0
    cycles: int = 0


@dataclass
class OrderSearch:
    """A search over orders and policies from one schedule on.

    Attributes
    ----------
    instance, parameters
        What is scheduled, and how the search goes.
    rng
        The only source of chance.
    spend
        Told about the work of each decoded candidate.
    target
        No schedule is shorter than this: the search ends when it is reached.
    """

    instance: Instance
    parameters: Parameters
    rng: random.Random
    spend: Callable[[float], None]
    target: int = 0
    tallies: dict[str, Tally] = field(default_factory=lambda: {n.name: Tally() for n in ORDERS})

    def run(self, start: Schedule, progress: Callable[[], float], on_better: Callable[[Schedule], None]) -> Schedule:
        """Search from a schedule on; the best schedule that the decoder gave, which may be longer than that one.

        Parameters
        ----------
        start
            A feasible schedule.
        progress
            How much of the budget is used up; asked before each candidate, and the search ends at 1.
        on_better
            Called with each schedule that is better than all before.
        """
        here = best = self._begin(start, progress)
        on_better(best.schedule)
        layout = Layout.of(self.instance)
        roulette = Roulette(ORDERS, self.parameters, self.rng)
        since = 0
        while (used := progress()) < 1 and best.makespan > self.target:
            chosen = roulette.draw()
            limit = best.makespan + int(self.parameters.threshold * (1 - used) * best.makespan)
            tally = self.tallies[ORDERS[chosen].name]
            tally.tried += 1
            since += 1
            candidate = self._decoded(*ORDERS[chosen].change(layout, here, self.rng), limit + 1)
            if candidate is None or candidate.makespan > limit:
                roulette.reward(chosen, 0.0)
            elif candidate.makespan >= best.makespan:
                here = candidate
                tally.accepted += 1
                roulette.reward(chosen, self.parameters.reward_accepted)
            else:
                tally.best += 1
                tally.cycles += best.makespan - candidate.makespan
                roulette.reward(chosen, self.parameters.reward_best)
                here = best = candidate
                since = 0
                on_better(best.schedule)
            if since >= self.parameters.patience:
                here, since = best, 0
        return best.schedule

    def _decoded(self, order: IntArray, policy: Policy, cutoff: int | None) -> Point | None:
        order = topological(self.instance, order)
        self.spend(decode_work(self.instance))
        schedule = decode_below(self.instance, order, policy, cutoff=cutoff, solver=SOLVER)
        return None if schedule is None else Point(order, policy, schedule)

    def _begin(self, start: Schedule, progress: Callable[[], float]) -> Point:
        """The order of a schedule, with the policy of which the decoder makes the shortest one."""
        share = int(self.instance.memory_capacity.max(initial=0)) // 16
        memories = start.tile_memories(self.instance.core_memory)
        best: Point | None = None
        for order in self._orders(start):
            for reserve, deferred in ROOMS:
                policy = Policy(reserve_bytes=share * reserve, deferred_store_bytes=share * deferred, memories=memories)
                cutoff = None if best is None else best.makespan
                point = self._decoded(order, policy, cutoff)
                if point is not None and (best is None or point.makespan < best.makespan):
                    best = point
                if best is not None and (best.makespan <= start.makespan or progress() >= 1):
                    return best
        assert best is not None
        return best

    def _orders(self, start: Schedule) -> list[IntArray]:
        """The order of a schedule's rows, which is the decoder's if it made the schedule, and the order of starts."""
        rows = start.tiles.tile
        by_start = rows[np.argsort(start.tiles.start, kind="stable")]
        orders = [topological(self.instance, rows), topological(self.instance, by_start)]
        return orders[:1] if np.array_equal(orders[0], orders[1]) else orders
