"""A known schedule to start from: read, checked against the target, and validated."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ssmopt.errors import InputError
from ssmopt.files.text import PathLike
from ssmopt.files.tiling import read_schedule_tiling
from ssmopt.folding.written import read_rows
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule
from ssmopt.tiling import Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles


@dataclass(frozen=True)
class Start:
    """A valid schedule, and the tile instance that it belongs to."""

    instance: Instance
    schedule: Schedule


def read_start(target: Problem | Instance, tiling: Tiling | None, start: PathLike | Schedule) -> Start:
    """The schedule to start from, on its own tiling.

    Parameters
    ----------
    target, tiling
        What is to be solved; a schedule on another tiling than a given one is refused.
    start
        A schedule file, or a schedule of a tile instance or of a problem with a given tiling.

    Raises
    ------
    InputError
        The file cannot be read, belongs to another instance or tiling, holds no valid schedule, or a periodic one of
        more than a million tiles.
    """
    if isinstance(start, Schedule):
        if isinstance(target, Problem) and tiling is None:
            raise InputError(
                "a schedule does not say its tiling: give the tiling too, or the tile instance", key="start"
            )
        instance = target if isinstance(target, Instance) else build_tiles(target, tiling or Tiling())
        schedule, file = start, None
    else:
        file = os.fspath(start)
        if isinstance(target, Problem):
            tiling = _tiling_of(file, tiling)
        instance, schedule = read_rows(file, target, tiling)
    violations = validate(instance, schedule)
    if violations:
        broken = "; ".join(str(violation) for violation in violations)
        raise InputError(f"cannot start from a schedule that is not feasible: {broken}", file=file)
    return Start(instance, schedule)


def _tiling_of(file: str, given: Tiling | None) -> Tiling:
    said = read_schedule_tiling(file)
    if said is None:
        if given is None:
            raise InputError("this schedule does not say which tiling it belongs to", file=file)
        return given
    if given is not None and said != given:
        raise InputError(
            f"this schedule is on another tiling ({said.describe()}) than the instance's ({given.describe()})",
            file=file,
        )
    return said
