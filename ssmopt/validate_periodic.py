"""Whether a periodic schedule is feasible: by expansion where it is short, and otherwise on a shorter run of it.

It shares no code with anything that makes schedules: the rules are those of `ssmopt.validate`, applied to a schedule
that is written out. What has to be shown is that a shorter run breaks a rule if and only if the long one does;
``docs/periodic.md`` gives the argument in full. In short: let ``h`` and ``e`` be the numbers of iterations at the
beginning and at the end that differ from the others. What concerns one tile or one tensor of an iteration are rows of
that iteration and of as many further ones as a tensor is carried over. What concerns one instant are the rows under
way then. Of both there is, in a run of `telling_repeats` iterations, an exact copy of whatever occurs in a longer one,
moved by a multiple of the period.
"""

from __future__ import annotations

import numpy as np

from ssmopt.loop import Loop, expand_loop
from ssmopt.periodic_schedule import Body, Once, PeriodicSchedule, expand
from ssmopt.schedule import ResidencyTable, TileTable, TransferTable
from ssmopt.validate import InvalidScheduleError, Violation, validate

EXPANDED_TILES = 1_000_000
"""Number of tiles up to which a schedule is validated by expansion."""


def check_periodic(loop: Loop, periodic: PeriodicSchedule) -> None:
    """Raise `InvalidScheduleError` unless the schedule is feasible."""
    violations = validate_periodic(loop, periodic)
    if violations:
        raise InvalidScheduleError(violations)


def validate_periodic(
    loop: Loop, periodic: PeriodicSchedule, *, expanded_tiles: int = EXPANDED_TILES
) -> list[Violation]:
    """Check a periodic schedule against the rules V1 to V10.

    Parameters
    ----------
    loop, periodic
        The loop, and a schedule of ``periodic.repeats`` iterations of it.
    expanded_tiles
        Number of tiles up to which everything is written out; beyond, `telling_repeats` iterations are.

    Returns
    -------
    list of Violation
        The first breach of each rule that is broken, in the run that was written out; empty exactly when the schedule
        is feasible.

    Raises
    ------
    InputError
        A row is of an iteration that does not exist.
    """
    repeats = periodic.repeats
    if repeats * loop.body.n_tiles > expanded_tiles:
        repeats = min(repeats, telling_repeats(loop, periodic))
    run = periodic.with_repeats(repeats)
    return validate(expand_loop(loop, repeats), expand(loop, run))


def peak_memory_bytes(loop: Loop, periodic: PeriodicSchedule, memory: int = 0) -> int:
    """Largest number of bytes resident at once in a memory, from a run of few iterations."""
    repeats = min(periodic.repeats, telling_repeats(loop, periodic))
    run = expand(loop, periodic.with_repeats(repeats))
    return run.peak_memory_bytes(expand_loop(loop, repeats).tensor_bytes, memory)


def telling_repeats(loop: Loop, periodic: PeriodicSchedule) -> int:
    """A number of iterations from which on longer runs break the same rules, and have the same peaks of memory."""
    body, period, reach = periodic.body, periodic.period, loop.max_distance
    skips = np.concatenate([body.tile_skip, body.transfer_skip, body.residency_skip])
    odd_first = max(reach, int(skips[:, 0].max(initial=0)), 1 + _extreme(loop, periodic.prologue, 1, -1))
    odd_last = max(reach, int(skips[:, 1].max(initial=0)), _extreme(loop, periodic.epilogue, -1, 0))

    tables = _tables(body)
    first_start = min((int(table.start.min()) for table in tables if len(table)), default=0)
    last_end = max((int(table.end.max()) for table in tables if len(table)), default=0)
    early, late = odd_first * period + last_end, first_start - odd_last * period
    for table in (*_tables(periodic.prologue), *_tables(periodic.epilogue)):
        # The longest row decides how wide a window has to be.
        last_end = max(last_end, first_start + int((table.end - table.start).max(initial=0)))
    for table in _tables(periodic.prologue):
        early = max(early, int(table.end.max(initial=early)))
    for table in _tables(periodic.epilogue):
        late = min(late, int(table.start.min(initial=late)))
    early = max(early, int(periodic.lasting.start.max(initial=early)))
    late = min(late, int(periodic.lasting.end.min(initial=late)))
    window = early - late + (last_end - first_start) + period
    return max(odd_first + odd_last + reach + 1, -(-window // period), periodic.fewest_repeats)


def _tables(rows: Body | Once) -> tuple[TileTable, TransferTable, ResidencyTable]:
    return rows.tiles, rows.transfers, rows.residencies


def _extreme(loop: Loop, once: Once, sign: int, least: int) -> int:
    """Largest iteration, times ``sign``; rows of shared tensors belong to none."""
    tensors = np.concatenate([once.transfers.tensor, once.residencies.tensor])
    iterations = np.concatenate([once.transfer_iteration, once.residency_iteration])[~loop.shared[tensors]]
    return int((sign * np.concatenate([once.tile_iteration, iterations])).max(initial=least))
