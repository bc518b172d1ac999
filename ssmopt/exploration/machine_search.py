"""The search for a schedule of one prompt on one machine, which can go on later from where it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ssmopt.autotile.candidates import Candidate
from ssmopt.autotile.points import Point, capacity_bytes, core_for, state_tensors, steps_of
from ssmopt.autotile.search import Cost, TilingSearch
from ssmopt.errors import CapacityError
from ssmopt.heuristics.fuse_block import BlockVariant
from ssmopt.heuristics.pipelined import FIRST_ROOM
from ssmopt.heuristics.places import BlockOrder
from ssmopt.problem import Problem
from ssmopt.stopping import Stop

_ORDERS = (BlockOrder("late", "late"), BlockOrder("early", "late"), BlockOrder("late", "along"))
"""Orders that even token tiles are tried with first."""

_MOST_PARTS = 8
"""Into so many equal token tiles a prompt is cut at most, beyond those that the memory asks for."""

_STATE_TOKENS = (4, 2, 1)

_FEW_TILES = 1_000
"""With so few tiles a candidate takes next to no time."""

_BUILDING = 0.01
"""Units of work that making the tiles of a candidate counts for, whatever their number."""

GOOD_ENOUGH = 1.0005
"""Within this factor of its bound a machine is not searched any further: others may still gain much more."""


class MachineSearch(TilingSearch):
    """A search for tilings and orders with an allowance of work that can be raised.

    Parameters
    ----------
    problem
        One prompt on one machine.
    floor
        Its lower bound, in cycles.
    stop
        Ends every search, and is told about the work.
    """

    def __init__(self, problem: Problem, floor: int, stop: Stop):
        super().__init__(problem, floor, lambda _: self.is_late(), None, self._work_done)
        self.stop = stop
        self.work = 0.0
        self.allowed = 0.0
        self.exhausted = False
        self._rejected: dict[Candidate, Cost] = {}
        self._even = even_starts(problem)
        self._more = self._other_starts()
        self._is_begun = False

    def is_late(self) -> bool:
        """Whether the allowance is used up, or everything has to end."""
        return self.work >= self.allowed or self.stop() or self.is_good_enough()

    def is_good_enough(self) -> bool:
        """Whether so little is left to gain that it is worth no work."""
        return self.best is not None and self.makespan <= self.floor * GOOD_ENOUGH

    def go_on(self, work: float, seeds: Iterable[Candidate] = ()) -> None:
        """Search on for so many more units of work; the first time until anything is found.

        Parameters
        ----------
        work
            Units of work (see `ssmopt.stopping.Stop`).
        seeds
            What suits similar machines.

        Raises
        ------
        CapacityError
            Nothing that was tried fits the memory.
        """
        self.allowed = self.work + work
        self.spent = 0  # The allowance takes the place of the budget of an ordinary search.
        for seed in seeds:
            if self.finished:
                return
            self._try(seed)
        for start in self._even:
            self._try(start)
            if self.finished:
                return
        if self.best is None:
            next(self._more)
        elif not self._is_begun and self._is_small():
            self._next_start()
        self._is_begun = True
        while not self.finished:
            assert self.best is not None
            self.descend(self.best)
            another = None if self.finished else self._next_start()
            if another is None:
                self.exhausted = not self.finished or self.is_good_enough()
                return
            self.descend(another)

    def _try(self, candidate: Candidate) -> None:
        self.cost_of(candidate, None if self.best is None else (2 * self.makespan, 0))

    def _next_start(self) -> Candidate | None:
        """One more ordinary starting point; None if there is none, or none fits where others do."""
        try:
            return next(self._more, None)
        except CapacityError:
            return None

    def _is_small(self) -> bool:
        """Whether candidates are so small that the ordinary starting points, which are many, take little time."""
        return self.tiles <= _FEW_TILES

    def cost_of(self, candidate: Candidate, limit: Cost | None) -> Cost | None:
        """As for any search; what was too slow before is not decoded again."""
        known = self._rejected.get(candidate)
        if known is not None and limit is not None and limit <= known:
            return None
        if candidate not in self.known:
            self._work_done(_BUILDING)
        cost = super().cost_of(candidate, limit)
        if cost is None and limit is not None:
            self._rejected[candidate] = limit
        return cost

    def _other_starts(self) -> Iterator[Candidate]:
        yield from self.starts()
        yield from self.starts_for_less_memory()

    def _work_done(self, work: float) -> None:
        self.work += work
        self.stop.spend(work)


def even_starts(problem: Problem) -> Iterator[Candidate]:
    """Starting points with as few equal token tiles as the memory allows, and channels that fill the array.

    Weights are loaded once per token tile, so that few of them keep the traffic low where the memory holds no more than
    what a projection reads or sums up. A piece of channels is what the array takes in a pass, or less.
    """
    row = problem.model.d_model * problem.dtype.activations * problem.batch
    capacity, core = capacity_bytes(problem), core_for(problem, "elementwise")
    least = max(1, -(-problem.seq_len * row * 8 // (7 * capacity)))
    width = problem.model.n_heads or problem.model.d_inner
    passes = -(-problem.model.d_inner * problem.model.d_state // (core.rows * core.columns))
    for parts in dict.fromkeys((least, least + 1, 2 * least, min(2 * least + 1, least + _MOST_PARTS))):
        tokens = -(-problem.seq_len // parts)
        if parts > problem.seq_len:
            return
        room = max(capacity - tokens * row, capacity // 8)
        state_tokens = next(
            (t for t in _STATE_TOKENS if t <= tokens and _state_bytes(problem, t, passes) <= room // 2), 1
        )
        fitting = -(-_state_bytes(problem, state_tokens, 1) * 2 // room)
        steps = steps_of(problem, "channels")
        channels = next((s for s in steps if s >= max(passes, fitting, core.count)), min(steps[-1], width))
        norm = max(1, min(tokens, 32, room // (4 * row)))
        weights = problem.model.d_model * problem.model.d_inner * problem.dtype.weights
        columns = _at_least(problem, "in_columns", channels)
        reduction = _at_least(problem, "in_reduction", -(-weights * 8 // (room * columns)), norm)
        sums = _at_least(problem, "out_reduction", max(channels, -(-weights * 8 // room)))
        point = Point("tokens", tokens, norm, state_tokens, channels, columns, reduction, 1, sums)
        for order in _ORDERS if parts == least else _ORDERS[:1]:
            yield Candidate(point, BlockVariant(order, *FIRST_ROOM))


def _state_bytes(problem: Problem, tokens: int, pieces: int) -> int:
    """Bytes of the tensors of a step of the state update on one piece of the channels."""
    model = problem.model
    n_bytes = problem.dtype.activations
    return state_tensors(problem) * tokens * model.d_inner * model.d_state * n_bytes // pieces


def _at_least(problem: Problem, axis: str, pieces: int, norm_tokens: int = 1) -> int:
    steps = steps_of(problem, axis, norm_tokens)
    return next((step for step in steps if step >= pieces), steps[-1])
