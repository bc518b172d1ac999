"""`solve`: tiling, bounds, heuristics, then CP-SAT; the best validated schedule, and a proof of how good it is."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence

from ssmopt.allocate.result import with_addresses
from ssmopt.autotile import TilingChoice, choose_tiling
from ssmopt.bounds import best, lower_bounds
from ssmopt.decode import decode
from ssmopt.errors import CapacityError, InputError, nearest
from ssmopt.files.text import PathLike
from ssmopt.folding.solver import solve_periodic
from ssmopt.heuristics.base import Heuristic
from ssmopt.heuristics.owners import OWNERS
from ssmopt.heuristics.pipelined import PIPELINED
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.result import Progress, ProgressListener, Result
from ssmopt.schedule import Schedule
from ssmopt.search import EXACT_TILES, Search
from ssmopt.second_stage import check_objective, with_fewer_bytes
from ssmopt.solvers import HEURISTICS, SOLVERS
from ssmopt.start import Start, read_start
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import build_tiles, one_layer

_FEW_TILES = 20_000
"""Up to this many tiles every heuristic is decoded before CP-SAT; beyond, only those that take any tiling."""

TIME_LIMIT = 60.0
"""Wall seconds that a solver may take unless something else is said."""

_LONG_PROMPT = 8_192
"""Prompts of more tokens are scheduled periodically: written out, they have too many tiles to search among."""

_SEARCH_SHARE = 0.65
"""Share of the time limit within which a schedule must be found, when addresses or fewer bytes are to follow."""

_TILING_SHARE, _TILING_SHARE_ALONE = 0.3, 0.75
"""Share of the budget that the search for a tiling may take; the second where no exact solver follows."""


def solve(
    target: Problem | Instance,
    *,
    tiling: Tiling | None = None,
    solver: str = "auto",
    start: PathLike | Schedule | None = None,
    time_limit: float | None = None,
    work_limit: float | None = None,
    workers: int | None = None,
    seed: int = 0,
    allocate: bool = False,
    then: str | None = None,
    on_progress: ProgressListener | None = None,
) -> Result:
    """Schedule a problem or a tile instance.

    Parameters
    ----------
    target
        A problem (it is tiled first), or a tile instance.
    tiling
        How to tile a problem; None searches for a good tiling.
    solver
        A name in `ssmopt.solvers.SOLVERS`.
    start
        A known schedule, or its file: it is validated, its tiling is used, and the result is never worse.
    time_limit
        Wall seconds for everything together; None is `TIME_LIMIT`, or no limit where work is limited. The first
        valid schedule is always completed.
    work_limit
        Units of work (see `ssmopt.stopping.Stop`), each two to five seconds of one core. With it, and one worker,
        equal calls give equal schedules on any machine, unless the time limit ends them first.
    workers
        Threads of CP-SAT; None uses every core of this machine, or one where work is limited.
    seed
        Seed of CP-SAT.
    allocate
        Also give every residency an address; the schedule may have to become longer for it, which the note says.
    then
        What to minimise after the makespan, which stays: ``dram`` (bytes moved to and from DRAM) or ``sram`` (most
        bytes resident at once); None for nothing. Not together with ``allocate``.
    on_progress
        Called with the state of the search when it changes.

    Returns
    -------
    Result
        The best schedule, which `ssmopt.validate.check` has accepted, its bounds and its status.

    Raises
    ------
    InputError
        An argument or the target cannot be used.
    CapacityError
        A tile does not fit its memory.
    """
    if time_limit is None:
        time_limit = TIME_LIMIT if work_limit is None else math.inf
    check_arguments([solver], time_limit, workers, work_limit)
    check_objective(then)
    if allocate and then is not None:
        raise InputError("give either allocate or then: addresses may change what the second objective found")
    if then is not None and work_limit is not None:
        raise InputError("a second objective is limited by time alone: give a time limit, not a work limit")
    if start is not None and solver == "periodic":
        raise InputError("solver 'periodic' makes its schedule anew: another solver can begin from one", key="start")
    if workers is None and work_limit is not None:
        workers = 1
    with Stop(time_limit * (_SEARCH_SHARE if allocate or then else 1), work_limit) as stop:
        result = run_solver(
            target,
            stop,
            tiling=tiling,
            any_tiling=tiling is None,
            solver=solver,
            workers=workers,
            seed=seed,
            on_progress=on_progress,
            start=None if start is None else read_start(target, tiling, start),
        )
        if result.folded is not None and (allocate or then):
            asked = "no addresses" if allocate else "no second objective"
            return _noted(result, f"{asked}: the schedule is periodic")
        stop.time_limit = time_limit
        if then is not None:
            return with_fewer_bytes(result, then, stop, workers or os.cpu_count() or 1, seed, on_progress)
        return with_addresses(result, stop, on_progress) if allocate else result


def check_arguments(
    solvers: Sequence[str], time_limit: float, workers: int | None, work_limit: float | None = None
) -> None:
    """Raise `InputError` for an unknown solver, or a limit that cannot be."""
    for solver in solvers:
        if solver not in SOLVERS:
            raise InputError(f"unknown solver {solver!r}{nearest(solver, SOLVERS)}")
    if not time_limit > 0:
        raise InputError(f"the time limit must be positive, not {time_limit}")
    if work_limit is not None and not work_limit > 0:
        raise InputError(f"the work limit must be positive, not {work_limit}")
    if workers is not None and workers <= 0:
        raise InputError(f"the number of workers must be positive, not {workers}")


def run_solver(
    target: Problem | Instance,
    stop: Stop,
    *,
    tiling: Tiling | None,
    any_tiling: bool,
    solver: str,
    workers: int | None,
    seed: int,
    on_progress: ProgressListener | None,
    known: Sequence[Result] = (),
    start: Start | None = None,
    choice: TilingChoice | None = None,
) -> Result:
    """`solve`, until the given condition holds.

    Parameters
    ----------
    any_tiling
        Whether the exact solver may leave the tiling for that of a baseline whose schedule is better.
    known
        Results of heuristics for the same target; those on a tiling that is allowed are where the exact solver starts.
    start
        A valid schedule of the target, on a tiling that is allowed.
    choice
        How the given tiling was chosen, if it was.
    """
    if start is not None:
        return _run_from(start, target, stop, solver, workers, seed, on_progress)
    if will_be_periodic(target, tiling, solver):
        if isinstance(target, Instance):
            raise InputError("solver 'periodic' needs a problem: these tiles do not say what could be repeated")
        if target.layers > 1:
            raise InputError(f"solver 'periodic' schedules one layer, not {target.layers}", key="layers")
        if target.hardware.memory_count > 1:
            raise InputError(f"solver 'periodic' works in one memory; {target.hardware.name!r} has several")
        return solve_periodic(target, tiling, stop, on_progress)
    heuristic = HEURISTICS.get(solver)
    _check_defined(target, heuristic)
    if isinstance(target, Problem) and tiling is None:
        choice = tiling_for(target, stop, on_progress)
        tiling = choice.tiling
    instance, note = _prepare(target, tiling, heuristic)
    search = Search(instance, solver, stop, on_progress, note)
    maker = (OWNERS if OWNERS.applies_to(instance) else PIPELINED).name
    if choice is not None and choice.tiling == instance.tiling and solver not in set(HEURISTICS) - {maker}:
        search.note = choice.describe()
        search.offer(decode(instance, *choice.variant.plan(instance), solver=maker), maker)
    if heuristic is not None:
        search.construct([heuristic])
        return search.result()
    search.construct(_starters(instance))
    if any_tiling and isinstance(target, Problem):
        search = _better_baseline(search, target, known)
    search = _better_known(search, known, any_tiling)
    search.improve(workers or os.cpu_count() or 1, seed)
    return search.result()


def _run_from(
    start: Start,
    target: Problem | Instance,
    stop: Stop,
    solver: str,
    workers: int | None,
    seed: int,
    on_progress: ProgressListener | None,
) -> Result:
    """The better of a schedule to start from and what the solver makes, of it if it can."""
    search = Search(start.instance, solver, stop, on_progress)
    search.offer(start.schedule, "start")
    known = start.schedule.makespan
    if solver not in HEURISTICS:
        search.construct(_starters(start.instance))
        search.improve(workers or os.cpu_count() or 1, seed)
        return _noted(search.result(), "the start, not improved" if search.schedule is start.schedule else "")
    # Heuristics build from nothing, some of them on a tiling of their own.
    tiling = start.instance.tiling if isinstance(target, Problem) else None
    try:
        result = run_solver(
            target, stop, tiling=tiling, any_tiling=False, solver=solver, workers=workers, seed=seed,
            on_progress=on_progress,
        )  # fmt: skip
    except CapacityError as error:
        return _noted(search.result(), f"the start: {error.message}")
    if result.makespan is not None and result.makespan < known:
        return _noted(result, f"better than the start, {known:,} cycles")
    return _noted(search.result(), f"the start, which is no worse than the solver's own {result.makespan:,} cycles")


def will_be_periodic(target: Problem | Instance, tiling: Tiling | None, solver: str) -> bool:
    """Whether `solve`, with nothing to start from, makes a schedule in closed form, without a row for every tile."""
    return solver == "periodic" or (solver == "auto" and tiling is None and _is_long(target))


def _is_long(target: Problem | Instance) -> bool:
    if not isinstance(target, Problem) or target.scope != "block" or target.layers > 1:
        return False
    return target.seq_len > _LONG_PROMPT and target.hardware.memory_count == 1


def _noted(result: Result, note: str) -> Result:
    return dataclasses.replace(result, note="; ".join(part for part in (result.note, note) if part))


def _starters(instance: Instance) -> list[Heuristic]:
    """The heuristics whose best schedule CP-SAT starts from: first those that take any tiling."""
    known = [h for h in HEURISTICS.values() if h.applies_to(instance) and not h.custom]
    if instance.n_tiles > _FEW_TILES:
        return [h for h in known if h.prescribe is None]
    return sorted(known, key=lambda h: (h.prescribe is not None, not h.several_memories))


def _better_baseline(search: Search, problem: Problem, known: Sequence[Result]) -> Search:
    """The search itself, or one on the tiling of a baseline, not yet known, whose schedule is better."""
    done = {result.solver for result in known}
    for heuristic in HEURISTICS.values():
        if heuristic.prescribe is None or heuristic.name in done or search.optimal or search.stop():
            continue
        if not heuristic.applies_to(problem):
            continue
        tiling, _ = heuristic.prescribe(one_layer(problem), search.instance.tiling or Tiling())
        instance = build_tiles(problem, tiling)
        if instance.minimum_capacity()[0] > int(instance.memory_capacity.max()):
            continue
        other = Search(instance, search.solver, search.stop, None, f"on the tiling of {heuristic.name}")
        other.construct([heuristic])
        if other.schedule is not None and (
            search.schedule is None or other.schedule.makespan < search.schedule.makespan
        ):
            other.on_progress = search.on_progress
            other.report(heuristic.name)
            search = other
    return search


def _better_known(search: Search, known: Sequence[Result], any_tiling: bool) -> Search:
    """The search with the best of the known schedules, on the tiling of that schedule."""
    for result in known:
        if result.schedule is None:
            continue
        same = result.instance is search.instance or (
            result.instance.tiling is not None and result.instance.tiling == search.instance.tiling
        )
        if same:
            search.offer(result.schedule, result.solver)
        elif any_tiling and (search.schedule is None or result.schedule.makespan < search.schedule.makespan):
            note = f"on the tiling of {result.solver}"
            search = Search(result.instance, search.solver, search.stop, search.on_progress, note)
            search.offer(result.schedule, result.solver)
    return search


def _check_defined(target: Problem | Instance, heuristic: Heuristic | None) -> None:
    """Raise `InputError` when a heuristic is not defined for the target."""
    if heuristic is None or heuristic.applies_to(target):
        return
    asked = target if isinstance(target, Problem) else target.problem
    if asked is not None and asked.form not in heuristic.forms:
        raise InputError(f"solver {heuristic.name!r} is not defined for the {asked.form} form")
    memories = target.n_memories if isinstance(target, Instance) else target.hardware.memory_count
    if heuristic.several_memories and memories < 2:
        raise InputError(f"solver {heuristic.name!r} is for machines with several memories; this one has one")
    raise InputError(f"solver {heuristic.name!r} needs to know the operators of the tiles; {target.name!r} has none")


def _prepare(target: Problem | Instance, tiling: Tiling | None, heuristic: Heuristic | None) -> tuple[Instance, str]:
    """The tile instance that the solver works on, and a note about its tiling."""
    if isinstance(target, Instance):
        if tiling is not None:
            raise InputError("a tiling can only be given for a problem, not for a tile instance")
        if heuristic is None or heuristic.prescribe is None or target.problem is None:
            target.check_capacity()
            return target, ""
        problem, tiling = target.problem, target.tiling
    else:
        problem = target
    tiling, note = tiling or Tiling(), ""
    if heuristic is not None and heuristic.prescribe is not None:
        tiling, note = heuristic.prescribe(one_layer(problem), tiling)
    instance = build_tiles(problem, tiling)
    instance.check_capacity()
    return instance, note


def tiling_for(problem: Problem, stop: Stop, on_progress: ProgressListener | None) -> TilingChoice:
    """Search a tiling within its share of the time, reporting how it goes."""
    floor = best(lower_bounds(problem)).cycles

    def report(tried: int, makespan: int) -> None:
        if on_progress is not None:
            # Candidates are decoded, but not validated: their makespans are no incumbents.
            on_progress(Progress(stop.elapsed, f"tiling {tried}: about {makespan:,}", None, floor))

    early, late = stop.after(_TILING_SHARE), stop.after(_TILING_SHARE_ALONE)
    alone = problem.hardware.memory_count > 1
    return choose_tiling(
        problem,
        should_stop=lambda tiles: late() if alone or tiles > EXACT_TILES else early(),
        on_candidate=report,
        spend=stop.spend,
    )
