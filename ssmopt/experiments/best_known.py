"""The best known schedule of each problem: a table that takes validated improvements only.

Gaps are against bounds that hold under any tiling. So a record belongs to a problem, whatever the tiling of the
schedule that set it, and the table knows problems by `ssmopt.files.problem_hash.problem_sha256`.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from ssmopt.bounds import best, lower_bounds
from ssmopt.errors import InputError, SsmoptError
from ssmopt.files.atomic import write_text_atomically
from ssmopt.files.problem_hash import problem_sha256
from ssmopt.files.text import PathLike, read_text
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.validate import check


@dataclass(frozen=True)
class Record:
    """One row of the table; cycles, and the gap as a decimal fraction.

    Attributes
    ----------
    instance, problem_sha256
        The instance by the name it was offered under, and what identifies its problem.
    makespan, lower_bound, gap
        Best known makespan, the largest bound so far under any tiling, and their distance relative to the bound.
    solver, version
        What made the schedule, and the version of ssmopt that accepted it.
    """

    instance: str
    problem_sha256: str
    makespan: int
    lower_bound: int
    gap: str
    solver: str
    version: str


COLUMNS = tuple(field.name for field in fields(Record))

Table = Mapping[str, Record]
"""Records by the hash of their problem."""


def offer(table: Table, instance: Instance, schedule: Schedule, version: str) -> tuple[dict[str, Record], str]:
    """The table with a schedule taken into account, and what came of it.

    A strictly smaller makespan replaces the record; a strictly larger bound is kept in any case.

    Raises
    ------
    InputError
        The tiles belong to no problem.
    InvalidScheduleError
        The schedule breaks a rule.
    SsmoptError
        The schedule is shorter than the bound: one of the two is wrong.
    """
    problem = instance.problem
    if problem is None:
        raise InputError(f"{instance.name!r} comes from no model and hardware, so that it has no problem to be best at")
    check(instance, schedule)
    key, bound = problem_sha256(problem), best(lower_bounds(problem)).cycles
    known = table.get(key)
    if known is not None:
        bound = max(bound, known.lower_bound)
    if schedule.makespan < bound:
        raise SsmoptError(
            f"{instance.name}: {schedule.makespan:,} cycles are fewer than the bound of {bound:,}: one of them is wrong"
        )
    if known is None:
        record = _record_of(instance.name, key, schedule, bound, version)
        said = f"new: {schedule.makespan:,} cycles"
    elif schedule.makespan < known.makespan:
        record = _record_of(known.instance, key, schedule, bound, version)
        said = f"better: {schedule.makespan:,} cycles instead of {known.makespan:,}"
    else:
        record = replace(known, lower_bound=bound, gap=_gap(known.makespan, bound))
        said = f"not better: {schedule.makespan:,} cycles, known are {known.makespan:,}"
        if bound > known.lower_bound:
            said += f"; bound raised from {known.lower_bound:,} to {bound:,}"
    return {**table, key: record}, said


def read_table(path: PathLike) -> dict[str, Record]:
    """Read a table; an absent file is an empty one.

    Raises
    ------
    InputError
        The file is no such table.
    """
    file = os.fspath(path)
    if not Path(file).exists():
        return {}
    rows = csv.DictReader(io.StringIO(read_text(file)))
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise InputError(f"expected the columns {', '.join(COLUMNS)}", file=file, line=1)
    table: dict[str, Record] = {}
    for row in rows:
        record = _record(row, file, rows.line_num)
        if record.problem_sha256 in table:
            raise InputError(f"the problem of {record.instance!r} has two rows", file=file, line=rows.line_num)
        table[record.problem_sha256] = record
    return table


def write_table(path: PathLike, table: Table) -> None:
    """Write a table, sorted by instance; equal tables give equal files.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in sorted(table.values(), key=lambda record: (_natural(record.instance), record.problem_sha256)):
        writer.writerow(getattr(record, name) for name in COLUMNS)
    write_text_atomically(path, text.getvalue())


def _record_of(name: str, key: str, schedule: Schedule, bound: int, version: str) -> Record:
    gap = _gap(schedule.makespan, bound)
    return Record(name, key, schedule.makespan, bound, gap, schedule.solver, version)


def _gap(makespan: int, bound: int) -> str:
    return f"{(makespan - bound) / bound:.6f}" if bound else "0.000000"


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts L64 before L1024."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _record(row: Mapping[str, str | None], file: str, line: int) -> Record:
    values = [row[name] for name in COLUMNS]
    if None in values or None in row:
        raise InputError(f"expected {len(COLUMNS)} fields", file=file, line=line)
    instance, key, makespan, bound, gap, solver, version = (str(value) for value in values)
    if not re.fullmatch(r"[0-9a-f]{64}", key):
        raise InputError(f"expected a sha256, not {key!r}", file=file, line=line, key="problem_sha256")
    for name, number in (("makespan", makespan), ("lower_bound", bound)):
        if not number.isdecimal():
            raise InputError(f"expected a number of cycles, not {number!r}", file=file, line=line, key=name)
    if int(makespan) < int(bound) or gap != _gap(int(makespan), int(bound)):
        raise InputError("makespan, bound and gap do not agree", file=file, line=line)
    return Record(instance, key, int(makespan), int(bound), gap, solver, version)
