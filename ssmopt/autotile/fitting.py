"""The coarsest tiling that can be found whose every tile fits a capacity."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from ssmopt.errors import CapacityError
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.cuts import projection_tiling
from ssmopt.workload.graph import problem_graph, projection_shapes
from ssmopt.workload.needs import Need, count_pieces, finest_tiling, largest_need, least_capacity
from ssmopt.workload.operators import Operator
from ssmopt.workload.tiles import count_tiles

_MOST_TILES = 200_000
"""Tilings of more tiles than this are not scheduled: tiny tiles move so often that they take minutes and many GiB."""

_MOST_TILES_PER_TOKEN = 200
"""Unless the prompt is so long that this many per token are more."""

_TOKENS = 256
"""Tokens per tile before anything is cut; longer ones make tiles of tokens and weights less square."""

_HALVINGS = 4
"""How often the step from a capacity that takes too many tiles to one that does not is halved."""


_SHARES = (1, 2, 4)
"""Tilings whose every tile takes at most the whole SRAM, a half or a quarter: what is left is room for prefetching."""


def least_practical_capacity(problem: Problem) -> tuple[int, Tiling]:
    """The smallest capacity in bytes, from `least_capacity` on, for which a tiling of few enough tiles is found."""
    low = high = max(1, least_capacity(problem).n_bytes)
    while (tiling := _tiling_of_few(problem, high)) is None:
        low, high = high, 2 * high
    for _ in range(_HALVINGS if low < high else 0):
        middle = (low + high) // 2
        finer = _tiling_of_few(problem, middle)
        if finer is None:
            low = middle
        else:
            high, tiling = middle, finer
    return high, tiling


def _tiling_of_few(problem: Problem, capacity: int) -> Tiling | None:
    try:
        tiling = tiling_that_fits(problem, capacity)
    except CapacityError:
        return None
    return tiling if count_tiles(problem, tiling) <= most_tiles(problem) else None


def most_tiles(problem: Problem) -> int:
    """Tiles that a tiling may have to be scheduled."""
    return max(_MOST_TILES, _MOST_TILES_PER_TOKEN * problem.seq_len)


def tiling_that_fits(problem: Problem, capacity: int) -> Tiling:
    """A coarse tiling whose every tile needs at most so many bytes.

    Everything begins uncut. As long as some operator has a tile that needs more, its tiles are cut along the dimension
    that makes them need less for the fewest tiles more. Nothing needs less than with the finest tiling; so this ends.

    Parameters
    ----------
    problem
        What is to be tiled.
    capacity
        Bytes.

    Raises
    ------
    CapacityError
        Under every tiling some tile needs more.
    """
    least = least_capacity(problem)
    if least.n_bytes > capacity:
        raise too_small(problem, least, capacity)
    fitted = [_Fitting(problem, capacity, scan) for scan in (True, False)]
    found = [fitting for fitting in fitted if fitting.run()]
    if not found:  # The state before a scan is not part of the bound where it may be zero.
        raise too_small(problem, min((f.least for f in fitted), key=lambda need: need.n_bytes), capacity)
    return min(found, key=lambda fitting: fitting.n_tiles).tiling


def coarse_tilings(problem: Problem) -> list[Tiling]:
    """Tilings with few tiles whose every tile fits the whole SRAM, a half or a quarter of it.

    They depend on no search, and so do baselines on them not either. Several may be the same.

    Raises
    ------
    CapacityError
        Under every tiling some tile does not fit.
    """
    capacity = max(memory.capacity for memory in problem.hardware.memories)
    found: list[Tiling] = []
    for share in _SHARES:
        try:
            tiling = tiling_that_fits(problem, capacity // share)
        except CapacityError:
            if not found:
                raise
            break
        found.append(tiling)
    return found


def too_small(problem: Problem, least: Need, capacity: int) -> CapacityError:
    """The error for a memory in which not even the smallest tiles of a problem fit."""
    parts = " + ".join(f"{name} {n_bytes:,}" for name, n_bytes in least.parts.items())
    return CapacityError(
        f"tile {least.operator!r} needs {least.n_bytes:,} bytes at once under every tiling ({parts}), but the memory "
        f"of {problem.name!r} holds {capacity:,} bytes: the smallest capacity is {least.n_bytes:,} bytes",
        tile=least.operator,
        need_bytes=least.n_bytes,
        capacity_bytes=capacity,
    )


class _Fitting:
    """A tiling that becomes finer until every tile fits."""

    def __init__(self, problem: Problem, capacity: int, scan: bool):
        self.problem = problem
        self.capacity = capacity
        self.graph = problem_graph(problem, scan=scan)
        self.finest = finest_tiling(problem, scan=scan)
        self._needs: dict[tuple[object, ...], int] = {}
        self._counts: dict[tuple[object, ...], int] = {}
        length = problem.seq_len
        tokens = min(length, _TOKENS)
        self.tiling = Tiling(
            tokens=tokens,
            norm_tokens=tokens,
            state_tokens=tokens,
            scan=scan,
            projections={name: projection_tiling(Tiling(), name) for name in projection_shapes(problem)},
        )

    @property
    def least(self) -> Need:
        """What the finest tiling needs."""
        needs = (largest_need(self.graph, operator, self.finest) for operator in self.graph.operators)
        return max(needs, key=lambda need: need.n_bytes)

    @property
    def n_tiles(self) -> int:
        """Number of tiles of all operators."""
        return self._count(self.tiling)

    def _count(self, tiling: Tiling) -> int:
        return sum(self._pieces(operator, tiling) for operator in self.graph.operators)

    def _pieces(self, operator: Operator, tiling: Tiling) -> int:
        """Number of tiles of an operator; most refinements leave most operators as they are."""
        key = _own_cuts(operator, tiling)
        if key not in self._counts:
            self._counts[key] = count_pieces(operator, tiling)
        return self._counts[key]

    def _need(self, operator: Operator, tiling: Tiling) -> int:
        """Bytes that the largest tile of an operator needs."""
        key = _own_cuts(operator, tiling)
        if key not in self._needs:
            self._needs[key] = largest_need(self.graph, operator, tiling).n_bytes
        return self._needs[key]

    def run(self) -> bool:
        """Refine until every tile fits; whether that is possible."""
        for operator in self.graph.operators:
            while (need := self._need(operator, self.tiling)) > self.capacity:
                finer = list(_finer(self.tiling, self.finest))
                if not finer:
                    return False
                gains = [math.log(need / self._need(operator, tiling)) for tiling in finer]
                # Where only several cuts together help, the cheapest comes first.
                helpful = [i for i, gain in enumerate(gains) if gain > 0] or range(len(finer))
                before = self.n_tiles
                self.tiling = finer[
                    min(helpful, key=lambda i: math.log(self._count(finer[i]) / before) / (max(gains[i], 0) or 1))
                ]
        return True


def _own_cuts(operator: Operator, tiling: Tiling) -> tuple[object, ...]:
    """Everything of a tiling that the tiles of an operator may depend on (see `ssmopt.workload.cuts`)."""
    projection = "out_proj" if operator.name == "residual" else operator.name
    return (
        operator.name,
        tiling.tokens,
        tiling.norm_tokens,
        tiling.state_tokens,
        tiling.channel_splits,
        tiling.state_splits,
        tiling.projections.get(projection),
    )


def _finer(tiling: Tiling, finest: Tiling) -> Iterator[Tiling]:
    """Tilings with one of the cuts about twice as fine."""
    for name in ("tokens", "norm_tokens", "state_tokens"):
        tokens = getattr(tiling, name)
        if tokens > 1:
            yield dataclasses.replace(tiling, **{name: -(-tokens // 2)})
    for name in ("channel_splits", "state_splits"):
        pieces = getattr(tiling, name)
        if pieces < getattr(finest, name):
            yield dataclasses.replace(tiling, **{name: min(2 * pieces, getattr(finest, name))})
    for name, cut in tiling.projections.items():
        for field in ("columns", "reduction"):
            pieces, most = getattr(cut, field), getattr(finest.projections[name], field)
            if pieces < most:
                finer = dataclasses.replace(cut, **{field: min(2 * pieces, most)})
                yield dataclasses.replace(tiling, projections={**tiling.projections, name: finer})
