"""What a search for a tiling looks at: a tiling, and a way to lay out its tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ssmopt.heuristics.base import Plan
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling


class Variant(Protocol):
    """A way to lay out the tiles of a block."""

    def plan(self, instance: Instance) -> Plan:
        """The order and the policy for an instance."""

    def immediate(self) -> Variant:
        """The same without stores that wait for the very end."""

    def describe(self) -> str:
        """In a few words."""


class TilingPoint(Protocol):
    """What stands for a tiling in a search."""

    @property
    def tokens(self) -> int:
        """Tokens per tile."""

    @property
    def loop_order(self) -> str:
        """As in `ssmopt.tiling.Tiling`."""

    def tiling(self, problem: Problem) -> Tiling:
        """The tiling."""


@dataclass(frozen=True)
class TilingChoice:
    """A tiling, and how it was found.

    Attributes
    ----------
    tiling
        The choice.
    variant
        The order and policy with which it was decoded.
    makespan
        Estimated makespan in cycles: decoded, or extrapolated for long prompts.
    candidates
        How many pairs of a tiling and an order were looked at.
    """

    tiling: Tiling
    variant: Variant
    makespan: int
    candidates: int

    def describe(self) -> str:
        """How it was found, in one line."""
        return f"tiling: shortest decoded of {self.candidates:,} candidates, {self.variant.describe()}"


@dataclass(frozen=True)
class Candidate:
    """A tiling, and the order and policy that it is decoded with."""

    point: TilingPoint
    variant: Variant
