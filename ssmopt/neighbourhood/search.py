"""The neighbourhood search within the budget of a run."""

from __future__ import annotations

import random
from collections.abc import Callable

from ssmopt.errors import InputError
from ssmopt.instance import Instance
from ssmopt.neighbourhood.orders import OrderSearch, Tally
from ssmopt.neighbourhood.parameters import Parameters
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
        A makespan that nothing beats.
    parameters
        See `Parameters`.
    workers
        Threads of CP-SAT.
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
    ):
        self.instance = instance
        self.stop = stop
        self.seed = seed
        self.workers = workers
        self.target = target
        self.parameters = parameters or Parameters()
        self.rng = random.Random(seed)
        self.stretches: dict[str, Tally] = {}
        self.orders = OrderSearch(instance, self.parameters, self.rng, stop.spend, target)

    def run(self, start: Schedule, on_better: Callable[[Schedule], None]) -> Schedule:
        """Search from a feasible schedule on; ``on_better`` gets each new best one, not validated."""
        best = start

        def better(schedule: Schedule) -> None:
            nonlocal best
            if schedule.makespan < best.makespan:
                best = schedule
                on_better(schedule)

        begin = self.stop.used

        def progress() -> float:
            return (self.stop.used - begin) / max(1 - begin, 1e-9)

        share = 1 - self.parameters.stretch_share
        self.orders.run(start, lambda: progress() / share, better)
        self._stretches(progress, best, better)
        return best

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
