"""Solving the exact model: build, hint, search while the caller may interrupt, extract."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

from ssmopt.cpsat.constraints import add_constraints
from ssmopt.cpsat.hint import add_hint, makespan_of_plan, plan_from
from ssmopt.cpsat.objective import add_objective
from ssmopt.cpsat.plan import Plan, plan_of, schedule_of, schedule_times
from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.variables import Variables, add_variables
from ssmopt.cpsat.windows import Windows
from ssmopt.errors import SsmoptError
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class CpOutcome:
    """What a search gave.

    Attributes
    ----------
    schedule
        The best schedule found, or the hint if nothing better was; None when there is neither.
    bound
        Cycles below which no schedule of this instance exists: CP-SAT's bound if the model is complete,
        otherwise the bound that the caller gave.
    complete
        Whether the model contains an optimal schedule of the instance.
    proved_optimal
        Whether ``schedule`` is optimal for the instance.
    infeasible
        Whether no schedule of the instance exists. A search that runs out of time never says so.
    work
        Deterministic time that CP-SAT took.
    """

    schedule: Schedule | None
    bound: int
    complete: bool
    proved_optimal: bool
    infeasible: bool
    work: float = 0.0


@dataclass(frozen=True)
class ExactModel:
    """A CP-SAT model with what is needed to read its solutions."""

    model: cp_model.CpModel
    scope: Scope
    variables: Variables
    complete: bool

    def schedule(self, value: Callable[[cp_model.IntVar], int]) -> Schedule:
        """The schedule of a solution."""
        return schedule_of(self.scope, plan_from(self.scope, self.variables, value))


def build_model(
    instance: Instance,
    hint: Schedule | None,
    *,
    instance_bound: int = 0,
    extra_slots: int = 0,
    freeze: npt.NDArray[np.bool_] | None = None,
    unlimited_memory: bool = False,
    every_residency: bool = False,
) -> ExactModel:
    """The exact model of an instance, hinted and bounded by a feasible schedule if there is one.

    Parameters
    ----------
    instance
        The instance; `InputError` if its tensors live in more than one memory.
    hint
        A feasible schedule; nothing worse is a solution of the model.
    instance_bound
        Cycles below which no schedule of the instance exists.
    extra_slots
        Residencies per tensor beyond those of the hint, where the model is too large for all of them.
    freeze
        Mask of tiles that keep the start and the group of cores of the hint, and so do the loads and stores of
        tensors that only they use. The model is not complete then.
    unlimited_memory
        Leave out the capacity: a relaxation, small and complete, whose bound holds for the instance.
    every_residency
        Residencies are intervals even where all tensors fit together, for those who want them to be few.
    """
    scope = Scope.of(instance)
    if unlimited_memory or every_residency:
        scope = replace(scope, fits=unlimited_memory)
    scope = scope.scaled(() if hint is None else schedule_times(hint))
    plan: Plan | None = None if hint is None else plan_of(scope, hint)
    horizon = scope.serial_cycles() if plan is None else makespan_of_plan(scope, plan)
    windows = Windows.of(scope)
    model = cp_model.CpModel()
    bound = -(-instance_bound // scope.scale)
    variables = add_variables(model, scope, windows, plan, extra_slots, bound, horizon)
    add_constraints(model, scope, variables)
    add_objective(model, scope, windows, variables)
    if plan is not None:
        add_hint(model, scope, variables, plan, freeze)
    complete = variables.complete and (freeze is None or not freeze.any())
    return ExactModel(model, scope, variables, complete)


def solve_exact(
    instance: Instance,
    hint: Schedule | None,
    *,
    instance_bound: int,
    time_limit: float,
    workers: int,
    seed: int,
    on_schedule: Callable[[Schedule], None] | None = None,
    on_bound: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    deterministic_limit: float | None = None,
    extra_slots: int = 0,
    freeze: npt.NDArray[np.bool_] | None = None,
) -> CpOutcome:
    """Search for a schedule with a smaller makespan than the hint's, and for a proof that none exists.

    Parameters
    ----------
    instance, hint, instance_bound, extra_slots, freeze
        See `build_model`.
    time_limit
        Wall seconds of search; building the model is not counted.
    workers, seed
        Threads of CP-SAT, and its random seed.
    on_schedule
        Called with each better schedule, not validated, from a thread of the solver.
    on_bound
        Called with each better proved bound in cycles, from a thread of the solver; never if the model is not complete.
    should_stop
        Asked about twenty times a second; the search ends soon after it says yes.
    deterministic_limit
        Limit in CP-SAT's deterministic time; with it, equal calls give equal answers if the wall limit is not reached.
    """
    need, _ = instance.minimum_capacity()
    built = build_model(instance, hint, instance_bound=instance_bound, extra_slots=extra_slots, freeze=freeze)
    scope = built.scope
    if need > scope.capacity:
        return CpOutcome(None, instance_bound, built.complete, False, True)
    if hint is not None and hint.makespan <= instance_bound:
        return CpOutcome(hint, instance_bound, built.complete, True, False)
    problem = built.model.validate()
    if problem:
        raise SsmoptError(f"CP-SAT rejects the exact model: {problem}")
    listener = _Listener(built, hint, instance_bound, on_schedule, on_bound)
    solver = new_solver(time_limit, workers, seed, deterministic_limit)
    status = run_solver(solver, built.model, listener, should_stop)
    return _outcome(solver, status, built, listener, hint)


def everything_fits(instance: Instance) -> bool:
    """Whether all tensors fit into the memory together: then `relaxed_bound` solves the same model as `solve_exact`.

    So it is where no tensor has bytes, as in a job shop.
    """
    return Scope.of(instance).fits


def relaxed_bound(
    instance: Instance,
    hint: Schedule | None,
    *,
    instance_bound: int,
    time_limit: float,
    workers: int,
    seed: int,
    on_bound: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    deterministic_limit: float | None = None,
) -> CpOutcome:
    """A bound for the instance from the model without the memory's capacity; at least ``instance_bound``.

    Without a capacity nothing is worth loading twice, so that this model is complete where that of `solve_exact`
    may not be. Parameters are those of `solve_exact`; of the outcome only the bound and the work mean anything for
    the instance.
    """
    built = build_model(instance, hint, instance_bound=instance_bound, unlimited_memory=True)
    listener = _Listener(built, None, instance_bound, None, on_bound)
    solver = new_solver(time_limit, workers, seed, deterministic_limit)
    status = run_solver(solver, built.model, listener, should_stop)
    return _outcome(solver, status, built, listener, hint)


def new_solver(
    time_limit: float, workers: int, seed: int, deterministic_limit: float | None = None
) -> cp_model.CpSolver:
    """CP-SAT with the parameters that suit schedules."""
    solver = cp_model.CpSolver()
    if math.isfinite(time_limit):
        solver.parameters.max_time_in_seconds = max(time_limit, 0.0)
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = seed
    # Proofs about which of two comes first on a core or channel: with few workers none would look for them otherwise.
    solver.parameters.use_dynamic_precedence_in_disjunctive = True
    solver.parameters.use_strong_propagation_in_disjunctive = True
    # The caller's signal handlers stay in force.
    solver.parameters.catch_sigint_signal = False
    if deterministic_limit is not None:
        solver.parameters.max_deterministic_time = deterministic_limit
        solver.parameters.interleave_search = workers > 1
    return solver


class Listener(Protocol):
    """What `run_solver` tells of solutions (as CP-SAT's callback does) and bounds; an error ends the search."""

    error: BaseException | None

    def note_bound(self, scaled: float) -> None: ...


class _Listener(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
    """Keeps the best schedule and bound; passes both on. An error in a callback ends the search."""

    def __init__(
        self,
        built: ExactModel,
        hint: Schedule | None,
        bound: int,
        on_schedule: Callable[[Schedule], None] | None,
        on_bound: Callable[[int], None] | None,
    ):
        super().__init__()
        self.built = built
        self.best = hint
        self.bound = bound
        self.error: BaseException | None = None
        self._on_schedule = on_schedule
        self._on_bound = on_bound
        self._lock = threading.Lock()

    def on_solution_callback(self) -> None:
        try:
            schedule = self.built.schedule(self.value)
            with self._lock:
                if self.best is not None and schedule.makespan >= self.best.makespan:
                    return
                self.best = schedule
            if self._on_schedule is not None:
                self._on_schedule(schedule)
        except BaseException as error:
            self.error = error
            self.stop_search()

    def note_bound(self, scaled: float) -> None:
        """A bound that CP-SAT proved for the model."""
        if not self.built.complete or not math.isfinite(scaled):
            return
        try:
            cycles = math.ceil(scaled - 1e-6) * self.built.scope.scale
            with self._lock:
                if cycles <= self.bound:
                    return
                self.bound = cycles
            if self._on_bound is not None:
                self._on_bound(cycles)
        except BaseException as error:
            self.error = error


def run_solver(
    solver: cp_model.CpSolver,
    model: cp_model.CpModel,
    listener: Listener,
    should_stop: Callable[[], bool] | None,
) -> int:
    """Solve in a thread, so that this one can poll and Python's signal handlers can run."""
    solver.best_bound_callback = listener.note_bound
    statuses: list[int] = []

    def work() -> None:
        try:
            statuses.append(solver.solve(model, listener))
        except BaseException as error:
            listener.error = error

    thread = threading.Thread(target=work, name="cpsat", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            if listener.error is not None or (should_stop is not None and should_stop()):
                solver.stop_search()
    except BaseException:
        while thread.is_alive():
            solver.stop_search()
            thread.join(POLL_SECONDS)
        raise
    if listener.error is not None:
        raise listener.error
    return statuses[0]


def _outcome(
    solver: cp_model.CpSolver, status: int, built: ExactModel, listener: _Listener, hint: Schedule | None
) -> CpOutcome:
    """The status first: objective and bound mean nothing before a solution is known."""
    infeasible = status == cp_model.INFEASIBLE
    if infeasible and hint is not None:
        raise SsmoptError("the exact model rejects the schedule that it was given as a hint")
    if status == cp_model.MODEL_INVALID:
        raise SsmoptError("CP-SAT rejects the exact model")
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        listener.note_bound(solver.best_objective_bound)
    best = listener.best
    proved = best is not None and (best.makespan <= listener.bound or (status == cp_model.OPTIMAL and built.complete))
    work = solver.response_proto.deterministic_time
    return CpOutcome(best, listener.bound, built.complete, proved, infeasible and built.complete, work)
