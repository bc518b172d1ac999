"""Solving from a known schedule: it is validated, its tiling is used, and the result is never worse."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from random_instances import random_instance
from random_orders import searched
from small_problems import OF_ONE_MEMORY

import ssmopt
from ssmopt.errors import InputError
from ssmopt.files.schedule import write_schedule
from ssmopt.library import load_problem
from ssmopt.result import Bound
from ssmopt.solvers import HEURISTICS
from ssmopt.validate import validate


def problem_of(sram: int = 2048, length: int = 4) -> ssmopt.Problem:
    machine = ssmopt.load_hardware("tiny").override("sram", sram)
    return ssmopt.Problem("tiny", ssmopt.load_model("mamba-tiny"), machine, length)


def saved(result: ssmopt.Result, path: Path) -> Path:
    assert result.schedule is not None
    write_schedule(path, result.instance, result.schedule, status="FEASIBLE", bound=result.bound)
    return path


TILING = ssmopt.Tiling(tokens=2, state_tokens=2, scan=True, channel_splits=2)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A schedule of four tokens, on a tiling of its own, that leaves much to gain."""
    instance = ssmopt.build_instance("mamba-tiny", "tiny", 4, tiling=TILING, name="tiny")
    schedule = ssmopt.decode(instance, instance.topological_order, ssmopt.Policy(prefetch=False))
    path = tmp_path_factory.mktemp("start") / "slow.json"
    write_schedule(path, instance, schedule, status="FEASIBLE", bound=Bound(0, "none"))
    return path


@pytest.fixture
def problem() -> ssmopt.Problem:
    return dataclasses.replace(problem_of(), hardware=ssmopt.load_hardware("tiny"))


def makespan_in(path: Path) -> int:
    return int(json.loads(path.read_text())["makespan"])


@pytest.mark.parametrize("solver", ["auto", "cpsat", *OF_ONE_MEMORY])
def test_no_solver_is_worse_than_what_it_starts_from(
    problem: ssmopt.Problem, slow: Path, tmp_path: Path, solver: str
) -> None:
    good = ssmopt.solve(problem, tiling=TILING, time_limit=0.7, workers=2)
    for file in (slow, saved(good, tmp_path / "good.json")):
        known = makespan_in(file)
        result = ssmopt.solve(problem, solver=solver, start=file, time_limit=0.7, workers=2)
        assert result.schedule is not None
        assert validate(result.instance, result.schedule) == []
        assert result.makespan is not None
        assert result.lower_bound <= result.makespan <= known
        if solver in HEURISTICS:
            alone = ssmopt.solve(problem, solver=solver, tiling=TILING, time_limit=5)
            assert alone.makespan is not None
            assert result.makespan == min(alone.makespan, known)
            said = "better than the start" if alone.makespan < known else "the start, which is no worse"
            assert said in result.note
        else:
            assert result.instance.tiling == TILING


@pytest.mark.parametrize("seed", searched(range(20, 32)))
def test_cpsat_continues_from_any_valid_schedule(seed: int) -> None:
    """Also from one that begins late, so that the exact model must take what no solver of ours would make."""
    instance = random_instance(seed)
    best = ssmopt.solve(instance, time_limit=5, workers=2)
    first = ssmopt.decode(instance, instance.topological_order, ssmopt.Policy(prefetch=False))
    late = dataclasses.replace(
        first,
        makespan=first.makespan + 7,
        **{
            name: dataclasses.replace(table, start=table.start + 7, end=table.end + 7)
            for name, table in (
                ("tiles", first.tiles),
                ("transfers", first.transfers),
                ("residencies", first.residencies),
            )
        },
    )
    assert validate(instance, late) == []
    result = ssmopt.solve(instance, solver="cpsat", start=late, time_limit=5, workers=2)
    assert (result.status, result.makespan) == (best.status, best.makespan)


def test_an_optimal_start_is_kept_and_said_so() -> None:
    instance = random_instance(9)
    best = ssmopt.solve(instance, time_limit=5, workers=2)
    assert best.status == "OPTIMAL"
    again = ssmopt.solve(instance, start=best.schedule, time_limit=5, workers=2)
    assert again.schedule is best.schedule
    assert (again.status, again.note) == ("OPTIMAL", "the start, not improved")


def test_a_baseline_whose_own_tiling_does_not_fit_keeps_the_start(tmp_path: Path) -> None:
    problem = problem_of(sram=96, length=1)
    known = ssmopt.solve(problem, time_limit=1, workers=2)
    file = saved(known, tmp_path / "start.json")
    result = ssmopt.solve(problem, solver="layer-by-layer", start=file, time_limit=2)
    assert result.makespan is not None
    assert known.makespan is not None
    assert result.makespan <= known.makespan


def test_what_cannot_be_a_start_is_refused(problem: ssmopt.Problem, slow: Path, tmp_path: Path) -> None:
    def refused(match: str, start: object = slow, target: object = problem, **arguments: object) -> None:
        with pytest.raises(InputError, match=match):
            ssmopt.solve(target, start=start, time_limit=1, **arguments)

    refused("belongs to another instance", target=problem_of(sram=4096))
    refused("belongs to another instance", target=dataclasses.replace(problem, seq_len=5))
    refused("belongs to another instance", target=random_instance(9))
    refused("on another tiling", tiling=ssmopt.Tiling(tokens=4))
    refused("cannot be read|no such file", start=tmp_path / "none.json")

    document = json.loads(slow.read_text())
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({**document, "transfers": document["transfers"][1:]}))
    refused(r"broken.json: cannot start from a schedule that is not feasible: V\d", start=broken)
    del document["tiling"]
    untold = tmp_path / "untold.json"
    untold.write_text(json.dumps(document))
    refused("does not say which tiling", start=untold)
    assert ssmopt.solve(problem, start=untold, tiling=TILING, solver="fuse-block", time_limit=1).schedule is not None

    instance = random_instance(9)
    schedule = ssmopt.decode(instance, instance.topological_order)
    refused("give the tiling too", start=schedule)
    refused("not feasible", start=schedule, target=random_instance(5))


def test_the_tiling_of_an_instance_file_may_be_that_of_the_start(tmp_path: Path) -> None:
    problem, tiling = load_problem("tiny-state-L4-scan")
    known = ssmopt.solve(problem, tiling=tiling, solver="heft")
    result = ssmopt.solve(problem, tiling=tiling, start=saved(known, tmp_path / "s.json"), time_limit=3, workers=2)
    assert result.makespan is not None
    assert known.makespan is not None
    assert result.makespan <= known.makespan
