"""Memory descents from several orders, with targets between the instance bound and the best schedule."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from ssmopt.csr import IntArray
from ssmopt.decode import Policy
from ssmopt.instance import Instance
from ssmopt.neighbourhood.layout import Layout
from ssmopt.neighbourhood.memory_descent import MOST_EXCESS, MemoryDescent, Room
from ssmopt.neighbourhood.orders import begin_orders, begin_policies
from ssmopt.neighbourhood.parameters import FEW_TILES, Parameters
from ssmopt.schedule import Schedule

_BEGIN = 4
"""Descents that begin: the ones that need least memory for the first target."""

_PER_START = 2
"""Descents that begin with the orders of one schedule, with different policies."""

_FIRST = 200
"""Changes that each one tries before only the best go on."""

_GO_ON = 2
"""Descents that go on, the ones that need least memory."""

_STALLED = 400
"""Once those that go on have all tried so many changes without success, the target is given up."""

_STARTS_OF_MANY = 6
"""Schedules, the best ones, from which descents with many tiles may begin."""

_FAR, _FAR_OF_MANY = 60, 12
"""Steps of memory beyond what there is from which a target is given up without a try, with few tiles and with many."""

_BEHIND_OF_MANY = 2
"""With many tiles, descents that need more than so many times the memory of the best one have to wait."""

_STEP = 25
"""Changes tried at a time."""

_ROUNDS = 3
"""Rounds of few tiles in which the bound is the only target; then the bound, and targets above it, in turns."""

_FINE = 5_000
"""Targets differ by at least this part of the instance bound."""


class Descents:
    """Memory descents that take turns: first for the bound, then for targets nearer to the best schedule.

    Parameters
    ----------
    instance, parameters, spend, seed
        What is scheduled, how changes are drawn, who is told about the work, and the seed of all choices.
    bound
        No schedule ends earlier; may rise.
    starts
        Feasible schedules, the best first, whose orders are where descents may begin.
    """

    def __init__(
        self,
        instance: Instance,
        parameters: Parameters,
        spend: Callable[[float], None],
        seed: int,
        bound: int,
        starts: Sequence[Schedule],
    ):
        self.parameters = parameters
        self.spend = spend
        self.seed = seed
        self.bound = bound
        self.starts = starts
        self.room = Room(instance)
        self.layout = Layout.of(instance)
        self.target = bound
        self.missed = bound - 1
        """The largest target that was given up in this round."""
        self.rounds = 0
        """How often all have begun anew."""
        self.descents: list[MemoryDescent] = []
        self._few = instance.n_tiles <= FEW_TILES
        self._far = _FAR if self._few else _FAR_OF_MANY
        self._waiting = self._beginnings()

    @property
    def bound_missed(self) -> bool:
        """Whether the instance bound itself has been given up for once."""
        return self.rounds >= _ROUNDS or self.missed >= self.bound

    @property
    def preparing(self) -> int:
        """Orders and policies that have not been looked at yet."""
        return len(self._waiting)

    def _beginnings(self) -> list[tuple[int, IntArray, Policy]]:
        """Number of the start, order and policy: where descents may begin."""
        plans = []
        for number, start in enumerate(self.starts if self._few else self.starts[:_STARTS_OF_MANY]):
            orders = begin_orders(self.room.instance, start)
            for order in orders if self._few else orders[:1]:
                plans += [(number, order, policy) for policy in begin_policies(self.room.instance, start)]
        return plans

    def step(self, best: Schedule, should_stop: Callable[[], bool], on_better: Callable[[Schedule], None]) -> None:
        """Try some changes, or prepare to.

        Parameters
        ----------
        best
            The best schedule so far; targets lie below.
        should_stop
            Asked before each change.
        on_better
            Called with a schedule that ends by the target.
        """
        if best.makespan <= self.bound:
            return
        if not self.bound <= self.target < best.makespan:
            self._aim_below(best.makespan)
        astray = next((descent for descent in self.descents if descent.target != self.target), None)
        if astray is not None:
            self._aim(astray)
        elif self._waiting:
            self._begin(*self._waiting.pop(0))
        elif not self.descents or _needed(self.descents[0]) > self._far:
            self._give_up(best)
        else:
            self._go_on(best, should_stop)
        done = next((descent.schedule for descent in self.descents if descent.schedule is not None), None)
        if done is not None and done.makespan < best.makespan:
            on_better(done)
            self._aim_below(done.makespan)

    def _begin(self, start: int, order: IntArray, policy: Policy) -> None:
        """Keep a descent if it is one of those that need least memory."""
        rng = random.Random(f"{self.seed} {self.rounds} {len(self._waiting)}")
        descent = MemoryDescent(self.room, self.layout, self.parameters, rng, self.spend, start, order, policy)
        rivals = [other for other in self.descents if other.start == start]
        worst = rivals[-1] if len(rivals) == _PER_START else None
        if worst is None and len(self.descents) == _BEGIN:
            worst = self.descents[-1]
        most = MOST_EXCESS if worst is None else _needed(worst) - 1
        if most >= 0 and descent.aim(self.target, most):
            self.descents = [other for other in self.descents if other is not worst] + [descent]
            self._sort()

    def _sort(self) -> None:
        self.descents.sort(key=_needed)

    def _go_on(self, best: Schedule, should_stop: Callable[[], bool]) -> None:
        self._sort()
        most = MOST_EXCESS if self._few else _BEHIND_OF_MANY * _needed(self.descents[0])
        near = [descent for descent in self.descents if _needed(descent) <= most]
        young = next((descent for descent in near if descent.tried < _FIRST), None)
        if young is None:
            leaders = {descent.start: descent for descent in reversed(near)}
            going = sorted(leaders.values(), key=_needed)[:_GO_ON]
            if all(descent.stalled >= _STALLED for descent in going):
                self._give_up(best)
                return
            young = min(going, key=lambda descent: descent.stalled)
        young.run(_STEP, should_stop)

    def _give_up(self, best: Schedule) -> None:
        """A larger target, unless it is too early for that; once there is none, all begin anew and go other ways."""
        self.missed = self.target
        only_bound = self._few and self.rounds < _ROUNDS - 1
        if not only_bound and best.makespan - self.missed > max(1, self.bound // _FINE):
            self._aim_below(best.makespan)
            return
        self.rounds += 1
        self.missed, self.target = self.bound - 1, self.bound
        if self.rounds % 2 and not (self._few and self.rounds < _ROUNDS):
            self.target = (self.missed + best.makespan) // 2
        self.descents = []
        self._waiting = self._beginnings()

    def _aim_below(self, makespan: int) -> None:
        """Halfway between what was given up and a makespan that is known."""
        self.missed = max(self.missed, self.bound - 1)
        self.target = max(self.bound, (self.missed + makespan) // 2)

    def _aim(self, descent: MemoryDescent) -> None:
        """Take a descent along to the target, as far as that is within reach."""
        descent.aim(self.target, self._far)
        self._sort()


def _needed(descent: MemoryDescent) -> int:
    """Steps of memory beyond what there is."""
    return MOST_EXCESS if descent.excess is None else descent.excess
