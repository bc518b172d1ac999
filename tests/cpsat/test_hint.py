"""Hints are complete and feasible, whatever a feasible schedule looks like, and searches never lose them."""

from __future__ import annotations

import numpy as np
import pytest
from exhaustive import exhaustive_schedule
from ortools.sat.python import cp_model
from random_instances import random_instance

from ssmopt.cpsat import ExactModel, build_model, solve_exact, variables
from ssmopt.instance import DRAM, Instance
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable
from ssmopt.validate import validate

from .instances import FT06, job_shop, make_instance


def _serial(instance: Instance) -> Schedule:
    """One thing at a time: every tile loads all that it needs before, and stores all that it wrote after."""
    table = instance.inputs.lists(), instance.outputs.lists(), instance.accumulates.lists()
    tiles, transfers, residencies = [], [], []
    written: set[int] = set()
    now = 0

    def transfer(tensor: int, source: int, target: int) -> None:
        nonlocal now
        end = now + int(instance.transfer_cycles(instance.tensor_bytes[tensor : tensor + 1], 0)[0])
        transfers.append((tensor, 0, source, target, now, end))
        now = end

    for tile in instance.topological_order.tolist():
        inputs, outputs, sums = ([t for t in rows[tile] if instance.tensor_bytes[t]] for rows in table)
        begin = {}
        for tensor in [*inputs, *(t for t in sums if t in written)]:
            begin[tensor] = now
            transfer(tensor, DRAM, 0)
        core = next(c for c in range(instance.n_cores) if instance.duration[tile, instance.core_kind[c]] > 0)
        end = now + int(instance.duration[tile, instance.core_kind[core]])
        begin.update((tensor, now) for tensor in [*outputs, *sums] if tensor not in begin)
        tiles.append((tile, core, now, end))
        now = end
        written.update(outputs, sums)
        for tensor in [*outputs, *sums]:
            transfer(tensor, 0, DRAM)
        residencies += [(tensor, 0, first, now) for tensor, first in begin.items()]

    def columns(rows: list[tuple[int, ...]], width: int) -> list[np.ndarray]:
        return list(np.array(rows, dtype=np.int64).reshape(-1, width).T)

    return Schedule(
        TileTable(*columns(tiles, 4)),
        TransferTable(*columns(transfers, 6)),
        ResidencyTable(*columns(residencies, 4)),
        now,
    )


def _check(built: ExactModel) -> int:
    """The makespan of the hint, which must set every variable and satisfy every constraint."""
    proto = built.model.proto
    assert sorted(proto.solution_hint.vars) == list(range(len(proto.variables)))
    solver = cp_model.CpSolver()
    solver.parameters.fix_variables_to_their_hinted_value = True
    solver.parameters.num_workers = 1
    assert solver.solve(built.model) == cp_model.OPTIMAL
    schedule = built.schedule(solver.value)
    assert validate(built.scope.instance, schedule) == []
    return schedule.makespan


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(("exact_uses", "near"), [(variables.EXACT_SLOT_USES, 4), (0, 4), (0, 0)])
def test_hints_are_complete_and_feasible(
    seed: int, exact_uses: int, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variables, "EXACT_SLOT_USES", exact_uses)
    monkeypatch.setattr(variables, "NEAR_SLOTS", near)
    instance = random_instance(seed)
    best = exhaustive_schedule(instance)
    assert _check(build_model(instance, best)) == best.makespan
    serial = _serial(instance)
    assert validate(instance, serial) == []
    for extra in (0, 1):
        # Stores that nothing needs are left out.
        assert best.makespan <= _check(build_model(instance, serial, extra_slots=extra)) <= serial.makespan


def test_many_pairs_of_writers_and_readers_are_hinted_too() -> None:
    tiles = [((2,), (), (), (0,))] * 6 + [((1,), (0,), (i,), ()) for i in range(1, 7)]
    instance = make_instance([(3, "intermediate")] + [(1, "output")] * 6, tiles, capacity=[5], cores=[(0, 0)] * 2)
    built = build_model(instance, _serial(instance))
    assert built.variables.done
    assert _check(built) <= _serial(instance).makespan
    outcome = solve_exact(instance, _serial(instance), instance_bound=0, time_limit=60, workers=2, seed=1)
    assert outcome.proved_optimal
    assert outcome.schedule is not None
    assert outcome.schedule.makespan == 12 + 1 + 6


@pytest.mark.parametrize("seed", range(20))
def test_a_model_with_few_slots_claims_no_bound(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = random_instance(seed)
    complete = build_model(instance, None).complete
    fits = build_model(instance, None).scope.fits
    monkeypatch.setattr(variables, "EXACT_SLOT_USES", 0)
    hint = exhaustive_schedule(instance)
    outcome = solve_exact(instance, hint, instance_bound=1, time_limit=60, workers=2, seed=1)
    assert complete
    assert outcome.schedule is not None
    assert outcome.schedule.makespan == hint.makespan
    assert outcome.complete or not fits
    assert outcome.complete or (outcome.bound == 1 and outcome.proved_optimal == (hint.makespan == 1))


@pytest.mark.parametrize("seed", range(20))
def test_serial_hints_are_improved_to_the_optimum(seed: int) -> None:
    instance = random_instance(seed)
    best = exhaustive_schedule(instance).makespan
    seen: list[Schedule] = []
    bounds: list[int] = []
    outcome = solve_exact(
        instance,
        _serial(instance),
        instance_bound=0,
        time_limit=60,
        workers=2,
        seed=1,
        on_schedule=seen.append,
        on_bound=bounds.append,
    )
    assert outcome.schedule is not None
    assert outcome.schedule.makespan == outcome.bound == best
    assert all(validate(instance, schedule) == [] for schedule in seen)
    assert [s.makespan for s in seen] == sorted({s.makespan for s in seen}, reverse=True)
    assert bounds == sorted(set(bounds))
    assert all(bound <= best for bound in bounds)


def test_frozen_tiles_stay_where_they_are() -> None:
    instance = job_shop(FT06)
    hint = _serial(instance)
    freeze = np.arange(instance.n_tiles) < 6
    built = build_model(instance, hint, freeze=freeze)
    assert _check(built) == hint.makespan
    outcome = solve_exact(instance, hint, instance_bound=0, time_limit=60, workers=2, seed=1, freeze=freeze)
    assert outcome.schedule is not None
    assert outcome.schedule.makespan < hint.makespan
    assert outcome.bound == 0
    assert not outcome.proved_optimal
    first = np.argsort(hint.tiles.tile)[:6]
    assert outcome.schedule.tiles.start[:6].tolist() == hint.tiles.start[first].tolist()


def test_a_hint_off_the_grid_of_durations_is_kept() -> None:
    """Durations of 10 have the divisor 10, but the hint starts at 3."""
    instance = make_instance([(0, "intermediate")], [((10,), (), (0,), ())], channels=[])
    empty = TransferTable.empty(), ResidencyTable.empty()
    hint = Schedule(TileTable(*(np.array([v]) for v in (0, 0, 3, 13))), *empty, 13)
    assert _check(build_model(instance, hint)) == 13
    outcome = solve_exact(instance, hint, instance_bound=10, time_limit=10, workers=1, seed=1)
    assert outcome.schedule is not None
    assert outcome.schedule.makespan == 10
