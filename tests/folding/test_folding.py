"""Closed forms: they expand to schedules of the real instance, which the ordinary validator accepts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ssmopt.errors import InputError
from ssmopt.files.folded import read_folded, write_folded
from ssmopt.folded import FoldedSchedule
from ssmopt.folding.check import validate_folded
from ssmopt.folding.expand import expand, peak_memory_bytes
from ssmopt.folding.plan import PeriodicVariant, periodic_schedule
from ssmopt.heuristics.fuse_block import BlockVariant
from ssmopt.heuristics.places import BlockOrder
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.result import FEASIBLE, Bound
from ssmopt.solve import solve
from ssmopt.tiling import Tiling
from ssmopt.validate import validate
from tests.small_problems import core_group, hardware

MAMBA = Model("small", "mamba", 1, 6, 8, 4, 4, 2)
MAMBA2 = Model("small", "mamba2", 1, 6, 8, 4, 4, head_dim=4, n_groups=1, chunk_size=4)
TILING = Tiling(tokens=4, state_tokens=2, scan=True, channel_splits=2)
VARIANT = PeriodicVariant(BlockVariant(BlockOrder(), 2, 2))


def problem(model: Model = MAMBA, tokens: int = 43, capacity: int = 4096, initial: str = "load") -> Problem:
    return Problem("small", model, hardware(core_group(overhead=2), capacity=capacity), tokens, initial_state=initial)


def folded(target: Problem) -> FoldedSchedule:
    found = periodic_schedule(target, TILING, VARIANT)
    assert found is not None
    return found


@pytest.mark.parametrize("initial", ["load", "zero"])
@pytest.mark.parametrize("tokens", [48, 49, 50, 51, 67])
@pytest.mark.parametrize("capacity", [1600, 4096, 10**6])
@pytest.mark.parametrize("model", [MAMBA, MAMBA2], ids=["mamba", "mamba2"])
def test_expanded_it_is_a_valid_schedule_of_the_real_instance(
    model: Model, tokens: int, capacity: int, initial: str
) -> None:
    closed = folded(problem(model, tokens, capacity, initial))
    instance, schedule = expand(closed)
    assert validate(instance, schedule) == []
    assert validate_folded(closed, most_tiles=0) == []
    assert schedule.makespan == closed.makespan
    assert len(schedule.tiles) == instance.n_tiles == closed.n_tiles
    assert len(schedule.transfers) == closed.n_transfers
    assert schedule.dram_bytes(instance.tensor_bytes) == closed.dram_bytes
    assert schedule.peak_memory_bytes(instance.tensor_bytes) == peak_memory_bytes(closed)


def test_each_copy_of_a_tile_is_the_same_operator_on_later_tokens() -> None:
    closed = folded(problem(tokens=66))
    instance, schedule = expand(closed)
    names = [instance.tile_ids[int(t)] for t in schedule.tiles.tile]
    starts = dict(zip(names, schedule.tiles.start.tolist(), strict=True))
    token = closed.repeated
    first = starts[f"conv1d.{token}.0"]
    for copy in range(closed.repeats):
        assert starts[f"conv1d.{token + copy}.0"] == first + copy * closed.period


def test_a_million_tokens_take_as_long_to_schedule_as_a_hundred() -> None:
    short, long = folded(problem(tokens=103)), folded(problem(tokens=1_000_003))
    assert (long.period, long.short.n_tiles) == (short.period, short.short.n_tiles)
    assert long.makespan - short.makespan == (long.copies - short.copies) * long.period
    assert validate_folded(long, most_tiles=0) == []


def test_a_period_that_is_too_short_is_found_out() -> None:
    closed = folded(problem(tokens=67))
    wrong = dataclasses.replace(closed, period=closed.period - 1)
    assert validate_folded(wrong, most_tiles=0)


def test_a_row_that_does_not_repeat_is_found_out() -> None:
    closed = folded(problem(tokens=67))
    part = closed.transfer_part.copy()
    part[np.flatnonzero(part == 1)[0]] = 0
    assert validate_folded(dataclasses.replace(closed, transfer_part=part), most_tiles=0)


def test_a_prompt_that_is_too_short_does_not_fold() -> None:
    assert periodic_schedule(problem(tokens=20), TILING, VARIANT) is None


def test_files_bring_it_back(tmp_path: Path) -> None:
    target = problem(tokens=1_000_003)
    closed = folded(target)
    file = tmp_path / "long.json"
    write_folded(file, closed, status=FEASIBLE, bound=Bound(1, "work"))
    back = read_folded(file, target)
    assert back is not None
    assert (back.makespan, back.n_tiles, back.dram_bytes) == (closed.makespan, closed.n_tiles, closed.dram_bytes)
    assert validate_folded(back, most_tiles=0) == []
    with pytest.raises(InputError, match="tokens"):
        read_folded(file, problem(tokens=999_999))


def test_the_solver_reports_a_closed_form_like_any_other() -> None:
    result = solve(problem(tokens=100_003), solver="periodic", tiling=TILING, time_limit=20)
    fields = result.as_dict()
    assert result.schedule is None
    assert fields["valid"] is True
    assert fields["makespan"] == result.makespan
    assert result.makespan is not None
    assert result.lower_bound <= result.instance_bound <= result.makespan
    assert isinstance(fields["tiles"], int)
    assert fields["tiles"] > 100_003


def test_tiles_alone_are_refused() -> None:
    closed = folded(problem(tokens=67))
    with pytest.raises(InputError, match="needs a problem"):
        solve(closed.short, solver="periodic")
