"""What comes after the makespan: fewer bytes to and from DRAM, or fewer in SRAM, by a schedule that takes no longer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode import decode
from ssmopt.errors import InputError, nearest
from ssmopt.heuristics.base import roomy_policies, topological
from ssmopt.instance import OUTPUT, Instance
from ssmopt.result import FEASIBLE, OPTIMAL, Progress, ProgressListener, Result, SecondStage
from ssmopt.schedule import Schedule
from ssmopt.search import EXACT_TILES
from ssmopt.stopping import Stop
from ssmopt.validate import check

OBJECTIVES = {"dram": "bytes moved to and from DRAM", "sram": "most bytes of SRAM in use at once"}
"""What can be minimised after the makespan."""

_DECODER_SHARE = 0.4
"""Share of the time left that the decoder may take before the exact model."""


def check_objective(then: str | None, key: str = "then") -> None:
    """Raise `InputError` unless there is a second objective of that name, or none is asked for."""
    if then is not None and then not in OBJECTIVES:
        raise InputError(f"unknown second objective {then!r}{nearest(then, OBJECTIVES)}", key=key)


def with_fewer_bytes(
    result: Result, then: str, stop: Stop, workers: int, seed: int, on_progress: ProgressListener | None
) -> Result:
    """The result with a schedule that is as short, and moves fewer bytes or holds fewer at once, if one is found.

    Parameters
    ----------
    result
        What the first stage found.
    then
        A name in `OBJECTIVES`.
    stop, workers, seed, on_progress
        As for `ssmopt.solve`.
    """
    if result.schedule is None:
        return result
    stage = _Stage(result, result.schedule, then, stop, on_progress)
    stage.decode()
    stage.exact(workers, seed)
    best = stage.schedule
    return replace(
        result,
        schedule=best,
        status=OPTIMAL if best.makespan <= result.instance_bound else FEASIBLE,
        wall_seconds=stop.elapsed,
        interrupted=stop.signal,
        second=SecondStage(then, stage.first, stage.bytes_of(best), min(stage.bound, stage.bytes_of(best))),
    )


class _Stage:
    """The best schedule so far, always valid and never longer than the first; and a bound on its bytes."""

    def __init__(self, result: Result, schedule: Schedule, then: str, stop: Stop, on_progress: ProgressListener | None):
        self.result = result
        self.instance = result.instance
        self.then = then
        self.stop = stop
        self.on_progress = on_progress
        self.schedule = schedule
        self.first = self.bytes_of(schedule)
        self.bound = _compulsory_bytes(self.instance) if then == "dram" else self.instance.minimum_capacity()[0]

    def bytes_of(self, schedule: Schedule) -> int:
        """The bytes that are to be few."""
        if self.then == "dram":
            return schedule.dram_bytes(self.instance.tensor_bytes)
        memories = range(self.instance.n_memories)
        return sum(schedule.peak_memory_bytes(self.instance.tensor_bytes, m) for m in memories)

    @property
    def finished(self) -> bool:
        """Whether nothing better exists, or time is up."""
        return self.stop() or self.bytes_of(self.schedule) <= self.bound

    def offer(self, schedule: Schedule) -> bool:
        """Take a schedule that is as short and has fewer bytes; it is validated first."""
        if schedule.makespan > self.schedule.makespan or self.bytes_of(schedule) >= self.bytes_of(self.schedule):
            return False
        check(self.instance, schedule)
        self.schedule = schedule
        if self.on_progress is not None:
            phase = f"{self.then} {self.bytes_of(schedule):,}"
            self.on_progress(Progress(self.stop.elapsed, phase, schedule.makespan, self.result.lower_bound))
        return True

    def decode(self) -> None:
        """The same order of tiles with other residency policies; for less SRAM also with smaller memories."""
        limit = self.stop.elapsed + _DECODER_SHARE * self.stop.remaining
        order = topological(
            self.instance, self.schedule.tiles.tile[np.argsort(self.schedule.tiles.start, kind="stable")]
        )
        memories = self.schedule.tile_memories(self.instance.core_memory)
        for number, policy in enumerate(roomy_policies(self.instance)):
            if self.finished or self.stop.elapsed > limit:
                return
            policy = replace(policy, memories=memories)
            if self.then == "dram":
                self.offer(decode(self.instance, order, policy, solver=self.schedule.solver))
            else:
                self._shrink(order, number, limit)

    def _shrink(self, order: IntArray, number: int, limit: float) -> None:
        """Bisect for the smallest memory for which the decoder, with one of the policies, needs no more time."""
        low = self.instance.minimum_capacity()[0] - 1
        high = self.bytes_of(self.schedule)
        # Once something is gained, most policies gain no more, and say so just below it.
        capacity = high - 1 if high < self.first else (low + high) // 2
        while low < capacity < high and not self.finished and self.stop.elapsed <= limit:
            smaller = replace(
                self.instance, memory_capacity=np.minimum(self.instance.memory_capacity, max(capacity, 1))
            )
            memories = self.schedule.tile_memories(self.instance.core_memory)
            policy = replace(roomy_policies(smaller)[number], memories=memories)
            if self.offer(decode(smaller, order, policy, solver=self.schedule.solver)):
                high = self.bytes_of(self.schedule)
            else:
                low = capacity
            capacity = (low + high) // 2 if high - low > self.first // 1000 else low

    def exact(self, workers: int, seed: int) -> None:
        """Go on by the exact model, which may also prove that nothing is left to gain."""
        if self.finished or self.instance.n_tiles > EXACT_TILES:
            return
        # OR-Tools takes a while to import, and most calls never get here.
        from ssmopt.cpsat import solve_second

        self.bound = solve_second(
            self.instance,
            self.schedule,
            minimise=self.then,
            bound=self.bound,
            time_limit=self.stop.remaining,
            workers=workers,
            seed=seed,
            on_schedule=self.offer,
            should_stop=self.stop,
        )


def _compulsory_bytes(instance: Instance) -> int:
    """Bytes that every schedule moves: one load of what is only read, one store of each output."""
    loaded = ~instance.produced & (instance.readers.counts() > 0)
    stored = instance.produced & (instance.tensor_kind == OUTPUT)
    return int(instance.tensor_bytes[loaded | stored].sum())
