"""Parameters of the neighbourhood search."""

from __future__ import annotations

from dataclasses import dataclass

FEW_TILES = 300
"""Up to so many tiles a decoding is so cheap that thousands are tried, from several beginnings."""


@dataclass(frozen=True)
class Parameters:
    """How neighbourhoods are chosen, how large they are, and what is accepted.

    The choice follows Ropke and Pisinger, "An adaptive large neighborhood search heuristic for the pickup and delivery
    problem with time windows", Transportation Science 40 (2006): roulette by weights that follow what each
    neighbourhood has brought lately. All neighbourhoods of one kind cost about the same here.

    Attributes
    ----------
    reward_best, reward_accepted
        What a new best schedule and an accepted one add to a neighbourhood's weight; others add nothing.
    reaction
        Share of the new reward in a weight, between 0 (never learns) and 1 (remembers only the last).
    least_weight
        No weight falls below this, so that every neighbourhood is tried again.
    threshold
        Schedules this much longer than the best are accepted at first, as a share of it; the threshold falls linearly
        to 0 as the budget is used up ("threshold accepting", Dueck and Scheuer 1990).
    patience
        After so many changes in a row without a new best schedule the search goes back to the best one.
    stretch, least_stretch, most_stretch
        Tiles and transfers that are free in a stretch: at first, at least and at most.
    growth
        Factor by which stretches grow after one that CP-SAT finishes, and shrink after one that it does not.
    stretch_work
        CP-SAT's deterministic time per stretch.
    stretch_share
        Share of the budget for stretches; the rest is for orders, which come first.
    """

    reward_best: float = 10.0
    reward_accepted: float = 1.0
    reaction: float = 0.1
    least_weight: float = 0.2
    threshold: float = 0.0005
    patience: int = 150
    stretch: int = 30
    least_stretch: int = 10
    most_stretch: int = 300
    growth: float = 1.15
    stretch_work: float = 0.05
    stretch_share: float = 0.5
