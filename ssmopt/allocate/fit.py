"""Schedules that can be given addresses: the schedule itself, or one like it that keeps less on chip."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ssmopt.allocate.addresses import AllocationError, allocate
from ssmopt.allocate.outcome import Budget
from ssmopt.csr import IntArray
from ssmopt.decode import Policy, decode
from ssmopt.heuristics.base import topological
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.solvers import HEURISTICS

_SHARES = tuple(Fraction(percent, 100) for percent in (99, 98, 97, 96, 94, 92, 90, 87, 84, 80, 75, 70, 60, 50))
"""Shares of the capacity that a schedule is decoded for, while its addresses may use all of it."""

_ROOMS = ((3, 1), (2, 2), (1, 1), (4, 2), (0, 2), (4, 6), (0, 0), (8, 6))
"""Residency policies that are tried: sixteenths of the capacity held back for loads, and for stores that wait."""

_LIKELY = 6
"""Position of the share that is tried first: most schedules get addresses with it."""

_FIRST_SHARE, _FIRST_SHARE_OF_MANY, _MANY = 0.5, 0.25, 3_000
"""Share of the time that the schedule as it is may take; less where so many residencies make a search hopeless."""

_EFFORT = 8.0
"""Effort of one attempt with a smaller capacity: another share is as good as a longer search."""


def allocate_or_refit(
    instance: Instance,
    schedule: Schedule,
    *,
    time_limit: float = math.inf,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Schedule:
    """Give a schedule addresses; where that fails, decode its order again with a little less memory until it works.

    What is found holds on the whole memory: only the choice of what to keep on chip is made for less, so that the
    gaps between residencies do no harm.

    Parameters
    ----------
    instance, schedule
        A feasible schedule.
    time_limit, should_stop
        Wall seconds, and a condition, that end the search with the best schedule so far.
    on_progress
        Called with what is being tried, in a few words.

    Returns
    -------
    Schedule
        With addresses; its makespan may be longer.

    Raises
    ------
    AllocationError
        No addresses were found, not even with less memory.
    """
    clock = Budget(math.inf, time_limit, should_stop)
    say = on_progress or _silent
    say("addresses")
    try:
        share = _FIRST_SHARE if len(schedule.residencies) <= _MANY else _FIRST_SHARE_OF_MANY
        return allocate(instance, schedule, time_limit=share * time_limit, should_stop=should_stop)
    except AllocationError as error:
        failure = error
    best: Schedule | None = None
    for policy in _policies(instance, schedule, clock):
        if best is not None and clock.stopped():
            break
        best = _largest_share(instance, schedule, policy, best, clock, say)
    if best is None:
        raise failure
    return best


def _silent(_: str) -> None:
    pass


def _policies(instance: Instance, schedule: Schedule, clock: Budget) -> Iterator[Policy]:
    """Residency policies to try: that of the schedule, if it is known, and then those that suit its order best."""
    heuristic = HEURISTICS.get(schedule.solver)
    plan = None if heuristic is None else next(iter(heuristic.plans(instance)), None)
    groups = None if plan is None or isinstance(plan, Schedule) else plan[1].groups
    order, share = _order(instance, schedule), int(instance.memory_capacity.max()) // 16
    memories = schedule.tile_memories(instance.core_memory)
    ranked: list[tuple[int, int, Policy]] = []
    for number, (reserve, deferred) in enumerate(_ROOMS):
        if ranked and clock.stopped():
            break
        policy = Policy(groups, share * reserve, share * deferred, memories=memories)
        makespan = decode(instance, order, policy).makespan
        if makespan <= schedule.makespan:
            yield policy
        else:
            ranked.append((makespan, number, policy))
    yield from (policy for _, _, policy in sorted(ranked, key=lambda entry: entry[:2]))


def _order(instance: Instance, schedule: Schedule) -> IntArray:
    """The order in which the schedule starts its tiles."""
    return topological(instance, schedule.tiles.tile[np.argsort(schedule.tiles.start, kind="stable")])


def _largest_share(
    instance: Instance,
    schedule: Schedule,
    policy: Policy,
    best: Schedule | None,
    clock: Budget,
    say: Callable[[str], None],
) -> Schedule | None:
    """The shortest schedule with addresses, by bisection over the shares of the capacity that it is decoded for."""
    order = _order(instance, schedule)
    need = instance.minimum_capacity()[0]
    shares = [share for share in _SHARES if all(int(c * share) >= need for c in instance.memory_capacity.tolist())]
    low, high = -1, len(shares)  # what is known to fail, and to succeed or to gain nothing
    middle = min(_LIKELY, len(shares) - 1)
    while high - low > 1 and (best is None or not clock.stopped()):
        found = decode(_with_share(instance, shares[middle]), order, policy, solver=schedule.solver)
        if best is not None and found.makespan >= best.makespan:
            high = middle
        else:
            say(f"addresses with {float(shares[middle]):.0%} in use")
            try:
                best = allocate(
                    instance, found, effort=_EFFORT, time_limit=clock.seconds / 2, should_stop=clock.stopped
                )
                high = middle
            except AllocationError:
                low = middle
        middle = (low + high) // 2
    return best


def _with_share(instance: Instance, share: Fraction) -> Instance:
    """The instance with a share of its memories."""
    return replace(instance, memory_capacity=np.array([int(c * share) for c in instance.memory_capacity.tolist()]))
