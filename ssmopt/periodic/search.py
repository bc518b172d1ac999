"""The smallest period of a loop: feasibility problems from the lower bound upwards."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from ssmopt.decode import Policy, decode
from ssmopt.errors import InputError
from ssmopt.instance import OUTPUT, Instance
from ssmopt.loop import Loop
from ssmopt.periodic.bounds import period_bounds
from ssmopt.periodic.ends import periodic_of
from ssmopt.periodic.model import find_pattern
from ssmopt.periodic_schedule import Body, Once, PeriodicSchedule
from ssmopt.result import FEASIBLE, OPTIMAL, Bound
from ssmopt.schedule import ResidencyTable, Schedule
from ssmopt.validate_periodic import check_periodic, telling_repeats


@dataclass(frozen=True)
class PeriodicResult:
    """Outcome of `schedule_loop`.

    Attributes
    ----------
    loop, schedule
        What was scheduled, and the schedule, validated; of as few iterations as it can have (``with_repeats``).
    bound
        Cycles below which no period exists.
    status
        ``OPTIMAL``: the period equals the bound. ``FEASIBLE``: it may not be the smallest.
    wall_seconds
        Wall time.
    """

    loop: Loop
    schedule: PeriodicSchedule
    bound: Bound
    status: str
    wall_seconds: float

    @property
    def period(self) -> int:
        """Cycles from an iteration to the next."""
        return self.schedule.period


def schedule_loop(loop: Loop, *, time_limit: float = 60.0, workers: int = 1, seed: int = 0) -> PeriodicResult:
    """Find a schedule of a loop in which an iteration follows the other after as few cycles as possible.

    Parameters
    ----------
    loop
        The loop; all of its tensors live in one memory.
    time_limit
        Wall seconds.
    workers, seed
        Threads of CP-SAT, and its random seed.

    Raises
    ------
    InputError
        There are no tiles, or tensors live in several memories.
    CapacityError
        A tile does not fit the memory.
    """
    started = time.monotonic()
    if not loop.body.n_tiles:
        raise InputError("a loop without tiles has no period")
    loop.body.check_capacity()
    bound = period_bounds(loop)[-1]
    serial = serial_schedule(loop)
    best = _repeat(serial)
    untried = bound.cycles
    step = 0
    while untried < best.period:
        left = time_limit - (time.monotonic() - started)
        if left <= 0:
            break
        # From the bound on in growing steps; after a success only what lies below is left.
        period = min(untried + step, best.period - 1)
        answer = find_pattern(loop, period, time_limit=max(left / 2, 0.05), workers=workers, seed=seed)
        if answer.pattern is not None:
            best = periodic_of(loop, answer.pattern, serial)
            step = (period - untried) // 2
            continue
        untried = period + 1
        step = min(2 * step + 1, max(0, (best.period - 1 - untried) // 2))
        if answer.infeasible:
            bound = Bound(period + 1, "no pattern of a smaller period exists")
    check_periodic(loop, best)
    check_periodic(loop, best.with_repeats(max(best.repeats, telling_repeats(loop, best))))
    status = OPTIMAL if best.period == bound.cycles else FEASIBLE
    return PeriodicResult(loop, best, bound, status, time.monotonic() - started)


def serial_schedule(loop: Loop) -> Schedule:
    """A schedule of one iteration in which all that is carried is loaded from DRAM and stored there."""
    body = serial_body(loop)
    return decode(body, body.topological_order, Policy())


def serial_body(loop: Loop) -> Instance:
    """The body with every written source of a carried tensor as an output."""
    kind = loop.body.tensor_kind.copy()
    kind[(loop.reach > 0) & loop.body.produced] = OUTPUT
    return replace(loop.body, tensor_kind=kind)


def _repeat(serial: Schedule) -> PeriodicSchedule:
    """One iteration after the other."""
    body = Body.of(serial.tiles, serial.transfers, replace(serial.residencies, offset=None))
    none = Once.empty()
    return PeriodicSchedule(none, body, none, ResidencyTable.empty(), serial.makespan, 1, 1, "serial")
