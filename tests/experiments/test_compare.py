"""`compare`: one row per solver, slowest first, against one bound."""

from __future__ import annotations

import dataclasses
import json
import os
import signal

import pytest
from random_instances import random_instance
from random_orders import optimum
from small_problems import OF_ONE_MEMORY, core_group, hardware

import ssmopt
from ssmopt.errors import InputError
from ssmopt.experiments.compare import Comparison
from ssmopt.model import Model
from ssmopt.result import Progress
from ssmopt.solvers import HEURISTICS
from ssmopt.tiling import Tiling
from ssmopt.validate import validate


def tiny(length: int = 4, sram: int = 2048) -> ssmopt.Problem:
    machine = ssmopt.load_hardware("tiny").override("sram", sram)
    return ssmopt.Problem("tiny", ssmopt.load_model("mamba-tiny"), machine, length)


def check_rows(comparison: Comparison) -> dict[str, int]:
    """Sorted, valid, measured against one bound, with the right speed-ups; makespans by solver."""
    makespans = [row.result.makespan for row in comparison.rows]
    assert None not in makespans
    assert makespans == sorted(makespans, key=lambda makespan: -(makespan or 0))
    by_solver = {row.result.solver: row.result.makespan or 0 for row in comparison.rows}
    assert len(by_solver) == len(comparison.rows)
    baseline = by_solver.get("layer-by-layer")
    for row in comparison.rows:
        result = row.result
        assert result.schedule is not None
        assert validate(result.instance, result.schedule) == []
        assert result.bound == comparison.bound
        assert result.lower_bound <= result.makespan
        assert row.speedup == (None if baseline is None else baseline / by_solver[result.solver])
    return by_solver


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("sram", [384, 1024, 8192])
def test_every_solver_has_a_row_and_none_beats_cpsat(length: int, sram: int) -> None:
    comparison = ssmopt.compare(tiny(length, sram), time_limit=2, workers=2)
    makespans = check_rows(comparison)
    assert set(makespans) == {*OF_ONE_MEMORY, "cpsat"}
    assert comparison.failures == ()
    assert min(makespans.values()) == makespans["cpsat"]
    assert next(row.speedup for row in comparison.rows if row.result.solver == "layer-by-layer") == 1


@pytest.mark.parametrize("time_limit", [1e-6, 0.3])
@pytest.mark.parametrize(("length", "sram"), [(2, 300), (4, 512), (8, 300)])
def test_cpsat_starts_from_the_best_schedule_even_without_time(length: int, sram: int, time_limit: float) -> None:
    makespans = check_rows(ssmopt.compare(tiny(length, sram), time_limit=time_limit, workers=1))
    assert min(makespans.values()) == makespans["cpsat"]


def test_a_given_tiling_is_kept_by_all_that_take_any() -> None:
    """The baselines' own tilings may be better than that; cpsat is better than whatever shares its tiling."""
    tiling = Tiling(tokens=1, channel_splits=16)
    comparison = ssmopt.compare(tiny(4, 8192), tiling=tiling, time_limit=1e-6, workers=1)
    makespans = check_rows(comparison)
    tilings = {row.result.solver: row.result.instance.tiling for row in comparison.rows}
    assert tilings["fuse-block"] == tilings["heft"] == tilings["cpsat"] == tiling
    assert makespans["cpsat"] <= min(makespans["fuse-block"], makespans["heft"])
    assert tilings["layer-by-layer"] != tiling
    assert makespans["layer-by-layer-reuse"] < makespans["cpsat"]


def test_a_tile_instance_is_kept_as_it_is() -> None:
    instance = ssmopt.build_instance("mamba-tiny", "tiny", 4, tiling=Tiling(tokens=1, channel_splits=16))
    comparison = ssmopt.compare(instance, time_limit=1e-6, workers=1)
    check_rows(comparison)
    kept = {row.result.solver: row.result.instance is instance for row in comparison.rows}
    assert kept["cpsat"]
    assert kept["fuse-block"]


@pytest.mark.parametrize("seed", range(10))
def test_instances_without_operators_get_what_applies(seed: int) -> None:
    if seed == 6:
        pytest.skip("its optimum takes seconds to search")
    comparison = ssmopt.compare(random_instance(seed), time_limit=30, workers=2)
    makespans = check_rows(comparison)
    assert set(makespans) == {"heft", "cpsat"}
    assert makespans["cpsat"] == comparison.lower_bound == optimum(seed)
    assert all(row.speedup is None for row in comparison.rows)
    assert comparison.instance == f"random-{seed}"


def test_chosen_solvers_only() -> None:
    comparison = ssmopt.compare(tiny(), solvers=["heft", "layer-by-layer"], time_limit=4)
    assert list(check_rows(comparison)) == ["layer-by-layer", "heft"]
    alone = ssmopt.compare(tiny(), solvers=["heft"], time_limit=4)
    assert [row.speedup for row in alone.rows] == [None]


def test_a_solver_that_cannot_fit_is_a_failure_with_its_reason() -> None:
    """The baselines do not cut the state: with 64 states per channel their tiles need 512 bytes and more."""
    model = Model("m", "mamba", 1, 2, 2, 64, 2, 1)
    problem = ssmopt.Problem("p", model, hardware(core_group(), capacity=300), 2, scope="state-update")
    comparison = ssmopt.compare(problem, tiling=Tiling(channel_splits=2, state_splits=8), time_limit=2, workers=1)
    makespans = check_rows(comparison)
    assert set(makespans) == {"fuse-block", "pipelined", "heft", "cpsat"}
    failed = dict(comparison.failures)
    assert set(failed) == {name for name, heuristic in HEURISTICS.items() if heuristic.prescribe is not None}
    assert all("its memory holds 300 bytes" in reason for reason in failed.values())
    assert comparison.as_dict()["failures"] == [{"solver": s, "reason": r} for s, r in comparison.failures]
    with pytest.raises(InputError, match="its memory holds 300 bytes"):
        ssmopt.compare(problem, tiling=Tiling(), solvers=["fuse-all"], time_limit=2)


def test_the_document_holds_rows_with_the_fields_of_results() -> None:
    comparison = ssmopt.compare(tiny(), solvers=["layer-by-layer", "fuse-block"], time_limit=4)
    document = comparison.as_dict()
    assert list(document) == ["instance", "lower_bound", "bound_reason", "rows", "failures"]
    assert document["lower_bound"] == comparison.lower_bound
    assert document["bound_reason"] == comparison.bound_reason
    assert document["rows"] == [{**row.result.as_dict(), "speedup": row.speedup} for row in comparison.rows]
    assert json.loads(json.dumps(document)) == document
    assert "layer-by-layer" in repr(comparison)


@pytest.mark.parametrize("when", ["tiling", "fuse-block", "cpsat"])
def test_a_signal_ends_the_comparison_with_the_rows_so_far(when: str) -> None:
    """In whatever phase it comes, there is at least one row, the last of which says that it was interrupted."""
    before = signal.getsignal(signal.SIGINT)
    sent: list[str] = []

    def interrupt(progress: Progress) -> None:
        if progress.phase.startswith(when) and not sent:
            sent.append(when)
            os.kill(os.getpid(), signal.SIGINT)

    problem = tiny(4, 512)
    solvers = ["fuse-block", "heft", "cpsat"]
    comparison = ssmopt.compare(problem, solvers=solvers, time_limit=120, workers=2, on_progress=interrupt)
    assert sent == [when]
    assert signal.getsignal(signal.SIGINT) is before
    makespans = check_rows(comparison)
    interrupted = {row.result.solver: row.result.interrupted for row in comparison.rows}
    last = "cpsat" if when == "cpsat" else "fuse-block"
    assert set(makespans) == ({*solvers} if when == "cpsat" else {"fuse-block"})
    assert interrupted[last] == signal.SIGINT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solvers": ["heft", "hefty"]}, "unknown solver 'hefty'; did you mean 'heft'"),
        ({"solvers": []}, "name at least one solver"),
        ({"time_limit": 0}, "the time limit must be positive, not 0"),
        ({"time_limit": -1}, "the time limit must be positive, not -1"),
        ({"workers": 0}, "the number of workers must be positive, not 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ssmopt.compare(tiny(), **arguments)


def test_each_row_counts_its_own_time() -> None:
    """Together they take no longer than the whole."""
    solvers = ["heft", "layer-by-layer", "fuse-block", "fuse-all"]
    comparison = ssmopt.compare(tiny(), tiling=Tiling(tokens=4), solvers=solvers, time_limit=60)
    shares = [row.result.wall_seconds for row in comparison.rows]
    assert max(shares) < sum(shares)
    assert sorted(shares) != [sum(sorted(shares)[: i + 1]) for i in range(len(shares))]


def test_the_best_bound_counts_for_all_rows() -> None:
    """CP-SAT's bound of a tile instance from a file is that of the heuristics' rows, too."""
    seed = next(s for s in range(50) if ssmopt.solve(random_instance(s), solver="heft").status == "FEASIBLE")
    comparison = ssmopt.compare(random_instance(seed), time_limit=30, workers=2)
    alone = ssmopt.solve(random_instance(seed), solver="heft", time_limit=30)
    assert comparison.lower_bound > alone.lower_bound
    assert dataclasses.replace(comparison.rows[0].result).lower_bound == comparison.lower_bound
