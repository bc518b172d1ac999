"""Where a stretch search stands, and the solving of one stretch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from ssmopt.cpsat.hint import makespan_of_plan
from ssmopt.cpsat.plan import plan_of, schedule_of, schedule_times
from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.search import new_solver, run_solver
from ssmopt.cpsat.stretch import Stretch, StretchModel
from ssmopt.csr import IntArray
from ssmopt.decode import decode_work
from ssmopt.errors import SsmoptError
from ssmopt.instance import Instance
from ssmopt.neighbourhood.layout import Layout
from ssmopt.schedule import Schedule


@dataclass(frozen=True)
class Budget:
    """What one stretch may take.

    Attributes
    ----------
    seconds, work
        Wall seconds (the second is asked anew for each stretch), and CP-SAT's deterministic time.
    workers, seed
        Threads of CP-SAT, and its seed.
    spend
        Told about CP-SAT's deterministic time, and about units of other work.
    should_stop
        Asked about twenty times a second.
    """

    seconds: Callable[[], float]
    work: float
    workers: int
    seed: int
    spend: Callable[[float, float], None]
    should_stop: Callable[[], bool]


@dataclass(frozen=True, eq=False)
class View:
    """What the choice of a stretch may look at; times in units of the plan.

    Attributes
    ----------
    layout
        Classes and channels of tiles.
    starts
        Starts of all tiles and transfers, ascending.
    tile_start
        Per tile.
    idle
        Begin and length of the times at which the busiest core or channel does nothing.
    again
        For each load of something that was there before: when that ended, and when the load starts.
    """

    layout: Layout
    starts: IntArray
    tile_start: IntArray
    idle: tuple[tuple[int, int], ...]
    again: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Answer:
    """What a stretch gave: cycles (of the plan), tensors that are kept now, and whether CP-SAT was sure of it."""

    gain: int
    kept: int
    finished: bool


class _Quiet(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
    """Listens to nothing: only the last solution counts."""

    error: BaseException | None = None

    def on_solution_callback(self) -> None:
        """Nothing to do."""

    def note_bound(self, scaled: float) -> None:
        """Nothing to do."""


class StretchSolver:
    """A plan that stretches change, one after another."""

    def __init__(self, instance: Instance, start: Schedule, budget: Budget):
        self.instance = instance
        self.budget = budget
        self.scope = Scope.of(instance).scaled(schedule_times(start))
        self.plan = plan_of(self.scope, start)

    @property
    def makespan(self) -> int:
        """Cycles."""
        return makespan_of_plan(self.scope, self.plan) * self.scope.scale

    def schedule(self) -> Schedule:
        """The schedule of the plan."""
        return schedule_of(self.scope, self.plan)

    def improve(self, stretch: Stretch) -> Answer:
        """Solve a stretch, and take what comes out: the makespan never grows, nor does the number of loads."""
        built = StretchModel(self.scope, self.plan, stretch)
        solver = new_solver(self.budget.seconds(), self.budget.workers, self.budget.seed, self.budget.work)
        status = run_solver(solver, built.model, _Quiet(), self.budget.should_stop)
        self.budget.spend(solver.response_proto.deterministic_time, decode_work(self.instance))
        if status in (cp_model.MODEL_INVALID, cp_model.INFEASIBLE):
            raise SsmoptError("CP-SAT rejects a stretch of a feasible schedule")
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return Answer(0, 0, False)
        before = self.makespan
        self.plan = built.plan_from(solver)
        kept = sum(solver.value(kept) for kept in built.keep.values())
        return Answer(before - self.makespan, kept, status == cp_model.OPTIMAL)

    def view(self, layout: Layout) -> View:
        """What the choice of the next stretch may look at."""
        plan, scope = self.plan, self.scope
        busy: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for start, end, group in zip(plan.start, plan.end, plan.group, strict=True):
            busy.setdefault(("group", group), []).append((start, end))
        starts, again = list(plan.start), []
        for tensor, slots in plan.slots.items():
            for k, slot in enumerate(slots):
                for move in (slot.load, slot.store):
                    if move is not None:
                        starts.append(move.start)
                        cycles = scope.transfer_cycles[tensor][move.channel]
                        busy.setdefault(("channel", move.channel), []).append((move.start, move.start + cycles))
                if k and slot.load is not None:
                    again.append((plan.slot_end(scope, tensor, slots[k - 1]), slot.load.start))
        most = max(busy.values(), key=lambda spans: sum(end - start for start, end in spans))
        return View(
            layout=layout,
            starts=np.sort(np.array(starts, dtype=np.int64)),
            tile_start=np.array(plan.start, dtype=np.int64),
            idle=_idle(sorted(most)),
            again=tuple(again),
        )


def _idle(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Begin and length of the times that no span covers."""
    found, until = [], 0
    for start, end in spans:
        if start > until:
            found.append((until, start - until))
        until = max(until, end)
    return tuple(found)
