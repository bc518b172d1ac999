"""Points of figures that are solved: baselines on coarse tilings and the optimum, in parallel, kept in a store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ssmopt.autotile.fitting import coarse_tilings
from ssmopt.bounds import best, lower_bounds
from ssmopt.errors import CapacityError
from ssmopt.experiments.attribution import BASELINE_WORK
from ssmopt.experiments.figures.base import FigureInterrupted, FigureOptions
from ssmopt.experiments.sweep.job import prepare_worker
from ssmopt.experiments.sweep.points import Point, Solving
from ssmopt.experiments.sweep.progress import SweepProgress
from ssmopt.experiments.sweep.run import run_points
from ssmopt.problem import Problem
from ssmopt.solvers import HEURISTICS
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import count_tiles

Axes = Mapping[str, int | float | str]
"""Where a point stands in its figure: tokens, SRAM."""

OPTIMUM, BOUND = "optimum", "bound"
"""Schemes that are no baselines: what the solver finds, and the lower bound under any tiling."""

_MANY_TILES = 50_000
"""Of tilings whose baseline has more tiles than this only the coarsest is tried."""

_TILES_PER_SECOND = 5_000
"""Of a baseline, roughly: the longest points begin first, so that no worker is left alone with one at the end."""

_FEW_PROBLEMS = 8
"""Per process; for fewer, starting one takes longer than what it does."""

MIB = 1 << 20
"""Bytes."""

_COLUMNS = (
    "solver", "status", "makespan", "lower_bound", "bound_reason", "gap", "instance_bound", "instance_gap", "tiling",
    "tiles", "transfers", "dram_bytes", "peak_memory_bytes", "wall_seconds", "valid", "note", "error", "taken_from",
)  # fmt: skip


def coarse_tilings_of(problems: Sequence[Problem], options: FigureOptions) -> list[list[Tiling]]:
    """`coarse_tilings` of several problems, in parallel; none for those that do not fit their SRAM."""
    options.report(0, len(problems), "coarse tilings")
    workers = min(options.n_workers, len(problems) // _FEW_PROBLEMS)
    if workers <= 1:
        return [_tilings_if_any(problem) for problem in problems]
    from loky import ProcessPoolExecutor

    # Like the processes of a sweep they end with this one, however that ends.
    with ProcessPoolExecutor(workers, initializer=prepare_worker, initargs=(os.getpid(),)) as executor:
        found = []
        for tilings in executor.map(_tilings_if_any, problems):
            found.append(tilings)
            options.report(0, len(problems), f"coarse tilings, {len(found)} of {len(problems)}")
        return found


def _tilings_if_any(problem: Problem) -> list[Tiling]:
    try:
        return coarse_tilings(problem)
    except CapacityError:
        return []


def baseline_points(
    problem: Problem, axes: Axes, schemes: Sequence[str], tilings: Sequence[Tiling]
) -> list[tuple[Point, float]]:
    """Each of some baselines on each of the coarse tilings, and roughly its seconds."""
    points = []
    for scheme in schemes:
        prescribe = HEURISTICS[scheme].prescribe
        for number, tiling in enumerate(tilings):
            tiles = count_tiles(problem, tiling if prescribe is None else prescribe(problem, tiling)[0])
            if number == 0 or tiles <= _MANY_TILES:
                solving = Solving(scheme, work_limit=BASELINE_WORK)
                point = Point({**axes, "scheme": scheme, "coarse": number}, problem, tiling, solving)
                points.append((point, tiles / _TILES_PER_SECOND))
    return points


def optimum_point(problem: Problem, axes: Axes, seconds: float) -> tuple[Point, float]:
    """The solver on a tiling of its own choice, and its seconds."""
    return Point({**axes, "scheme": OPTIMUM, "coarse": 0}, problem, None, Solving("auto", seconds)), seconds


def solve_points(
    points: Sequence[tuple[Point, float]], axes: tuple[str, ...], schemes: Sequence[str], options: FigureOptions
) -> pd.DataFrame:
    """One row per place and scheme: the best of its points, in the order of the schemes.

    Every schedule has been validated by the process that found it, and is never worse than the same solver's with less
    SRAM.

    Raises
    ------
    FigureInterrupted
        A signal came; what was finished is in the store, if there is one.
    """
    longest_first = [point for point, _ in sorted(points, key=lambda pair: -pair[1])]
    options.report(0, len(points), "begins")

    def listen(progress: SweepProgress) -> None:
        told = "" if progress.phase == "running" else progress.phase
        options.report(progress.done, progress.total, told)

    found = run_points(
        longest_first, (*axes, "scheme", "coarse"), store=options.store, workers=options.n_workers, progress=listen
    )
    if found.interrupted:
        raise FigureInterrupted(found.interrupted, len(found), len(points))
    frame = best_of_each(found.to_frame(), axes, schemes)
    options.report(len(points), len(points))
    return frame


def best_of_each(frame: pd.DataFrame, axes: tuple[str, ...], schemes: Sequence[str]) -> pd.DataFrame:
    """Of the rows that differ in nothing but the coarse tiling the one with the shortest schedule."""
    rank = frame["scheme"].map({scheme: place for place, scheme in enumerate(schemes)})
    ordered = frame.assign(rank=rank).sort_values([*axes, "rank", "makespan", "coarse"], na_position="last")
    kept = ordered.drop_duplicates([*axes, "rank"]).reset_index(drop=True)
    return kept[[*axes, "scheme", *_COLUMNS]]


def with_bounds(frame: pd.DataFrame, problems: Iterable[tuple[Problem, Axes]], axes: tuple[str, ...]) -> pd.DataFrame:
    """The rows, and after those of each place one with the lower bound under any tiling."""
    rows = []
    for problem, place in problems:
        bound = best(lower_bounds(problem))
        cycles = {"makespan": bound.cycles, "lower_bound": bound.cycles, "gap": 0.0}
        rows.append({**place, "scheme": BOUND, **cycles, "bound_reason": bound.reason})
    bounds = pd.DataFrame(rows).reindex(columns=frame.columns).astype(frame.dtypes.to_dict())
    return pd.concat([frame, bounds]).sort_values(list(axes), kind="stable").reset_index(drop=True)
