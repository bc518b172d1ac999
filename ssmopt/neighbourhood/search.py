"""The neighbourhood search within the budget of a run."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from ssmopt.errors import InputError
from ssmopt.instance import Instance
from ssmopt.neighbourhood.descents import Descents
from ssmopt.neighbourhood.orders import OrderSearch, Tally
from ssmopt.neighbourhood.parameters import Parameters
from ssmopt.neighbourhood.tournament import Tournament
from ssmopt.schedule import Schedule
from ssmopt.stopping import DETERMINISTIC_TIME, Stop


class NeighbourhoodSearch:
    """Improves a schedule until a condition holds or a target is reached.

    Parameters
    ----------
    instance
        What is scheduled: at least two tiles.
    stop
        The budget. With a work limit, equal calls make equal searches.
    seed
        Seed of all choices.
    target
        A makespan that nothing beats; may rise.
    parameters
        See `Parameters`.
    workers
        Threads of CP-SAT.
    others
        More feasible schedules from which new orders are searched.
    descend_from
        Feasible schedules whose orders are tried with more memory than there is; see `Descents`.
    """

    def __init__(
        self,
        instance: Instance,
        stop: Stop,
        *,
        seed: int = 0,
        target: int = 0,
        parameters: Parameters | None = None,
        workers: int = 1,
        others: Sequence[Schedule] = (),
        descend_from: Sequence[Schedule] = (),
    ):
        self.instance = instance
        self.stop = stop
        self.seed = seed
        self.workers = workers
        self.target = target
        self.parameters = parameters or Parameters()
        self.rng = random.Random(seed)
        self.stretches: dict[str, Tally] = {}
        self.orders = Tournament([self._search(schedule, number) for number, schedule in enumerate(others)])
        self.descents: Descents | None = None
        if descend_from:
            self.descents = Descents(instance, self.parameters, stop.spend, seed, target, descend_from)
        self._order_is_next = True

    def _search(self, start: Schedule, number: int) -> OrderSearch:
        rng = random.Random(f"{self.seed} {number}")
        return OrderSearch(self.instance, self.parameters, rng, self.stop.spend, start, self.target)

    def run(self, start: Schedule, on_better: Callable[[Schedule], None], *, orders: bool = True) -> Schedule:
        """Search from a feasible schedule on; ``on_better`` gets each new best one, not validated.

        Without ``orders`` everything is left to stretches, where there can be any.
        """
        incumbent = _Incumbent(start, on_better)
        begin = self.stop.used

        def progress() -> float:
            return (self.stop.used - begin) / max(1 - begin, 1e-9)

        share = 1 - self.parameters.stretch_share
        self._include(start)
        if orders:
            while progress() < share and incumbent.best.makespan > self.target:
                self._try_orders(lambda: progress() / share, incumbent)
        self._stretches(progress, incumbent.best, incumbent.offer)
        return incumbent.best

    def step(self, start: Schedule, on_better: Callable[[Schedule], None]) -> None:
        """Try some new orders, from the best schedule so far or from others; the first step may take longer."""
        self._include(start)
        self._try_orders(lambda: self.stop.used, _Incumbent(start, on_better))

    def descend(self, start: Schedule, on_better: Callable[[Schedule], None], share: float, bound_only: bool) -> None:
        """Nothing but descents with a share of what is left, on demand only until the bound is reached or given up."""
        incumbent = _Incumbent(start, on_better)
        begin = self.stop.used

        def late() -> bool:
            return self.stop.used - begin >= share * (1 - begin)

        while self.descents is not None and not late() and incumbent.best.makespan > self.target:
            if bound_only and self.descents.bound_missed:
                return
            self._step_descents(self.descents, incumbent, late)

    def _try_orders(self, progress: Callable[[], float], incumbent: _Incumbent) -> None:
        """Order searches and descents take turns."""
        if self._order_is_next or self.descents is None:
            self.orders.step(progress, incumbent.offer)
        else:
            self._step_descents(self.descents, incumbent, lambda: progress() >= 1)
        self._order_is_next = not self._order_is_next

    def _step_descents(self, descents: Descents, incumbent: _Incumbent, should_stop: Callable[[], bool]) -> None:
        """The bound may have risen since the last step."""
        descents.bound = self.target
        descents.step(incumbent.best, should_stop, incumbent.offer)

    def _include(self, start: Schedule) -> None:
        """Search from a schedule, too, if it is better than all that is known."""
        # The decoder may not reach what a search begins from.
        if all(min(s.start.makespan, s.best.makespan) > start.makespan for s in self.orders.searches):
            self.orders.searches.append(self._search(start, len(self.orders.searches)))

    def _stretches(self, progress: Callable[[], float], best: Schedule, better: Callable[[Schedule], None]) -> None:
        """Solve parts of the best schedule anew, where tensors live in one memory."""
        if progress() >= 1 or best.makespan <= self.target:
            return
        # OR-Tools takes a while to import.
        from ssmopt.cpsat.scope import Scope
        from ssmopt.neighbourhood.solving import Budget
        from ssmopt.neighbourhood.stretches import StretchSearch

        try:
            Scope.of(self.instance)
        except InputError:
            return  # The exact model's parts know one memory only.
        budget = Budget(
            seconds=lambda: self.stop.remaining,
            work=self.parameters.stretch_work,
            workers=self.workers,
            seed=self.seed,
            spend=lambda deterministic, work: self.stop.spend(deterministic / DETERMINISTIC_TIME + work),
            should_stop=self.stop.late,
        )
        search = StretchSearch(self.instance, self.parameters, self.rng, budget, self.target)
        self.stretches = search.tallies
        search.run(best, progress, better)


class _Incumbent:
    """The best schedule so far; passes on what is better."""

    def __init__(self, start: Schedule, on_better: Callable[[Schedule], None]):
        self.best = start
        self._on_better = on_better

    def offer(self, schedule: Schedule) -> None:
        """Take a schedule if it is better."""
        if schedule.makespan < self.best.makespan:
            self.best = schedule
            self._on_better(schedule)
