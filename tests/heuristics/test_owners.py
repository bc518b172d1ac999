"""Owners of channels: valid on any private memories, weights loaded once, and the model computed."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from small_problems import private_hardware, tiled_problems

from ssmopt.build import tile_problem
from ssmopt.decode import decode
from ssmopt.execute import execute, reference, relative_error
from ssmopt.heuristics.base import schedules_of
from ssmopt.heuristics.heft import HEFT
from ssmopt.heuristics.owners import OWNERS, OwnersVariant
from ssmopt.instance import DRAM, WEIGHT, Instance
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles, count_tiles

MODEL = Model("small", "mamba", 2, 16, 32, 4, 4, 2)
MODEL2 = Model("small", "mamba2", 2, 16, 32, 4, 4, head_dim=4, n_groups=2, chunk_size=4)
TILING = Tiling(
    tokens=8,
    norm_tokens=2,
    state_tokens=4,
    scan=True,
    channel_splits=4,
    projections={
        "in_proj": ProjectionTiling(8, 4),
        "x_proj": ProjectionTiling(3, 4),
        "dt_proj": ProjectionTiling(4, 1),
        "out_proj": ProjectionTiling(4, 4),
    },
)


def check(instance: Instance, schedule: Schedule) -> None:
    """Valid, and what it computes is the model."""
    assert [str(v) for v in validate(instance, schedule)] == []
    assert instance.problem is not None
    execution = execute(instance, schedule)
    expected = reference(instance.problem, execution.arrays)
    assert max(relative_error(execution.outputs[name], expected[name]) for name in expected) < 1e-10


@pytest.mark.parametrize("family", ["mamba", "mamba2"])
@pytest.mark.parametrize("heuristic", [OWNERS, HEFT], ids=lambda heuristic: heuristic.name)
def test_any_tiling_on_any_private_memories(heuristic: object, family: str) -> None:
    """With room for everything, and with no more than the largest tile takes."""
    assert heuristic in (OWNERS, HEFT)

    @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(
        tiled_problems(5, 9, family=family, batches=(1, 1, 2)),
        st.sampled_from(((2, 1), (3, 1), (4, 2), (8, 1))),
        st.booleans(),
        st.sampled_from((1.0, 1.5, 1e6)),
    )
    def run(drawn: tuple[Problem, Tiling], cores: tuple[int, int], joined: bool, room: float) -> None:
        problem, tiling = drawn
        machine = private_hardware(cores[0], per_memory=cores[1], joined=joined)
        problem = dataclasses.replace(problem, hardware=machine)
        assume(count_tiles(problem, tiling) <= 400)
        instance = build_tiles(problem, tiling)
        capacity = max(1, int(instance.minimum_capacity()[0] * room))
        instance = dataclasses.replace(instance, memory_capacity=np.full(instance.n_memories, capacity))
        for schedule, _ in zip(schedules_of(OWNERS if heuristic is OWNERS else HEFT, instance), range(2), strict=False):
            check(instance, schedule)

    run()


@pytest.mark.parametrize("model", [MODEL, MODEL2], ids=["mamba", "mamba2"])
def test_weights_are_loaded_once_and_every_sum_goes_round(model: Model) -> None:
    instance = tile_problem(Problem("p", model, private_hardware(4), 8), TILING)
    schedule = decode(instance, *OwnersVariant().plan(instance))
    check(instance, schedule)
    loads, moved = transfers_of(instance, schedule)
    assert set(loads.values()) == {1}
    assert {instance.tensor_ids[t] for t in np.flatnonzero(instance.tensor_kind == WEIGHT).tolist()} <= set(loads)
    # Every piece of out_proj's sums visits all four memories; no weight of its own channels does.
    pieces = [name for name in instance.tensor_ids.all if name.startswith("o.")]
    assert pieces
    assert all(moved[name] >= 3 for name in pieces)
    assert not [name for name in moved if name.startswith(("W_out", "W_dt", "W_x"))]


def test_layers_follow_each_other_in_the_same_places() -> None:
    instance = tile_problem(Problem("p", MODEL, private_hardware(4), 8, layers=2), TILING)
    schedule = decode(instance, *OwnersVariant().plan(instance))
    assert validate(instance, schedule) == []
    loads, _ = transfers_of(instance, schedule)
    assert set(loads.values()) == {1}
    places = schedule.tile_memories(instance.core_memory).reshape(2, -1)
    assert (places[0] == places[1]).all()


def transfers_of(instance: Instance, schedule: Schedule) -> tuple[Counter[str], Counter[str]]:
    """How many times each tensor is loaded, and moved."""
    table = schedule.transfers
    names = np.array([instance.tensor_ids[t] for t in table.tensor.tolist()])
    moved = (table.source != DRAM) & (table.target != DRAM)
    return Counter(names[table.source == DRAM].tolist()), Counter(names[moved].tolist())


def test_each_memory_does_what_concerns_its_channels() -> None:
    problem = Problem("p", MODEL, private_hardware(4), 8)
    instance = tile_problem(problem, TILING)
    _, policy = OwnersVariant().plan(instance)
    assert policy.memories is not None
    assert instance.meta is not None
    names = np.array(instance.meta.operators)[instance.meta.operator]
    low = instance.meta.low[:, instance.meta.dims.index("E")]
    own = np.isin(names, ("conv1d", "silu_x", "dt_proj", "softplus", "mul_dA", "scan", "gate", "x_proj", "out_proj"))
    assert (policy.memories[own] == low[own] // 8).all()
    column = instance.meta.low[:, instance.meta.dims.index("K")]
    projected = names == "in_proj"
    assert (policy.memories[projected] == column[projected] % 32 // 8).all()
    assert np.bincount(policy.memories[names == "rms_norm"], minlength=4).tolist() == [1, 1, 1, 1]


def test_owners_need_several_memories_and_operators() -> None:
    one = Problem("p", MODEL, private_hardware(4, per_memory=4), 8)
    several = dataclasses.replace(one, hardware=private_hardware(4))
    assert not OWNERS.applies_to(one)
    assert not OWNERS.applies_to(tile_problem(one, TILING))
    assert OWNERS.applies_to(several)
    assert OWNERS.applies_to(tile_problem(several, TILING))
    assert not OWNERS.applies_to(dataclasses.replace(tile_problem(several, TILING), meta=None))


def test_owners_beat_heft_where_the_channel_to_dram_is_the_bottleneck() -> None:
    instance = tile_problem(Problem("p", MODEL, private_hardware(4, capacity=6_000), 8), TILING)
    owners, heft = (min(s.makespan for s in schedules_of(h, instance)) for h in (OWNERS, HEFT))
    assert owners < heft


def test_memories_of_different_sizes() -> None:
    machine = private_hardware(4)
    instance = tile_problem(Problem("p", MODEL, machine, 8), TILING)
    need = instance.minimum_capacity()[0]
    for capacity in ([need, need // 2, need // 3, need], [need // 3, need // 2, need // 2, need]):
        smaller = dataclasses.replace(instance, memory_capacity=np.array(capacity))
        for schedule in schedules_of(OWNERS, smaller):
            check(smaller, schedule)
