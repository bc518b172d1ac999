"""The plain CP-SAT model of a tile instance: the rules of a schedule as the textbook writes them, and nothing else.

Intervals, no-overlap per core and channel, a cumulative for the memory; each use of a tensor picks one of its
residencies. There is no hint, no horizon but the sum of everything, no bound, no symmetry breaking and no scaling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from ssmopt.instance import DRAM, NOT_ADMISSIBLE, OUTPUT, Instance
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable, makespan_of

SOLVER = "textbook"


@dataclass(frozen=True)
class PlainOutcome:
    """What the plain model gave.

    Attributes
    ----------
    schedule
        The best schedule, not validated; None if none was found.
    bound
        CP-SAT's bound on the makespan, in cycles, for schedules with so many residencies; 0 if it has none.
    finished
        Whether CP-SAT called its answer optimal, for schedules with so many residencies.
    """

    schedule: Schedule | None
    bound: int
    finished: bool


@dataclass(frozen=True)
class _Transfer:
    """A load or a store, and whether it exists."""

    start: cp_model.IntVar
    end: cp_model.LinearExpr
    present: cp_model.IntVar
    interval: cp_model.IntervalVar


@dataclass(frozen=True)
class _Residency:
    """A residency, the load that begins it, the store within it, and the tiles that use it."""

    present: cp_model.IntVar
    start: cp_model.IntVar
    end: cp_model.IntVar
    interval: cp_model.IntervalVar
    load: _Transfer | None
    store: _Transfer | None
    uses: dict[int, cp_model.IntVar]


class PlainModel:
    """The model of an instance with one memory and one channel to it.

    Parameters
    ----------
    instance
        The tiles.
    residencies
        Most residencies of a tensor. One is enough where everything fits at once; two allow a spill, or a second load.
    """

    def __init__(self, instance: Instance, residencies: int = 2):
        if instance.n_memories != 1 or len(instance.channel_ids) != 1:
            raise ValueError("the plain model is written for one memory and one channel")
        self.instance = instance
        self.model = cp_model.CpModel()
        self.transfer_cycles = instance.transfer_cycles(instance.tensor_bytes, 0).tolist()
        self.writers, self.readers = instance.writers.lists(), instance.readers.lists()
        counts = {t: min(residencies, len(self.writers[t] + self.readers[t])) for t in self._sized()}
        self.horizon = int(instance.duration.max(axis=1).sum())
        self.horizon += sum(2 * count * self.transfer_cycles[t] for t, count in counts.items())
        self.start: list[cp_model.IntVar] = []
        self.end: list[cp_model.LinearExpr] = []
        self.on_core: list[dict[int, cp_model.IntVar]] = []
        self._add_tiles()
        self.residencies = {t: self._add_tensor(t, count) for t, count in counts.items() if count}
        self._add_memory_and_channel()
        self._add_makespan()

    def solve(self, time_limit: float, workers: int, seed: int = 0) -> PlainOutcome:
        """Solve with CP-SAT's default parameters."""
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = time_limit
        solver.parameters.num_workers = workers
        solver.parameters.random_seed = seed
        status = solver.solve(self.model)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return PlainOutcome(None, 0, False)
        return PlainOutcome(self._schedule(solver), int(solver.best_objective_bound), status == cp_model.OPTIMAL)

    def _sized(self) -> list[int]:
        return np.flatnonzero(self.instance.tensor_bytes > 0).tolist()

    def _time(self) -> cp_model.IntVar:
        return self.model.new_int_var(0, self.horizon, "")

    def _add_tiles(self) -> None:
        """Each tile on one core, each core one tile at a time, readers after writers, one addition at a time."""
        instance, model = self.instance, self.model
        per_core: list[list[cp_model.IntervalVar]] = [[] for _ in range(instance.n_cores)]
        whole = []
        for tile in range(instance.n_tiles):
            row = {core: int(instance.duration[tile, kind]) for core, kind in enumerate(instance.core_kind.tolist())}
            row = {core: cycles for core, cycles in row.items() if cycles != NOT_ADMISSIBLE}
            start = self._time()
            end = start + next(iter(row.values())) if len(set(row.values())) == 1 else self._time()
            size = self._time() if len(set(row.values())) > 1 else next(iter(row.values()))
            interval = model.new_interval_var(start, size, end, "")
            chosen = {core: model.new_bool_var("") for core in row}
            model.add_exactly_one(chosen.values())
            for core, cycles in row.items():
                option = model.new_optional_interval_var(start, cycles, end, chosen[core], "")
                per_core[core].append(interval if len(row) == 1 else option)
            self.start.append(start)
            self.end.append(end)
            self.on_core.append(chosen)
            whole.append(interval)
        for intervals in per_core:
            model.add_no_overlap(intervals)
        for writers, readers in zip(self.writers, self.readers, strict=True):
            for reader in readers:
                for writer in writers:
                    model.add(self.start[reader] >= self.end[writer])
            if len(writers) > 1:
                model.add_no_overlap([whole[writer] for writer in writers])

    def _add_transfer(self, tensor: int, present: cp_model.IntVar) -> _Transfer:
        start, cycles = self._time(), self.transfer_cycles[tensor]
        interval = self.model.new_optional_fixed_size_interval_var(start, cycles, present, "")
        return _Transfer(start, start + cycles, present, interval)

    def _add_tensor(self, tensor: int, count: int) -> list[_Residency]:
        """Residencies one after another; each use in one of them, after its load; what was written is stored."""
        model, writers = self.model, self.writers[tensor]
        uses = writers + self.readers[tensor]
        output = self.instance.tensor_kind[tensor] == OUTPUT
        found: list[_Residency] = []
        for k in range(count):
            present, start, end = model.new_bool_var(""), self._time(), self._time()
            interval = model.new_optional_interval_var(start, self._time(), end, present, "")
            load = None if writers and k == 0 else self._add_transfer(tensor, present)
            stored = bool(writers) and (output or k + 1 < count)
            store = self._add_transfer(tensor, model.new_bool_var("")) if stored else None
            choice = {tile: model.new_bool_var("") for tile in uses}
            for tile, chosen in choice.items():
                model.add(start <= self.start[tile]).only_enforce_if(chosen)
                model.add(end >= self.end[tile]).only_enforce_if(chosen)
                if load is not None:
                    model.add(load.end <= self.start[tile]).only_enforce_if(chosen)
                if store is not None and tile in writers:
                    model.add(store.start >= self.end[tile]).only_enforce_if(chosen, store.present)
                if store is not None and tile in writers and output:
                    model.add_implication(chosen, store.present)
            # Only a residency with a use exists.
            model.add_max_equality(present, list(choice.values()))
            if load is not None:
                model.add(load.start == start).only_enforce_if(present)
            if store is not None:
                model.add_implication(store.present, present)
                model.add(store.start >= start).only_enforce_if(store.present)
                model.add(store.end <= end).only_enforce_if(store.present)
            if found:
                before = found[-1]
                model.add_implication(present, before.present)
                model.add(start >= before.end).only_enforce_if(present)
                if before.store is not None:
                    for tile in writers:
                        # What was written must be stored before it is loaded again.
                        model.add_bool_or(~before.uses[tile], ~present, before.store.present)
            found.append(_Residency(present, start, end, interval, load, store, choice))
        for tile in uses:
            model.add_exactly_one([residency.uses[tile] for residency in found])
        if writers:
            # The first residency begins with the first tile that writes the tensor.
            model.add_min_equality(found[0].start, [self.start[tile] for tile in writers])
        return found

    def _transfers(self) -> list[tuple[int, bool, _Transfer]]:
        """Tensor, whether it is a load, and the transfer."""
        rows = []
        for tensor, residencies in self.residencies.items():
            for residency in residencies:
                rows += [(tensor, True, residency.load)] if residency.load is not None else []
                rows += [(tensor, False, residency.store)] if residency.store is not None else []
        return rows

    def _add_memory_and_channel(self) -> None:
        intervals, demands = [], []
        for tensor, residencies in self.residencies.items():
            intervals += [residency.interval for residency in residencies]
            demands += [int(self.instance.tensor_bytes[tensor])] * len(residencies)
        self.model.add_cumulative(intervals, demands, int(self.instance.memory_capacity[0]))
        moved = [transfer.interval for _, _, transfer in self._transfers()]
        lanes = int(self.instance.channel_lanes[0])
        if lanes == 1:
            self.model.add_no_overlap(moved)
        else:
            self.model.add_cumulative(moved, [1] * len(moved), lanes)

    def _add_makespan(self) -> None:
        makespan = self._time()
        for end in self.end:
            self.model.add(makespan >= end)
        for _, _, transfer in self._transfers():
            self.model.add(makespan >= transfer.end).only_enforce_if(transfer.present)
        self.model.minimize(makespan)

    def _schedule(self, solver: cp_model.CpSolver) -> Schedule:
        tiles, transfers, stays = [], [], []
        for tile, options in enumerate(self.on_core):
            core = next(core for core, chosen in options.items() if solver.value(chosen))
            tiles.append((tile, core, solver.value(self.start[tile]), solver.value(self.end[tile])))
        for tensor, load, transfer in self._transfers():
            if solver.value(transfer.present):
                source, target = (DRAM, 0) if load else (0, DRAM)
                times = (solver.value(transfer.start), solver.value(transfer.end))
                transfers.append((tensor, 0, source, target, *times))
        for tensor, residencies in self.residencies.items():
            for residency in residencies:
                if solver.value(residency.present):
                    stays.append((tensor, 0, solver.value(residency.start), solver.value(residency.end)))
        tile_table = TileTable(*np.array(tiles, dtype=np.int64).reshape(-1, 4).T.copy())
        transfer_table = TransferTable(*np.array(transfers, dtype=np.int64).reshape(-1, 6).T.copy())
        residency_table = ResidencyTable(*np.array(stays, dtype=np.int64).reshape(-1, 4).T.copy())
        return Schedule(tile_table, transfer_table, residency_table, makespan_of(tile_table, transfer_table), SOLVER)
