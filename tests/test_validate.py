"""The validator: every rule by hand, by mutation of optimal schedules, and against a plain row-by-row validator."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from exhaustive import exhaustive_schedule
from handmade import Row, make_instance, make_schedule
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_validator import broken_rules
from random_instances import random_instance

import ssmopt.validate
from ssmopt.errors import SsmoptError
from ssmopt.instance import DRAM, OUTPUT, Instance
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable
from ssmopt.validate import InvalidScheduleError, Violation, check, validate

TWO_MEMORIES = {
    "memories": {"m0": 8, "m1": 8},
    "cores": {"c0": "m0", "c1": "m1"},
    "channels": {"dma": (2, 1, "dram m0 m1"), "link": (4, 2, "m0 m1")},
}

MOVED = make_instance(
    tiles={"p": ({"c0": 3}, "w", "a", ""), "q": (2, "a", "out", "")},
    tensors={"w": (4, "weight"), "a": (4, "intermediate"), "out": (2, "output")},
    **TWO_MEMORIES,
)
MOVED_ROWS: dict[str, Row] = {
    "load w": ("w", "dma", "dram", "m0", 0, 2),
    "w m0": ("w", "m0", 0, 5),
    "p": ("p", "c0", 2, 5),
    "a m0": ("a", "m0", 2, 6),
    "move a": ("a", "link", "m0", "m1", 5, 6),
    "a m1": ("a", "m1", 5, 8),
    "q": ("q", "c1", 6, 8),
    "out m1": ("out", "m1", 6, 9),
    "store out": ("out", "dma", "m1", "dram", 8, 9),
}

ADDED = make_instance(
    tiles={"x1": (2, "", "", "s"), "x2": (2, "", "", "s"), "x3": (2, "", "", "s"), "r": (2, "s", "o", "")},
    tensors={"s": (4, "output"), "o": (2, "output")},
    **TWO_MEMORIES,
)
ADDED_ROWS: dict[str, Row] = {
    "x1": ("x1", "c0", 0, 2),
    "s m0 first": ("s", "m0", 0, 3),
    "move s": ("s", "link", "m0", "m1", 2, 3),
    "s m1": ("s", "m1", 2, 7),
    "x2": ("x2", "c1", 3, 5),
    "spill s": ("s", "dma", "m1", "dram", 5, 7),
    "load s": ("s", "dma", "dram", "m0", 7, 9),
    "s m0": ("s", "m0", 7, 14),
    "x3": ("x3", "c0", 9, 11),
    "r": ("r", "c0", 11, 13),
    "o m0": ("o", "m0", 11, 14),
    "store s": ("s", "dma", "m0", "dram", 11, 13),
    "store o": ("o", "dma", "m0", "dram", 13, 14),
}

JOBS = make_instance(
    tiles={"j1": ({"c0": 3}, "", "k", "z"), "j2": ({"c1": 4}, "k", "end", ""), "j3": ({"c1": 2}, "", "", "z")},
    tensors={"k": (0, "intermediate"), "end": (0, "output"), "z": (0, "intermediate")},
    **TWO_MEMORIES,
)
JOBS_ROWS: dict[str, Row] = {"j1": ("j1", "c0", 0, 3), "j2": ("j2", "c1", 5, 9), "j3": ("j3", "c1", 3, 5)}

INSTANCES = {"moved": (MOVED, MOVED_ROWS), "added": (ADDED, ADDED_ROWS), "jobs": (JOBS, JOBS_ROWS)}


def schedule_of(which: str, changes: dict[str, Row | None] | None = None, makespan: int | None = None) -> Schedule:
    """A hand-made schedule with rows replaced, added or (None) left out."""
    instance, rows = INSTANCES[which]
    kept = [row for row in (rows | (changes or {})).values() if row is not None]
    tiles = [row for row in kept if row[0] in instance.tile_ids.lookup or row[0] == 99]
    others = [row for row in kept if row not in tiles]
    return make_schedule(
        instance,
        tiles,
        [row for row in others if len(row) == 6],
        [row for row in others if len(row) == 4],
        makespan,
    )


def rules(violations: list[Violation]) -> set[str]:
    return {violation.rule for violation in violations}


@pytest.mark.parametrize("which", sorted(INSTANCES))
def test_the_hand_made_schedules_are_feasible(which: str) -> None:
    assert validate(INSTANCES[which][0], schedule_of(which)) == []
    check(INSTANCES[which][0], schedule_of(which))


# Which rows to change, the rules that are broken then, and the object and time of the first breach of the first rule.
CASES: list[tuple[str, dict[str, Row | None], str, str, int]] = [
    ("moved", {"q": None}, "V1 V4 V6 V8", "q", 9),
    ("moved", {"q again": ("q", "c1", 8, 10)}, "V1 V3 V6 V8", "q", 8),
    ("moved", {"no such tile": (99, "c0", 6, 8)}, "V1", "tile number 99", 6),
    ("moved", {"q": ("q", 7, 6, 8)}, "V1 V4 V6 V8", "q", 6),
    ("moved", {"p": ("p", "c1", 2, 5)}, "V1 V3 V4", "p", 2),
    ("moved", {"q": ("q", "c1", 6, 7)}, "V1", "q", 6),
    ("moved", {"q": ("q", "c1", -2, 0)}, "V1 V4 V6 V8", "q", -2),
    ("moved", {"q": ("q", "c0", 4, 6)}, "V2 V3 V4", "c0", 4),
    ("moved", {"w m0": None}, "V3 V4", "p", 2),
    ("moved", {"w m0": ("w", "m0", 0, 4)}, "V3", "p", 4),
    ("moved", {"out m1": ("out", "m1", 6, 7)}, "V3 V6", "q", 7),
    ("moved", {"w m0": ("w", "m0", 1, 5)}, "V4", "w", 0),
    ("moved", {"load w": ("w", "dma", "dram", "m0", 1, 3), "w m0": ("w", "m0", 1, 5)}, "V4", "p", 2),
    ("moved", {"a m1": ("a", "m1", 4, 8)}, "V4", "a", 4),
    ("moved", {"move a": None}, "V4", "a", 5),
    ("moved", {"load out": ("w", "dma", "dram", "m1", 2, 4)}, "V4", "w", 2),
    ("moved", {"w more": ("w", "m0", 0, 8)}, "V5", "w", 0),
    (
        "moved",
        {"w m0": ("w", "m0", 0, 9), "load w": ("w", "dma", "dram", "m0", 0, 2), "q": ("q", "c0", 6, 8),
         "move a": None, "a m1": None, "a m0": ("a", "m0", 2, 8), "out m1": ("out", "m0", 6, 9),
         "store out": ("out", "dma", "m0", "dram", 8, 9)},
        "V5", "m0", 6,
    ),
    ("moved", {"w m0": ("w", "m0", 5, 5)}, "V3 V4 V5", "p", 2),
    ("moved", {"strange": ("w", 5, 0, 5)}, "V5", "w", 0),
    ("moved", {"strange": (77, "m0", 3, 5)}, "V5", "tensor number 77", 3),
    ("moved", {"strange": ("w", "m1", -5, 2)}, "V5", "w", -5),
    ("moved", {"move a": ("a", "link", "m0", "m1", 5, 7), "a m0": ("a", "m0", 2, 7)}, "V4 V6", "q", 6),
    ("moved", {"load w": ("w", "link", "dram", "m0", 0, 1)}, "V6", "w", 0),
    ("moved", {"store out": ("out", "dma", "m1", "m1", 8, 9)}, "V6 V8", "out", 8),
    ("moved", {"move a": ("a", "link", "m1", "m0", 5, 6)}, "V4", "a", 5),
    ("moved", {"store out": ("out", 3, "m1", "dram", 8, 9)}, "V6 V8", "out", 8),
    ("moved", {"store out": ("out", "dma", "m0", "dram", 8, 9)}, "V6", "out", 8),
    ("moved", {"a m0": ("a", "m0", 2, 5)}, "V6", "a", 5),
    ("moved", {"move a": ("a", "link", "m0", "m1", 4, 5), "a m1": ("a", "m1", 4, 8)}, "V4 V6", "a", 4),
    ("moved", {"store out": ("out", "dma", "m1", "dram", 7, 8)}, "V4 V6 V8", "out", 7),
    ("moved", {"load w again": ("w", "dma", "dram", "m0", 1, 3)}, "V6", "dma", 1),
    ("moved", {"move a": ("a", "dma", "dram", "m1", 4, 6), "a m1": ("a", "m1", 4, 8)}, "V7", "a", 4),
    ("moved", {"store out": None}, "V8", "out", 8),
    ("added", {"x2": ("x2", "c1", 1, 3)}, "V3 V10", "x2", 1),
    ("added", {"move s": None, "s m1": ("s", "m1", 3, 7)}, "V4", "s", 3),
    ("added", {"load s": None, "s m0 first": ("s", "m0", 0, 14), "s m0": None}, "V10", "x3", 9),
    ("added", {"spill s": ("s", "dma", "m0", "dram", 2, 4), "s m0 first": ("s", "m0", 0, 4)}, "V7 V10", "s", 7),
    ("added", {"spill s": ("s", "dma", "m1", "dram", 4, 6)}, "V7 V10", "s", 7),
    ("added", {"load s": ("s", "dma", "dram", "m0", 6, 8), "s m0": ("s", "m0", 6, 14)}, "V6 V7", "dma", 6),
    ("added", {"s m0 first": ("s", "m0", 0, 6), "move s back": ("s", "link", "m0", "m1", 5, 6)}, "V10", "s", 5),
    ("added", {"r": ("r", "c1", 9, 11), "o m0": ("o", "m1", 9, 14)}, "V3 V10 V6", "r", 9),
    ("added", {"store s": ("s", "dma", "m0", "dram", 9, 11)}, "V8 V10", "s", 14),
    ("jobs", {"j2": ("j2", "c1", 2, 6)}, "V2 V4", "c1", 3),
    ("jobs", {"j3": ("j3", "c1", 2, 4)}, "V10", "z", 2),
    ("jobs", {"k m0": ("k", "m0", 1, 1), "move k": ("k", "link", "m0", "m1", 1, 1)}, "", "", 0),
    ("jobs", {"move k": ("k", "link", "dram", "m1", 1, 1)}, "V6", "k", 1),
    ("jobs", {"move k": ("k", "link", "m0", "m1", 1, 2)}, "V6", "k", 1),
]


@pytest.mark.parametrize(("which", "changes", "expected", "thing", "time"), CASES, ids=str)
def test_a_broken_schedule_names_rule_object_and_time(
    which: str, changes: dict[str, Row | None], expected: str, thing: str, time: int
) -> None:
    violations = validate(INSTANCES[which][0], schedule_of(which, changes))
    found = {v.rule: (v.object, v.time) for v in violations}
    assert set(found) == set(expected.split()), [str(v) for v in violations]
    if expected:
        assert found[expected.split()[0]] == (thing, time)
    assert rules(violations) == broken_rules(INSTANCES[which][0], schedule_of(which, changes))


@pytest.mark.parametrize("makespan", [0, 8, 10, -1, 2**70])
def test_the_makespan_is_the_last_end(makespan: int) -> None:
    (violation,) = validate(MOVED, schedule_of("moved", makespan=makespan))
    assert violation == Violation("V9", "out", 9, f"the makespan is given as {makespan} but the last end is 9")


def test_check_raises_with_all_violations() -> None:
    with pytest.raises(InvalidScheduleError, match=r"V8 at cycle 8: out: .*DRAM") as caught:
        check(MOVED, schedule_of("moved", {"store out": None}))
    assert isinstance(caught.value, SsmoptError)
    assert [v.rule for v in caught.value.violations] == ["V8"]


def test_nothing_to_do_is_feasible() -> None:
    empty = make_instance({}, {}, {"m": 1}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    assert validate(empty, make_schedule(empty, [])) == []
    assert rules(validate(empty, make_schedule(empty, [(0, 0, 0, 1)]))) == {"V1"}


# --- mutations of optimal schedules -------------------------------------------------------------------------------


@cache
def optimal(seed: int) -> tuple[Instance, Schedule]:
    instance = random_instance(seed)
    return instance, exhaustive_schedule(instance)


def changed(schedule: Schedule, table: str, row: int, **cells: int) -> Schedule:
    """The schedule with cells of one row replaced."""
    old = getattr(schedule, table)
    columns = {name: column.copy() for name, column in vars(old).items()}
    for name, value in cells.items():
        columns[name][row] = value
    return replace(schedule, **{table: type(old)(**columns)})


def without(schedule: Schedule, table: str, row: int) -> Schedule:
    old = getattr(schedule, table)
    return replace(schedule, **{table: type(old)(**{n: np.delete(c, row) for n, c in vars(old).items()})})


def doubled(schedule: Schedule, table: str, row: int) -> Schedule:
    old = getattr(schedule, table)
    return replace(schedule, **{table: type(old)(**{n: np.append(c, c[row]) for n, c in vars(old).items()})})


Mutants = Iterator[tuple[Schedule, str]]


def drop_tile(instance: Instance, s: Schedule) -> Mutants:
    yield from ((without(s, "tiles", i), "V1") for i in range(len(s.tiles)))


def double_tile(instance: Instance, s: Schedule) -> Mutants:
    yield from ((doubled(s, "tiles", i), rule) for i in range(len(s.tiles)) for rule in ("V1", "V2"))


def shift_start(instance: Instance, s: Schedule) -> Mutants:
    yield from ((changed(s, "tiles", i, start=s.tiles.start[i] + d), "V1") for i in range(len(s.tiles)) for d in (-1, 1))


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
    for seed in range(60):
        instance, schedule = optimal(seed)
        for mutant, rule in mutation(instance, schedule):
            violations = validate(instance, mutant)
            assert rule in rules(violations), (seed, mutant, violations)
            assert rules(violations) == broken_rules(instance, mutant), (seed, violations)
            count += 1
    assert count >= 5


def test_less_capacity_than_the_peak_breaks_v5() -> None:
    for seed in range(60):
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
        columns = vars(getattr(schedule, table))
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
    monkeypatch.setattr(ssmopt.validate, "_KEY_LIMIT", key_limit)
    rng = random.Random(0)
    seen = dict.fromkeys((f"V{i}" for i in range(1, 11)), 0)
    bases = [(i, schedule_of(which)) for which, (i, _) in INSTANCES.items()] * 20 + [optimal(s) for s in range(60)]
    for instance, schedule in bases * 5:
        mutant = perturbed(rng, schedule)
        violations = validate(instance, mutant)
        assert rules(violations) == broken_rules(instance, mutant), (mutant, [str(v) for v in violations])
        for rule in rules(violations):
            seen[rule] += 1
    assert min(seen.values()) >= 5, seen


INTEGERS = st.one_of(st.integers(-2, 12), st.integers(-(2**63), 2**63 - 1))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(INSTANCES)), st.data())
def test_any_integers_are_judged_not_refused(which: str, data: st.DataObject) -> None:
    """Each table holds arbitrary rows: the answer is a list of violations, never an exception."""

    def columns(width: int) -> list[np.ndarray]:
        rows = data.draw(st.lists(st.tuples(*[INTEGERS] * width), max_size=6))
        return list(np.array(rows, dtype=np.int64).reshape(-1, width).T)

    schedule = Schedule(
        TileTable(*columns(4)), TransferTable(*columns(6)), ResidencyTable(*columns(4)), data.draw(INTEGERS)
    )
    instance = INSTANCES[which][0]
    for violation in validate(instance, schedule):
        assert str(violation)


def test_huge_times_do_not_overflow() -> None:
    """A schedule in which everything happens 2**61 cycles later breaks no other rule."""
    schedule = schedule_of("added")
    late = Schedule(
        *(
            type(table)(**{n: c + 2**61 if n in ("start", "end") else c for n, c in vars(table).items()})
            for table in (schedule.tiles, schedule.transfers, schedule.residencies)
        ),
        makespan=schedule.makespan + 2**61,
    )
    assert validate(ADDED, late) == []
    assert rules(validate(ADDED, replace(late, makespan=3))) == {"V9"}
