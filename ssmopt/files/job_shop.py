"""Job shops in the two text formats in which benchmarks are published, as tile instances.

A machine is a core, a step a tile, and a tensor without bytes says that a step comes before the next one of its job.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ssmopt.csr import Csr
from ssmopt.errors import InputError
from ssmopt.files.text import PathLike, read_text
from ssmopt.files.tile_instance import MAX_SUMMED
from ssmopt.ids import Ids
from ssmopt.instance import INTERMEDIATE, NOT_ADMISSIBLE, Instance

FORMS = ("standard", "flexible")
"""Per job ``machine duration`` step by step; or its number of steps, then per step the number of machines that can
run it, and each of these with its duration."""

_Line = tuple[int, list[int]]
"""Number of a line, and the numbers on it."""

_Step = tuple[tuple[int, int], ...]
"""Machine and duration, for each machine that can run the step."""


def read_job_shop(path: PathLike, form: str | None = None) -> Instance:
    """Read a job shop, or a flexible one.

    The first line says the numbers of jobs and of machines (a third number, published with flexible ones, is passed
    over); then there is one line per job. Machines count from 0 or from 1, whichever the file uses. Empty lines and
    lines that begin with ``#`` are skipped.

    Parameters
    ----------
    path
        The file.
    form
        One of `FORMS`; None finds out which of the two the file is in.

    Returns
    -------
    Instance
        A core per machine; all tensors are without bytes.

    Raises
    ------
    InputError
        The file cannot be read, or is in neither format.
    """
    try:
        lines = _lines(read_text(path))
        n_jobs, n_machines = _header(lines)
        rows = lines[1:]
        if len(rows) != n_jobs:
            raise InputError(f"expected {n_jobs} lines, one per job, but found {len(rows)}", line=lines[0][0])
        return _instance(Path(path).stem, _zero_based(_jobs(rows, form), n_machines), n_machines)
    except InputError as error:
        raise error.at(file=os.fspath(path)) from None


def _lines(text: str) -> list[_Line]:
    found: list[_Line] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        # The average number of machines per step, on the first line only, may be a fraction.
        found.append((number, [_number(word, number) for word in (words[:2] if not found else words)]))
    return found


def _number(word: str, line: int) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 16):
        raise InputError(f"expected a whole number, not {word!r}", line=line)
    return int(word)


def _header(lines: list[_Line]) -> tuple[int, int]:
    if not lines or len(lines[0][1]) != 2 or min(lines[0][1]) < 1:
        line = lines[0][0] if lines else None
        raise InputError("expected the numbers of jobs and machines, such as '6 6', on the first line", line=line)
    n_jobs, n_machines = lines[0][1]
    return n_jobs, n_machines


def _jobs(rows: list[_Line], form: str | None) -> list[tuple[int, list[_Step]]]:
    """Per job the number of its line, and its steps."""
    read = {"standard": _standard_job, "flexible": _flexible_job}
    if form is not None:
        return [(line, read[form](numbers, line)) for line, numbers in rows]
    found, errors = {}, {}
    for name in FORMS:
        try:
            found[name] = _jobs(rows, name)
        except InputError as error:
            errors[name] = error
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise InputError("this file makes sense in both formats: say which of the two it is, standard or flexible")
    # Flexible files differ from standard ones in nearly every line; the line that got furthest tells which was meant.
    raise max(errors.values(), key=lambda error: error.line or 0)


def _standard_job(numbers: list[int], line: int) -> list[_Step]:
    if len(numbers) % 2:
        raise InputError(f"expected pairs of a machine and a duration, but found {len(numbers)} numbers", line=line)
    return [((machine, duration),) for machine, duration in zip(numbers[::2], numbers[1::2], strict=True)]


def _flexible_job(numbers: list[int], line: int) -> list[_Step]:
    steps: list[_Step] = []
    at = 1
    while at < len(numbers):
        count = numbers[at]
        pairs = numbers[at + 1 : at + 1 + 2 * count]
        if count < 1 or len(pairs) < 2 * count:
            raise InputError(
                f"step {len(steps) + 1}: expected {max(count, 1)} pairs of a machine and a duration", line=line
            )
        steps.append(tuple(zip(pairs[::2], pairs[1::2], strict=True)))
        at += 1 + 2 * count
    if len(steps) != numbers[0]:
        raise InputError(f"expected {numbers[0]} steps, but found {len(steps)}", line=line)
    return steps


def _zero_based(jobs: list[tuple[int, list[_Step]]], n_machines: int) -> list[list[_Step]]:
    """The jobs with machines that count from 0, whatever they counted from."""
    used = [machine for _, steps in jobs for step in steps for machine, _ in step]
    base = 0 if 0 in used or n_machines not in used else 1
    for line, steps in jobs:
        for k, step in enumerate(steps, 1):
            machines = [machine for machine, _ in step]
            for machine, duration in step:
                if not base <= machine < base + n_machines:
                    expected = f"a machine from {base} to {base + n_machines - 1}"
                    raise InputError(f"step {k}: expected {expected}, not {machine}", line=line)
                if machines.count(machine) > 1:
                    raise InputError(f"step {k}: machine {machine} is given twice", line=line)
                if not 0 < duration <= MAX_SUMMED:
                    raise InputError(f"step {k}: expected a duration above 0, not {duration}", line=line)
    return [[tuple((machine - base, d) for machine, d in step) for step in steps] for _, steps in jobs]


def _instance(name: str, jobs: list[list[_Step]], n_machines: int) -> Instance:
    """One tile per step; tensor ``k`` is what tile ``k`` leaves to the next step of its job."""
    place = [(j, k) for j, steps in enumerate(jobs) for k in range(len(steps))]
    duration = np.full((len(place), n_machines), NOT_ADMISSIBLE, dtype=np.int64)
    for tile, (j, k) in enumerate(place):
        for machine, cycles in jobs[j][k]:
            duration[tile, machine] = cycles
    links = [tile for tile, (j, k) in enumerate(place) if k + 1 < len(jobs[j])]
    link_of = {tile: link for link, tile in enumerate(links)}
    kinds = np.arange(n_machines, dtype=np.int64)
    return Instance(
        name=name,
        memory_ids=("none",),
        memory_capacity=np.ones(1, dtype=np.int64),
        core_ids=tuple(f"machine{m}" for m in range(n_machines)),
        core_memory=np.zeros(n_machines, dtype=np.int64),
        core_kind=kinds,
        channel_ids=(),
        channel_bandwidth=np.zeros(0, dtype=np.int64),
        channel_lanes=np.zeros(0, dtype=np.int64),
        channel_connects=(),
        tensor_ids=_ids("after", [place[tile] for tile in links]),
        tensor_bytes=np.zeros(len(links), dtype=np.int64),
        tensor_kind=np.full(len(links), INTERMEDIATE, dtype=np.int8),
        tile_ids=_ids("job", place),
        duration=duration,
        inputs=Csr.from_lists([[link_of[t - 1]] if place[t][1] else [] for t in range(len(place))]),
        outputs=Csr.from_lists([[link_of[t]] if t in link_of else [] for t in range(len(place))]),
        accumulates=Csr.empty(len(place)),
    )


def _ids(stem: str, place: list[tuple[int, int]]) -> Ids:
    """``<stem>.<job>.<step>``."""
    return Ids((stem,), np.zeros(len(place), dtype=np.int32), np.array(place, dtype=np.int32).reshape(-1, 2))
