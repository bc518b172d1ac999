"""Schedules with one row of a table changed or left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ssmopt.schedule import Schedule


def changed(schedule: Schedule, table: str, row: int, **cells: int) -> Schedule:
    """The schedule with cells of one row replaced."""
    old = getattr(schedule, table)
    columns = {name: column.copy() for name, column in vars(old).items() if column is not None}
    for name, value in cells.items():
        columns[name][row] = value
    return replace(schedule, **{table: type(old)(**columns)})


def without(schedule: Schedule, table: str, row: int) -> Schedule:
    """The schedule without one row."""
    old = getattr(schedule, table)
    return replace(
        schedule, **{table: type(old)(**{n: np.delete(c, row) for n, c in vars(old).items() if c is not None})}
    )
