"""Published heuristics, to compare machines with: on coarse tilings, which depend on no search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ssmopt.autotile.fitting import coarse_tilings
from ssmopt.decode import decode_work
from ssmopt.errors import CapacityError
from ssmopt.heuristics.base import Heuristic, schedule_of, schedules_of
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.result import Bound, Result
from ssmopt.schedule import Schedule
from ssmopt.search import Search
from ssmopt.solvers import HEURISTICS
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import build_tiles, count_tiles

_MANY_TILES, _MOST_TILES = 20_000, 100_000
"""With more tiles than the first number only the coarsest tiling is tried, with more than the second none."""

_SHORT = 256
"""Tokens that are enough to tell which tiling and which policy are best."""


@dataclass(frozen=True, eq=False)
class _Try:
    """One of a heuristic's plans, by number, on one of the coarse tilings, and its schedule."""

    tiling: int
    plan: int
    instance: Instance
    schedule: Schedule


def baseline_results(problem: Problem, names: Sequence[str], bound: Bound, stop: Stop) -> dict[str, Result | None]:
    """Heuristics on the best of a few coarse tilings that fit; None where none does or time is up.

    The tilings depend on no search, and so do the results not either. Each tiling is tried with the first policy, and
    the best one with the others. A long prompt takes what is best for a shorter one: what happens token by token is the
    same.

    Parameters
    ----------
    problem, names
        What is scheduled, and the heuristics.
    bound
        Of the problem, under any tiling.
    stop
        Told about the work; the first schedule is always completed.
    """
    short = replace(problem, seq_len=min(problem.seq_len, _SHORT))
    try:
        tilings = coarse_tilings(problem)
    except CapacityError:
        return dict.fromkeys(names)
    results: dict[str, Result | None] = {}
    for name in names:
        found = min(_tries(short, HEURISTICS[name], tilings, stop), key=lambda t: t.schedule.makespan, default=None)
        if short != problem:
            found = _same(problem, HEURISTICS[name], tilings, found, stop)
        results[name] = None if found is None else _result(found, name, bound, stop)
    return results


def _tries(problem: Problem, heuristic: Heuristic, tilings: Sequence[Tiling], stop: Stop) -> Iterator[_Try]:
    """The first plan on every tiling, and then the others on the best one."""
    best: _Try | None = None
    others: Iterator[Schedule] = iter(())
    for number, tiling in enumerate(tilings):
        if tiling in tilings[:number]:
            continue
        instance = _instance(problem, heuristic, tiling, _MANY_TILES if number > 0 else _MOST_TILES)
        if instance is None or (best is not None and stop.late()):
            break
        stop.spend(decode_work(instance))
        schedules = schedules_of(heuristic, instance)
        first = next(schedules)
        if best is None or first.makespan < best.schedule.makespan:
            best, others = _Try(number, 0, instance, first), schedules
    if best is None:
        return
    yield best
    for plan, schedule in enumerate(others, start=1):
        if stop.late():
            return
        stop.spend(decode_work(best.instance))
        yield _Try(best.tiling, plan, best.instance, schedule)


def _same(
    problem: Problem, heuristic: Heuristic, tilings: Sequence[Tiling], known: _Try | None, stop: Stop
) -> _Try | None:
    """The tiling and the plan of a try, or the coarsest and the first, for another prompt."""
    number, plan = (0, 0) if known is None else (known.tiling, known.plan)
    instance = _instance(problem, heuristic, tilings[number], _MOST_TILES)
    if instance is None:
        return None
    stop.spend(decode_work(instance))
    chosen = list(heuristic.plans(instance))[plan]
    return _Try(number, plan, instance, schedule_of(heuristic, instance, chosen))


def _instance(problem: Problem, heuristic: Heuristic, tiling: Tiling, most: int) -> Instance | None:
    """The tiles that the heuristic works on; None with too many of them, or where one does not fit."""
    try:
        if heuristic.prescribe is not None:
            tiling, _ = heuristic.prescribe(problem, tiling)
        if count_tiles(problem, tiling) > most:
            return None
        instance = build_tiles(problem, tiling)
        instance.check_capacity()
    except CapacityError:
        return None
    return instance


def _result(found: _Try, name: str, bound: Bound, stop: Stop) -> Result:
    """The result, once the schedule has been validated; bounds of its tiles would take as long as a schedule."""
    search = Search(found.instance, name, stop, None, bounds=(bound, bound))
    search.offer(found.schedule, name)
    return search.result()
