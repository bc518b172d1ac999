"""The search for the tiling and the order whose periodic schedule is shortest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ssmopt.autotile.points import Point
from ssmopt.autotile.search import Candidate, Cost, TilingSearch, period_tokens
from ssmopt.folding.plan import ROUNDS, PeriodicVariant, fold_short, short_tokens
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling


class PeriodicSearch(TilingSearch):
    """Candidates are decoded for a few rounds only, so that the cost does not depend on the prompt's length."""

    def __init__(
        self,
        problem: Problem,
        floor: int,
        should_stop: Callable[[int], bool] | None,
        on_candidate: Callable[[int, int], None] | None,
    ):
        super().__init__(problem, floor, should_stop, on_candidate)
        self.few_tiles = self.max_tiles = 1 << 62

    def _admits(self, point: Point) -> bool:
        return point.loop_order == "tokens" and self._decoded_tokens(point) <= self.problem.seq_len

    def _decoded_tokens(self, point: Point) -> int:
        return short_tokens(self.problem, period_tokens(self.problem, point), ROUNDS)

    def _estimate(self, instance: Instance, candidate: Candidate, limit: Cost | None) -> int | None:
        del limit
        self.spent += instance.n_tiles + len(instance.inputs.indices) + len(instance.writes.indices)
        tiling = candidate.point.tiling(self.problem)
        folded = fold_short(self.problem, tiling, instance, PeriodicVariant(candidate.variant))
        return None if folded is None else folded.makespan


@dataclass(frozen=True)
class PeriodicChoice:
    """A tiling, the order and policy that it is decoded with, and how many pairs were looked at."""

    tiling: Tiling
    variant: PeriodicVariant
    candidates: int


def search_periodic(
    problem: Problem,
    floor: int,
    *,
    should_stop: Callable[[int], bool] | None = None,
    on_candidate: Callable[[int, int], None] | None = None,
) -> PeriodicChoice:
    """Search tilings and depth-first orders, coordinate by coordinate, by the makespan of their periodic schedules.

    Parameters
    ----------
    problem, should_stop, on_candidate
        As for `ssmopt.autotile.search.search_tilings`.
    floor
        Cycles below which nothing can be.

    Raises
    ------
    CapacityError
        No candidate fits the memory.
    """
    search = PeriodicSearch(problem, floor, should_stop, on_candidate)
    best = search.run()
    return PeriodicChoice(best.point.tiling(problem), PeriodicVariant(best.variant), search.tried)
