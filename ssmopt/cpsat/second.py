"""The second stage of the exact model: fewer bytes moved or resident, by schedules that take no longer."""

from __future__ import annotations

import math
from collections.abc import Callable

from ortools.sat.python import cp_model

from ssmopt.cpsat.constraints import moves_of
from ssmopt.cpsat.search import ExactModel, build_model, new_solver, run_solver
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule


def solve_second(
    instance: Instance,
    hint: Schedule,
    *,
    minimise: str,
    bound: int,
    time_limit: float,
    workers: int,
    seed: int,
    on_schedule: Callable[[Schedule], object],
    should_stop: Callable[[], bool],
) -> int:
    """Search for schedules no longer than the hint that move fewer bytes, or hold fewer at once.

    Parameters
    ----------
    instance
        The instance; `InputError` if its tensors live in more than one memory.
    hint
        A feasible schedule; its makespan is the limit.
    minimise
        ``dram``: bytes moved to and from DRAM; ``sram``: the most bytes resident at once.
    bound
        Bytes below which no schedule exists.
    time_limit, workers, seed, should_stop
        See `ssmopt.cpsat.solve_exact`.
    on_schedule
        Called with each better solution, not validated, from a thread of the solver.

    Returns
    -------
    int
        Bytes below which no schedule exists that is as short as the hint; at least ``bound``.
    """
    built = build_model(instance, hint, every_residency=minimise == "sram")
    unit = _set_objective(built, hint, minimise, bound)
    listener = _Listener(built, unit, bound, on_schedule)
    solver = new_solver(time_limit, workers, seed)
    status = run_solver(solver, built.model, listener, should_stop)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        listener.note_bound(solver.best_objective_bound)
    return listener.bound


def _set_objective(built: ExactModel, hint: Schedule, minimise: str, bound: int) -> int:
    """Minimise bytes over a unit that divides all sizes; returns the unit."""
    model, variables, instance = built.model, built.variables, built.scope.instance
    size = {t: int(instance.tensor_bytes[t]) for t in variables.slots}
    unit = math.gcd(*size.values()) or 1
    if minimise == "dram":
        terms = [
            (move.present, size[t] // unit)
            for t, slots in variables.slots.items()
            for slot in slots
            for move in moves_of(slot)
        ]
        model.minimize(cp_model.LinearExpr.weighted_sum(*zip(*terms, strict=True)) if terms else 0)
        return unit
    most = hint.peak_memory_bytes(instance.tensor_bytes, built.scope.memory) // unit
    peak = model.new_int_var(min(-(-bound // unit), most), most, "")
    residencies = [(slot.interval, size[t] // unit) for t, slots in variables.slots.items() for slot in slots]
    if residencies:
        model.add_cumulative(*zip(*residencies, strict=True), peak)
    model.add_hint(peak, most)
    model.minimize(peak)
    return unit


class _Listener(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
    """Passes on every solution, and keeps the bound if the model is complete."""

    def __init__(self, built: ExactModel, unit: int, bound: int, on_schedule: Callable[[Schedule], object]):
        super().__init__()
        self.built = built
        self.unit = unit
        self.bound = bound
        self.error: BaseException | None = None
        self._on_schedule = on_schedule

    def on_solution_callback(self) -> None:
        try:
            self._on_schedule(self.built.schedule(self.value))
        except BaseException as error:
            self.error = error
            self.stop_search()

    def note_bound(self, scaled: float) -> None:
        """A bound that CP-SAT proved for the model, in units of bytes."""
        if self.built.complete and math.isfinite(scaled):
            self.bound = max(self.bound, math.ceil(scaled - 1e-6) * self.unit)
