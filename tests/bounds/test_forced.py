"""Traffic that a small SRAM forces under any tiling: no schedule of any tiling moves less."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from random_orders import random_policy
from small_problems import OF_ONE_MEMORY, core_group, hardware

import ssmopt
from ssmopt.bounds import best, lower_bounds
from ssmopt.bounds.demand import compulsory_bytes
from ssmopt.bounds.forced import Waiting, forced_traffic
from ssmopt.cpsat import solve_exact
from ssmopt.decode import decode
from ssmopt.errors import InputError
from ssmopt.hardware import Channel, Memory
from ssmopt.heuristics.base import topological
from ssmopt.heuristics.fuse_block import BlockVariant
from ssmopt.heuristics.pipelined import FIRST_ORDERS
from ssmopt.instance import Instance
from ssmopt.model import Model
from ssmopt.problem import Dtype, Problem
from ssmopt.schedule import Schedule
from ssmopt.tiling import LOOP_ORDERS, ProjectionTiling, Tiling
from ssmopt.workload.cuts import boundaries
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.needs import finest_tiling
from ssmopt.workload.tiles import build_tiles, count_tiles

REFERENCE = Problem("reference", ssmopt.load_model("mamba1-2.7b-n64"), ssmopt.load_hardware("marca"), 64)
VARIANTS = [BlockVariant(order, reserve, 2) for order in FIRST_ORDERS for reserve in (0, 2, 4)]
SLOW = (Channel("dma", 1, ("dram", "sram")),)


def with_memory(problem: Problem, *capacities: int) -> Problem:
    memories = tuple(Memory("sram" if i == 0 else f"m{i}", capacity) for i, capacity in enumerate(capacities))
    return replace(problem, hardware=replace(problem.hardware, memories=memories))


def least_bytes(problem: Problem) -> int:
    """Bytes that every schedule moves, by the bound."""
    graph = problem_graph(problem)
    return sum(compulsory_bytes(graph)) + forced_traffic(problem, graph).n_bytes


def moved(instance: Instance, schedule: Schedule) -> int:
    return schedule.dram_bytes(instance.tensor_bytes)


def narrow_problem(rng: random.Random) -> Problem:
    """A tiny model whose state is small beside its rows, on a machine that only moves data."""
    width, state, taps = rng.randint(2, 8), rng.choice((1, 1, 2, 4)), rng.choice((1, 2, 4))
    if rng.random() < 0.6:
        model = Model("m", "mamba", 1, width, rng.choice((width, 2 * width)), state, taps, rng.randint(1, 2))
    else:
        channels, heads, groups = rng.randint(1, 4), rng.choice((1, 2)), rng.choice((1, 1, 2))
        model = Model(
            "m", "mamba2", 1, width, channels * heads * groups, state, taps, head_dim=channels, n_groups=groups,
            chunk_size=rng.randint(1, 4),
        )  # fmt: skip
    sizes = (rng.choice((1, 2, 4)) for _ in range(3))
    return Problem(
        "narrow", model, hardware(core_group("pe", 64, 64, rng.choice((1, 2))), channels=SLOW), rng.randint(1, 6),
        initial_state=rng.choice(("load", "zero")), dtype=Dtype(*sizes), batch=rng.choice((1, 1, 2)),
        form="recurrent" if model.family == "mamba" else rng.choice(("recurrent", "chunked")),
    )  # fmt: skip


def narrow_tiling(problem: Problem, rng: random.Random) -> Tiling:
    """Fine in most dimensions, so that little memory is enough."""
    model = problem.model

    def pieces(size: int) -> int:
        return size if rng.random() < 0.5 else rng.randint(1, size)

    cuts = {
        "in_proj": ProjectionTiling(pieces(2 * model.d_inner), pieces(model.d_model)),
        "out_proj": ProjectionTiling(pieces(model.d_model), pieces(model.d_inner)),
    }
    return Tiling(
        tokens=rng.choice((1, problem.seq_len)), state_tokens=rng.randint(1, problem.seq_len), scan=rng.random() < 0.7,
        channel_splits=pieces(model.n_heads or model.d_inner), state_splits=rng.randint(1, model.d_state),
        projections=cuts, loop_order=rng.choice(LOOP_ORDERS), norm_tokens=rng.choice((None, 1)),
    )  # fmt: skip


@pytest.mark.parametrize("block", range(4))
def test_no_schedule_of_a_tiny_model_moves_less(block: int) -> None:
    for seed in range(15 * block, 15 * block + 15):
        rng = random.Random(seed)
        problem = narrow_problem(rng)
        tiling = narrow_tiling(problem, rng)
        try:
            tiles = count_tiles(problem, tiling)
        except InputError:
            continue
        if tiles > 300:
            continue
        need = build_tiles(problem, tiling).minimum_capacity()[0]
        for capacity in (need, 3 * need // 2):
            tight = with_memory(problem, capacity)
            instance = build_tiles(tight, tiling)
            order = np.array(rng.sample(range(instance.n_tiles), instance.n_tiles))
            plans = [(topological(instance, order), random_policy(instance, rng))]
            plans += [variant.plan(instance) for variant in VARIANTS]
            schedules = [decode(instance, *plan) for plan in plans]
            assert min(moved(instance, schedule) for schedule in schedules) >= least_bytes(tight), seed
            makespan = min(schedule.makespan for schedule in schedules)
            assert [b for b in lower_bounds(tight) if b.cycles > makespan] == [], seed


FINE = Tiling(
    tokens=12, state_tokens=12, scan=True, channel_splits=16, norm_tokens=1,
    projections={
        "in_proj": ProjectionTiling(32, 8), "x_proj": ProjectionTiling(3, 16), "out_proj": ProjectionTiling(8, 16)
    },
)  # fmt: skip


@pytest.mark.parametrize("name", OF_ONE_MEMORY)
def test_no_heuristic_moves_less(name: str) -> None:
    """Each on the tiling that its definition prescribes, in a memory that hardly holds a tile."""
    problem = Problem(
        "p", Model("m", "mamba", 1, 8, 16, 1, 3, 1), hardware(core_group("pe", 64, 64), channels=SLOW), 12
    )
    tight = with_memory(problem, 204)
    assert least_bytes(tight) > least_bytes(with_memory(problem, 10**6))
    result = ssmopt.solve(tight, solver=name, tiling=FINE, time_limit=20)
    assert result.schedule is not None
    assert moved(result.instance, result.schedule) >= least_bytes(tight)
    assert best(lower_bounds(tight)).cycles <= result.schedule.makespan


@pytest.mark.parametrize("seed", range(3))
def test_the_exact_model_moves_no_less(seed: int) -> None:
    rng = random.Random(seed)
    model = Model("m", "mamba", 1, rng.randint(2, 4), rng.randint(2, 4), 1, 1, 1)
    problem = Problem("p", model, hardware(core_group("pe", 64, 64), channels=SLOW), 3, initial_state="zero")
    tiling = Tiling(tokens=3, state_tokens=3, scan=True, channel_splits=model.d_inner, norm_tokens=1)
    tight = with_memory(problem, build_tiles(problem, tiling).minimum_capacity()[0])
    instance = build_tiles(tight, tiling)
    start = min((decode(instance, *variant.plan(instance)) for variant in VARIANTS), key=lambda s: s.makespan)
    outcome = solve_exact(
        instance, start, instance_bound=0, time_limit=30, workers=1, seed=seed, deterministic_limit=1.0
    )
    assert outcome.schedule is not None
    assert moved(instance, outcome.schedule) >= least_bytes(tight)


def test_a_small_block_whose_bound_is_close() -> None:
    """600 bytes hold most of 8 rows of 32, but not the weights: 168 bytes are forced, a schedule moves 352 more."""
    problem = Problem(
        "p", Model("m", "mamba", 1, 32, 32, 1, 1, 1), hardware(core_group("pe", 64, 64), channels=SLOW), 8,
        initial_state="zero", dtype=Dtype(1, 1, 1),
    )  # fmt: skip
    cuts = {
        "in_proj": ProjectionTiling(32), "x_proj": ProjectionTiling(1, 16), "dt_proj": ProjectionTiling(16),
        "out_proj": ProjectionTiling(32),
    }  # fmt: skip
    problem = with_memory(problem, 600)
    instance = build_tiles(
        problem, Tiling(tokens=8, state_tokens=2, scan=True, channel_splits=16, projections=cuts, norm_tokens=4)
    )
    schedules = [decode(instance, *variant.plan(instance)) for variant in VARIANTS]
    compulsory = sum(compulsory_bytes(problem_graph(problem)))
    assert least_bytes(problem) == compulsory + 168
    assert compulsory + 168 <= min(moved(instance, schedule) for schedule in schedules) <= compulsory + 352
    bound = best(lower_bounds(problem))
    assert "SRAM" in bound.reason
    assert bound.cycles <= min(schedule.makespan for schedule in schedules) <= 1.05 * bound.cycles


def forced_cycles(length: int, mebibytes: float, problem: Problem = REFERENCE) -> int:
    tight = with_memory(replace(problem, seq_len=length), int(mebibytes * 2**20))
    return ceil(Fraction(forced_traffic(tight, problem_graph(tight)).n_bytes, 256))


@pytest.mark.parametrize(
    ("length", "mebibytes", "cycles"),
    # At 64 tokens and 1 MiB: rows of xc and u, stored and loaded but for the three tokens whose x is an output, and x
    # loaded again, less what the SRAM saves of both.
    [
        (64, 1, (2 * 64 * (5120 + 2560) - 3 * 5120 + 64 * 2560 - 2 * 2**18) // 64),
        (64, 0.5, (2 * 64 * (5120 + 2560) - 3 * 5120 + 64 * 2560 - 2 * 2**17) // 64),
        (64, 6, 0),
        (64, 24, 0),
        (1, 0.1, 0),
    ],
)
def test_the_barrier_of_the_reference_model(length: int, mebibytes: float, cycles: int) -> None:
    assert forced_cycles(length, mebibytes) == cycles


@pytest.mark.parametrize(
    ("length", "mebibytes", "makespan"),
    [(64, 6, 671_800), (64, 1, 694_166), (64, 0.5, 739_256), (64, 0.1, 1_060_034), (1, 0.1, 666_714)],
)
def test_schedules_that_exist_are_not_ruled_out(length: int, mebibytes: float, makespan: int) -> None:
    """Makespans of valid schedules that a search found."""
    tight = with_memory(replace(REFERENCE, seq_len=length), int(mebibytes * 2**20))
    assert best(lower_bounds(tight)).cycles <= makespan


def test_products_add_to_the_barrier_where_little_fits() -> None:
    """At 1/10 MiB every product of the block reads rows again and again, and traffic outweighs all else."""
    forced = {mebibytes: forced_cycles(64, mebibytes) for mebibytes in (0.5, 0.25, 0.1)}
    assert forced[0.1] > 3 * forced[0.25] > 5 * forced[0.5]
    tight = with_memory(replace(REFERENCE, seq_len=1024), 2**20 // 10)
    reason = best(lower_bounds(tight)).reason
    assert "104,857 bytes of SRAM force: in_proj, x_proj, dt_proj, out_proj" in reason


@pytest.mark.parametrize("name", ["mamba1-2.7b-n64", "mamba2-2.7b", "mamba-130m", "mamba2-130m"])
@pytest.mark.parametrize("length", [1, 64, 1024])
def test_more_memory_forces_less(name: str, length: int) -> None:
    problem = replace(REFERENCE, model=ssmopt.load_model(name))
    forced = [forced_cycles(length, mebibytes, problem) for mebibytes in (0.01, 0.1, 0.25, 0.5, 1, 4, 24, 1000)]
    assert forced == sorted(forced, reverse=True)
    assert forced[-1] == 0
    assert forced[0] > 0 or length == 1


def test_all_memories_together_count_and_a_state_update_alone_has_no_barrier() -> None:
    one, two = with_memory(REFERENCE, 2**20), with_memory(REFERENCE, 2**19, 2**18, 2**18)
    graph = problem_graph(one)
    assert forced_traffic(one, graph) == forced_traffic(two, graph) != forced_traffic(with_memory(one, 2**19), graph)
    alone = replace(with_memory(REFERENCE, 2**10), scope="state-update")
    assert forced_traffic(alone, problem_graph(alone)).n_bytes == 0


def test_several_sequences_are_so_many_rows() -> None:
    """Two sequences of 64 tokens wait like one of 128, but have two tails."""
    pair, one = replace(REFERENCE, batch=2), replace(REFERENCE, seq_len=128)
    pair, one = with_memory(pair, 2**19), with_memory(one, 2**19)
    more = forced_traffic(one, problem_graph(one)).n_bytes - forced_traffic(pair, problem_graph(pair)).n_bytes
    assert more == 3 * 5120 * 4


def test_a_price_of_room_covers_the_dearest_bytes_first() -> None:
    waiting, all_of_it = Waiting(kept=3, tail=5, again=7, weights=11), (Fraction(2), *(Fraction(1),) * 3)
    assert waiting.cost(Fraction(2), all_of_it) == 6 + 5 + 7 + 11
    assert waiting.cost(Fraction(1), all_of_it) == 26
    assert waiting.cost(Fraction(1, 2), all_of_it) == 13


@pytest.mark.parametrize("model", ["mamba-tiny", "mamba2-tiny"])
def test_no_tiling_cuts_a_row_of_the_norm(model: str) -> None:
    """The barrier counts whole rows of x: they are read by one tile, however fine the cuts are."""
    problem = Problem("p", ssmopt.load_model(model), ssmopt.load_hardware("marca"), 3)
    norm = next(operator for operator in problem_graph(problem, scan=True).operators if operator.name == "rms_norm")
    finest = finest_tiling(problem, scan=True)
    assert boundaries(norm, "D", finest).tolist() == [0, problem.model.d_model]
