"""Where a stretch search stands, and the solving of one stretch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from ortools.sat.python import cp_model

from ssmopt.cpsat.plan import Plan, plan_of, schedule_of, schedule_times
from ssmopt.cpsat.scope import Scope
from ssmopt.cpsat.search import new_solver, run_solver
from ssmopt.cpsat.stretch import StretchModel
from ssmopt.cpsat.timeline import Outline, Stretch
from ssmopt.csr import IntArray
from ssmopt.decode import decode_work
from ssmopt.errors import SsmoptError
from ssmopt.instance import Instance
from ssmopt.neighbourhood.layout import Layout
from ssmopt.schedule import Schedule

_MOST_WAITED = 64
"""Tensors that a stretch may be laid around because many tiles wait for them."""


@dataclass(frozen=True)
class Budget:
    """What one stretch may take.

    Attributes
    ----------
    seconds, work
        Wall seconds, asked anew for each stretch, and CP-SAT's deterministic time.
    workers, seed
        Stretches that are solved side by side, and CP-SAT's seed.
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
    waited
        For the tensors with most readers: when the last tile that writes it ends, and how many wait for that.
    """

    layout: Layout
    starts: IntArray
    tile_start: IntArray
    idle: tuple[tuple[int, int], ...]
    again: tuple[tuple[int, int], ...]
    waited: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Answer:
    """What a stretch gave.

    Attributes
    ----------
    gain, kept
        Units of time, and tensors that are kept instead of loaded again.
    finished
        Whether CP-SAT proved that there is no more.
    taken
        Whether the plan has changed to it.
    """

    gain: int
    kept: int
    finished: bool
    taken: bool = False


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
        self._take(plan_of(self.scope, start))

    def _take(self, plan: Plan) -> None:
        self.plan = plan
        self.outline = Outline.of(self.scope, plan)
        self._view: View | None = None

    @property
    def makespan(self) -> int:
        """Cycles."""
        return self.outline.makespan * self.scope.scale

    def schedule(self) -> Schedule:
        """The schedule of the plan."""
        return schedule_of(self.scope, self.plan)

    def improve(self, stretches: Sequence[Stretch]) -> list[Answer]:
        """Solve stretches side by side, each from the plan as it is, and take the best of what comes out.

        The makespan never grows, nor does the number of loads. Of several answers with a gain only one is taken, since
        each moves what the others rely on.
        """
        built = [StretchModel(self.scope, self.plan, stretch, self.outline) for stretch in stretches]
        seconds = self.budget.seconds()
        solvers = [new_solver(seconds, 1, self.budget.seed, self.budget.work) for _ in built]
        if len(built) == 1:
            answers = [self._solve(built[0], solvers[0])]
        else:
            with ThreadPoolExecutor(len(built)) as pool:
                answers = list(pool.map(self._solve, built, solvers))
        for solver in solvers:
            self.budget.spend(solver.response_proto.deterministic_time, decode_work(self.instance))
        best = max(range(len(built)), key=lambda i: (answers[i].gain, answers[i].kept, -i))
        taken = answers[best].gain > 0 or answers[best].kept > 0
        if taken:
            self._take(built[best].plan_from(solvers[best]))
        return [replace(answer, taken=taken and i == best) for i, answer in enumerate(answers)]

    def _solve(self, built: StretchModel, solver: cp_model.CpSolver) -> Answer:
        status = run_solver(solver, built.model, _Quiet(), self.budget.should_stop)
        if status in (cp_model.MODEL_INVALID, cp_model.INFEASIBLE):
            raise SsmoptError("CP-SAT rejects a stretch of a feasible schedule")
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return Answer(0, 0, finished=False)
        kept = sum(int(solver.value(kept)) for kept in built.keep.values())
        return Answer(int(solver.value(built.gain)), kept, status == cp_model.OPTIMAL)

    def view(self, layout: Layout) -> View:
        """What the choice of the next stretch may look at."""
        if self._view is None:
            self._view = self._look(layout)
        return self._view

    def _look(self, layout: Layout) -> View:
        plan, outline = self.plan, self.outline
        group = np.array(plan.group, dtype=np.int64)
        moved = [plan.slots[t][k].load if load else plan.slots[t][k].store for (t, k), load in outline.moves]
        channel = np.array([-1 if move is None else move.channel for move in moved], dtype=np.int64)
        machines = [(outline.start[group == g], outline.end[group == g]) for g in np.unique(group)]
        machines += [(outline.move_start[channel == c], outline.move_end[channel == c]) for c in np.unique(channel)]
        starts, ends = max(machines, key=lambda times: int((times[1] - times[0]).sum()))
        again = []
        for i, (tensor, k) in enumerate(outline.places):
            load = plan.slots[tensor][k].load
            if k and load is not None:
                again.append((int(outline.slot_end[i - 1]), load.start))
        return View(
            layout=layout,
            starts=np.sort(np.concatenate([outline.start, outline.move_start])),
            tile_start=outline.start,
            idle=_idle(sorted(zip(starts.tolist(), ends.tolist(), strict=True))),
            again=tuple(again),
            waited=self._waited(),
        )

    def _waited(self) -> tuple[tuple[int, int], ...]:
        readers = [len(tiles) for tiles in self.scope.readers]
        made = [t for t, tiles in enumerate(self.scope.writers) if tiles and readers[t]]
        most = sorted(made, key=lambda t: (-readers[t], t))[:_MOST_WAITED]
        return tuple((max(self.plan.end[tile] for tile in self.scope.writers[t]), readers[t]) for t in most)


def _idle(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Begin and length of the times that no span covers."""
    found, until = [], 0
    for start, end in spans:
        if start > until:
            found.append((until, start - until))
        until = max(until, end)
    return tuple(found)
