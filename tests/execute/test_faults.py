"""Schedules with something missing, too early or too late fail or compute something else."""

from __future__ import annotations

import dataclasses
import functools
import random

import numpy as np
import pytest
from small_problems import core_group, hardware

from ssmopt.csr import IntArray
from ssmopt.decode import decode
from ssmopt.errors import ExecutionError
from ssmopt.execute import execute
from ssmopt.instance import DRAM, Instance
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles

from .comparing import any_order, differences, with_room
from .two_memories import TWO_MEMORIES, schedule_on_two_memories

MODEL = Model("small", "mamba", 1, 4, 4, 2, 3, dt_rank=2)
MODEL2 = Model("small", "mamba2", 1, 4, 4, 2, 3, head_dim=2, n_groups=2, chunk_size=2)
TILING = Tiling(tokens=2, channel_splits=2, state_splits=2, projections={"in_proj": ProjectionTiling(4, 2)})
PROBLEM = Problem("small", MODEL, hardware(core_group()), 3)
PROBLEMS = {
    "recurrent": (PROBLEM, TILING),
    "scan": (
        dataclasses.replace(PROBLEM, initial_state="zero"),
        dataclasses.replace(TILING, scan=True, state_tokens=2),
    ),
    "state-update": (dataclasses.replace(PROBLEM, scope="state-update"), TILING),
    "chunked": (dataclasses.replace(PROBLEM, model=MODEL2, form="chunked"), TILING),
}


@functools.cache
def case(name: str) -> tuple[Instance, Schedule]:
    """An instance with a memory so small that much is spilled, and a schedule that is right."""
    instance = with_room(build_tiles(*PROBLEMS[name]), 1.3)
    schedule = decode(instance, any_order(instance, random.Random(0)))
    assert validate(instance, schedule) == []
    assert differences(instance, schedule) == []
    return instance, schedule


def without(table: object, row: int) -> dict[str, IntArray]:
    return {name: np.delete(column, row) for name, column in vars(table).items() if column is not None}


def goes_wrong(instance: Instance, schedule: Schedule) -> bool:
    try:
        return differences(instance, schedule) != []
    except ExecutionError:
        return True


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_residency_less(name: str) -> None:
    instance, schedule = case(name)
    stays = schedule.residencies
    for row in range(len(stays)):
        less = dataclasses.replace(schedule, residencies=type(stays)(**without(stays, row)))
        assert goes_wrong(instance, less), row


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_residency_that_ends_a_cycle_too_early_or_begins_too_late(name: str) -> None:
    instance, schedule = case(name)
    stays = schedule.residencies
    for row in range(len(stays)):
        for field, change in (("end", -1), ("start", 1)):
            column = getattr(stays, field).copy()
            column[row] += change
            changed = dataclasses.replace(schedule, residencies=dataclasses.replace(stays, **{field: column}))
            assert goes_wrong(instance, changed), (row, field)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_transfer_less(name: str) -> None:
    instance, schedule = case(name)
    moves = schedule.transfers
    assert instance.produced[moves.tensor[moves.source == DRAM]].any()
    for row in range(len(moves)):
        less = dataclasses.replace(schedule, transfers=type(moves)(**without(moves, row)))
        assert goes_wrong(instance, less), row


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_tile_less(name: str) -> None:
    instance, schedule = case(name)
    for row in range(len(schedule.tiles)):
        less = dataclasses.replace(schedule, tiles=type(schedule.tiles)(**without(schedule.tiles, row)))
        assert goes_wrong(instance, less), row


@pytest.mark.parametrize("name", PROBLEMS)
def test_two_dependent_tiles_exchanged(name: str) -> None:
    instance, schedule = case(name)
    position = np.argsort(schedule.tiles.tile)
    for before, after in sorted({*zip(*(column.tolist() for column in instance.edges), strict=True)}):
        tile = schedule.tiles.tile.copy()
        tile[position[[before, after]]] = after, before
        exchanged = dataclasses.replace(schedule, tiles=dataclasses.replace(schedule.tiles, tile=tile))
        assert goes_wrong(instance, exchanged), (before, after)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_transfer_that_comes_too_late(name: str) -> None:
    """What waits for a load, and nothing but that, finds it missing."""
    instance, schedule = case(name)
    moves = schedule.transfers
    for row in np.flatnonzero(moves.source == DRAM).tolist():
        end = moves.end.copy()
        end[row] = schedule.makespan + 1
        late = dataclasses.replace(schedule, transfers=dataclasses.replace(moves, end=end))
        assert goes_wrong(instance, late), row


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", PROBLEMS)
def test_moves_between_two_memories(name: str, seed: int) -> None:
    problem, tiling = PROBLEMS[name]
    instance = build_tiles(dataclasses.replace(problem, hardware=TWO_MEMORIES), tiling)
    schedule = schedule_on_two_memories(instance, random.Random(seed))
    moves = schedule.transfers
    assert ((moves.source != DRAM) & (moves.target != DRAM)).any()
    assert validate(instance, schedule) == []
    assert differences(instance, schedule) == []


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["recurrent", "scan"])
def test_old_partial_sums(name: str, seed: int) -> None:
    problem, tiling = PROBLEMS[name]
    instance = build_tiles(dataclasses.replace(problem, hardware=TWO_MEMORIES), tiling)
    careless = schedule_on_two_memories(instance, random.Random(seed), careless=True)
    with pytest.raises(ExecutionError, match=r"tile '.*' needs tensor '.*', of which m[01] has an old partial sum"):
        execute(instance, careless)


def test_messages_name_what_needs_what() -> None:
    instance, schedule = case("recurrent")
    stays, moves = schedule.residencies, schedule.transfers
    nothing = dataclasses.replace(schedule, residencies=type(stays).empty())
    with pytest.raises(
        ExecutionError, match=r"transfer of '.*' from dram to sram finds no room for tensor '.*' in sram"
    ):
        execute(instance, nothing)
    nothing = dataclasses.replace(schedule, transfers=type(moves).empty())
    with pytest.raises(ExecutionError, match=r"tile '.*' needs tensor '.*', which has not arrived in sram"):
        execute(instance, nothing)
    stored = np.flatnonzero(moves.target == DRAM)
    no_stores = dataclasses.replace(
        schedule, transfers=type(moves)(**{name: np.delete(column, stored) for name, column in vars(moves).items()})
    )
    with pytest.raises(ExecutionError, match=r"from dram to sram needs tensor '.*', which is not in dram"):
        execute(instance, no_stores)


def test_rows_that_make_no_sense() -> None:
    instance, schedule = case("recurrent")
    tiles = schedule.tiles

    def changed(**columns: IntArray) -> Schedule:
        return dataclasses.replace(schedule, tiles=dataclasses.replace(tiles, **columns))

    with pytest.raises(ExecutionError, match="ends before it has begun"):
        execute(instance, changed(start=tiles.end, end=tiles.start))
    with pytest.raises(ExecutionError, match="does not have"):
        execute(instance, changed(tile=tiles.tile + 1))
    with pytest.raises(ExecutionError, match="more than once"):
        execute(instance, changed(tile=np.zeros_like(tiles.tile)))
    twice = dataclasses.replace(
        schedule,
        residencies=type(schedule.residencies)(
            **{
                name: np.append(column, column[:1])
                for name, column in vars(schedule.residencies).items()
                if column is not None
            }
        ),
    )
    with pytest.raises(ExecutionError, match="already when its residency begins"):
        execute(instance, twice)
