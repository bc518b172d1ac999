"""Each heuristic: valid schedules, and the transfers that its definition asks for."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from handmade import make_instance
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_instances import random_instance
from small_problems import OF_ONE_MEMORY, core_group, hardware, machines, problems, tilings

import ssmopt
from ssmopt.errors import InputError
from ssmopt.heuristics.base import Heuristic, one_token_tiling, schedules_of, topological
from ssmopt.instance import DRAM, OUTPUT, Instance
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule
from ssmopt.solvers import HEURISTICS
from ssmopt.tiling import PROJECTIONS, ProjectionTiling, Tiling
from ssmopt.validate import validate
from ssmopt.workload.cuts import projection_tiling
from ssmopt.workload.tiles import build_tiles, count_tiles

ROOMY = 10**9
MODEL = Model("small", "mamba", 1, 6, 8, 4, 3, 4)
STATE_UPDATE = ("mul_dA", "exp_dA", "mul_dB", "mul_dBx", "mul_hA", "add_h", "mul_hC")
INTERMEDIATES = ("dA", "Abar", "dB", "dBx", "hA")
SHAPES = (HealthCheck.filter_too_much, HealthCheck.too_slow)


def problem_of(length: int, capacity: int = ROOMY, **changes: str) -> Problem:
    machine = hardware(core_group("pe", 2, 4, overhead=2), capacity=capacity)
    return dataclasses.replace(Problem("p", MODEL, machine, length), **changes)


def prescribed(heuristic: Heuristic, problem: Problem, tiling: Tiling) -> tuple[Instance, str]:
    """The tile instance that a heuristic works on, and its note."""
    note = ""
    if heuristic.prescribe is not None:
        tiling, note = heuristic.prescribe(problem, tiling)
    return build_tiles(problem, tiling), note


def schedules(heuristic: Heuristic, instance: Instance) -> list[Schedule]:
    """The schedule of every plan, each found valid."""
    decoded = list(schedules_of(heuristic, instance))
    for schedule in decoded:
        assert [str(v) for v in validate(instance, schedule)] == []
    return decoded


def moves(schedule: Schedule, instance: Instance) -> tuple[Counter[str], Counter[str]]:
    """How many times each tensor is loaded and stored."""
    names = [instance.tensor_ids[t] for t in schedule.transfers.tensor.tolist()]
    is_load = (schedule.transfers.source == DRAM).tolist()
    loads = Counter(name for name, load in zip(names, is_load, strict=True) if load)
    return loads, Counter(name for name, load in zip(names, is_load, strict=True) if not load)


def operators_around(instance: Instance, tensor: int) -> tuple[set[str], set[str]]:
    """Names of the operators that write a tensor, and of those that read it."""
    names = [name.split(".")[0] for name in instance.tile_ids.all]
    writers, readers = instance.writers[tensor].tolist(), instance.readers[tensor].tolist()
    return {names[t] for t in writers}, {names[t] for t in readers}


@pytest.mark.parametrize("name", OF_ONE_MEMORY)
@settings(max_examples=12, deadline=None, suppress_health_check=SHAPES)
@given(st.data())
def test_every_plan_gives_a_valid_schedule(name: str, data: st.DataObject) -> None:
    """On any machine, with room for everything and with as little as the tiles ask for."""
    problem = data.draw(problems(largest=5, longest=5, on=machines()))
    tiling = data.draw(tilings(problem))
    assume(count_tiles(problem, tiling) <= 300)
    heuristic = HEURISTICS[name]
    instance, _ = prescribed(heuristic, problem, tiling)
    assume(instance.n_tiles <= 400)
    assert heuristic.applies_to(instance)
    schedules(heuristic, instance)
    least = instance.minimum_capacity()[0]
    capacity = data.draw(st.sampled_from((least, least + least // 4, 2 * least)))
    schedules(heuristic, dataclasses.replace(instance, memory_capacity=np.array([capacity])))


@pytest.mark.parametrize(
    "tiling",
    [
        Tiling(tokens=64),
        Tiling(tokens=3, state_tokens=3, scan=True),
        Tiling(
            tokens=3,
            projections={
                "in_proj": ProjectionTiling(4, 3),
                "x_proj": ProjectionTiling(2, 4),
                "dt_proj": ProjectionTiling(3, 2),
                "out_proj": ProjectionTiling(2, 3),
            },
        ),
    ],
    ids=["plain", "scan", "split projections"],
)
@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize("scope", ["block", "state-update"])
def test_layer_by_layer_stores_every_intermediate_once_and_loads_it_for_every_reader(
    scope: str, length: int, tiling: Tiling
) -> None:
    """With room enough, whatever an operator reads is loaded once for it, its own partial sums stay."""
    instance, _ = prescribed(HEURISTICS["layer-by-layer"], problem_of(length, scope=scope), tiling)
    for schedule in schedules(HEURISTICS["layer-by-layer"], instance):
        loads, stores = moves(schedule, instance)
        for tensor, name in enumerate(instance.tensor_ids):
            writers, readers = operators_around(instance, tensor)
            assert stores[name] == len(writers), name
            assert loads[name] == len(readers), name
        if scope == "block":
            assert {loads[n] for n in loads if n.split(".")[0] == "x"} == {2}
            assert sum(loads[n] for n in loads if n.split(".")[0] == "h") == 2 * length


def test_layer_by_layer_stores_and_loads_no_less_when_memory_is_short() -> None:
    problem = problem_of(5)
    roomy, _ = prescribed(HEURISTICS["layer-by-layer"], problem, Tiling(tokens=3))
    instance = dataclasses.replace(roomy, memory_capacity=np.array([roomy.minimum_capacity()[0]]))
    for schedule in schedules(HEURISTICS["layer-by-layer"], instance):
        loads, stores = moves(schedule, instance)
        for tensor, name in enumerate(instance.tensor_ids):
            writers, readers = operators_around(instance, tensor)
            assert stores[name] >= len(writers), name
            assert loads[name] >= len(readers), name


@pytest.mark.parametrize("capacity", [4_000, ROOMY])
def test_layer_by_layer_runs_operator_after_operator(capacity: int) -> None:
    instance, _ = prescribed(HEURISTICS["layer-by-layer"], problem_of(5, capacity), Tiling(tokens=2))
    for schedule in schedules(HEURISTICS["layer-by-layer"], instance):
        started = schedule.tiles.tile[np.argsort(schedule.tiles.start)]
        assert started.tolist() == list(range(instance.n_tiles))


def test_layer_by_layer_takes_what_the_literature_says() -> None:
    """One block of the reference model at 64 tokens on marca: 5.05 million cycles, nearly all of it traffic."""
    tiling = Tiling(tokens=64, projections=dict.fromkeys(("in_proj", "out_proj"), ProjectionTiling(columns=20)))
    problem = Problem("p", ssmopt.load_model("mamba1-2.7b-n64"), ssmopt.load_hardware("marca"), 64)
    instance, note = prescribed(HEURISTICS["layer-by-layer"], problem, tiling)
    schedule = schedules(HEURISTICS["layer-by-layer"], instance)[0]
    assert note == ""
    assert schedule.dram_bytes(instance.tensor_bytes) / 256 == pytest.approx(5_050_000, rel=1e-3)
    assert schedule.makespan == pytest.approx(5_050_000, rel=0.01)


def test_reuse_keeps_what_fits() -> None:
    """With room for everything only weights, inputs and outputs move, once each."""
    for length in (1, 4):
        instance, _ = prescribed(HEURISTICS["layer-by-layer-reuse"], problem_of(length), Tiling(tokens=2))
        schedule = min(schedules(HEURISTICS["layer-by-layer-reuse"], instance), key=lambda s: len(s.transfers))
        loads, stores = moves(schedule, instance)
        given = ~instance.produced & (instance.readers.counts() > 0)
        outputs = instance.produced & (instance.tensor_kind == OUTPUT)
        assert loads == Counter(instance.tensor_ids[t] for t in np.flatnonzero(given).tolist())
        assert stores == Counter(instance.tensor_ids[t] for t in np.flatnonzero(outputs).tolist())


A, B, S = ("mul_dA", "exp_dA"), ("mul_dB", "mul_dBx"), ("mul_hA", "add_h", "mul_hC")
SCHEMES = {
    "layer-by-layer": (),
    "A": (A,),
    "B": (B,),
    "A-B": (A, B),
    "AS": (A + S,),
    "BS": (B + S,),
    "AS-B": (A + S, B),
    "A-BS": (A, B + S),
    "fuse-all": (A + B + S,),
}


def stage_of(operator: str, scheme: str) -> tuple[str, ...]:
    """The fused group of an operator, or the operator alone."""
    return next((group for group in SCHEMES[scheme] if operator in group), (operator,))


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("scope", ["block", "state-update"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_keeps_its_groups_on_chip_and_nothing_else(scheme: str, scope: str, length: int) -> None:
    """With room enough each stage stores once what others read, and loads once what others made."""
    instance, note = prescribed(HEURISTICS[scheme], problem_of(length, scope=scope), Tiling(tokens=3))
    assert note == ""
    for schedule in schedules(HEURISTICS[scheme], instance):
        loads, stores = moves(schedule, instance)
        for tensor, name in enumerate(instance.tensor_ids):
            writers, readers = operators_around(instance, tensor)
            made = {stage_of(n, scheme) for n in writers}
            elsewhere = {stage_of(n, scheme) for n in readers} - made
            is_output = bool(instance.tensor_kind[tensor] == OUTPUT)
            assert loads[name] == len(elsewhere), name
            assert stores[name] == (1 if made and (elsewhere or is_output) else 0), name
    if scheme == "fuse-all":
        assert {name.split(".")[0] for name in loads + stores}.isdisjoint(INTERMEDIATES)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_group_goes_token_by_token(scheme: str) -> None:
    instance, _ = prescribed(HEURISTICS[scheme], problem_of(3), Tiling(tokens=3))
    for order, _ in HEURISTICS[scheme].plans(instance):
        names = [instance.tile_ids[t] for t in order.tolist()]
        for group in (*SCHEMES[scheme], S):
            inside = [name for name in names if name.split(".")[0] in group]
            assert inside == [f"{operator}.{token}.0" for token in range(3) for operator in group]
        for group in SCHEMES[scheme]:  # without anything in between
            places = [place for place, name in enumerate(names) if name.split(".")[0] in group]
            assert places == list(range(places[0], places[0] + len(places)))


@pytest.mark.parametrize(("scheme", "cycles"), [
    ("layer-by-layer", 725_100), ("A", 714_900), ("B", 714_900), ("A-B", 704_600), ("AS", 689_300), ("BS", 689_300),
    ("AS-B", 679_000), ("A-BS", 679_000), ("fuse-all", 668_700),
])  # fmt: skip
def test_traffic_of_the_schemes_for_one_token_of_the_reference_model(scheme: str, cycles: int) -> None:
    """Cycles of traffic on marca, up to the two old columns of the convolution that are stored already."""
    tiling = Tiling(projections=dict.fromkeys(("in_proj", "out_proj"), ProjectionTiling(columns=20)))
    problem = Problem("p", ssmopt.load_model("mamba1-2.7b-n64"), ssmopt.load_hardware("marca"), 1)
    instance, note = prescribed(HEURISTICS[scheme], problem, tiling)
    schedule = schedules(HEURISTICS[scheme], instance)[0]
    assert note == ""
    assert abs(schedule.dram_bytes(instance.tensor_bytes) / 256 - cycles) < 300


def test_fuse_all_needs_room_for_five_operands() -> None:
    """5 of E x N, and a row of E and of N; with room for four something within a token is spilled."""
    instance, _ = prescribed(HEURISTICS["fuse-all"], problem_of(5, scope="state-update"), Tiling())
    inside = {*INTERMEDIATES, "h"}
    moved = []
    for capacity in ((5 * 8 * 4 + 8 + 4) * 4, 4 * 8 * 4 * 4):
        tight = dataclasses.replace(instance, memory_capacity=np.array([capacity]))
        loads, stores = moves(schedules(HEURISTICS["fuse-all"], tight)[0], tight)
        moved.append(sum(count for name, count in (loads + stores).items() if name.split(".")[0] in inside))
    assert moved[0] == 2  # The first state is loaded, the last one stored.
    assert moved[1] > 2


@pytest.mark.parametrize("name", ["layer-by-layer-reuse", *SCHEMES])
def test_a_tile_that_does_not_fit_is_cut_into_the_fewest_pieces_that_do(name: str) -> None:
    """exp_dA reads and writes 8 x 4 elements: 256 bytes whole, 128 in two pieces, 64 in four."""
    projections = {p: ProjectionTiling(6, 1) for p in ("in_proj", "x_proj", "dt_proj", "out_proj")}
    given = Tiling(tokens=1, state_tokens=5, scan=True, state_splits=2, projections=projections)
    for capacity, pieces in ((400, 1), (399, 2), (383, 2)):
        problem = problem_of(2, capacity, scope="state-update")
        instance, note = prescribed(HEURISTICS[name], problem, given)
        assert instance.tile_need_bytes.max() <= capacity
        tiling = instance.tiling
        assert tiling is not None
        whole = build_tiles(problem, dataclasses.replace(tiling, channel_splits=1))
        fewest = next(
            k
            for k in (1, 2, 4, 8)
            if build_tiles(problem, dataclasses.replace(tiling, channel_splits=k)).tile_need_bytes.max() <= capacity
        )
        assert tiling.channel_splits == fewest == (1 if whole.tile_need_bytes.max() <= capacity else pieces)
        assert note == ("" if fewest == 1 else f"d_inner cut into {fewest} pieces to fit the memory")
        assert (tiling.state_tokens, tiling.scan, tiling.state_splits) == (1, False, 1)
        assert dict(tiling.projections) == projections
        schedules(HEURISTICS[name], instance)


def test_nothing_is_kept_between_the_operators_of_a_blocked_token() -> None:
    problem = problem_of(2, 300, scope="state-update")
    instance, note = prescribed(HEURISTICS["fuse-all"], problem, Tiling())
    assert note == "d_inner cut into 2 pieces to fit the memory"
    for schedule in schedules(HEURISTICS["fuse-all"], instance):
        loads, stores = moves(schedule, instance)
        for stem in INTERMEDIATES:
            pieces = [name for name in instance.tensor_ids if name.split(".")[0] == stem]
            assert len(pieces) == 4
            assert all(loads[name] == stores[name] == 1 for name in pieces)


def test_no_piece_is_small_enough_for_some_memories() -> None:
    """The tiling is then left whole, and solving it names the tile that does not fit."""
    problem = problem_of(2, 20, scope="state-update")
    tiling, note = one_token_tiling(problem, Tiling())
    assert (tiling.channel_splits, note) == (1, "")
    with pytest.raises(ssmopt.CapacityError, match="needs 384 bytes at once but its memory holds 20 bytes"):
        ssmopt.solve(problem, tiling=Tiling(), solver="layer-by-layer", time_limit=10)


def test_mem_aware_runs_each_chunk_over_all_tokens() -> None:
    """k >= (5 + 2/64) * E * N * 4 bytes * 1.01 / capacity: 8 x 4 elements need 650.4 bytes, so two chunks in 400."""
    for capacity, pieces in ((700, 1), (651, 1), (650, 2), (400, 2), (217, 4), (216, 4), (162, 8)):
        problem = problem_of(3, ROOMY, scope="state-update")
        machine = hardware(core_group("pe", 2, 4), capacity=capacity)
        problem = dataclasses.replace(problem, hardware=machine)
        instance, note = prescribed(HEURISTICS["mem-aware"], problem, Tiling())
        assert instance.tiling is not None
        assert instance.tiling.channel_splits == pieces, capacity
        assert note == ("" if pieces == 1 else f"d_inner in {pieces} chunks")
        for order, _ in HEURISTICS["mem-aware"].plans(instance):
            names = [instance.tile_ids[t] for t in order.tolist()]
            assert names == [
                f"{operator}.{token}.{piece}"
                for piece in range(pieces)
                for token in range(3)
                for operator in STATE_UPDATE
            ]
        loads, stores = moves(schedules(HEURISTICS["mem-aware"], instance)[0], instance)
        assert {name.split(".")[0] for name in loads + stores}.isdisjoint(INTERMEDIATES)


def test_mem_aware_takes_more_chunks_where_another_tile_does_not_fit() -> None:
    """Eight tokens of a whole piece of the gate: the state alone would fit in one chunk."""
    cuts = {name: ProjectionTiling(4, 2) for name in PROJECTIONS} | {"dt_proj": ProjectionTiling(4, 1)}
    given = Tiling(tokens=8, projections=cuts)
    problem = problem_of(8, 700)
    instance, note = prescribed(HEURISTICS["mem-aware"], problem, given)
    assert note == "d_inner in 2 chunks to fit the memory"
    assert instance.tile_need_bytes.max() <= 700
    schedules(HEURISTICS["mem-aware"], instance)


def test_cuts_of_the_projections_stay_when_channels_are_no_longer_cut() -> None:
    given = Tiling(channel_splits=4)
    tiling, _ = one_token_tiling(problem_of(2), given)
    assert tiling.channel_splits == 1
    for name in PROJECTIONS:
        assert projection_tiling(tiling, name) == projection_tiling(given, name)


@pytest.mark.parametrize("name", HEURISTICS)
def test_plans_are_the_same_every_time(name: str) -> None:
    instance, _ = prescribed(HEURISTICS[name], problem_of(4), Tiling(tokens=2, channel_splits=2))
    first, again = (list(schedules_of(HEURISTICS[name], instance)) for _ in range(2))
    assert len(first) == len(again) >= 1
    for schedule, other in zip(first, again, strict=True):
        for table in ("tiles", "transfers", "residencies"):
            mine, its = (dataclasses.astuple(getattr(s, table)) for s in (schedule, other))
            assert all(np.array_equal(a, b) for a, b in zip(mine, its, strict=True))


def test_fuse_block_moves_nothing_twice_where_there_is_room() -> None:
    for tiling in (Tiling(tokens=4, channel_splits=4), Tiling(tokens=2, state_tokens=2, scan=True, channel_splits=2)):
        instance, _ = prescribed(HEURISTICS["fuse-block"], problem_of(4), tiling)
        assert instance.tiling == tiling
        for schedule in schedules(HEURISTICS["fuse-block"], instance):
            loads, stores = moves(schedule, instance)
            assert set(loads.values()) == set(stores.values()) == {1}
            assert all(not instance.produced[instance.tensor_ids.lookup[name]] for name in loads)


def test_fuse_block_goes_through_the_channels_twice() -> None:
    """Pieces of d_inner one after another: first up to x_proj, then from dt_proj to out_proj."""
    instance, _ = prescribed(HEURISTICS["fuse-block"], problem_of(1), Tiling(tokens=1, channel_splits=2))
    order, _ = HEURISTICS["fuse-block"].plans(instance)[0]
    names = [instance.tile_ids[t] for t in order.tolist()]
    front, back = [], []
    for piece in range(2):
        front += [f"in_proj.0.{piece}", f"conv1d.0.{piece}", f"silu_x.0.{piece}", f"x_proj.0.0.{piece}"]
        back += [f"{operator}.0.{piece}" for operator in ("dt_proj", "softplus", *STATE_UPDATE)]
        back += [f"in_proj.0.{2 + piece}", *(f"{operator}.0.{piece}" for operator in ("silu_z", "skip_D", "gate"))]
        back.append(f"out_proj.0.{piece}")
    assert names == ["rms_norm.0", *front, *back, "residual.0"]


def test_heft_takes_any_instance_and_the_others_need_operators() -> None:
    instance = random_instance(3)
    assert [name for name, h in HEURISTICS.items() if h.applies_to(instance)] == ["heft"]
    for name in HEURISTICS:
        if name != "heft":
            with pytest.raises(InputError, match=r"needs to know the operators|is for machines with several memories"):
                ssmopt.solve(instance, solver=name, time_limit=10)


def test_an_order_is_mended_only_where_it_has_to_be() -> None:
    tiles = {"a": (1, "", "x", ""), "b": (1, "x", "", ""), "c": (1, "", "", ""), "d": (1, "", "", "")}
    tensors = {"x": (0, "intermediate")}
    instance = make_instance(tiles, tensors, {"m": 1}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    assert topological(instance, np.array([3, 0, 2, 1])).tolist() == [3, 0, 2, 1]
    assert topological(instance, np.array([1, 3, 0, 2])).tolist() == [3, 0, 1, 2]
