"""Points of figures that are solved: baselines on coarse tilings and the optimum, in parallel, kept in a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ssmopt.autotile.fitting import coarse_tilings
from ssmopt.bounds import best, lower_bounds
from ssmopt.errors import CapacityError
from ssmopt.experiments.attribution import BASELINE_WORK
from ssmopt.experiments.figures.base import FigureInterrupted, FigureOptions
from ssmopt.experiments.sweep.executors import worker_processes
from ssmopt.experiments.sweep.points import Point, Solving
from ssmopt.experiments.sweep.progress import SweepProgress
from ssmopt.experiments.sweep.run import run_points
from ssmopt.problem import Problem
from ssmopt.result import FEASIBLE, OPTIMAL, relative_gap
from ssmopt.solvers import HEURISTICS
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import count_tiles

_OF_SCHEDULE = [
    "makespan", "instance_bound", "instance_gap", "tiling", "tiles", "transfers", "dram_bytes", "peak_memory_bytes",
    "valid", "error",
]  # fmt: skip

Axes = Mapping[str, int | float | str]
"""Where a point stands in its figure: tokens, SRAM."""

_Load = tuple[Point, float]
"""A point, and roughly the seconds that it takes."""

OPTIMUM, BOUND = "optimum", "bound"
"""Schemes that are no baselines: what the solver finds, and the lower bound under any tiling."""

_SHORT = 64
"""Prompts of up to so many tokens are short."""

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


def solve_schemes(
    problems: Sequence[tuple[Problem, Axes]],
    axes: tuple[str, ...],
    baselines: Sequence[str],
    seconds: float,
    options: FigureOptions,
    *,
    long_seconds: float | None = None,
) -> pd.DataFrame:
    """Baselines, the optimum and the bound of each problem, in this order.

    A baseline is scheduled on each of the coarse tilings, and the best counts. A long prompt takes the tiling that was
    best for a short one with the same SRAM, where that is among the problems: what happens token by token is the same.

    Parameters
    ----------
    problems
        What is solved, and where in the figure it stands; one axis is ``seq_len``.
    axes
        Names of the axes, the outermost first.
    baselines
        Names of heuristics.
    seconds
        Wall seconds for each optimum.
    options
        Workers, store and listener.
    long_seconds
        Wall seconds for the optimum of each long prompt, if not the same.

    Returns
    -------
    DataFrame
        One row per place and scheme. Every schedule has been validated by the process that found it; more SRAM never
        makes an optimum worse. Where nothing fits, the row of the optimum says why.

    Raises
    ------
    FigureInterrupted
        A signal came; what was finished is in the store, if there is one.
    """
    tilings = coarse_tilings_of([problem for problem, _ in problems], options)
    shortest = min(int(place["seq_len"]) for _, place in problems)
    first: list[_Load] = []
    later: list[tuple[Problem, Axes, list[Tiling]]] = []
    for (problem, place), coarse in zip(problems, tilings, strict=True):
        if problem.seq_len <= max(shortest, _SHORT):
            first += baseline_points(problem, place, baselines, coarse)
            first.append(optimum_point(problem, place, seconds))
        else:
            later.append((problem, place, coarse))
    total = len(first) + len(later) * (len(baselines) + 1)
    frame = _run(first, axes, options, 0, total)
    if later:
        known = _best_tilings(frame, axes)
        second: list[_Load] = []
        for problem, place, coarse in later:
            for name in baselines:
                chosen = known.get((*_elsewhere(place), name))
                second += baseline_points(problem, place, (name,), coarse, chosen)
            second.append(optimum_point(problem, place, long_seconds or seconds))
        frame = pd.concat([frame, _run(second, axes, options, len(first), len(first) + len(second))])
    return with_best_known(with_bounds(best_of_each(frame, axes, (*baselines, OPTIMUM)), problems, axes), axes)


def _elsewhere(place: Axes) -> tuple[object, ...]:
    """Where a point stands on all axes but that of the tokens."""
    return tuple(value for name, value in place.items() if name != "seq_len")


def _best_tilings(frame: pd.DataFrame, axes: tuple[str, ...]) -> dict[tuple[object, ...], int]:
    """By place and baseline the coarse tiling that was best for the most tokens."""
    best_rows = frame.dropna(subset=["makespan"]).sort_values(["seq_len", "makespan", "coarse"], ascending=[0, 1, 1])
    others = [name for name in axes if name != "seq_len"]
    rows = best_rows.drop_duplicates([*others, "scheme"])
    keys = rows[[*others, "scheme"]].itertuples(index=False, name=None)
    return dict(zip(keys, rows["coarse"].astype(int), strict=True))


def coarse_tilings_of(problems: Sequence[Problem], options: FigureOptions) -> list[list[Tiling]]:
    """`coarse_tilings` of several problems, in parallel; none for those that do not fit their SRAM."""
    options.report(0, len(problems), "coarse tilings")
    workers = min(options.n_workers, len(problems) // _FEW_PROBLEMS)
    if workers <= 1:
        return [_tilings_if_any(problem) for problem in problems]
    with worker_processes(workers) as executor:
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
    problem: Problem, axes: Axes, schemes: Sequence[str], tilings: Sequence[Tiling], only: int | None = None
) -> list[_Load]:
    """Each of some baselines on each of the coarse tilings, or on one of them, and roughly its seconds."""
    points = []
    for scheme in schemes:
        prescribe = HEURISTICS[scheme].prescribe
        for number, tiling in enumerate(tilings):
            if only is not None and number != min(only, len(tilings) - 1):
                continue
            if only is None and tiling in tilings[:number]:
                continue
            tiles = count_tiles(problem, tiling if prescribe is None else prescribe(problem, tiling)[0])
            if only is not None or number == 0 or tiles <= _MANY_TILES:
                solving = Solving(scheme, work_limit=BASELINE_WORK)
                point = Point({**axes, "scheme": scheme, "coarse": number}, problem, tiling, solving)
                points.append((point, tiles / _TILES_PER_SECOND))
    return points


def optimum_point(problem: Problem, axes: Axes, seconds: float) -> _Load:
    """The solver on a tiling of its own choice, and its seconds."""
    return Point({**axes, "scheme": OPTIMUM, "coarse": 0}, problem, None, Solving("auto", seconds)), seconds


def _run(points: Sequence[_Load], axes: tuple[str, ...], options: FigureOptions, done: int, total: int) -> pd.DataFrame:
    """A row per point, of a figure that has so many points and is so far."""
    longest_first = [point for point, _ in sorted(points, key=lambda pair: -pair[1])]
    options.report(done, total, "begins")

    def listen(progress: SweepProgress) -> None:
        told = "" if progress.phase == "running" else progress.phase
        options.report(done + progress.done, total, told)

    found = run_points(
        longest_first, (*axes, "scheme", "coarse"), store=options.store, workers=options.n_workers, progress=listen
    )
    if found.interrupted:
        raise FigureInterrupted(found.interrupted, done + len(found), total, kept=options.store is not None)
    return found.to_frame()


def best_of_each(frame: pd.DataFrame, axes: tuple[str, ...], schemes: Sequence[str]) -> pd.DataFrame:
    """Of the rows that differ in nothing but the coarse tiling the one with the shortest schedule."""
    rank = frame["scheme"].map({scheme: place for place, scheme in enumerate(schemes)})
    ordered = frame.assign(rank=rank).sort_values([*axes, "rank", "makespan", "coarse"], na_position="last")
    kept = ordered.drop_duplicates([*axes, "rank"]).reset_index(drop=True)
    return kept[[*axes, "scheme", *_COLUMNS]]


def with_best_known(frame: pd.DataFrame, axes: tuple[str, ...]) -> pd.DataFrame:
    """The rows; an optimum that a baseline in the same SRAM or less beats becomes that baseline's schedule."""
    others = [name for name in axes if name != "sram_mib"]
    frame = frame.copy()
    for place in frame.index[frame["scheme"] == OPTIMUM]:
        row = frame.loc[place]
        mine = frame[
            (frame[others] == row[others]).all(axis=1) & frame["makespan"].notna() & (frame["scheme"] != BOUND)
        ]
        if "sram_mib" in axes:
            mine = mine[mine["sram_mib"] <= row["sram_mib"]]
        if not len(mine):
            continue
        known = mine.loc[mine["makespan"].astype(float).idxmin()]
        if pd.notna(row["makespan"]) and known["makespan"] >= row["makespan"]:
            continue
        bound = max(int(b) for b in frame[(frame[list(axes)] == row[list(axes)]).all(axis=1)]["lower_bound"].dropna())
        frame.loc[place, _OF_SCHEDULE] = known[_OF_SCHEDULE]
        frame.loc[place, "lower_bound"] = bound
        frame.loc[place, "gap"] = relative_gap(int(known["makespan"]), bound)
        frame.loc[place, "status"] = OPTIMAL if known["makespan"] == bound else FEASIBLE
        frame.loc[place, "taken_from"] = _place_of(known, axes)
    return frame


def _place_of(row: pd.Series, axes: tuple[str, ...]) -> str:
    """Where a schedule was found, for people."""
    return ", ".join([str(row["scheme"]), *(f"{name} {row[name]:g}" for name in axes if name == "sram_mib")])


def with_bounds(frame: pd.DataFrame, problems: Iterable[tuple[Problem, Axes]], axes: tuple[str, ...]) -> pd.DataFrame:
    """The rows, and after those of each place one with the lower bound under any tiling."""
    rows = []
    for problem, place in problems:
        bound = best(lower_bounds(problem))
        cycles = {"makespan": bound.cycles, "lower_bound": bound.cycles, "gap": 0.0}
        rows.append({**place, "scheme": BOUND, **cycles, "bound_reason": bound.reason})
    bounds = pd.DataFrame(rows).reindex(columns=frame.columns).astype(frame.dtypes.to_dict())
    return pd.concat([frame, bounds]).sort_values(list(axes), kind="stable").reset_index(drop=True)
