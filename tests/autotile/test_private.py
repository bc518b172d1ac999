"""Tilings for private memories: pieces of channels for each memory, and schedules that fit."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import pytest
from small_problems import private_hardware

import ssmopt
from ssmopt.autotile import choose_tiling
from ssmopt.bounds import best, lower_bounds
from ssmopt.decode import decode
from ssmopt.errors import CapacityError
from ssmopt.heuristics.owners import OwnersVariant
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.validate import validate
from ssmopt.workload.needs import least_capacity
from ssmopt.workload.tiles import build_tiles

pytestmark = pytest.mark.searches

MODEL = Model("small", "mamba", 2, 16, 32, 4, 4, 2)
MODEL2 = Model("small", "mamba2", 2, 16, 32, 4, 4, head_dim=4, n_groups=2, chunk_size=4)


def after(questions: int) -> Callable[[int], bool]:
    """A condition that holds when it is asked for the given time."""
    asked = itertools.count()
    return lambda _: next(asked) >= questions


@pytest.mark.parametrize("model", [MODEL, MODEL2], ids=["mamba", "mamba2"])
@pytest.mark.parametrize("form", ["recurrent", "chunked"])
@pytest.mark.parametrize("room", [1, 2, 8, 1_000])
def test_any_room_gets_a_valid_schedule_no_better_than_the_bound(model: Model, form: str, room: int) -> None:
    if model is MODEL and form == "chunked":
        return
    problem = Problem("p", model, private_hardware(4), 11, form=form)
    capacity = room * least_capacity(problem).n_bytes
    problem = dataclasses.replace(problem, hardware=private_hardware(4, capacity=capacity))
    choice = choose_tiling(problem, should_stop=after(6))
    instance = build_tiles(problem, choice.tiling)
    schedule = decode(instance, *choice.variant.plan(instance))
    assert validate(instance, schedule) == []
    assert schedule.makespan >= best(lower_bounds(problem)).cycles
    if room == 1_000:
        assert isinstance(choice.variant, OwnersVariant)
        assert choice.tiling.channel_splits % 4 == 0
        assert choice.tiling.projections["in_proj"].columns % 8 == 0


def test_too_little_room_is_an_error_with_the_number() -> None:
    problem = Problem("p", MODEL, private_hardware(4, capacity=16), 3)
    with pytest.raises(CapacityError) as caught:
        choose_tiling(problem)
    assert caught.value.need_bytes == least_capacity(problem).n_bytes


def test_the_channel_to_dram_is_kept_busy() -> None:
    """The first candidates are within a tenth of the bound, on a model and a prompt that nothing was tuned for."""
    machine = ssmopt.load_hardware("marca-32core-private")
    for name, length in (("mamba-130m", 37), ("mamba2-130m", 21)):
        problem = Problem("p", ssmopt.load_model(name), machine, length)
        choice = choose_tiling(problem, should_stop=after(2))
        assert choice.makespan <= 1.1 * best(lower_bounds(problem)).cycles
