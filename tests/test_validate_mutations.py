"""The validator on mutations of feasible schedules, and against a plain row-by-row validator."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from campaign import campaign
from exhaustive import exhaustive_schedule
from handmade import INSTANCES, schedule_of
from plain_validator import broken_rules
from random_instances import random_instance
from schedule_changes import changed, without

from ssmopt.instance import DRAM, OUTPUT, Instance
from ssmopt.schedule import Schedule
from ssmopt.validate import Violation, validate


def rules(violations: list[Violation]) -> set[str]:
    return {violation.rule for violation in violations}


@cache
def optimal(seed: int) -> tuple[Instance, Schedule]:
    instance = random_instance(seed)
    return instance, exhaustive_schedule(instance)


def doubled(schedule: Schedule, table: str, row: int) -> Schedule:
    old = getattr(schedule, table)
    return replace(
        schedule, **{table: type(old)(**{n: np.append(c, c[row]) for n, c in vars(old).items() if c is not None})}
    )


Mutants = Iterator[tuple[Schedule, str]]


def drop_tile(instance: Instance, s: Schedule) -> Mutants:
    yield from ((without(s, "tiles", i), "V1") for i in range(len(s.tiles)))


def double_tile(instance: Instance, s: Schedule) -> Mutants:
    yield from ((doubled(s, "tiles", i), rule) for i in range(len(s.tiles)) for rule in ("V1", "V2"))


def shift_start(instance: Instance, s: Schedule) -> Mutants:
    yield from (
        (changed(s, "tiles", i, start=s.tiles.start[i] + d), "V1") for i in range(len(s.tiles)) for d in (-1, 1)
    )


def change_duration(instance: Instance, s: Schedule) -> Mutants:
    yield from ((changed(s, "tiles", i, end=s.tiles.end[i] + d), "V1") for i in range(len(s.tiles)) for d in (-1, 1))


def wrong_core(instance: Instance, s: Schedule) -> Mutants:
    for i in range(len(s.tiles)):
        durations = instance.duration[s.tiles.tile[i], instance.core_kind]
        for core in np.flatnonzero(durations != durations[s.tiles.core[i]]).tolist():
            yield changed(s, "tiles", i, core=core), "V1"


def change_transfer_duration(instance: Instance, s: Schedule) -> Mutants:
    for i in range(len(s.transfers)):
        for d in (-1, 1):
            yield changed(s, "transfers", i, end=s.transfers.end[i] + d), "V6"


def rewire_transfer(instance: Instance, s: Schedule) -> Mutants:
    for i in range(len(s.transfers)):
        yield changed(s, "transfers", i, source=0, target=0), "V6"
        yield changed(s, "transfers", i, source=DRAM, target=DRAM), "V6"
        yield changed(s, "transfers", i, channel=1), "V6"
        if s.transfers.source[i] == DRAM:
            yield changed(s, "transfers", i, source=0, target=DRAM), "V4"


def overload_channel(instance: Instance, s: Schedule) -> Mutants:
    for i in range(len(s.transfers)):
        more = s
        for _ in range(int(instance.channel_lanes[0])):
            more = doubled(more, "transfers", i)
        yield more, "V6"


def drop_load(instance: Instance, s: Schedule) -> Mutants:
    yield from ((without(s, "transfers", i), "V4") for i in np.flatnonzero(s.transfers.source == DRAM).tolist())


def drop_spill(instance: Instance, s: Schedule) -> Mutants:
    t = s.transfers
    for i in np.flatnonzero(t.source == DRAM).tolist():
        stores = np.flatnonzero((t.tensor == t.tensor[i]) & (t.target == DRAM))
        if len(stores) == 1:
            yield without(s, "transfers", int(stores[0])), "V7"


def drop_last_store(instance: Instance, s: Schedule) -> Mutants:
    t = s.transfers
    for tensor in np.flatnonzero(instance.tensor_kind == OUTPUT).tolist():
        stores = np.flatnonzero((t.tensor == tensor) & (t.target == DRAM))
        if len(stores) == 1:
            yield without(s, "transfers", int(stores[0])), "V8"


def drop_residency(instance: Instance, s: Schedule) -> Mutants:
    yield from ((without(s, "residencies", i), "V3") for i in used(instance, s))


def shorten_residency(instance: Instance, s: Schedule) -> Mutants:
    for i in used(instance, s):
        yield changed(s, "residencies", i, end=s.residencies.start[i] + 1), "V3"
        yield changed(s, "residencies", i, end=s.residencies.start[i]), "V5"


def move_residency_start(instance: Instance, s: Schedule) -> Mutants:
    for i in range(len(s.residencies)):
        for d in (-1, 1):
            start = int(s.residencies.start[i]) + d
            if not start_coincides(s, int(s.residencies.tensor[i]), start) and start >= 0:
                yield changed(s, "residencies", i, start=start), ("V4" if start < s.residencies.end[i] else "V5")


def overlap_residencies(instance: Instance, s: Schedule) -> Mutants:
    yield from ((doubled(s, "residencies", i), "V5") for i in range(len(s.residencies)))


def overlap_additions(instance: Instance, s: Schedule) -> Mutants:
    rows, tensors = instance.accumulates.rows(), instance.accumulates.indices
    for tensor in set(tensors.tolist()):
        first, second, *_ = (int(np.flatnonzero(s.tiles.tile == t)[0]) for t in rows[tensors == tensor])
        start = int(s.tiles.start[first])
        length = int(s.tiles.end[second] - s.tiles.start[second])
        yield changed(s, "tiles", second, start=start, end=start + length), "V10"


def change_makespan(instance: Instance, s: Schedule) -> Mutants:
    yield from ((replace(s, makespan=s.makespan + d), "V9") for d in (-1, 1))


def start_coincides(s: Schedule, tensor: int, start: int) -> bool:
    """Whether a load of the tensor or any tile starts then."""
    loads = (s.transfers.tensor == tensor) & (s.transfers.start == start)
    return bool(loads.any() or (s.tiles.start == start).any())


def used(instance: Instance, s: Schedule) -> list[int]:
    """Residencies that some tile, taking more than one cycle from their start on, needs."""
    found = []
    for i in range(len(s.residencies)):
        tensor, start, end = (int(c[i]) for c in (s.residencies.tensor, s.residencies.start, s.residencies.end))
        for run in range(len(s.tiles)):
            tile = int(s.tiles.tile[run])
            lists = (instance.inputs, instance.outputs, instance.accumulates)
            needs = any(tensor in rows[tile] for rows in lists)
            if needs and start <= s.tiles.start[run] and s.tiles.end[run] <= end and s.tiles.end[run] > start + 1:
                found.append(i)
                break
    return found


MUTATIONS: list[Callable[[Instance, Schedule], Mutants]] = [
    drop_tile, double_tile, shift_start, change_duration, wrong_core, change_transfer_duration, rewire_transfer,
    overload_channel, drop_load, drop_spill, drop_last_store, drop_residency, shorten_residency, move_residency_start,
    overlap_residencies, overlap_additions, change_makespan,
]  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_mutation_breaks_the_rule_that_it_should(mutation: Callable[[Instance, Schedule], Mutants]) -> None:
    count = 0
    for seed in campaign(90):
        instance, schedule = optimal(seed)
        for mutant, rule in mutation(instance, schedule):
            violations = validate(instance, mutant)
            assert rule in rules(violations), (seed, mutant, violations)
            assert rules(violations) == broken_rules(instance, mutant), (seed, violations)
            count += 1
    assert count >= 5


def test_less_capacity_than_the_peak_breaks_v5() -> None:
    for seed in campaign(60):
        instance, schedule = optimal(seed)
        peak = schedule.peak_memory_bytes(instance.tensor_bytes)
        if peak > 1:
            tight = replace(instance, memory_capacity=np.array([peak], dtype=np.int64))
            assert validate(tight, schedule) == []
            less = replace(instance, memory_capacity=np.array([peak - 1], dtype=np.int64))
            assert rules(validate(less, schedule)) == {"V5"}


# --- against the plain validator ----------------------------------------------------------------------------------


def perturbed(rng: random.Random, schedule: Schedule) -> Schedule:
    """One to three changes of any kind, most of them small."""
    for _ in range(rng.randint(1, 3)):
        table = rng.choice([t for t in ("tiles", "transfers", "residencies") if len(getattr(schedule, t))] or ["none"])
        if table == "none":
            return replace(schedule, makespan=schedule.makespan + 1)
        row = rng.randrange(len(getattr(schedule, table)))
        columns = {name: c for name, c in vars(getattr(schedule, table)).items() if c is not None}
        change = rng.random()
        if change < 0.1:
            schedule = without(schedule, table, row)
        elif change < 0.3:
            schedule = doubled(schedule, table, row)
            name = rng.choice(list(columns))
            schedule = changed(schedule, table, len(columns[name]), **{name: columns[name][row] + rng.randint(-3, 3)})
        elif change < 0.7:
            shift = rng.randint(-4, 4)
            schedule = changed(schedule, table, row, **{n: columns[n][row] + shift for n in ("start", "end")})
        else:
            name = rng.choice(list(columns))
            schedule = changed(schedule, table, row, **{name: columns[name][row] + rng.choice((-2, -1, 1, 2))})
    return schedule


@pytest.mark.parametrize("key_limit", [2**62, 1], ids=["cycles", "ranks"])
def test_it_agrees_with_the_plain_validator(key_limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On perturbed schedules, with the times as they are and (as for huge times) replaced by their ranks."""
    # The package exports the function of the same name, which hides the module.
    monkeypatch.setattr(importlib.import_module("ssmopt.validate"), "_KEY_LIMIT", key_limit)
    rng = random.Random(0)
    seen = dict.fromkeys((f"V{i}" for i in range(1, 11)), 0)
    bases = [(i, schedule_of(which)) for which, (i, _) in INSTANCES.items()] * 20 + [optimal(s) for s in campaign(60)]
    for instance, schedule in bases * 5:
        mutant = perturbed(rng, schedule)
        violations = validate(instance, mutant)
        assert rules(violations) == broken_rules(instance, mutant), (mutant, [str(v) for v in violations])
        for rule in rules(violations):
            seen[rule] += 1
    assert min(seen.values()) >= 5, seen
