"""Running a sweep: every point once, failures recorded, resumed where it was, whatever the executor does."""

from __future__ import annotations

import os
import signal
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ssmopt
from ssmopt.errors import InputError, SsmoptError
from ssmopt.experiments.sweep import SweepProgress, points_of, read_results, run_sweep
from ssmopt.experiments.sweep import run as run_module
from ssmopt.experiments.sweep.executors import Pool
from ssmopt.experiments.sweep.job import Job, Outcome, run_job
from ssmopt.experiments.sweep.plugin import Plugin
from ssmopt.experiments.sweep.points import code_version
from ssmopt.experiments.sweep.spec import make_sweep

from .small import AXES, FIXED, Inline, without

SIZES = {"sram": [2048, 4096, 8192]}


def plain(result: ssmopt.SweepResult) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "wall_seconds"} for row in result]


def test_one_row_per_point_with_the_fields_of_a_result() -> None:
    result = ssmopt.sweep(AXES, fixed=without("solver"), executor=Inline(), monotone=False)
    assert len(result) == 10
    assert result.pending == result.interrupted == 0
    for row, point in zip(result, points_of(make_sweep(AXES, without("solver"))), strict=True):
        alone = ssmopt.solve(point.problem, tiling=point.tiling, solver=point.solving.solver).as_dict()
        assert {name: row[name] for name in alone if name != "wall_seconds"} == {
            name: value for name, value in alone.items() if name != "wall_seconds"
        }
        assert row["sram"] == point.capacities[0]
        assert row["error"] is None


def test_finished_points_are_not_run_again(tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"
    first, second, more = Inline(), Inline(), Inline()
    one = ssmopt.sweep(SIZES, fixed=FIXED, store=file, executor=first)
    two = ssmopt.sweep(SIZES, fixed=FIXED, store=file, executor=second)
    assert (len(first.jobs), len(second.jobs)) == (3, 0)
    assert two.rows == one.rows
    three = ssmopt.sweep({"sram": [2048, 3000, 8192]}, fixed=FIXED, store=file, executor=more)
    assert len(more.jobs) == 1
    assert [row["sram"] for row in three] == [2048, 3000, 8192]
    assert {row["sram"] for row in read_results(file)} == {2048, 3000, 4096, 8192}


def test_equal_points_are_run_once_and_each_has_its_row() -> None:
    executor = Inline()
    result = ssmopt.sweep({"layers": [2, "all"]}, fixed=FIXED, executor=executor)
    assert len(executor.jobs) == 1
    assert [row["layers"] for row in result] == [2, "all"]


def test_a_failed_point_is_recorded_with_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"
    sizes = {"sram": [64, 4096]}
    for executor, jobs in ((Inline(), 2), (Inline(), 0)):
        result = ssmopt.sweep(sizes, fixed=FIXED, store=file, executor=executor)
        assert len(executor.jobs) == jobs
        bad, good = result
        assert (bad["status"], bad["makespan"], bad["valid"]) == ("FAILED", None, False)
        assert "its memory holds 64 bytes" in bad["error"]
        assert good["status"] != "FAILED"
        assert result.failed == (bad,)
    again = Inline()
    ssmopt.sweep(sizes, fixed=FIXED, store=file, executor=again, retry_failed=True)
    assert [job.problem.hardware.memories[0].capacity for job in again.jobs] == [64]


def test_what_a_solver_breaks_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("no such luck")

    monkeypatch.setattr("ssmopt.experiments.sweep.job.solve", broken)
    result = ssmopt.sweep(SIZES, fixed=FIXED, executor=Inline())
    assert [row["error"] for row in result] == ["ZeroDivisionError: no such luck"] * 3


def test_any_executor_gives_the_same_rows() -> None:
    expected = plain(ssmopt.sweep(SIZES, fixed=FIXED, executor=Inline()))
    with ThreadPoolExecutor(2) as threads:
        assert plain(ssmopt.sweep(SIZES, fixed=FIXED, executor=threads)) == expected
    assert plain(ssmopt.sweep(SIZES, fixed=FIXED, workers=2)) == expected


def test_a_point_whose_process_was_interrupted_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    left = ["interrupted"]

    def sometimes(job: Job) -> Outcome:
        return Outcome({}, interrupted=True) if left and left.pop() else run_job(job)

    monkeypatch.setattr("ssmopt.experiments.sweep.executors.run_job", sometimes)
    executor = Inline()
    result = ssmopt.sweep(SIZES, fixed=FIXED, executor=executor)
    assert len(executor.jobs) == 4
    assert len(result) == 3
    assert all(row["valid"] for row in result)


def crashing(job: Job) -> Outcome:
    """Kills its process at one of the points."""
    if job.problem.hardware.memories[0].capacity == 4096:
        os.kill(os.getpid(), signal.SIGKILL)
    return run_job(job)


def test_a_point_that_kills_its_process_is_found_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssmopt.experiments.sweep.executors.run_job", crashing)
    result = ssmopt.sweep({"sram": [2048, 4096, 8192]}, fixed=FIXED, workers=2, monotone=False)
    reasons = {row["sram"]: row["error"] for row in result}
    assert reasons == {2048: None, 4096: "its process died: killed, or out of memory", 8192: None}


@pytest.mark.parametrize(("times", "error"), [(1, None), (2, "ConnectionError: worker lost")])
def test_what_the_executor_says_of_a_point_counts_the_second_time(times: int, error: str | None) -> None:
    """A worker that dies takes points with it that have nothing to do with it."""
    left = [ConnectionError("worker lost")] * times

    def sometimes(_: int) -> None:
        if left:
            raise left.pop()

    (row,) = ssmopt.sweep({"seed": [0]}, fixed=FIXED, executor=Inline(sometimes))
    assert row["error"] == error
    assert row["valid"] == (error is None)


class BreaksDown(Inline):
    """Breaks after the first job."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        if self.jobs:
            raise BrokenExecutor("gone")
        return super().submit(function, *args, **kwargs)


def shut_down() -> Executor:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    return executor


@pytest.mark.parametrize(("make", "finished"), [(BreaksDown, 1), (shut_down, 0)])
def test_an_executor_that_breaks_ends_the_sweep_and_keeps_what_is_finished(
    tmp_path: Path, make: Any, finished: int
) -> None:
    file = tmp_path / "results.sqlite"
    with pytest.raises(SsmoptError, match=f"the executor broke: .*; {finished} of 3 points are finished"):
        ssmopt.sweep(SIZES, fixed=FIXED, store=file, executor=make())
    assert len(read_results(file)) == finished
    assert read_results(file).pending == 3 - finished
    executor = Inline()
    ssmopt.sweep(SIZES, fixed=FIXED, store=file, executor=executor)
    assert len(executor.jobs) == 3 - finished


def test_workers_with_other_code_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ssmopt.experiments.sweep.job.code_version", lambda: "0.0.1")
    with pytest.raises(InputError, match=r"another version of ssmopt, 0\.0\.1"):
        ssmopt.sweep(SIZES, fixed=FIXED, executor=Inline(), store=tmp_path / "results.sqlite")
    assert len(read_results(tmp_path / "results.sqlite")) == 0


def test_results_of_other_code_are_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"
    first = ssmopt.sweep(SIZES, fixed=FIXED, store=file, executor=Inline())
    for module in ("points", "job", "run", "store"):
        monkeypatch.setattr(f"ssmopt.experiments.sweep.{module}.code_version", lambda: "another")
    executor = Inline()
    second = ssmopt.sweep(SIZES, fixed=FIXED, store=file, executor=executor)
    assert len(executor.jobs) == 3
    assert [row["makespan"] for row in second] == [row["makespan"] for row in first]
    assert read_results(file).rows == second.rows, "only the newest results of a sweep are shown"


def test_a_signal_ends_the_sweep_with_what_is_finished(tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"

    def interrupt(progress: SweepProgress) -> None:
        if progress.done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(1) as threads:
        result = ssmopt.sweep(SIZES, fixed=FIXED, store=file, executor=threads, progress=interrupt)
    assert result.interrupted == signal.SIGINT
    assert 1 <= len(result) < 3
    assert result.pending == 3 - len(result)
    executor = Inline()
    assert len(ssmopt.sweep(SIZES, fixed=FIXED, store=file, executor=executor)) == 3
    assert len(executor.jobs) == result.pending


def test_progress_counts_what_is_done_reused_and_failed(tmp_path: Path) -> None:
    seen: list[SweepProgress] = []
    file = tmp_path / "results.sqlite"
    ssmopt.sweep({"sram": [64, 2048]}, fixed=FIXED, store=file, executor=Inline(), progress=seen.append)
    assert [(state.done, state.total, state.failed) for state in seen] == [(0, 2, 0), (1, 2, 1), (2, 2, 1)]
    assert seen[0].remaining_seconds is None
    assert seen[-1].remaining_seconds == 0
    seen.clear()
    ssmopt.sweep({"sram": [64, 2048, 4096]}, fixed=FIXED, store=file, executor=Inline(), progress=seen.append)
    assert [(state.done, state.reused) for state in seen] == [(2, 2), (3, 2)]
    halfway = SweepProgress(total=10, done=4, failed=0, reused=2, elapsed_seconds=6.0)
    assert halfway.remaining_seconds == pytest.approx(18.0)


def test_the_pool_has_no_more_processes_than_points(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Counted(Pool):
        def __init__(self, workers: int):
            asked.append(workers)
            super().__init__(workers)

    monkeypatch.setattr(run_module, "Pool", Counted)
    run_sweep(make_sweep({"seed": [0]}, FIXED), workers=7)
    assert asked == [1]
    with pytest.raises(InputError, match="workers must be positive"):
        run_sweep(make_sweep({"seed": [0]}, FIXED), workers=0)


PLUGIN = """\
import ssmopt

@ssmopt.register_solver("backwards")
def backwards(instance):
    return instance.topological_order, ssmopt.Policy(prefetch={prefetch})
"""


@pytest.mark.usefixtures("forget")
def test_solvers_of_users_run_in_every_process(tmp_path: Path) -> None:
    file, store = tmp_path / "mine.py", tmp_path / "results.sqlite"
    file.write_text(PLUGIN.format(prefetch=False))
    fixed = {**FIXED, "solver": "backwards"}
    result = ssmopt.sweep(SIZES, fixed=fixed, workers=1, plugins=[file], store=store, monotone=False)
    assert [row["error"] for row in result] == [None] * 3
    assert {row["solver"] for row in result} == {"backwards"}
    again = Inline()
    ssmopt.sweep(SIZES, fixed=fixed, executor=again, plugins=[file], store=store)
    assert again.jobs == []
    file.write_text(PLUGIN.format(prefetch=True))
    other = ssmopt.sweep(SIZES, fixed=fixed, executor=again, plugins=[file], store=store, monotone=False)
    assert len(again.jobs) == 3, "another file is another solver"
    assert [row["makespan"] for row in other] < [row["makespan"] for row in result]
    with pytest.raises(InputError, match=r"fixed\.solver: solver 'backwards' is known to this process alone"):
        ssmopt.sweep(SIZES, fixed=fixed, executor=again)


def test_a_plugin_that_is_not_the_same_everywhere_is_a_reason_to_fail(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN.format(prefetch=False))
    (point,) = points_of(make_sweep({"seed": [0]}, {**FIXED, "solver": "fuse-all"}))
    for sha256, where, said in (("0" * 64, file, "has changed"), ("0" * 64, tmp_path / "no.py", "no such file")):
        job = Job(point.problem, point.tiling, point.solving, code_version(), Plugin(str(where), sha256))
        assert said in run_job(job).error
