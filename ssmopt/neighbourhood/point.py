"""Where an order search stands, and how a neighbourhood changes that."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.decode import Policy
from ssmopt.heuristics.base import Plan
from ssmopt.neighbourhood.layout import Layout, positions
from ssmopt.schedule import Schedule


@dataclass(frozen=True, eq=False)
class Point:
    """An order of tiles and a policy, and the schedule that the decoder makes of them."""

    order: IntArray
    policy: Policy
    schedule: Schedule

    @property
    def makespan(self) -> int:
        """Cycles."""
        return self.schedule.makespan


@dataclass(frozen=True)
class Neighbourhood:
    """A way to change an order or a policy a little.

    Attributes
    ----------
    name, summary
        Name, and what it does in one line.
    change
        From where the search stands to another order, which need not be topological yet, and policy.
    """

    name: str
    summary: str
    change: Callable[[Layout, Point, random.Random], Plan]


def moved(point: Point, chosen: npt.NDArray[np.bool_], by: npt.NDArray[np.floating[Any]] | float) -> Plan:
    """The chosen tiles moved by some positions, later if positive; ties keep their order."""
    place = positions(point.order)
    key = place.astype(np.float64)
    key[chosen] += by if isinstance(by, float) else by[chosen]
    return np.lexsort((place, key)), point.policy


def distance(rng: random.Random, most: float) -> float:
    """A number of positions, forwards or backwards, as likely between 1 and 10 as between 10 and 100; not whole."""
    return rng.choice((-1, 1)) * (length(rng, 1, most) + 0.5)


def length(rng: random.Random, least: float, most: float) -> int:
    """A whole number with an evenly distributed logarithm."""
    return round(math.exp(rng.uniform(math.log(least), math.log(max(least, most)))))


def window(rng: random.Random, n: int, least: int, most: int) -> tuple[int, int]:
    """First and last position plus one of a random stretch of positions."""
    size = min(n, length(rng, least, most))
    low = rng.randrange(n - size + 1)
    return low, low + size
