"""The neighbourhood search within the budget of a run."""

from __future__ import annotations

import random
from collections.abc import Callable

from ssmopt.instance import Instance
from ssmopt.neighbourhood.orders import OrderSearch
from ssmopt.neighbourhood.parameters import Parameters
from ssmopt.schedule import Schedule
from ssmopt.stopping import Stop


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
    """

    def __init__(
        self,
        instance: Instance,
        stop: Stop,
        *,
        seed: int = 0,
        target: int = 0,
        parameters: Parameters | None = None,
    ):
        self.instance = instance
        self.stop = stop
        self.target = target
        self.parameters = parameters or Parameters()
        self.rng = random.Random(seed)
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
        self.orders.run(start, lambda: (self.stop.used - begin) / max(1 - begin, 1e-9), better)
        return best
