"""The validator: whether a schedule is feasible, from the definitions V1 to V10 alone.

It shares no code with anything that makes schedules. Where the definitions leave room, it takes them as follows.

* Zero-byte tensors are precedences (V4, or V10 for an accumulator): a residency of one is ignored; a transfer of one
  must be over a channel that joins its ends and last 0 cycles, and is otherwise ignored. Tiles that add into one still
  must not overlap.
* An addition invalidates all other copies from its start on, so a load needs a copy that stays valid until it ends.
* A load or a move writes into a residency of its tensor, which must last for the whole transfer (V4).
* A transfer that reads before the load, move or tile that began its source residency has ended breaks V4 and V6.
* An addition, other than the first, without the partial sum in its core's memory breaks V3 and V10.
* A tile that never runs, and an output without a copy in DRAM, are found missing at the maximum end.
* A tensor is never complete if a tile that writes it never runs, so that its readers and stores are too early.
* Where residencies have addresses, V5 also asks that each lies within its memory and that no two overlap in time and
  space.
* A row with an index out of range, or with an end before its start or 0, breaks V1 (tiles), V6 (transfers) or V5
  (residencies) and is left out of everything else.
"""

from __future__ import annotations

import numpy as np

from ssmopt.errors import SsmoptError
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.validate_rules import Rules
from ssmopt.validate_tables import (
    Findings,
    Violation,
    check_makespan,
    ranked,
    read_residencies,
    read_runs,
    read_transfers,
)

__all__ = ["InvalidScheduleError", "Violation", "check", "validate"]

_KEY_LIMIT = 2**62
"""Composite keys (group * span + time) stay below this, so that they never overflow."""


class InvalidScheduleError(SsmoptError):
    """A schedule breaks the rules.

    Attributes
    ----------
    violations
        The first breach of each rule that is broken.
    """

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = violations
        super().__init__("the schedule is not feasible: " + "; ".join(str(violation) for violation in violations))


def check(instance: Instance, schedule: Schedule) -> None:
    """Raise `InvalidScheduleError` unless the schedule is feasible."""
    violations = validate(instance, schedule)
    if violations:
        raise InvalidScheduleError(violations)


def validate(instance: Instance, schedule: Schedule) -> list[Violation]:
    """Check a schedule against the rules V1 to V10.

    Parameters
    ----------
    instance
        What is scheduled.
    schedule
        Any integers: an index out of range is a breach, not an error.

    Returns
    -------
    list of Violation
        The first breach in time of each rule that is broken, by rule; empty when the schedule is feasible.
    """
    found = Findings()
    last_end = check_makespan(instance, schedule, found)
    runs = read_runs(instance, schedule, found, last_end)
    transfers = read_transfers(instance, schedule, found)
    residencies = read_residencies(instance, schedule, found)

    columns = [column for table in (runs, transfers, residencies) for column in (table.start, table.end)]
    span = 2 + max(last_end, *(int(column.max(initial=0)) for column in columns))
    groups = 1 + max(instance.n_tensors * max(instance.n_memories, 1), instance.n_cores, len(instance.channel_ids))
    if groups * span >= _KEY_LIMIT:
        clock = np.unique(np.concatenate([*columns, np.array([last_end])]))
        runs, transfers, residencies = ranked(runs, clock), ranked(transfers, clock), ranked(residencies, clock)
        found.clock, last_end, span = clock, int(np.searchsorted(clock, last_end)), len(clock) + 1
    Rules(instance, found, runs, transfers, residencies, span).check(last_end)
    return found.in_order()
