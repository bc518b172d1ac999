"""Every solver on one problem, each on the tiling that its definition asks for.

A problem whose state can be updated in two forms is compared with its other form, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from ssmopt.autotile import TilingChoice
from ssmopt.errors import CapacityError, InputError, SolverError
from ssmopt.instance import Instance
from ssmopt.problem import FORMS, Problem
from ssmopt.result import Bound, ProgressListener, Result
from ssmopt.solve import check_arguments, run_solver, tiling_for
from ssmopt.solvers import HEURISTICS
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.validate import InvalidScheduleError

BASELINE = "layer-by-layer"
"""The solver that speed-ups are relative to."""

OTHER_FORM = ("fuse-block", "cpsat")
"""What the other form of a problem is solved with, unless solvers are asked for."""


@dataclass(frozen=True)
class Row:
    """One solver's result, and how many times shorter its makespan is than the baseline's.

    ``other_form`` names the form of the state update where it is not that of the problem; the result's bound and gap
    are then those of that form.
    """

    result: Result
    speedup: float | None
    other_form: str = ""

    @property
    def label(self) -> str:
        """The solver, and the form where it is another one."""
        return f"{self.result.solver} ({self.other_form})" if self.other_form else self.result.solver

    def as_dict(self) -> dict[str, object]:
        """The result's fields and ``speedup``."""
        return {**self.result.as_dict(), "speedup": self.speedup}


@dataclass(frozen=True)
class Comparison:
    """Results of several solvers on one problem, against one lower bound (for each form of it).

    Attributes
    ----------
    instance
        Name of what was solved.
    bound
        Bound under any tiling, or of the tile instance if there is nothing else; for the form that was asked for.
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

    def _repr_html_(self) -> str:
        from ssmopt.export.notebook import comparison_html

        return comparison_html(self)

    def __repr__(self) -> str:
        lines = [f"{self.instance}: lower bound {self.lower_bound:,} cycles ({self.bound_reason})"]
        for row in self.rows:
            speedup = "" if row.speedup is None else f"{row.speedup:6.2f}x"
            lines.append(f"  {row.label:22} {row.result.makespan or 0:>14,} {speedup:>8} {row.result.gap:8.2%}")
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
    """Run several solvers on one problem, and on its other form if it has one.

    Parameters
    ----------
    target, tiling, workers, seed, on_progress
        As for `ssmopt.solve`; the tiling is that of the target's own form.
    solvers
        Names; None takes every heuristic that applies, and ``cpsat`` (for the other form: ``OTHER_FORM``).
    time_limit
        Wall seconds for all of them together; the heuristics go first, the rest is CP-SAT's.

    Raises
    ------
    InputError
        A solver is unknown, there is none, or the target cannot be used.
    """
    names = list(solvers) if solvers is not None else _applicable(target)
    check_arguments(names, time_limit, workers)
    if not names:
        raise InputError("name at least one solver", key="solvers")
    entries = [_Entry(target, tiling, tuple(names))]
    if isinstance(target, Problem):
        others = names if solvers is not None else OTHER_FORM
        entries += [_Entry(other, None, _suited(others, other)) for other in _other_forms(target)]
    with Stop(time_limit) as stop:
        for left, entry in zip(range(len(entries), 0, -1), entries, strict=True):
            if entry.tiling is None and isinstance(entry.target, Problem):
                with Stop(stop.remaining / left) as share:
                    share.signal = stop.signal
                    entry.choice = tiling_for(entry.target, share, on_progress)
                    entry.tiling = entry.choice.tiling
                stop.signal = share.signal
        jobs = [(name not in HEURISTICS, entry, name) for entry in entries for name in entry.solvers]
        jobs.sort(key=lambda job: job[0])
        for done, (exact, entry, name) in enumerate(jobs):
            if stop.signal and entries[0].results:
                break
            # Heuristics end by themselves; the exact solvers share what is then left.
            limit = stop.remaining / (len(jobs) - done) if exact else stop.remaining
            with Stop(limit) as share:
                share.signal = stop.signal  # Even then the first solver gives its first schedule.
                try:
                    entry.run(name, share, workers=workers, seed=seed, on_progress=on_progress)
                except (CapacityError, InvalidScheduleError, SolverError) as error:
                    entry.failures.append((name, str(error)))
            stop.signal = share.signal
    if not entries[0].results:
        raise InputError("; ".join(reason for _, reason in entries[0].failures))
    return _comparison(entries)


@dataclass
class _Entry:
    """One form of a problem (or a tile instance), and what has been found for it."""

    target: Problem | Instance
    tiling: Tiling | None
    solvers: tuple[str, ...]
    results: list[Result] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    choice: TilingChoice | None = None

    def __post_init__(self) -> None:
        self.any_tiling = self.tiling is None and isinstance(self.target, Problem)

    def run(
        self, name: str, stop: Stop, *, workers: int | None, seed: int, on_progress: ProgressListener | None
    ) -> None:
        """Run one more solver."""
        free = name not in HEURISTICS and self.any_tiling
        result = run_solver(
            self.target,
            stop,
            tiling=_best_tiling(self.results, self.tiling) if free else self.tiling,
            any_tiling=self.any_tiling,
            solver=name,
            workers=workers,
            seed=seed,
            on_progress=on_progress,
            known=self.results,
            choice=self.choice,
        )
        self.results.append(result)


def _other_forms(problem: Problem) -> list[Problem]:
    """The problem with its state updated in the other form; none if its model has only one."""
    if problem.model.family != "mamba2":
        return []
    return [
        dataclasses.replace(problem, name=f"{problem.name.removesuffix('-' + problem.form)}-{form}", form=form)
        for form in FORMS
        if form != problem.form
    ]


def _suited(names: Sequence[str], problem: Problem) -> tuple[str, ...]:
    return tuple(name for name in names if name not in HEURISTICS or HEURISTICS[name].applies_to(problem))


def _best_tiling(results: Sequence[Result], otherwise: Tiling | None) -> Tiling | None:
    """The tiling of the best schedule so far: no baseline's tiling is to be better than the one CP-SAT starts on."""
    best = min((r for r in results if r.makespan is not None), key=lambda r: r.makespan or 0, default=None)
    return otherwise if best is None else best.instance.tiling


def _applicable(target: Problem | Instance) -> list[str]:
    return [*(name for name, heuristic in HEURISTICS.items() if heuristic.applies_to(target)), "cpsat"]


def _comparison(entries: list[_Entry]) -> Comparison:
    """Sort by makespan, slowest first, and relate to the baseline; the best bound of a form counts for all its rows."""
    own = entries[0]
    baseline = next((r.makespan for r in own.results if r.solver == BASELINE), None)
    rows = []
    for entry in entries:
        bound = max((r.bound for r in entry.results), key=lambda b: b.cycles, default=Bound(0, ""))
        form = "" if entry is own or not isinstance(entry.target, Problem) else entry.target.form
        for result in entry.results:
            speedup = baseline / result.makespan if baseline and result.makespan else None
            rows.append(Row(_with_bound(result, bound, form), speedup, form))
    failures = [
        (name if entry is own or not isinstance(entry.target, Problem) else f"{name} ({entry.target.form})", reason)
        for entry in entries
        for name, reason in entry.failures
    ]
    rows.sort(key=lambda row: -(row.result.makespan or 0))
    bound = max((result.bound for result in own.results), key=lambda b: b.cycles)
    return Comparison(own.target.name, bound, tuple(rows), tuple(failures))


def _with_bound(result: Result, bound: Bound, form: str) -> Result:
    note = f"{form} form, whose lower bound is {bound.cycles:,} cycles" if form else ""
    return dataclasses.replace(result, bound=bound, note="; ".join(part for part in (note, result.note) if part))
