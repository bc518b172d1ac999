"""One run of a solver on one instance: its incumbent, its bounds, and what they come to."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ssmopt.bounds import bounds_of
from ssmopt.decode import decode_work, working_memories
from ssmopt.heuristics.base import Heuristic, schedules_of
from ssmopt.instance import Instance
from ssmopt.neighbourhood import NeighbourhoodSearch
from ssmopt.neighbourhood.parameters import FEW_TILES
from ssmopt.result import FEASIBLE, INFEASIBLE, OPTIMAL, UNKNOWN, Bound, Progress, ProgressListener, Result
from ssmopt.schedule import Schedule
from ssmopt.stopping import DETERMINISTIC_TIME, Stop
from ssmopt.validate import check

EXACT_TILES = 4_000
"""Beyond this many tiles the exact model costs more time to build than it can win back."""

_SHARE_OF_FEW, _SHARE_OF_MANY = 0.7, 0.25
"""Share of what is left of the budget that the exact model of few tiles takes, and of many."""

_TURNS = ((0.25, 0), (0.5, 1), (0.4, 0))
"""Turns of the exact model of few tiles, if new orders are tried meanwhile: share of what is left, idle threads."""

_MOST_STARTS = 12
"""Schedules of heuristics, with different orders of few tiles, from which new orders are searched."""

_DESCENTS_OF_FEW, _DESCENTS_OF_MANY = 0.15, 0.4
"""Share of what is left for memory descents before the exact model begins; those of few tiles only to the bound."""

_VERY_FEW_TILES = 30
"""Up to so many tiles the exact model is so quick that it comes first."""

_RELAXED_SHARE = 0.2
"""Share of the exact model's budget for the model without memory limits."""


class Search:
    """One run of a solver on one instance: the incumbent only ever improves, and is always valid."""

    def __init__(
        self,
        instance: Instance,
        solver: str,
        stop: Stop,
        on_progress: ProgressListener | None,
        note: str = "",
        bounds: tuple[Bound, Bound] | None = None,
    ):
        self.instance = instance
        self.solver = solver
        self.stop = stop
        self.on_progress = on_progress
        self.note = note
        self.bound, self.tile_bound = bounds or bounds_of(instance)
        self.schedule: Schedule | None = None
        self._lock = threading.RLock()
        self._starts: dict[bytes, Schedule] = {}
        self._neighbourhoods: NeighbourhoodSearch | None = None
        self.infeasible = False

    @property
    def optimal(self) -> bool:
        """Whether nothing better exists for this tile instance."""
        return self.schedule is not None and self.schedule.makespan <= self.tile_bound.cycles

    def offer(self, schedule: Schedule, phase: str) -> None:
        """Take a schedule if it is better than the incumbent; it is validated first."""
        with self._lock:  # CP-SAT offers from a thread of its own, while new orders are tried.
            if self.schedule is None or schedule.makespan < self.schedule.makespan:
                check(self.instance, schedule)
                self.schedule = schedule
                self.report(phase)

    def report(self, phase: str) -> None:
        """Tell the listener where the search stands."""
        if self.on_progress is not None:
            makespan = None if self.schedule is None else self.schedule.makespan
            self.on_progress(Progress(self.stop.elapsed, phase, makespan, self.bound.cycles))

    def construct(self, heuristics: list[Heuristic]) -> None:
        """Decode every plan of the heuristics, until time is up or one is optimal; at least one is always decoded."""
        for heuristic in heuristics:
            if self.schedule is not None and (self.optimal or self.stop()):
                return
            for schedule in schedules_of(heuristic, self.instance):
                self.stop.spend(decode_work(self.instance))
                self.offer(schedule, heuristic.name)
                self._note_start(schedule)
                if self.optimal or self.stop():
                    return

    def _note_start(self, schedule: Schedule) -> None:
        """The best schedule of each order is where a search can begin."""
        if self.instance.n_tiles <= EXACT_TILES:
            order = schedule.tiles.tile.tobytes()
            known = self._starts.get(order)
            if known is None or schedule.makespan < known.makespan:
                self._starts[order] = schedule

    def improve(self, workers: int, seed: int) -> None:
        """Improve the incumbent by the exact model, unless that is not wanted, and then by neighbourhoods.

        Of few tiles the exact model has several turns, each from the best schedule so far, while new orders are tried
        beside it; with a work limit they would not be the same every time.
        """
        beside = False
        if self.instance.n_tiles > _VERY_FEW_TILES:
            self.descend(workers, seed)
        if self.solver != "lns" and self._exact_applies():
            # OR-Tools takes a while to import, and most calls never get here.
            from ssmopt.cpsat import everything_fits

            # Without spills the exact model is at its best, and has all of the time.
            beside = self._few and self.stop.work_limit is None and not everything_fits(self.instance)
            once = (_SHARE_OF_FEW if self._few else _SHARE_OF_MANY, 0)
            for turn, (share, spare) in enumerate(_TURNS if beside else (once,)):
                self.exact(max(1, workers - spare), seed + turn, share, relaxed=turn == 0, beside=beside)
        self.neighbourhoods(workers, seed, orders=not beside)

    def _exact_applies(self) -> bool:
        """Whether there is an exact model; the note says why not."""
        if self.optimal or self.stop():
            return False
        if self.instance.n_tiles > EXACT_TILES:
            self.note = f"{self.instance.n_tiles:,} tiles are too many for the exact model"
            return False
        if len(working_memories(self.instance)) > 1:
            self.note = "; ".join(part for part in (self.note, "the exact model covers one memory only") if part)
            return False
        return True

    @property
    def _few(self) -> bool:
        return self.instance.n_tiles <= FEW_TILES

    def exact(self, workers: int, seed: int, share: float, *, relaxed: bool, beside: bool) -> None:
        """Improve the incumbent, and the instance bound, by the exact model with a share of what is left.

        Parameters
        ----------
        relaxed
            Whether the bound is first improved by the model without the memory's capacity.
        beside
            Whether new orders are tried meanwhile.
        """
        if self.optimal or self.stop():
            return
        from ssmopt.cpsat import everything_fits, relaxed_bound, solve_exact

        fits = everything_fits(self.instance)
        if self.schedule is None or fits:
            share = 1.0
        self.report("cpsat")
        should_stop = self._stop_or_step(workers, seed) if beside else self.stop
        if relaxed and not fits:
            seconds, work = self.stop.part(share * _RELAXED_SHARE)
            outcome = relaxed_bound(
                self.instance,
                self.schedule,
                instance_bound=self.tile_bound.cycles,
                time_limit=seconds,
                workers=workers,
                seed=seed,
                on_bound=None,
                should_stop=should_stop,
                deterministic_limit=None if work is None else work * DETERMINISTIC_TIME,
            )
            self.stop.spend(outcome.work / DETERMINISTIC_TIME)
            self._raise_bound(Bound(outcome.bound, "CP-SAT on the instance without its memory limits"))
            if self.optimal or self.stop():
                return
        seconds, work = self.stop.part(share)
        outcome = solve_exact(
            self.instance,
            self.schedule,
            instance_bound=self.tile_bound.cycles,
            time_limit=seconds,
            workers=workers,
            seed=seed,
            deterministic_limit=None if work is None else work * DETERMINISTIC_TIME,
            on_schedule=lambda schedule: self.offer(schedule, "cpsat"),
            on_bound=lambda cycles: self._raise_bound(Bound(cycles, "CP-SAT on the exact model")),
            should_stop=should_stop,
        )
        self.stop.spend(outcome.work / DETERMINISTIC_TIME)
        if outcome.schedule is not None:
            self.offer(outcome.schedule, "cpsat")
        self._raise_bound(Bound(outcome.bound, "CP-SAT on the exact model"))
        self.infeasible = outcome.infeasible and self.schedule is None

    def _stop_or_step(self, workers: int, seed: int) -> Callable[[], bool]:
        """A condition to stop; whoever asks waits until some new orders have been tried."""

        def asked() -> bool:
            if self.schedule is not None and not self.optimal and not self.stop():
                self._search(workers, seed).step(self.schedule, lambda schedule: self.offer(schedule, "lns"))
            return self.optimal or self.stop()

        return asked

    def neighbourhoods(self, workers: int, seed: int, *, orders: bool = True) -> None:
        """Improve the incumbent by re-solving parts of it, and by new orders if they have not been tried."""
        if self.schedule is None or self.optimal or self.stop() or self.instance.n_tiles < 2:
            return
        self.report("lns")
        search = self._search(workers, seed)
        search.run(self.schedule, lambda schedule: self.offer(schedule, "lns"), orders=orders)

    def descend(self, workers: int, seed: int) -> None:
        """Where memory is short, try to reach the bound with more of it, and to do with less and less."""
        if self.schedule is None or self.optimal or self.stop() or self.instance.n_tiles < 2:
            return
        search = self._search(workers, seed)
        if search.descents is not None:
            self.report("lns")
            share = _DESCENTS_OF_FEW if self._few else _DESCENTS_OF_MANY
            search.descend(self.schedule, lambda schedule: self.offer(schedule, "lns"), share, bound_only=self._few)

    def _search(self, workers: int, seed: int) -> NeighbourhoodSearch:
        """The neighbourhood search of this run, which goes on where it was."""
        if self._neighbourhoods is None:
            starts = sorted(self._starts.values(), key=lambda schedule: schedule.makespan)
            self._neighbourhoods = NeighbourhoodSearch(
                self.instance,
                self.stop,
                seed=seed,
                target=self.tile_bound.cycles,
                workers=workers,
                others=starts[:_MOST_STARTS] if self._few else (),
                descend_from=starts if _is_short_of_memory(self.instance) else (),
            )
        self._neighbourhoods.target = self.tile_bound.cycles
        return self._neighbourhoods

    def _raise_bound(self, bound: Bound) -> None:
        """Take a better instance bound; where no tiling is known it bounds everything."""
        if bound.cycles > self.tile_bound.cycles:
            self.tile_bound = bound
            if self.instance.problem is None:
                self.bound = bound
                self.report("cpsat")

    def result(self) -> Result:
        """What was found."""
        if self.schedule is None:
            status = INFEASIBLE if self.infeasible else UNKNOWN
        else:
            status = OPTIMAL if self.optimal else FEASIBLE
        return Result(
            instance=self.instance,
            schedule=self.schedule,
            solver=self.solver,
            status=status,
            bound=self.bound,
            tile_bound=self.tile_bound,
            wall_seconds=self.stop.elapsed,
            note=self.note,
            interrupted=self.stop.signal,
        )


def _is_short_of_memory(instance: Instance) -> bool:
    """Whether some memory could not hold all tensors together."""
    return instance.n_memories > 0 and int(instance.tensor_bytes.sum()) > int(instance.memory_capacity.min())
