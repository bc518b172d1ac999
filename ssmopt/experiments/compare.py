"""Every solver on one problem, each on the tiling that its definition asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from ssmopt.errors import CapacityError, InputError
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.result import Bound, ProgressListener, Result
from ssmopt.solve import check_arguments, run_solver, tiling_for
from ssmopt.solvers import HEURISTICS
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.validate import InvalidScheduleError

BASELINE = "layer-by-layer"
"""The solver that speed-ups are relative to."""


@dataclass(frozen=True)
class Row:
    """One solver's result, and how many times shorter its makespan is than the baseline's."""

    result: Result
    speedup: float | None

    def as_dict(self) -> dict[str, object]:
        """The result's fields and ``speedup``."""
        return {**self.result.as_dict(), "speedup": self.speedup}


@dataclass(frozen=True)
class Comparison:
    """Results of several solvers on one problem, against one lower bound.

    Attributes
    ----------
    instance
        Name of what was solved.
    bound
        Bound under any tiling, or of the tile instance if there is nothing else.
    rows
        Slowest schedule first.
    failures
        Solvers that gave no schedule, with the reason.
    """

    instance: str
    bound: Bound
    rows: tuple[Row, ...]
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def lower_bound(self) -> int:
        """Cycles."""
        return self.bound.cycles

    @property
    def bound_reason(self) -> str:
        """Why no schedule is shorter."""
        return self.bound.reason

    def as_dict(self) -> dict[str, object]:
        """``instance``, ``lower_bound``, ``bound_reason`` and ``rows``, as ``--json`` prints them."""
        return {
            "instance": self.instance,
            "lower_bound": self.lower_bound,
            "bound_reason": self.bound_reason,
            "rows": [row.as_dict() for row in self.rows],
            "failures": [{"solver": solver, "reason": reason} for solver, reason in self.failures],
        }

    def __repr__(self) -> str:
        lines = [f"{self.instance}: lower bound {self.lower_bound:,} cycles ({self.bound_reason})"]
        for row in self.rows:
            speedup = "" if row.speedup is None else f"{row.speedup:6.2f}x"
            lines.append(f"  {row.result.solver:22} {row.result.makespan or 0:>14,} {speedup:>8} {row.result.gap:8.2%}")
        return "\n".join(lines)


def compare(
    target: Problem | Instance,
    *,
    tiling: Tiling | None = None,
    solvers: Sequence[str] | None = None,
    time_limit: float = 60.0,
    workers: int | None = None,
    seed: int = 0,
    on_progress: ProgressListener | None = None,
) -> Comparison:
    """Run several solvers on one problem.

    Parameters
    ----------
    target, tiling, workers, seed, on_progress
        As for `ssmopt.solve`.
    solvers
        Names; None takes every heuristic that applies, and ``cpsat``.
    time_limit
        Wall seconds for all of them together; the heuristics go first, the rest is CP-SAT's.

    Raises
    ------
    InputError
        A solver is unknown, or the target cannot be used.
    """
    names = list(solvers) if solvers is not None else _applicable(target)
    check_arguments(names, time_limit, workers)
    any_tiling = tiling is None and isinstance(target, Problem)
    results: list[Result] = []
    failures: list[tuple[str, str]] = []
    with Stop(time_limit) as stop:
        if tiling is None and isinstance(target, Problem):
            tiling = tiling_for(target, stop, on_progress)
        for name in sorted(names, key=lambda name: name not in HEURISTICS):
            if stop.signal and results:
                break
            exact = name not in HEURISTICS
            with Stop(stop.remaining) as share:
                share.signal = stop.signal  # Even then the first solver gives its first schedule.
                try:
                    results.append(
                        run_solver(
                            target,
                            share,
                            tiling=_best_tiling(results, tiling) if exact and any_tiling else tiling,
                            any_tiling=any_tiling,
                            solver=name,
                            workers=workers,
                            seed=seed,
                            on_progress=on_progress,
                            known=results,
                        )
                    )
                except (CapacityError, InvalidScheduleError) as error:
                    failures.append((name, str(error)))
            stop.signal = share.signal
    if not results:
        raise InputError("; ".join(reason for _, reason in failures) or "no solver applies")
    return _comparison(target.name, results, failures)


def _best_tiling(results: Sequence[Result], otherwise: Tiling | None) -> Tiling | None:
    """The tiling of the best schedule so far: no baseline's tiling is to be better than the one CP-SAT starts on."""
    best = min((r for r in results if r.makespan is not None), key=lambda r: r.makespan or 0, default=None)
    return otherwise if best is None else best.instance.tiling


def _applicable(target: Problem | Instance) -> list[str]:
    heuristics = [name for name, h in HEURISTICS.items() if isinstance(target, Problem) or h.applies_to(target)]
    return [*heuristics, "cpsat"]


def _comparison(name: str, results: list[Result], failures: list[tuple[str, str]]) -> Comparison:
    """Sort by makespan, slowest first, and relate to the baseline; the best bound counts for all."""
    baseline = next((r.makespan for r in results if r.solver == BASELINE), None)
    bound = max((r.bound for r in results), key=lambda b: b.cycles)
    rows = []
    for result in sorted(results, key=lambda r: -(r.makespan or 0)):
        speedup = baseline / result.makespan if baseline and result.makespan else None
        rows.append(Row(_with_bound(result, bound), speedup))
    return Comparison(name, bound, tuple(rows), tuple(failures))


def _with_bound(result: Result, bound: Bound) -> Result:
    return dataclasses.replace(result, bound=bound)
