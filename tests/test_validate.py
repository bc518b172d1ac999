"""The validator: every rule by hand, and any integers at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from handmade import ADDED, INSTANCES, MOVED, Row, make_instance, make_schedule, schedule_of
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_validator import broken_rules

from ssmopt.errors import SsmoptError
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable
from ssmopt.validate import InvalidScheduleError, Violation, check, validate


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
        {
            "w m0": ("w", "m0", 0, 9),
            "load w": ("w", "dma", "dram", "m0", 0, 2),
            "q": ("q", "c0", 6, 8),
            "move a": None,
            "a m1": None,
            "a m0": ("a", "m0", 2, 8),
            "out m1": ("out", "m0", 6, 9),
            "store out": ("out", "dma", "m0", "dram", 8, 9),
        },
        "V5",
        "m0",
        6,
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
            type(table)(
                **{n: c + 2**61 if n in ("start", "end") else c for n, c in vars(table).items() if c is not None}
            )
            for table in (schedule.tiles, schedule.transfers, schedule.residencies)
        ),
        makespan=schedule.makespan + 2**61,
    )
    assert validate(ADDED, late) == []
    assert rules(validate(ADDED, replace(late, makespan=3))) == {"V9"}
