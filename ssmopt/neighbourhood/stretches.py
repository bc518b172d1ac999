"""The stretch search: solve a part of the best schedule anew by CP-SAT, move what follows earlier, and go on."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ssmopt.cpsat.timeline import Stretch
from ssmopt.instance import Instance
from ssmopt.neighbourhood.layout import Layout
from ssmopt.neighbourhood.orders import SOLVER, Tally
from ssmopt.neighbourhood.parameters import Parameters
from ssmopt.neighbourhood.roulette import Roulette
from ssmopt.neighbourhood.solving import Budget, StretchSolver, View
from ssmopt.schedule import Schedule


@dataclass(frozen=True)
class Kind:
    """A way to choose a stretch: from what the search sees, for so many free tiles and transfers."""

    name: str
    summary: str
    choose: Callable[[View, random.Random, int], Stretch]


def _around(view: View, position: int, size: int) -> tuple[int, int]:
    """The stretch of so many starts around a position among them."""
    last = len(view.starts) - 1
    low = max(0, min(position - size // 2, last - size))
    high = min(last, low + size)
    return int(view.starts[low]), max(int(view.starts[high]), int(view.starts[low])) + 1


def _anywhere(view: View, rng: random.Random, size: int) -> Stretch:
    return Stretch(*_around(view, rng.randrange(len(view.starts)), size))


def _idle(view: View, rng: random.Random, size: int) -> Stretch:
    if not view.idle:
        return _anywhere(view, rng, size)
    begin, length = rng.choices(view.idle, [length for _, length in view.idle])[0]
    at = bisect_left(view.starts, begin + rng.randrange(length))
    return Stretch(*_around(view, min(at, len(view.starts) - 1) + rng.randrange(-size // 4, size // 4 + 1), size))


def _again(view: View, rng: random.Random, size: int) -> Stretch:
    """From the end of a residency to the load of the next, if that is not too far, and what is around."""
    if not view.again:
        return _anywhere(view, rng, size)
    for _ in range(20):
        ended, loaded = rng.choice(view.again)
        low, high = bisect_left(view.starts, ended), bisect_left(view.starts, loaded)
        if high - low < size:
            return Stretch(*_around(view, max(0, (low + high) // 2), size))
    return Stretch(*_around(view, high, size))


def _waited(view: View, rng: random.Random, size: int) -> Stretch:
    if not view.waited:
        return _anywhere(view, rng, size)
    time, _ = rng.choices(view.waited, [count for _, count in view.waited])[0]
    at = min(bisect_left(view.starts, time), len(view.starts) - 1)
    return Stretch(*_around(view, at + rng.randrange(-size // 2, size // 4 + 1), size))


def _transfers(view: View, rng: random.Random, size: int) -> Stretch:
    begin, end = _around(view, rng.randrange(len(view.starts)), 3 * size)
    return Stretch(begin, end, frozenset())


def _chunk(view: View, rng: random.Random, size: int) -> Stretch:
    """A longer stretch in which only the tiles of some channels, or of some operators, change places."""
    begin, end = _around(view, rng.randrange(len(view.starts)), 2 * size)
    inside = np.flatnonzero((view.tile_start >= begin) & (view.tile_start < end))
    groups = view.layout.channel if rng.random() < 0.5 else view.layout.tile_class
    known = np.unique(groups[inside]).tolist()
    chosen = rng.sample(known, max(1, len(known) // 3)) if known else []
    return Stretch(begin, end, frozenset(inside[np.isin(groups[inside], chosen)].tolist()))


KINDS = (
    Kind("anywhere", "a stretch of time", _anywhere),
    Kind("around-idle", "a stretch around idle time of the busiest core or channel", _idle),
    Kind("load-again", "a stretch in which something is dropped and loaded again", _again),
    Kind("waited-for", "a stretch around the end of what most tiles wait for", _waited),
    Kind("transfers", "the transfers of a longer stretch, the tiles in their order", _transfers),
    Kind("chunk", "some channels or operators of a longer stretch, the other tiles in their order", _chunk),
)
"""How stretches are chosen; all of them are solved by CP-SAT."""


@dataclass
class StretchSearch:
    """A search by stretches from one schedule on.

    Attributes
    ----------
    instance, parameters
        What is scheduled, and how the search goes.
    rng
        The only source of chance.
    budget
        What a stretch may take, and whom to tell.
    target
        No schedule is shorter than this: the search ends when it is reached.
    """

    instance: Instance
    parameters: Parameters
    rng: random.Random
    budget: Budget
    target: int = 0
    tallies: dict[str, Tally] = field(default_factory=lambda: {kind.name: Tally() for kind in KINDS})

    def run(self, start: Schedule, progress: Callable[[], float], on_better: Callable[[Schedule], None]) -> Schedule:
        """Search from a feasible schedule on; ``on_better`` gets each new best one, not validated.

        ``progress`` says how much of the budget is used up; the search ends at 1.
        """
        if progress() >= 1 or start.makespan <= self.target:
            return start
        solver = StretchSolver(self.instance, start, self.budget)
        best = start
        layout = Layout.of(self.instance)
        roulette = Roulette(KINDS, self.parameters, self.rng)
        sizes = [float(self.parameters.stretch)] * len(KINDS)
        while progress() < 1 and best.makespan > self.target:
            view = solver.view(layout)
            drawn = [roulette.draw() for _ in range(self.budget.workers)]
            most = len(view.starts) - 1
            stretches = [KINDS[k].choose(view, self.rng, min(round(sizes[k]), most)) for k in drawn]
            for k, answer in zip(drawn, solver.improve(stretches), strict=True):
                tally = self.tallies[KINDS[k].name]
                tally.tried += 1
                # Stretches grow while CP-SAT finishes them, and shrink when it does not.
                factor = self.parameters.growth if answer.finished else 1 / self.parameters.growth
                sizes[k] = min(max(sizes[k] * factor, self.parameters.least_stretch), self.parameters.most_stretch)
                if answer.gain > 0:
                    roulette.reward(k, self.parameters.reward_best)
                else:
                    roulette.reward(k, self.parameters.reward_accepted if answer.kept else 0.0)
                if answer.taken and answer.gain > 0:
                    tally.best += 1
                    tally.cycles += best.makespan - solver.makespan
                    best = replace(solver.schedule(), solver=SOLVER)
                    on_better(best)
                elif answer.taken and answer.kept:
                    tally.accepted += 1
        return best
