"""Critical chains, idle times and gains of whole schedules."""

from __future__ import annotations

import random

import numpy as np
import pytest
from handmade import INSTANCES, schedule_of
from random_instances import random_instance
from random_orders import optimum, random_order, random_policy, searched, with_more

import ssmopt
from ssmopt.csr import Csr
from ssmopt.decode import decode
from ssmopt.explain.gains import PRESENT, _doubled
from ssmopt.explain.lanes import assign_lanes
from ssmopt.ids import Ids
from ssmopt.instance import Instance
from ssmopt.library import load_problem
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable
from ssmopt.tiling import Tiling
from ssmopt.validate import InvalidScheduleError


def random_schedule(seed: int) -> tuple[Instance, Schedule]:
    rng = random.Random(seed)
    instance = with_more(random_instance(seed), rng)
    return instance, decode(instance, random_order(instance, rng), random_policy(instance, rng))


@pytest.mark.parametrize("seed", range(60))
def test_the_chain_adds_up_to_the_makespan_and_so_does_every_resource(seed: int) -> None:
    instance, schedule = random_schedule(seed)
    found = ssmopt.explain(instance, schedule, gains=False)
    chain, causes = found.chain, found.causes
    rows = chain.activity
    assert causes.end[rows[-1]] == schedule.makespan
    assert int((causes.end[rows] - causes.start[rows] + chain.wait).sum()) == schedule.makespan
    assert (chain.wait >= 0).all()
    assert (causes.waited_for[rows[1:]] == rows[:-1]).all()
    assert sum(found.chain_cycles.values()) + found.chain_wait == schedule.makespan
    assert sum(stretch.steps for stretch in found.stretches) == len(chain)
    for idle in found.idle:
        parts = (idle.busy, idle.transfer, idle.dependence, idle.space, idle.held, idle.done)
        assert min(parts) >= 0
        assert sum(parts) == idle.lanes * schedule.makespan
    n_cores = instance.n_cores
    assert sum(idle.busy for idle in found.idle[:n_cores]) == int((schedule.tiles.end - schedule.tiles.start).sum())
    assert [idle.kind for idle in found.idle] == ["core"] * n_cores + ["channel"] * 2


@pytest.mark.parametrize("seed", searched(range(40)))
def test_the_bound_of_the_present_machine_holds(seed: int) -> None:
    instance = random_instance(seed)
    rng = random.Random(seed)
    schedule = decode(instance, random_order(instance, rng))
    present = ssmopt.explain(instance, schedule).gains[0]
    assert present.change == PRESENT
    assert present.bound.cycles <= optimum(seed)


@pytest.mark.parametrize("which", sorted(INSTANCES))
def test_gains_of_tiles_without_a_problem(which: str) -> None:
    instance, schedule = INSTANCES[which][0], schedule_of(which)
    found = {gain.change: gain for gain in ssmopt.explain(instance, schedule).gains}
    changes = {"DRAM bandwidth x1.25", "DRAM bandwidth x2", "SRAM x2"}
    assert set(found) == {PRESENT, "cores twice as fast"} | (changes if which != "jobs" else set())
    for gain in found.values():
        assert 0 <= gain.most <= 1
        assert gain.bound.cycles <= found[PRESENT].bound.cycles
        assert gain.found is None or gain.bound.cycles <= gain.found <= schedule.makespan


def test_gains_of_a_problem_name_the_resource_that_binds() -> None:
    problem, _ = load_problem("mamba-130m-marca-L1")
    instance = ssmopt.build_instance(problem.model, problem.hardware, 1, tiling=Tiling())
    schedule = decode(instance, instance.topological_order)
    changes: list[str] = []
    found = ssmopt.explain(instance, schedule, on_change=changes.append)
    gains = {gain.change: gain for gain in found.gains}
    assert changes == list(gains)
    # One token is all weights: only the channel matters.
    assert gains["DRAM bandwidth x2"].most > 0.45
    assert gains["DRAM bandwidth x1.25"].most > 0.15
    assert gains["PEs of pe x2"].most == gains[PRESENT].most
    for gain in gains.values():
        assert gain.found is not None
        assert gain.bound.cycles <= gain.found <= schedule.makespan
    assert max(found.chain_cycles, key=found.chain_cycles.__getitem__) == "dma"
    assert "DRAM bandwidth x2" in repr(found)
    assert found.as_dict()["makespan"] == schedule.makespan


@pytest.mark.parametrize(
    ("before", "after"), [((64, 128), [128, 128]), ((64, 1), [128, 1]), ((1, 64), [1, 128]), ((128, 64), [128, 128])]
)
def test_twice_the_processing_elements(before: tuple[int, int], after: list[int]) -> None:
    assert _doubled(*before) == after


def test_a_schedule_that_breaks_a_rule_is_not_explained() -> None:
    instance, schedule = INSTANCES["moved"][0], schedule_of("moved", {"q": ("q", "c1", 5, 7)})
    with pytest.raises(InvalidScheduleError):
        ssmopt.explain(instance, schedule)


def test_an_empty_schedule() -> None:
    instance = ssmopt.build_instance("mamba-130m", "marca", 1, tiling=Tiling())
    none = np.zeros(0, dtype=np.int64)
    nothing = Instance(
        "empty", instance.memory_ids, instance.memory_capacity, instance.core_ids, instance.core_memory,
        instance.core_kind, instance.channel_ids, instance.channel_bandwidth, instance.channel_lanes,
        instance.channel_connects, Ids.of([]), none, np.zeros(0, dtype=np.int8), Ids.of([]),
        np.zeros((0, 1), dtype=np.int64), Csr.empty(0), Csr.empty(0), Csr.empty(0),
    )  # fmt: skip
    schedule = Schedule(TileTable(none, none, none, none), TransferTable.empty(), ResidencyTable.empty(), 0)
    found = ssmopt.explain(nothing, schedule)
    assert len(found.chain) == 0
    assert found.chain_cycles == {}
    assert "empty" in repr(found)


@pytest.mark.parametrize("seed", range(30))
def test_transfers_of_one_lane_do_not_overlap(seed: int) -> None:
    instance, schedule = random_schedule(seed)
    transfers = schedule.transfers
    lane = assign_lanes(transfers)
    assert (lane < instance.channel_lanes[transfers.channel]).all()
    for channel, number in {*zip(transfers.channel.tolist(), lane.tolist(), strict=True)}:
        mine = np.flatnonzero((transfers.channel == channel) & (lane == number))
        mine = mine[np.lexsort((transfers.end[mine], transfers.start[mine]))]
        assert (transfers.start[mine[1:]] >= transfers.end[mine[:-1]]).all()
