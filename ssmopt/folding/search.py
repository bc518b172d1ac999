"""The search for the tiling and the order whose periodic schedule is shortest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ssmopt.autotile.candidates import Candidate, TilingPoint
from ssmopt.autotile.points import Point, most_cores
from ssmopt.autotile.search import Cost, TilingSearch, period_tokens
from ssmopt.bounds import best, lower_bounds
from ssmopt.errors import CapacityError
from ssmopt.folding.plan import ROUNDS, PeriodicVariant, fold_short, short_tokens
from ssmopt.heuristics.fuse_block import BlockVariant
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling

_ROUND_TOKENS = (64, 128, 256, 512)
"""Tokens of the rounds that the search begins with on many cores."""

_MOST_DECODED = 200_000
"""Tiles of the rounds that are decoded for a candidate on many cores, which need many of them."""

_OF_ONE_ROUND = 12
"""Candidates that are tried for each of them."""


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
        if most_cores(problem) > 1:
            self.most_decoded, self.most_uses = _MOST_DECODED, 1 << 62

    def starts(self) -> list[Candidate]:
        """As for any prompt; with many cores, from what suits a prompt of one round, as candidates are costly there."""
        found = sorted(self._of_one_round()) if most_cores(self.problem) > 1 else []
        return [candidate for _, _, candidate in found] or super().starts()

    def _of_one_round(self) -> Iterator[tuple[Cost, int, Candidate]]:
        """The best of a few candidates for prompts of one round, repeated."""
        for tokens in _ROUND_TOKENS:
            if short_tokens(self.problem, tokens, ROUNDS) > self.problem.seq_len:
                return
            once = dataclasses.replace(self.problem, seq_len=tokens)
            search = TilingSearch(once, best(lower_bounds(once)).cycles, None, None)
            search.should_stop = lambda _, search=search: search.tried >= _OF_ONE_ROUND or self.finished
            try:
                found = search.run()
            except CapacityError:
                continue
            assert isinstance(found.point, Point)
            point = dataclasses.replace(found.point, loop_order="tokens", tokens=tokens)
            candidate = dataclasses.replace(found, point=point)
            cost = self.cost_of(candidate, None)
            if cost is not None:
                yield cost, tokens, candidate

    def _admits(self, point: TilingPoint) -> bool:
        return point.loop_order == "tokens" and self._decoded_tokens(point) <= self.problem.seq_len

    def _decoded_tokens(self, point: TilingPoint) -> int:
        return short_tokens(self.problem, period_tokens(self.problem, point), ROUNDS)

    def _estimate(self, instance: Instance, candidate: Candidate, limit: Cost | None) -> int | None:
        del limit
        self.spent += instance.n_tiles + len(instance.inputs.indices) + len(instance.writes.indices)
        tiling = candidate.point.tiling(self.problem)
        folded = fold_short(self.problem, tiling, instance, _periodic(candidate))
        return None if folded is None else folded.makespan


def _periodic(candidate: Candidate) -> PeriodicVariant:
    assert isinstance(candidate.variant, BlockVariant)
    return PeriodicVariant(candidate.variant)


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
    found = search.run()
    return PeriodicChoice(found.point.tiling(problem), _periodic(found), search.tried)
