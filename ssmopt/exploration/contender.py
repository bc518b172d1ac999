"""One machine of an exploration, and what has been found for it so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from ssmopt.autotile.candidates import Candidate
from ssmopt.autotile.fitting import too_small
from ssmopt.autotile.points import capacity_bytes
from ssmopt.bounds import best, lower_bounds
from ssmopt.decode import decode
from ssmopt.errors import CapacityError
from ssmopt.exploration.machine_search import GOOD_ENOUGH, MachineSearch
from ssmopt.exploration.result import Part, Row
from ssmopt.exploration.space import Machine
from ssmopt.heuristics.pipelined import PIPELINED
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.result import Bound, Result
from ssmopt.search import Search
from ssmopt.solve import run_solver
from ssmopt.start import Start
from ssmopt.stopping import Stop
from ssmopt.workload.needs import least_capacity
from ssmopt.workload.tiles import build_tiles

LONGEST = 8_192
"""Longer prompts are scheduled periodically by the ordinary solver, and not searched on."""

_FEW_TILES = 1_000
"""Of so few tiles every order is tried, not only the one that the search ends with."""


class Contender:
    """One machine, and what has been found for it so far."""

    def __init__(self, machine: Machine, model: Model, parts: tuple[Part, ...], stop: Stop):
        self.machine = machine
        self.parts = parts
        self.stop = stop
        hardware = machine.hardware
        self.problems = [
            Problem(f"{model.name}-{hardware.name}-L{part.seq_len}", model, hardware, part.seq_len) for part in parts
        ]
        self.bounds = [best(lower_bounds(problem)) for problem in self.problems]
        self.bound = sum(part.weight * bound.cycles for part, bound in zip(parts, self.bounds, strict=True))
        self.searches: dict[int, MachineSearch] = {}
        self.results: dict[int, Result] = {}
        self.error: CapacityError | None = None

    @property
    def makespan(self) -> int | None:
        """Cycles of the whole mix; None until every part of it has a schedule."""
        total = 0
        for part in self.parts:
            result = self.results.get(part.seq_len)
            if result is None or result.makespan is None:
                return None
            total += part.weight * result.makespan
        return total

    @property
    def exhausted(self) -> bool:
        """Whether searching on would find nothing more."""
        optimal = self.makespan is not None and self.makespan <= self.bound * GOOD_ENOUGH
        ended = [length not in self.searches or self.searches[length].exhausted for length in self.results]
        return optimal or (self.makespan is not None and all(ended))

    def candidate(self, seq_len: int) -> Candidate | None:
        """The best tiling and order for a prompt, if there is one."""
        search = self.searches.get(seq_len)
        return None if search is None else search.best

    def search(self, work: float, seeds: Callable[[int], Iterable[Candidate]], *, take: bool = True) -> None:
        """Search on for so many units of work, shared by the parts of the mix.

        Without ``take`` what is found is decoded in full only by the next search with it.
        """
        for part, problem, bound in zip(self.parts, self.problems, self.bounds, strict=True):
            try:
                self._search_part(part, problem, bound, work / len(self.parts), seeds(part.seq_len), take)
            except CapacityError as error:
                self.error = error
                return

    def _search_part(
        self, part: Part, problem: Problem, bound: Bound, work: float, seeds: Iterable[Candidate], take: bool
    ) -> None:
        length = part.seq_len
        if length > LONGEST:
            self._by_solver(problem, length, "auto", work)
            return
        search = self.searches.setdefault(length, MachineSearch(problem, bound.cycles, self.stop))
        if search.exhausted and (length in self.results or search.best is None):
            return
        before = search.makespan
        least = least_capacity(problem)
        if least.n_bytes > capacity_bytes(problem):
            raise too_small(problem, least, capacity_bytes(problem))
        try:
            search.go_on(work, seeds)
        except CapacityError:
            # The smallest memories take tilings that no such search looks at.
            self._by_solver(problem, length, PIPELINED.name, work)
            search.exhausted = True
            return
        better = search.makespan < before or not before or length not in self.results
        if take and search.best is not None and better:
            self._take(problem, length, search.best, bound)

    def _take(self, problem: Problem, length: int, candidate: Candidate, under_any: Bound) -> None:
        """Decode a candidate in full, and keep its schedule if it is valid and better."""
        instance = build_tiles(problem, candidate.point.tiling(problem))
        # Bounds of many tiles alone take as long as their schedule, and nothing here asks for them.
        few = instance.n_tiles <= _FEW_TILES
        search = Search(instance, PIPELINED.name, self.stop, None, bounds=None if few else (under_any, under_any))
        search.offer(decode(instance, *candidate.variant.plan(instance), solver=PIPELINED.name), PIPELINED.name)
        if few:
            search.construct([PIPELINED])
        self._keep(length, search.result())

    def _by_solver(self, problem: Problem, length: int, solver: str, work: float) -> None:
        """Solve a part by an ordinary solver, once."""
        if length in self.results:
            return
        with Stop(self.stop.remaining, work) as own:
            own.signal = self.stop.signal
            result = run_solver(
                problem, own, tiling=None, any_tiling=True, solver=solver, workers=1, seed=0, on_progress=None
            )
        self.stop.signal = own.signal
        self.stop.spend(own.work)
        self._keep(length, result)

    def improve(self, length: int, workers: int, seed: int) -> None:
        """Improve the schedule of a part by the exact model, from the best one on, with what is left of the budget."""
        known = self.results[length]
        if known.schedule is None or known.instance.problem is None:
            return
        result = run_solver(
            known.instance.problem, self.stop, tiling=known.instance.tiling, any_tiling=False, solver="cpsat",
            workers=workers, seed=seed, on_progress=None, start=Start(known.instance, known.schedule),
        )  # fmt: skip
        self._keep(length, dataclasses.replace(result, note=""))

    def _keep(self, length: int, result: Result) -> None:
        known = self.results.get(length)
        if result.makespan is not None and (known is None or result.makespan < (known.makespan or 0)):
            self.results[length] = result

    def row(self, state: str) -> Row:
        """The machine as the outcome shows it; without results unless all parts have one."""
        results = [self.results[p.seq_len] for p in self.parts] if self.makespan is not None else []
        return Row(self.machine, state, self.bound, tuple(results), tuple(part.weight for part in self.parts))
