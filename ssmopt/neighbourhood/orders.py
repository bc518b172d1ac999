"""The order search: change the order or the policy of the best schedule, decode, and keep what is no worse."""

from __future__ import annotations

import math
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
    """A search over orders and policies from one schedule on, which can be continued.

    Attributes
    ----------
    instance, parameters
        What is scheduled, and how the search goes.
    rng
        The only source of chance.
    spend
        Told about the work of each decoded candidate.
    start
        A feasible schedule.
    target
        No schedule is shorter than this: the search ends when it is reached.
    """

    instance: Instance
    parameters: Parameters
    rng: random.Random
    spend: Callable[[float], None]
    start: Schedule
    target: int = 0
    tallies: dict[str, Tally] = field(default_factory=lambda: {n.name: Tally() for n in ORDERS})
    _here: Point | None = None
    _best: Point | None = None
    _since: int = 0
    stalled: int = field(default=0, init=False)
    """Orders tried since one was better than all before."""

    def __post_init__(self) -> None:
        self._layout = Layout.of(self.instance)
        self._roulette = Roulette(ORDERS, self.parameters, self.rng)

    @property
    def best(self) -> Schedule:
        """The best schedule that the decoder gave, which may be longer than the start; before that, the start."""
        return self.start if self._best is None else self._best.schedule

    @property
    def tried(self) -> int:
        """Orders tried so far."""
        return sum(tally.tried for tally in self.tallies.values())

    def again(self) -> OrderSearch:
        """A search from the same schedule that goes another way."""
        rng = random.Random(self.rng.getrandbits(64))
        return OrderSearch(self.instance, self.parameters, rng, self.spend, self.start, self.target)

    @property
    def finished(self) -> bool:
        """Whether nothing better can be found."""
        return self.best.makespan <= self.target

    def run(
        self, progress: Callable[[], float], on_better: Callable[[Schedule], None], candidates: float = math.inf
    ) -> None:
        """Begin, or go on.

        Parameters
        ----------
        progress
            How much of the budget is used up; asked before each candidate, and the search ends at 1.
        on_better
            Called with each schedule that is better than all before.
        candidates
            Orders to try at most.
        """
        if self._here is None or self._best is None:
            self._here = self._best = self._begin(self.start, progress)
            on_better(self._best.schedule)
        while (used := progress()) < 1 and candidates > 0 and not self.finished:
            candidates -= 1
            chosen = self._roulette.draw()
            limit = self._best.makespan + int(self.parameters.threshold * (1 - used) * self._best.makespan)
            tally = self.tallies[ORDERS[chosen].name]
            tally.tried += 1
            self._since += 1
            self.stalled += 1
            candidate = self._decoded(*ORDERS[chosen].change(self._layout, self._here, self.rng), limit + 1)
            if candidate is None or candidate.makespan > limit:
                self._roulette.reward(chosen, 0.0)
            elif candidate.makespan >= self._best.makespan:
                self._here = candidate
                tally.accepted += 1
                self._roulette.reward(chosen, self.parameters.reward_accepted)
            else:
                tally.best += 1
                tally.cycles += self._best.makespan - candidate.makespan
                self._roulette.reward(chosen, self.parameters.reward_best)
                self._here = self._best = candidate
                self._since = self.stalled = 0
                on_better(candidate.schedule)
            if self._since >= self.parameters.patience:
                self._here, self._since = self._best, 0

    def _decoded(self, order: IntArray, policy: Policy, cutoff: int | None) -> Point | None:
        order = topological(self.instance, order)
        self.spend(decode_work(self.instance))
        schedule = decode_below(self.instance, order, policy, cutoff=cutoff, solver=SOLVER)
        return None if schedule is None else Point(order, policy, schedule)

    def _begin(self, start: Schedule, progress: Callable[[], float]) -> Point:
        """The order of a schedule, with the policy of which the decoder makes the shortest one."""
        best: Point | None = None
        for order in begin_orders(self.instance, start):
            for policy in begin_policies(self.instance, start):
                cutoff = None if best is None else best.makespan
                point = self._decoded(order, policy, cutoff)
                if point is not None and (best is None or point.makespan < best.makespan):
                    best = point
                if best is not None and (best.makespan <= start.makespan or progress() >= 1):
                    return best
        assert best is not None
        return best


def begin_orders(instance: Instance, start: Schedule) -> list[IntArray]:
    """The order of a schedule's rows, which is the decoder's if it made the schedule, and the order of starts."""
    rows = start.tiles.tile
    by_start = rows[np.argsort(start.tiles.start, kind="stable")]
    orders = [topological(instance, rows), topological(instance, by_start)]
    return orders[:1] if np.array_equal(orders[0], orders[1]) else orders


def begin_policies(instance: Instance, start: Schedule) -> list[Policy]:
    """Policies to begin with: more and more room for loads that run ahead and stores that wait."""
    share = int(instance.memory_capacity.max(initial=0)) // 16
    memories = start.tile_memories(instance.core_memory)
    return [
        Policy(reserve_bytes=share * reserve, deferred_store_bytes=share * deferred, memories=memories)
        for reserve, deferred in ROOMS
    ]
