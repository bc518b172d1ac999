"""Validation on a short run finds exactly what validation of the whole run finds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
from random_loops import random_loop

from ssmopt.loop import Loop, expand_loop
from ssmopt.periodic import schedule_loop
from ssmopt.periodic_schedule import PeriodicSchedule, expand, expand_pieces
from ssmopt.validate import InvalidScheduleError
from ssmopt.validate_periodic import check_periodic, peak_memory_bytes, telling_repeats, validate_periodic

SEEDS = (4, 5, 7, 9, 10, 17, 23, 25)
Change = Callable[[random.Random, Loop, PeriodicSchedule], PeriodicSchedule]


@cache
def scheduled(seed: int) -> tuple[Loop, PeriodicSchedule]:
    loop = random_loop(seed)
    return loop, schedule_loop(loop).schedule


def moved(rng: random.Random, part: Any, name: str, column: str, by: int) -> Any:
    """A part of the schedule with one cell of one table changed; the same part where the table is empty."""
    table = getattr(part, name)
    if not len(table):
        return part
    values = getattr(table, column).copy()
    values[rng.randrange(len(values))] += by
    return replace(part, **{name: replace(table, **{column: values})})


def without(rng: random.Random, part: Any, name: str) -> Any:
    """A part without one row of a table."""
    table = getattr(part, name)
    if not len(table):
        return part
    gone = rng.randrange(len(table))
    keep = [i for i in range(len(table)) if i != gone]
    columns = {f.name: getattr(table, f.name)[keep] for f in fields(table) if getattr(table, f.name) is not None}
    singular = {"tiles": "tile", "transfers": "transfer", "residencies": "residency"}[name]
    (own,) = (f.name for f in fields(part) if f.name in (f"{singular}_skip", f"{singular}_iteration"))
    return replace(part, **{name: replace(table, **columns), own: getattr(part, own)[keep]})


def shifted(rng: random.Random, part: Any, name: str, by: int) -> Any:
    """A part with one row of a table moved in time."""
    seed = rng.random()
    part = moved(random.Random(seed), part, name, "start", by)
    return moved(random.Random(seed), part, name, "end", by)


def in_part(which: str, change: Callable[..., Any], *arguments: Any) -> Change:
    return lambda rng, loop, run: replace(run, **{which: change(rng, getattr(run, which), *arguments)})


def by_periods(which: str, name: str, sign: int) -> Change:
    return lambda rng, loop, run: replace(run, **{which: shifted(rng, getattr(run, which), name, sign * run.period)})


CHANGES: dict[str, Change] = {
    "nothing": lambda rng, loop, run: run,
    "a shorter period": lambda rng, loop, run: replace(run, period=max(1, run.period - 1)),
    "a longer period": lambda rng, loop, run: replace(run, period=run.period + 1),
}
for _part in ("prologue", "body", "epilogue"):
    for _name in ("tiles", "transfers", "residencies"):
        CHANGES[f"a row less in {_part} {_name}"] = in_part(_part, without, _name)
        for _by in (-1, 1):
            CHANGES[f"{_part} {_name} {_by}"] = in_part(_part, shifted, _name, _by)
            CHANGES[f"{_part} {_name} {_by} periods"] = by_periods(_part, _name, _by)
    CHANGES[f"{_part} residencies end sooner"] = in_part(_part, moved, "residencies", "end", -1)
    CHANGES[f"{_part} residencies end later"] = in_part(_part, moved, "residencies", "end", 1)


@pytest.mark.parametrize("change", CHANGES)
def test_a_short_run_tells_what_the_whole_run_does(change: str) -> None:
    for number, seed in enumerate(SEEDS):
        loop, schedule = scheduled(seed)
        broken = CHANGES[change](random.Random(number), loop, schedule)
        telling = telling_repeats(loop, broken)
        run = broken.with_repeats(telling + 23)
        short = validate_periodic(loop, run, expanded_tiles=0)
        full = validate_periodic(loop, run)
        assert [v.rule for v in short] == [v.rule for v in full]
        if change == "nothing":
            assert short == []
            check_periodic(loop, run)


def test_the_changes_break_most_rules() -> None:
    found: set[str] = set()
    for number, seed in enumerate(SEEDS):
        loop, schedule = scheduled(seed)
        for change in CHANGES.values():
            broken = change(random.Random(number), loop, schedule)
            found |= {violation.rule for violation in validate_periodic(loop, broken, expanded_tiles=0)}
    assert found >= {"V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8"}


def test_an_infeasible_one_is_refused() -> None:
    loop, schedule = scheduled(4)
    with pytest.raises(InvalidScheduleError):
        check_periodic(loop, replace(schedule, period=schedule.period - 1).with_repeats(1000))


@pytest.mark.parametrize("seed", SEEDS)
def test_peaks_and_pieces_are_those_of_the_whole_run(seed: int) -> None:
    loop, schedule = scheduled(seed)
    run = schedule.with_repeats(telling_repeats(loop, schedule) + 40)
    whole, instance = expand(loop, run), expand_loop(loop, run.repeats)
    assert peak_memory_bytes(loop, run) == whole.peak_memory_bytes(instance.tensor_bytes)
    pieces = list(expand_pieces(loop, run, 7))
    assert sum(len(piece.tiles) for piece in pieces) == len(whole.tiles)
    rows = sorted(zip(whole.transfers.tensor.tolist(), whole.transfers.start.tolist(), strict=True))
    parts = [row for p in pieces for row in zip(p.transfers.tensor.tolist(), p.transfers.start.tolist(), strict=True)]
    assert sorted(parts) == rows
