"""Bounds under any tiling: no schedule of any tiling beats them, however fast the memory and however many the cores."""

from __future__ import annotations

import dataclasses
import random
from math import ceil, prod

import numpy as np
import pytest
from campaign import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_orders import random_policy
from small_problems import ONE_EACH, core_group, hardware, machines, problems, tilings
from workload.elements import WEIGHTS, Block

import ssmopt
from ssmopt.bounds import best, bounds_of, instance_bounds, lower_bounds
from ssmopt.cpsat import solve_exact
from ssmopt.decode import Policy, decode
from ssmopt.errors import InputError
from ssmopt.hardware import Channel, Hardware, Memory
from ssmopt.heuristics.base import topological
from ssmopt.heuristics.heft import upward_rank
from ssmopt.instance import Instance
from ssmopt.library import load_hardware, load_model
from ssmopt.model import Model
from ssmopt.problem import FORMS, Dtype, Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.tiles import build_tiles, count_tiles

FAST = (Channel("dma", 10**9, ("dram", "sram"), lanes=200),)
SHAPES = (HealthCheck.filter_too_much, HealthCheck.too_slow)


def shortest(instance: Instance, seed: int = 0) -> int:
    """The best makespan of a few unlike orders; the smaller it is the harder the bound is tried."""
    rng = random.Random(seed)
    numbers = np.arange(instance.n_tiles, dtype=np.int64)
    by_rank = topological(instance, np.argsort(-upward_rank(instance), kind="stable"))
    mixed = topological(instance, np.array(rng.sample(range(instance.n_tiles), instance.n_tiles), dtype=np.int64))
    plans = [(numbers, Policy()), (by_rank, Policy()), (mixed, random_policy(instance, rng))]
    return min(decode(instance, order, policy).makespan for order, policy in plans)


def check_against(problem: Problem, tiling: Tiling) -> None:
    """No bound for the problem or for the tile instance exceeds a schedule."""
    instance = build_tiles(problem, tiling)
    makespan = shortest(instance)
    untiled, tiled = lower_bounds(problem), instance_bounds(instance)
    assert [b for b in untiled if b.cycles > makespan] == [], tiling.describe()
    assert [b for b in tiled if b.cycles > makespan] == [], tiling.describe()


@settings(max_examples=examples(50), deadline=None, suppress_health_check=SHAPES)
@given(st.data())
def test_no_schedule_of_any_tiling_beats_a_bound(data: st.DataObject) -> None:
    problem = data.draw(problems(largest=5, longest=5, on=machines()))
    tiling = data.draw(tilings(problem))
    assume(count_tiles(problem, tiling) <= 400)
    check_against(problem, tiling)


@settings(max_examples=examples(50), deadline=None, suppress_health_check=SHAPES)
@given(st.data())
def test_nor_of_mamba2_or_of_several_sequences(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(("mamba2", "mamba2", "mamba")))
    batches = (2, 3) if family == "mamba" else (1, 1, 2)
    problem = data.draw(problems(largest=4, longest=5, on=machines(), family=family, batches=batches))
    tiling = data.draw(tilings(problem))
    assume(count_tiles(problem, tiling) <= 400)
    check_against(problem, tiling)


@settings(max_examples=examples(30), deadline=None, suppress_health_check=SHAPES)
@given(st.data())
def test_nor_of_several_layers(data: st.DataObject) -> None:
    family, fast = data.draw(st.sampled_from(("mamba", "mamba", "mamba2"))), data.draw(st.booleans())
    group = core_group("pe", 2, 2, data.draw(st.sampled_from((1, 2, 50))))
    on = st.just(hardware(group, channels=FAST)) if fast else machines()
    problem = data.draw(problems(largest=4, longest=3, on=on, family=family))
    layers = data.draw(st.integers(2, 3))
    model = dataclasses.replace(problem.model, layers=layers)
    problem = dataclasses.replace(problem, model=model, layers=layers, scope="block")
    tiling = data.draw(tilings(problem))
    assume(count_tiles(problem, tiling) <= 600)
    check_against(problem, tiling)
    assert best(lower_bounds(problem)).cycles >= best(lower_bounds(dataclasses.replace(problem, layers=1))).cycles


def test_layers_move_their_own_tensors_and_pass_the_rest_on() -> None:
    """64 times 671,800 cycles of traffic, without 64 rows of 2,560 elements stored and loaded 63 times."""
    model, marca = load_model("mamba1-2.7b-n64"), load_hardware("marca")
    bound = best(lower_bounds(Problem("p", model, marca, 64, layers=64)))
    assert bound.cycles == 64 * 671_800 - 63 * 2 * (64 * 2_560 * 4 // 256)
    assert bound.reason == "compulsory traffic of channel dma"


@settings(max_examples=examples(30), deadline=None, suppress_health_check=SHAPES)
@given(st.data())
def test_nor_of_mamba2_where_only_computing_counts(data: st.DataObject) -> None:
    """Many cores, single tokens and heads, no overhead, a memory without delay."""
    sizes = st.sampled_from((1, 1, 2, 5))
    group = core_group("pe", data.draw(sizes), data.draw(sizes), data.draw(st.sampled_from((1, 2, 3, 50))))
    problem = data.draw(problems(largest=3, longest=5, on=st.just(hardware(group, channels=FAST)), family="mamba2"))
    fine = Tiling(
        tokens=1,
        scan=data.draw(st.booleans()),
        channel_splits=problem.model.n_heads,
        state_splits=problem.model.d_state,
    )
    for tiling in (fine, data.draw(tilings(problem))):
        assume(count_tiles(problem, tiling) <= 600)
        check_against(problem, tiling)


@settings(max_examples=examples(30), deadline=None, suppress_health_check=SHAPES)
@given(st.data())
def test_nor_where_only_computing_counts(data: st.DataObject) -> None:
    """Many cores, single elements, no overhead, a memory without delay: releases, tails and recurrence are all."""
    sizes = st.sampled_from((1, 1, 2, 5))
    group = core_group("pe", data.draw(sizes), data.draw(sizes), data.draw(st.sampled_from((1, 2, 3, 50))))
    problem = data.draw(problems(largest=3, longest=4, on=st.just(hardware(group, channels=FAST))))
    fine = Tiling(
        tokens=1,
        scan=data.draw(st.booleans()),
        channel_splits=problem.model.d_inner,
        state_splits=problem.model.d_state,
    )
    for tiling in (fine, data.draw(tilings(problem))):
        assume(count_tiles(problem, tiling) <= 400)
        check_against(problem, tiling)


def unlike(slow: tuple[str, ...]) -> Hardware:
    """Some kernels on one processing element, the others on a large array."""
    kernels = ("gemm", "depthwise", "elementwise", "reduction")
    groups = [
        core_group("slow", 1, 1, 1, slow, 0, ONE_EACH),
        core_group("fast", 64, 64, 1, tuple(k for k in kernels if k not in slow), 0, ONE_EACH),
    ]
    return hardware(*groups, channels=FAST)


@pytest.mark.parametrize("slow", ["elementwise", "reduction", "depthwise", "gemm"])
@pytest.mark.parametrize("scope", ["block", "state-update"])
def test_a_scan_runs_on_other_cores_than_the_operators_that_it_stands_for(slow: str, scope: str) -> None:
    """Two of its three are elementwise, but a scan is a reduction: a bound has to hold for both."""
    problem = Problem("p", Model("m", "mamba", 1, 2, 4, 4, 2, 1), unlike((slow,)), 6, scope=scope)
    for scan in (False, True):
        check_against(problem, Tiling(tokens=6, state_tokens=6, scan=scan))


def test_a_slow_core_for_the_sequential_operators_alone_still_counts() -> None:
    """64 elements and 6 tokens: 4 elementwise passes on the slow core under a scan, 6 without."""
    problem = Problem("p", Model("m", "mamba", 1, 2, 8, 8, 2, 1), unlike(("elementwise",)), 6, scope="state-update")
    assert 4 * 6 * 64 <= best(lower_bounds(problem)).cycles <= 4 * 6 * 64 + 6 * 4


def test_the_last_load_may_be_followed_by_little() -> None:
    """One heavy column of W_out after another: by then everything before out_proj is long done."""
    slow = dict.fromkeys(ONE_EACH, 4)
    machine = hardware(core_group("pe", 1, 1, op_cycles=slow), channels=(Channel("dma", 1, ("dram", "sram")),))
    problem = Problem("p", Model("m", "mamba", 1, 20, 1, 1, 1, 1), machine, 1, dtype=Dtype(16, 1, 1))
    check_against(problem, Tiling(projections={"out_proj": ProjectionTiling(columns=20)}))


def test_many_cores_share_what_a_tile_needs() -> None:
    """Eight channels on 64 cores: all columns of a projection at once, where one core would take them in a row."""
    machine = hardware(core_group("pe", 1, 1, 64), channels=FAST)
    problem = Problem("p", Model("m", "mamba", 1, 1, 8, 1, 1, 8), machine, 1)
    columns = {"in_proj": 16, "x_proj": 10, "dt_proj": 8}
    projections = {name: ProjectionTiling(columns=count) for name, count in columns.items()}
    check_against(problem, Tiling(channel_splits=8, projections=projections))


@settings(max_examples=60, deadline=None)
@given(problems(largest=6, longest=6))
def test_compulsory_traffic_is_every_tensor_from_outside_and_every_output_once(problem: Problem) -> None:
    block = Block(problem)
    length, taps = problem.seq_len, problem.model.d_conv

    def n_bytes(tensor: str, tokens: int | None = None) -> int:
        sizes = [high - low for low, high in block.extents(tensor)]
        if tokens is not None:
            sizes[0] = tokens
        return prod(sizes) * block.element_bytes(tensor)

    old = 1 if problem.initial_state == "load" else 0
    if problem.scope == "block":
        inputs = [*map(n_bytes, WEIGHTS), n_bytes("x"), n_bytes("x_branch", old * (taps - 1))]
        outputs = [n_bytes("out"), n_bytes("x_branch", min(taps - 1, length))]
    else:
        inputs, outputs = [n_bytes(tensor) for tensor in ("A", "dt", "B", "C", "xc")], [n_bytes("y")]
    total = sum(inputs) + sum(outputs) + n_bytes("h", old) + n_bytes("h", 1)
    traffic = lower_bounds(problem)[0]
    assert traffic.reason == "compulsory traffic of channel dma"
    assert traffic.cycles == ceil(total / 16)


def test_several_channels_and_lanes_share_the_traffic() -> None:
    """On each channel its lanes times its bandwidth; a channel between memories does not count."""
    base = hardware(core_group())
    channels = (
        Channel("one", 3, ("dram", "sram"), 2),
        Channel("two", 5, ("sram", "dram")),
        Channel("noc", 99, ("sram", "other")),
    )
    machine = dataclasses.replace(base, memories=(*base.memories, Memory("other", 9)), channels=channels)
    problem = Problem("p", Model("m", "mamba", 1, 2, 4, 4, 2, 1), base, 6)
    total = lower_bounds(problem)[0].cycles * 16
    shared = lower_bounds(dataclasses.replace(problem, hardware=machine))[0]
    assert shared.reason == "compulsory traffic of channel one and two"
    assert ceil((total - 15) / 11) <= shared.cycles <= ceil(total / 11)


def test_a_machine_without_a_channel_to_dram_is_refused() -> None:
    base = hardware(core_group())
    machine = dataclasses.replace(
        base, memories=(*base.memories, Memory("other", 9)), channels=(Channel("noc", 4, ("sram", "other")),)
    )
    with pytest.raises(InputError, match="no channel of 'small' connects DRAM"):
        lower_bounds(Problem("p", Model("m", "mamba", 1, 2, 4, 4, 2, 1), machine, 1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("slow", ["elementwise", "reduction", "depthwise", "gemm"])
def test_mamba2_on_two_unlike_kinds_of_core(slow: str, form: str) -> None:
    """Releases and tails across kinds of core, with a chunk of one token at the end, and with groups."""
    model = Model("m", "mamba2", 1, 2, 8, 2, 3, head_dim=2, n_groups=2, chunk_size=2)
    problem = Problem("p", model, unlike((slow,)), 5, form=form)
    for tiling in (Tiling(tokens=5, state_tokens=5, scan=True), Tiling(tokens=1, channel_splits=4, state_splits=2)):
        check_against(problem, tiling)


# Per token of mamba2-130m (D 768, E 1536, N 128, H 24), on one processing element: the projections, 36,762 cycles of
# whatever both forms have, and what only one of them has.
AROUND = 768 * 3352 + 1536 * 768 + 36_762
RECURRENT = 96 + 4 * 1536 * 128
CHUNKED = 24 * (1 + 4 + 5) + 256 * (24 * 6 + 128 + 1536) + 3 * 1536 + 2 * 1536 * 128 + 2 * 1536 * 128 // 256


@pytest.mark.parametrize(
    ("name", "per_token", "chain"),
    # Tokens of the prompt, or chunks, times a multiplication and an addition each.
    [
        ("mamba2-130m-marca-L1024", AROUND + RECURRENT, 2 * 1024),
        ("mamba2-130m-marca-L1024-chunked", AROUND + CHUNKED, 2 * 4),
    ],
)
def test_the_two_forms_have_bounds_of_their_own(name: str, per_token: int, chain: int) -> None:
    problem, _ = ssmopt.load_problem(name)
    bounds = {b.reason: b.cycles for b in lower_bounds(problem)}
    assert bounds["work of pe"] == ceil(per_token * 1024 / 8192)
    assert bounds["compulsory traffic of channel dma"] == 89_722
    assert bounds["release of the recurrence, then its longest path"] >= chain


@pytest.mark.parametrize("seed", range(24))
def test_no_optimum_that_is_proved_beats_a_bound(seed: int) -> None:
    """Tiny problems solved by the exact model; its bound is never below the instance bound either."""
    rng = random.Random(seed)
    sizes = [rng.randint(1, 3) for _ in range(5)]
    model = Model("m", "mamba", 1, *sizes[:3], rng.randint(1, 4), sizes[4])
    kernels = [("gemm", "reduction"), ("depthwise", "elementwise")]
    groups = [
        core_group(n, 1, rng.choice((1, 2)), rng.choice((1, 2, 3)), k) for n, k in zip("ab", kernels, strict=True)
    ]
    channels = (Channel("dma", rng.choice((8, 64, 10**6)), ("dram", "sram"), rng.choice((1, 2))),)
    scope = "state-update" if seed % 2 else "block"
    initial_state = rng.choice(("load", "zero"))
    machine = hardware(*groups, channels=channels)
    problem = Problem("p", model, machine, rng.randint(1, 2), scope=scope, initial_state=initial_state)
    bound = best(lower_bounds(problem)).cycles
    for scan in (False, True):
        instance = build_tiles(problem, Tiling(tokens=1, scan=scan, channel_splits=model.d_inner))
        start = decode(instance, instance.topological_order)
        outcome = solve_exact(
            instance, start, instance_bound=0, time_limit=60, workers=1, seed=0, deterministic_limit=0.3
        )
        assert outcome.schedule is not None
        assert bound <= outcome.schedule.makespan
        assert best(instance_bounds(instance)).cycles <= outcome.schedule.makespan
        if outcome.proved_optimal:
            assert bound <= outcome.bound == outcome.schedule.makespan


REFERENCE = Problem("reference", ssmopt.load_model("mamba1-2.7b-n64"), ssmopt.load_hardware("marca"), 64)


@pytest.mark.parametrize(
    ("length", "cycles"),
    # At one token two of the three columns of the new tail are old ones, which DRAM has already.
    [(1, 666_600), (64, 671_800), (512, 707_640), (1024, 748_600)],
)
def test_traffic_of_the_reference_model(length: int, cycles: int) -> None:
    bounds = lower_bounds(dataclasses.replace(REFERENCE, seq_len=length))
    assert bounds[0].cycles == cycles
    assert bounds[0].reason == "compulsory traffic of channel dma"


@pytest.mark.parametrize("length", [64, 512, 1024])
def test_the_compute_floor_of_the_reference_model(length: int) -> None:
    """5,494 cycles per token: 2 * 2560 * 5120 + 2 * 5120 * (160 + 144) + ... multiply-accumulates on 8192 elements."""
    bounds = {b.reason: b.cycles for b in lower_bounds(dataclasses.replace(REFERENCE, seq_len=length))}
    assert bounds["work of pe"] // length == 5_494


def test_the_reported_bound_is_the_largest() -> None:
    for length, reason in ((64, "compulsory traffic of channel dma"), (1024, "work of pe")):
        bounds = lower_bounds(dataclasses.replace(REFERENCE, seq_len=length))
        assert best(bounds).cycles == max(b.cycles for b in bounds)
        assert best(bounds).reason == reason


def test_release_and_tail_are_worth_something_on_two_kinds_of_core() -> None:
    """On array-vector the vector core waits for its first operands: 3 % of the block at 64 tokens."""
    problem = dataclasses.replace(REFERENCE, hardware=ssmopt.load_hardware("array-vector"))
    bounds = {b.reason: b.cycles for b in lower_bounds(problem)}
    work = bounds["work of vector"]
    released = bounds["release of softplus, then work of vector and what cannot come before, then its tail"]
    assert 1.03 * work <= released == best(lower_bounds(problem)).cycles


def test_the_bound_of_a_problem_is_never_above_that_of_its_tiles() -> None:
    problem = Problem("p", ssmopt.load_model("mamba-tiny"), ssmopt.load_hardware("tiny"), 5)
    for tiling in (Tiling(), Tiling(tokens=2, channel_splits=3), Tiling(tokens=5, state_tokens=5, scan=True)):
        untiled, tiled = bounds_of(build_tiles(problem, tiling))
        assert untiled == best(lower_bounds(problem))
        assert untiled.cycles <= tiled.cycles


def test_the_recurrence_takes_its_cycles_per_token() -> None:
    """Two passes per token, one after another, however many cores: an upper and a lower estimate of its bound."""
    machine = hardware(core_group("pe", 64, 64, 200), channels=FAST)
    problem = Problem("p", Model("m", "mamba", 1, 1, 1, 1, 1, 1), machine, 1, scope="state-update")
    for length in (1, 10, 100):
        bounds = lower_bounds(dataclasses.replace(problem, seq_len=length))
        chain = bounds[-1]
        assert chain.reason == "release of the recurrence, then its longest path"
        assert 2 * length <= chain.cycles <= 2 * length + 2
        instance = build_tiles(dataclasses.replace(problem, seq_len=length), Tiling(tokens=length, state_tokens=length))
        assert chain.cycles <= shortest(instance)
