"""The search: coordinate by coordinate, within a budget of decoded tiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from ssmopt.autotile.candidates import Candidate, TilingChoice, TilingPoint, Variant
from ssmopt.autotile.fitting import too_small
from ssmopt.autotile.points import AXES, Point, capacity_bytes, neighbours
from ssmopt.autotile.starts import SHARES, first_points
from ssmopt.bounds import best, lower_bounds
from ssmopt.bounds.untiled import dram_bytes_per_cycle
from ssmopt.decode import decode_below, decode_work
from ssmopt.errors import CapacityError, InputError
from ssmopt.heuristics.fuse_block import ROOMS, BlockVariant
from ssmopt.heuristics.pipelined import FIRST_ORDERS, FIRST_ROOM, MORE_ROOM, OVERLAPPED, all_orders
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.workload.needs import least_capacity
from ssmopt.workload.tiles import build_tiles, count_tiles, one_layer

_WHOLE = 10_000
"""Candidates with at most so many tiles are decoded in full."""

_PERIODS = 3
"""Token tiles that are decoded of others; the rest is extrapolated from the last, so that cost does not grow."""

_MAX_DECODED = 60_000
"""Candidates with more tiles than this over those token tiles are left out."""

_MAX_TILES, _MAX_TILES_PER_TOKEN, _MOST_TILES = 60_000, 128, 200_000
"""Candidates with more tiles than this over the whole prompt are left out, as long as there are others: 128 per token,
but no fewer than the first number, and no more than the last."""

_MAX_USES = 600_000
"""Candidates whose tiles touch more pieces of tensors than this over those token tiles are left out, likewise."""

_BUDGET = 30_000_000
"""Tiles and touched pieces decoded in all: about half a minute on one core."""

_PROMISING = 1.25
"""Starting points whose transfers alone take this many times the best makespan so far are given up."""

_DESCENTS = 3
"""From so many of the starting points, best first, the search goes down as far as it can."""

_LESS_MEMORY = (2, 4)
"""It also begins where it would with a half and a quarter of the memory: what suits less may suit more."""


def search_tilings(
    problem: Problem,
    *,
    should_stop: Callable[[int], bool] | None = None,
    on_candidate: Callable[[int, int], None] | None = None,
    spend: Callable[[float], None] | None = None,
) -> TilingChoice:
    """Search tilings and depth-first orders, coordinate by coordinate, by the makespan of their decoded schedules.

    Of several layers two are decoded; the others are extrapolated.

    Parameters
    ----------
    problem
        What is to be tiled.
    should_stop
        Asked between candidates, with the number of tiles of the best so far; once it says yes, that is returned.
        Until then the choice is deterministic: the search ends by a budget of decoded tiles, not by the clock.
    on_candidate
        Called with the number of candidates tried and the best makespan so far, whenever that improves.
    spend
        Told about the work of each decoding, in the units of `ssmopt.stopping.Stop`.

    Raises
    ------
    CapacityError
        No candidate fits the memory.
    """
    floor = best(lower_bounds(problem)).cycles
    search = TilingSearch(problem, floor, should_stop, on_candidate, spend)
    found = search.run()
    return TilingChoice(found.point.tiling(problem), found.variant, search.makespan, search.tried)


Cost = tuple[int, int]
"""Makespan, and number of tiles."""


class TilingSearch:
    """Candidates tried, and the best so far."""

    axes: tuple[str, ...] = ("room", "order", *AXES)

    def __init__(
        self,
        problem: Problem,
        floor: int,
        should_stop: Callable[[int], bool] | None,
        on_candidate: Callable[[int, int], None] | None,
        spend: Callable[[float], None] | None = None,
    ):
        self.problem = one_layer(problem)
        self.layers = problem.layers
        self.floor = floor
        self.should_stop = should_stop
        self.on_candidate = on_candidate
        self.spend = spend
        self.known: dict[Candidate, Cost] = {}
        self.best: Candidate | None = None
        self.makespan = 0
        self.tiles = 0
        self.tried = 0
        self.spent = 0
        self.few_tiles = min(max(_MAX_TILES, _MAX_TILES_PER_TOKEN * problem.seq_len), _MOST_TILES)
        self.max_tiles = self.few_tiles
        self.most_decoded, self.most_uses = _MAX_DECODED, _MAX_USES
        self.unfit: set[TilingPoint] = set()
        self.rate = dram_bytes_per_cycle(problem.hardware)
        model, size = problem.model, problem.dtype.weights
        self.weight_bytes = 0 if problem.scope == "state-update" else 3 * model.d_inner * model.d_model * size

    @property
    def finished(self) -> bool:
        """Whether nothing better can exist, the budget is spent, or somebody wants an end."""
        late = self.spent > _BUDGET or (self.should_stop is not None and self.should_stop(self.tiles))
        return self.best is not None and (late or self.makespan <= self.floor)

    def run(self) -> Candidate:
        """The best candidate that is found."""
        first, *others = self.starts()
        self.descend(first)
        for start in [*self.starts_for_less_memory(), *others]:
            self.descend(start)
        assert self.best is not None
        return self.best

    def starts(self) -> list[Candidate]:
        """Starting points with their best orders, best first; if none leaves room for its tiles, any that fits."""
        for max_tiles in (self.few_tiles, 1 << 62):
            self.max_tiles = max_tiles
            found: dict[Point, tuple[Cost, int, Candidate]] = {}
            for share in SHARES:
                for point in dict.fromkeys(first_points(self.problem, share)):
                    start = self._start(point)
                    if start is not None:
                        found[point] = (self.known[start], len(found), start)
                if found:
                    self.max_tiles = max(self.few_tiles, self.tiles)
                    return [candidate for _, _, candidate in sorted(found.values())][:_DESCENTS]
            self.unfit.clear()
        raise _no_room(self.problem)

    def starts_for_less_memory(self) -> list[Candidate]:
        """The best starting point for each of some parts of the memory."""
        found = []
        for part in _LESS_MEMORY:
            capacity = max(1, capacity_bytes(self.problem) // part)
            smaller = dataclasses.replace(self.problem, hardware=self.problem.hardware.override("sram", capacity))
            starts = [self._start(point) for point in dict.fromkeys(first_points(smaller, SHARES[0]))]
            known = [start for start in starts if start is not None]
            if known and not self.finished:
                found.append(min(known, key=lambda start: self.known[start]))
        return found

    def _start(self, point: Point) -> Candidate | None:
        """A starting point with the best of the first orders, and with more room held back if that is better."""
        start, cost = None, None
        for order in (*OVERLAPPED, *FIRST_ORDERS[:2]) if self._overlaps(point) else FIRST_ORDERS:
            candidate = Candidate(point, BlockVariant(order, *FIRST_ROOM))
            limit = cost
            if self.best is not None:
                promising = (int(_PROMISING * self.makespan), 0)
                limit = promising if cost is None else min(cost, promising)
            other = None if self.finished else self.cost_of(candidate, limit)
            if other is not None and (cost is None or other < cost):
                start, cost = candidate, other
        if start is None or self.finished:
            return start
        assert isinstance(start.variant, BlockVariant)
        roomy = Candidate(point, BlockVariant(start.variant.order, *MORE_ROOM))
        other = self.cost_of(roomy, cost)
        return roomy if other is not None and cost is not None and other < cost else start

    def _overlaps(self, point: Point) -> bool:
        """Whether token tiles may overlap: there are several, and cores of several kinds."""
        several = point.loop_order == "tokens" and point.tokens < self.problem.seq_len
        return several and len(self.problem.hardware.cores) > 1

    def descend(self, here: Candidate) -> None:
        """Move along each axis to whatever is better, until nothing is."""
        if self.finished:
            return
        cost = self.known[here]
        improved = True
        while improved and not self.finished:
            improved = False
            for axis in self.axes:
                for candidate in self._along(here, axis):
                    if self.finished:
                        return
                    other = self.cost_of(candidate, cost)
                    if other is not None and other < cost:
                        here, cost, improved = candidate, other, True

    def _along(self, here: Candidate, axis: str) -> Iterator[Candidate]:
        variant, point = here.variant, here.point
        assert isinstance(variant, BlockVariant)
        assert isinstance(point, Point)
        if axis == "order":
            overlapped = all_orders(overlap=True) if self._overlaps(point) else ()
            for order in (*all_orders(), *overlapped):
                yield dataclasses.replace(here, variant=dataclasses.replace(variant, order=order))
        elif axis == "room":
            for reserve, deferred in ROOMS:
                room = BlockVariant(variant.order, reserve, deferred)
                yield dataclasses.replace(here, variant=room)
        else:
            for near in neighbours(self.problem, point, axis):
                yield dataclasses.replace(here, point=near)

    def cost_of(self, candidate: Candidate, limit: Cost | None) -> Cost | None:
        """Makespan and tiles of a candidate; None when it does not fit, or at least the makespan is above the limit."""
        if candidate in self.known:
            return self.known[candidate]
        if candidate.point in self.unfit or not self._admits(candidate.point):
            return None
        if limit is not None and self._reloading(candidate.point) > limit[0]:
            return None
        instance = self._instance(candidate.point, limit)
        if instance is None:
            return None
        self.tried += 1
        tiles = instance.n_tiles * self.problem.seq_len // self._decoded_tokens(candidate.point)
        makespan = self._estimate(instance, candidate, limit)
        if makespan is None:
            return None
        cost = self.known[candidate] = (makespan, tiles)
        if self.best is None or cost < (self.makespan, self.tiles):
            self.best, self.makespan, self.tiles = candidate, makespan, tiles
            if self.on_candidate is not None:
                self.on_candidate(self.tried, makespan)
        return cost

    def _admits(self, _point: TilingPoint) -> bool:
        """Whether a point is looked at."""
        return True

    def _reloading(self, point: TilingPoint) -> int:
        """Cycles that transfers take at least: with tokens outermost, all weights beyond the memory for each tile."""
        if point.loop_order == "channels":
            return 0
        times = -(-self.problem.seq_len // period_tokens(self.problem, point))
        return self.layers * times * max(0, self.weight_bytes - capacity_bytes(self.problem)) // self.rate

    def _instance(self, point: TilingPoint, limit: Cost | None) -> Instance | None:
        """The tiles of the first few token tiles; None when the point does not fit or cannot be better."""
        tokens = self._decoded_tokens(point)
        instance = self._built(point, tokens)
        if instance is None:
            self.unfit.add(point)
            return None
        if limit is not None and self._work(instance) * self.problem.seq_len // tokens > limit[0]:
            return None
        return instance

    def _built(self, point: TilingPoint, tokens: int) -> Instance | None:
        """The tiles of so many tokens; None when one does not fit or there are too many."""
        tiling = point.tiling(self.problem)
        short = dataclasses.replace(self.problem, seq_len=tokens)
        try:
            tiles = count_tiles(short, tiling)
            if tiles > self.most_decoded or tiles * self.problem.seq_len // tokens > self.max_tiles:
                return None
            instance = build_tiles(short, tiling)
            instance.check_capacity()
        except InputError:
            return None
        return None if _uses(instance) > self.most_uses and self.max_tiles == self.few_tiles else instance

    def _estimate(self, instance: Instance, candidate: Candidate, limit: Cost | None) -> int | None:
        """Makespan of the whole prompt; None when it is above the limit."""
        point = candidate.point
        tokens = self._decoded_tokens(point)
        beyond, period = self.problem.seq_len - tokens, period_tokens(self.problem, point)
        cutoff = None if limit is None or beyond else limit[0] + 1
        makespan = self._decode(instance, candidate.variant, cutoff)
        if makespan is None or not beyond:
            return makespan
        fewer = build_tiles(dataclasses.replace(self.problem, seq_len=tokens - period), point.tiling(self.problem))
        shorter = self._decode(fewer, candidate.variant, None)
        assert shorter is not None
        # The first tokens may wait for weights where later ones keep the cores busy.
        work = self._work(instance) + (self._work(instance) - self._work(fewer)) * beyond // period
        return max(makespan + (makespan - shorter) * beyond // period, work)

    def _decoded_tokens(self, point: TilingPoint) -> int:
        """How many tokens are decoded: all, or the first few token tiles where those are too many."""
        period = period_tokens(self.problem, point)
        # With channels outermost, what has to stay grows with the prompt: there is nothing to extrapolate.
        if _PERIODS * period >= self.problem.seq_len or point.loop_order == "channels":
            return self.problem.seq_len
        tiles = count_tiles(self.problem, point.tiling(self.problem))
        if tiles <= _WHOLE:
            return self.problem.seq_len
        few = tiles * _PERIODS * period // self.problem.seq_len <= _MAX_DECODED
        return (_PERIODS if few else _PERIODS - 1) * period

    def _decode(self, instance: Instance, variant: Variant, cutoff: int | None) -> int | None:
        """Makespan of all layers; None when the transfers of all alone take the cutoff."""
        self.spent += instance.n_tiles + _uses(instance)
        if self.spend is not None:
            self.spend(decode_work(instance))
        if self.layers > 1:
            # Stores that wait for the very end would hide what every layer but the last has to pay.
            variant = variant.immediate()
            cutoff = None if cutoff is None else -(-cutoff // self.layers)
        schedule = decode_below(instance, *variant.plan(instance), cutoff=cutoff)
        if schedule is None or self.layers == 1:
            return None if schedule is None else schedule.makespan
        assert instance.problem is not None
        assert instance.tiling is not None
        pair = build_tiles(dataclasses.replace(instance.problem, layers=2), instance.tiling)
        self.spent += pair.n_tiles + _uses(pair)
        if self.spend is not None:
            self.spend(decode_work(pair))
        both = decode_below(pair, *variant.plan(pair), cutoff=None)
        assert both is not None
        return both.makespan + (self.layers - 2) * (both.makespan - schedule.makespan)

    def _work(self, instance: Instance) -> int:
        """Cycles that the cores need at least for all layers, were the work spread evenly."""
        if len(set(instance.core_kind.tolist())) > 1:
            return 0
        return self.layers * int(instance.duration[:, int(instance.core_kind[0])].sum()) // instance.n_cores


def period_tokens(problem: Problem, point: TilingPoint) -> int:
    """Tokens after which a schedule repeats itself: a token tile, or as many chunks as it takes."""
    chunk = problem.model.chunk_size if problem.form == "chunked" else 1
    return -(-point.tokens // chunk) * chunk


def _uses(instance: Instance) -> int:
    """How many times tiles touch pieces of tensors."""
    return len(instance.inputs.indices) + len(instance.writes.indices)


def _no_room(problem: Problem) -> CapacityError:
    return too_small(problem, least_capacity(problem), capacity_bytes(problem))
