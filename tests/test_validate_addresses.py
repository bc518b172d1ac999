"""Rule V5 on addresses: every wrong one is caught, against a plain check of all pairs, and the message says where."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from allocate.packings import is_packing
from campaign import campaign
from handmade import MOVED, schedule_of
from random_instances import random_instance

import ssmopt
from ssmopt.csr import IntArray
from ssmopt.decode import decode
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.validate import Violation, validate


def placed(schedule: Schedule, offset: IntArray) -> Schedule:
    return replace(schedule, residencies=replace(schedule.residencies, offset=offset))


def breach(instance: Instance, schedule: Schedule) -> Violation | None:
    """The breach of V5, which must be the only rule broken."""
    violations = validate(instance, schedule)
    assert [violation.rule for violation in violations] in ([], ["V5"])
    return violations[0] if violations else None


def test_no_addresses_are_no_breach() -> None:
    assert breach(MOVED, schedule_of("moved")) is None


def test_messages_name_tensors_bytes_memory_and_time() -> None:
    schedule = schedule_of("moved")
    table = schedule.residencies
    names = [
        (MOVED.tensor_ids[int(t)], MOVED.memory_ids[int(m)]) for t, m in zip(table.tensor, table.memory, strict=True)
    ]
    good = {("w", "m0"): 0, ("a", "m0"): 4, ("a", "m1"): 0, ("out", "m1"): 4}
    offset = np.array([good[name] for name in names])
    assert breach(MOVED, placed(schedule, offset)) is None

    clash = offset.copy()
    clash[names.index(("a", "m0"))] = 3
    found = breach(MOVED, placed(schedule, clash))
    assert found is not None
    assert (found.object, found.time) == ("a", 2)
    assert found.message == "is put at bytes [3, 7) of m0 while w is at bytes [0, 4) of m0"

    beyond = offset.copy()
    beyond[names.index(("out", "m1"))] = 7
    found = breach(MOVED, placed(schedule, beyond))
    assert found is not None
    assert (found.object, found.time) == ("out", 6)
    assert found.message == "is put at bytes [7, 9) of m1, which has 8 bytes"


@pytest.mark.parametrize("value", [-1, 2**62, -(2**62)])
def test_offsets_of_any_size_are_no_error(value: int) -> None:
    schedule = schedule_of("moved")
    assert breach(MOVED, placed(schedule, np.full(len(schedule.residencies), value))) is not None


@pytest.mark.parametrize("seed", campaign(60))
def test_random_addresses_against_all_pairs(seed: int) -> None:
    instance, rng = random_instance(seed % 40), random.Random(seed)
    schedule = decode(instance, instance.topological_order)
    table = schedule.residencies
    size = instance.tensor_bytes[table.tensor]
    capacity = int(instance.memory_capacity[0])
    try:
        offset = ssmopt.allocate(instance, schedule, effort=5).residencies.offset
    except ssmopt.AllocationError:
        offset = np.zeros(len(table), dtype=np.int64)
    assert offset is not None
    offset = offset.copy()
    for _ in range(seed % 3):
        offset[rng.randrange(len(offset))] += rng.choice((-2, -1, 1, 2))
    expected = is_packing((table.start, table.end, size), offset, capacity)
    assert (breach(instance, placed(schedule, offset)) is None) == expected


def test_any_shift_in_a_full_memory_is_caught() -> None:
    instance = ssmopt.build_instance("mamba-tiny", "tiny", seq_len=4)
    schedule = ssmopt.solve(instance, solver="fuse-block", allocate=True).schedule
    assert schedule is not None
    offset = schedule.residencies.offset
    assert offset is not None
    size = instance.tensor_bytes[schedule.residencies.tensor]
    top = int((offset + size).max())
    tight = replace(instance, memory_capacity=np.array([top]))
    for row in np.flatnonzero(size > 0).tolist():
        for other in (-1, top - int(size[row]) + 1):
            wrong = offset.copy()
            wrong[row] = other
            assert breach(tight, placed(schedule, wrong)) is not None
