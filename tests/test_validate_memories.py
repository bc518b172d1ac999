"""The validator on schedules with several memories: moves, copies, and partial sums across memories."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from plain_validator import broken_rules
from random_instances import large_instance, random_instance
from random_orders import random_memories, random_order, random_policy, tight_memories, with_private_memories
from schedule_changes import changed, without

from ssmopt.decode import decode
from ssmopt.instance import DRAM, Instance
from ssmopt.schedule import Schedule
from ssmopt.validate import validate


@cache
def case(seed: int) -> tuple[Instance, Schedule]:
    """A feasible schedule on several memories."""
    rng = random.Random(seed)
    instance = large_instance(seed, 12) if seed % 2 else random_instance(seed)
    instance = with_private_memories(instance, rng)
    if seed % 3 == 0:
        instance = tight_memories(instance, rng)
    policy = replace(random_policy(instance, rng), memories=random_memories(instance, rng))
    schedule = decode(instance, random_order(instance, rng), policy)
    assert validate(instance, schedule) == []
    return instance, schedule


def rules_of(instance: Instance, schedule: Schedule) -> set[str]:
    found = {violation.rule for violation in validate(instance, schedule)}
    assert found == broken_rules(instance, schedule)
    return found


def moves_of(schedule: Schedule) -> list[int]:
    table = schedule.transfers
    return np.flatnonzero((table.source != DRAM) & (table.target != DRAM)).tolist()


@pytest.mark.parametrize("block", range(5))
def test_every_random_change_is_judged_as_the_plain_validator_does(block: int) -> None:
    broken: Counter[str] = Counter()
    for seed in range(20 * block, 20 * block + 20):
        instance, schedule = case(seed)
        rng = random.Random(seed)
        for _ in range(12):
            table = rng.choice(("tiles", "transfers", "transfers", "residencies", "residencies"))
            rows = getattr(schedule, table)
            if not len(rows):
                continue
            row = rng.randrange(len(rows))
            columns = {n: int(c[row]) for n, c in vars(rows).items() if c is not None}
            by = rng.choice((-3, -2, -1, 1, 2, 3))
            memory = rng.randrange(instance.n_memories)
            cells = rng.choice(
                {
                    "tiles": [{"core": rng.randrange(instance.n_cores)}, _shifted(columns, by)],
                    "transfers": [
                        {"source": memory},
                        {"target": memory},
                        {"channel": rng.randrange(len(instance.channel_ids))},
                        _shifted(columns, by),
                    ],
                    "residencies": [
                        {"memory": memory},
                        {"end": max(0, columns["end"] + by)},
                        {"start": max(0, columns["start"] + by)},
                    ],
                }[table]
            )
            mutant = changed(schedule, table, row, **cells)
            broken.update(rules_of(instance, replace(mutant, makespan=_last_end(mutant))))
    assert {"V1", "V2", "V3", "V4", "V5", "V6"} <= set(broken)


def _shifted(columns: dict[str, int], by: int) -> dict[str, int]:
    by = max(by, -columns["start"])
    return {"start": columns["start"] + by, "end": columns["end"] + by}


def _last_end(schedule: Schedule) -> int:
    return max(int(schedule.tiles.end.max(initial=0)), int(schedule.transfers.end.max(initial=0)))


def test_a_move_less_leaves_a_copy_without_a_beginning() -> None:
    count = 0
    for seed in range(60):
        instance, schedule = case(seed)
        for move in moves_of(schedule):
            assert "V4" in rules_of(instance, without(schedule, "transfers", move)), seed
            count += 1
    assert count >= 50


def test_a_move_needs_a_source_that_holds_the_tensor_and_a_channel_that_joins_both() -> None:
    count = 0
    for seed in range(60):
        instance, schedule = case(seed)
        table, stays = schedule.transfers, schedule.residencies
        for move in moves_of(schedule):
            tensor, start = int(table.tensor[move]), int(table.start[move])
            holders = set(
                stays.memory[(stays.tensor == tensor) & (stays.start <= start) & (stays.end > start)].tolist()
            )
            for other in set(range(instance.n_memories)) - holders - {int(table.target[move])}:
                assert "V6" in rules_of(instance, changed(schedule, "transfers", move, source=other)), seed
                count += 1
            target = int(table.target[move])
            assert "V6" in rules_of(instance, changed(schedule, "transfers", move, source=target)), seed
    assert count >= 5


def test_a_partial_sum_left_behind_is_no_longer_current() -> None:
    """An addition that runs on a core of another memory than the current partial sum breaks V3 and V10."""
    count = 0
    for seed in range(1, 120, 2):
        instance, schedule = case(seed)
        summed = set(instance.accumulates.indices[instance.tensor_bytes[instance.accumulates.indices] > 0].tolist())
        for move in moves_of(schedule):
            tensor = int(schedule.transfers.tensor[move])
            if tensor not in summed:
                continue
            adders = np.isin(schedule.tiles.tile, instance.writers[tensor])
            later = adders & (schedule.tiles.start >= schedule.transfers.end[move])
            if not later.any():
                continue
            mutant = without(schedule, "transfers", move)
            stays = mutant.residencies
            begun = (stays.tensor == tensor) & (stays.memory == schedule.transfers.target[move])
            begun &= stays.start == schedule.transfers.start[move]
            mutant = without(mutant, "residencies", int(np.flatnonzero(begun)[0]))
            assert {"V3", "V10"} <= rules_of(instance, mutant), seed
            count += 1
    assert count >= 5


def test_an_addition_makes_other_copies_old() -> None:
    """A copy of a sum that is moved before the last addition does not serve a reader."""
    count = 0
    for seed in range(1, 200, 2):
        instance, schedule = case(seed)
        for move in moves_of(schedule):
            tensor = int(schedule.transfers.tensor[move])
            adding = np.isin(schedule.tiles.tile, instance.accumulates.transpose(instance.n_tensors)[tensor])
            if adding.sum() < 2:
                continue
            last = int(schedule.tiles.start[adding].max())
            length = int(schedule.transfers.end[move] - schedule.transfers.start[move])
            if last < length or schedule.transfers.start[move] < last or not length:
                continue
            early = changed(schedule, "transfers", move, start=last - length, end=last)
            stays = schedule.residencies
            begun = (stays.tensor == tensor) & (stays.memory == schedule.transfers.target[move])
            begun &= stays.start == schedule.transfers.start[move]
            row = int(np.flatnonzero(begun)[0])
            assert rules_of(instance, changed(early, "residencies", row, start=last - length)), seed
            count += 1
    assert count >= 3
