"""The memory descent: keep a makespan by more memory than there is, and take that away again, order by order.

Where memory is scarce, a small change of a good order changes its makespan by nothing or by a whole load more. How much
memory an order needs for a given makespan says more finely how far it is from one that fits.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode import Policy, decode_below, decode_work
from ssmopt.heuristics.base import topological
from ssmopt.instance import Instance
from ssmopt.neighbourhood.layout import Layout
from ssmopt.neighbourhood.orders import ORDERS, SOLVER
from ssmopt.neighbourhood.parameters import Parameters
from ssmopt.neighbourhood.point import Point
from ssmopt.neighbourhood.roulette import Roulette
from ssmopt.schedule import Schedule

STEPS = 400
"""Steps of memory that the capacity is divided into."""

MOST_EXCESS = 8 * STEPS
"""Steps beyond the capacity up to which an order is worth a search."""

_MOST_KEPT = 64
"""Instances that are kept to be used again."""

_REDRAWS = 20
"""Draws for a change that has not been tried from here before the next one is tried again."""


@dataclass(eq=False)
class Room:
    """An instance with some steps more memory; the same in each memory, relative to its capacity."""

    instance: Instance
    _made: dict[int, Instance] = field(default_factory=dict, init=False)

    def with_excess(self, excess: int) -> Instance:
        """The instance with so many steps more."""
        if excess == 0:
            return self.instance
        if excess not in self._made:
            if len(self._made) == _MOST_KEPT:
                self._made.clear()
            capacity = self.instance.memory_capacity
            more = np.maximum(capacity // STEPS, 1) * excess
            self._made[excess] = replace(self.instance, memory_capacity=capacity + more)
        return self._made[excess]


@dataclass(eq=False)
class MemoryDescent:
    """A search for an order, and a policy, whose schedule ends by a target with the memory that there is.

    Each change that keeps the target with no more memory than before is taken, so that it drifts among equals.

    Attributes
    ----------
    room
        What is scheduled.
    layout
        Classes of its tiles.
    parameters, rng
        How changes are drawn, and the only source of chance.
    spend
        Told about the work of each decoded candidate.
    start
        Number of the schedule that it comes from.
    order, policy
        Where it stands.
    target
        The makespan to keep.
    excess
        Steps beyond the memory that the order needs for the target; None as long as `aim` has not said so.
    """

    room: Room
    layout: Layout
    parameters: Parameters
    rng: random.Random
    spend: Callable[[float], None]
    start: int
    order: IntArray
    policy: Policy
    target: int = 0
    excess: int | None = None
    tried: int = 0
    stalled: int = 0
    """Changes since one needed less memory than all before."""

    def __post_init__(self) -> None:
        self._roulette = Roulette(ORDERS, self.parameters, self.rng)
        self._seen: set[bytes] = set()
        self._here: Schedule | None = None

    @property
    def schedule(self) -> Schedule | None:
        """The schedule that fits, once there is no excess."""
        return self._here if self.excess == 0 else None

    def aim(self, target: int, most: int = MOST_EXCESS) -> bool:
        """Take a target; False if the order needs more than so many steps beyond the memory."""
        self.target = target
        self.stalled = 0
        self._seen.clear()
        self.excess, self._here = None, None
        found = self._kept(most, self.order, self.policy)
        if found is None:
            return False
        low, high = -1, most
        while high - low > 1:
            middle = (low + high) // 2
            schedule = self._kept(middle, self.order, self.policy)
            low, high, found = (middle, high, found) if schedule is None else (low, middle, schedule)
        self.excess, self._here = high, found
        return True

    def _kept(self, excess: int, order: IntArray, policy: Policy) -> Schedule | None:
        """The schedule with so many steps more memory, if it ends by the target."""
        self.spend(decode_work(self.room.instance))
        instance = self.room.with_excess(excess)
        schedule = decode_below(instance, order, policy, cutoff=self.target + 1, solver=SOLVER)
        return schedule if schedule is not None and schedule.makespan <= self.target else None

    def run(self, candidates: int, should_stop: Callable[[], bool]) -> None:
        """Try so many changes, or fewer if nothing is left to win or the caller says so before one."""
        while candidates > 0 and self.excess and not should_stop():
            candidates -= 1
            self._try(self.excess)

    def _try(self, excess: int) -> None:
        chosen, order, policy = self._draw()
        self.tried += 1
        self.stalled += 1
        schedule = self._kept(excess, order, policy)
        if schedule is None:
            self._roulette.reward(chosen, 0.0)
            return
        less = 1
        while excess >= less and (better := self._kept(excess - less, order, policy)) is not None:
            schedule, excess = better, excess - less
            less = max(1, min(2 * less, excess))
        if excess < (self.excess or 0):
            self.stalled = 0
            self._seen.clear()
            self._roulette.reward(chosen, self.parameters.reward_best)
        else:
            self._roulette.reward(chosen, self.parameters.reward_accepted)
        self.order, self.policy, self.excess, self._here = order, policy, excess, schedule

    def _draw(self) -> tuple[int, IntArray, Policy]:
        """A change, rather one that has not been tried since the need for memory fell."""
        assert self._here is not None
        point = Point(self.order, self.policy, self._here)
        for _ in range(_REDRAWS):
            chosen = self._roulette.draw()
            order, policy = ORDERS[chosen].change(self.layout, point, self.rng)
            order = topological(self.room.instance, order)
            key = _digest(order, policy)
            if key not in self._seen:
                break
            self._roulette.reward(chosen, 0.0)
        self._seen.add(key)
        return chosen, order, policy


def _digest(order: IntArray, policy: Policy) -> bytes:
    """What tells changes apart; the same in every process."""
    digest = hashlib.blake2b(order.tobytes(), digest_size=8)
    digest.update(f"{policy.reserve_bytes} {policy.deferred_store_bytes}".encode())
    return digest.digest()
