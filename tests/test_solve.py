"""`solve`: optimal where that can be proved, valid always, and best-so-far when it has to stop."""

from __future__ import annotations

import dataclasses
import importlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cpsat.instances import FT06, job_shop
from handmade import make_instance
from random_instances import random_instance
from random_orders import optimum, searched

import ssmopt
from ssmopt.errors import CapacityError, InputError
from ssmopt.instance import Instance
from ssmopt.result import Progress, Result
from ssmopt.schedule import Schedule
from ssmopt.solvers import HEURISTICS, SOLVERS
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.validate import InvalidScheduleError, validate

SOLVE_MODULE = importlib.import_module("ssmopt.solve")  # the package has a function of the same name
SEARCH_MODULE = importlib.import_module("ssmopt.search")
FIELDS = (
    "instance", "solver", "status", "makespan", "lower_bound", "bound_reason", "gap", "instance_bound", "instance_gap",
    "tiling", "latency_ms", "model_latency_ms", "ms_per_token", "tiles", "transfers", "dram_bytes",
    "peak_memory_bytes", "area_mm2", "energy_uj", "energy_compute_uj", "energy_sram_uj", "energy_dram_uj",
    "wall_seconds", "valid",
)  # fmt: skip

OF_SHORT_PROMPTS = [name for name in SOLVERS if name not in ("periodic", "owners")]
"""Solvers that schedule anything; a few tokens are nothing that repeats itself."""


def tiny(length: int = 4, **changes: object) -> ssmopt.Problem:
    problem = ssmopt.Problem("tiny", ssmopt.load_model("mamba-tiny"), ssmopt.load_hardware("tiny"), length)
    return dataclasses.replace(problem, **changes)


def hard_instance() -> Instance:
    """A random 15 x 15 job shop, which CP-SAT does not finish in the time of a test."""
    rng = np.random.default_rng(7)
    return job_shop([[(int(m), int(rng.integers(1, 100))) for m in rng.permutation(15)] for _ in range(15)])


def check_result(result: Result) -> None:
    """A schedule, valid, within its bounds, and a status that they justify."""
    assert result.schedule is not None
    assert validate(result.instance, result.schedule) == []
    assert result.makespan == result.objective == result.schedule.makespan
    assert result.lower_bound <= result.instance_bound <= result.makespan
    assert result.status == ("OPTIMAL" if result.makespan == result.instance_bound else "FEASIBLE")


@pytest.mark.parametrize("block", range(10))
def test_small_random_instances_are_solved_to_the_proved_optimum(block: int) -> None:
    for seed in searched(range(21 * block, 21 * block + 21)):
        result = ssmopt.solve(random_instance(seed), time_limit=60, workers=2)
        check_result(result)
        assert result.status == "OPTIMAL", seed
        assert result.makespan == result.lower_bound == optimum(seed), seed
        assert result.gap == result.instance_gap == 0


@pytest.mark.parametrize("solver", ["heft", "cpsat"])
def test_no_solver_beats_the_optimum(solver: str) -> None:
    for seed in searched(range(40)):
        result = ssmopt.solve(random_instance(seed), solver=solver, time_limit=60, workers=1)
        check_result(result)
        assert result.makespan is not None
        assert result.makespan >= optimum(seed) >= result.lower_bound, seed
        assert result.solver == solver
        if solver == "cpsat":
            assert result.makespan == optimum(seed)


@pytest.mark.parametrize("memory_per_machine", [False, True])
def test_ft06_is_proved(memory_per_machine: bool) -> None:
    result = ssmopt.solve(job_shop(FT06, memory_per_machine), time_limit=60, workers=2)
    check_result(result)
    assert (result.makespan, result.lower_bound, result.status) == (55, 55, "OPTIMAL")
    assert result.bound.reason.startswith("CP-SAT")


@pytest.mark.parametrize("solver", OF_SHORT_PROMPTS)
def test_every_solver_on_a_block(solver: str) -> None:
    result = ssmopt.solve(tiny(), tiling=Tiling(tokens=4, channel_splits=2), solver=solver, time_limit=5, workers=2)
    check_result(result)
    assert result.solver == solver
    heuristic = HEURISTICS.get(solver)
    if heuristic is None or heuristic.prescribe is None:
        assert result.instance.tiling == Tiling(tokens=4, channel_splits=2)
    best = ssmopt.solve(tiny(), tiling=Tiling(tokens=4, channel_splits=2), solver="fuse-block", time_limit=5)
    if heuristic is None:
        assert result.makespan is not None
        assert best.makespan is not None
        assert result.makespan <= best.makespan


def test_without_a_tiling_one_is_searched() -> None:
    result = ssmopt.solve(tiny(), solver="fuse-block", time_limit=20)
    check_result(result)
    assert result.instance.tiling is not None
    plain = ssmopt.solve(tiny(), tiling=Tiling(), solver="fuse-block", time_limit=20)
    assert result.makespan is not None
    assert plain.makespan is not None
    assert result.makespan <= plain.makespan


def test_a_result_has_the_fields_that_every_output_shows() -> None:
    problem = tiny(hardware=ssmopt.load_hardware("tiny").override("clock_ghz", 0.5))
    result = ssmopt.solve(problem, tiling=Tiling(tokens=4), solver="fuse-block", time_limit=5)
    found = result.as_dict()
    extras = [name for name in found if name not in FIELDS]
    assert [name for name in found if name in FIELDS] == list(FIELDS)
    assert extras == ["instance_bound_reason", "note"]
    assert json.loads(json.dumps(found)) == found

    schedule, makespan = result.schedule, result.makespan
    assert schedule is not None
    assert makespan is not None
    assert found["instance"] == "tiny"
    assert found["tiling"] == Tiling(tokens=4).describe()
    assert found["gap"] == (makespan - result.lower_bound) / result.lower_bound
    assert found["instance_gap"] == (makespan - result.instance_bound) / result.instance_bound
    assert found["latency_ms"] == pytest.approx(makespan / 0.5e6)  # cycles over cycles per ms
    assert found["model_latency_ms"] == pytest.approx(makespan / 0.5e6 * 2)  # two layers
    assert found["ms_per_token"] == pytest.approx(makespan / 0.5e6 * 2 / 4)
    assert found["tiles"] == result.instance.n_tiles
    assert found["transfers"] == len(schedule.transfers)
    assert found["dram_bytes"] == result.instance.tensor_bytes[schedule.transfers.tensor].sum()
    assert found["peak_memory_bytes"] == most_bytes_at_once(result.instance, schedule)
    assert found["valid"] is True
    assert result.runtime == found["wall_seconds"]


def most_bytes_at_once(instance: Instance, schedule: Schedule) -> int:
    """By looking at the start of every residency."""
    table = schedule.residencies
    size = instance.tensor_bytes[table.tensor]
    return max(int(size[(table.start <= time) & (time < table.end)].sum()) for time in table.start.tolist())


def test_an_instance_from_a_file_has_no_latency() -> None:
    found = ssmopt.solve(random_instance(5), time_limit=20, workers=1).as_dict()
    assert [found[name] for name in ("tiling", "latency_ms", "model_latency_ms", "ms_per_token")] == [None] * 4
    assert found["lower_bound"] == found["instance_bound"]


@pytest.mark.parametrize("solver", ["auto", "cpsat", "heft"])
def test_an_empty_instance_is_optimal(solver: str) -> None:
    empty = make_instance({}, {}, {"m": 1}, {"c": "m"}, {"dma": (1, 1, "dram m")})
    result = ssmopt.solve(empty, solver=solver, time_limit=5)
    check_result(result)
    assert (result.makespan, result.gap, result.status) == (0, 0, "OPTIMAL")


@pytest.mark.parametrize("solver", OF_SHORT_PROMPTS)
def test_the_first_schedule_is_completed_whatever_the_time_limit(solver: str) -> None:
    check_result(ssmopt.solve(tiny(16), solver=solver, time_limit=1e-6, workers=1))


def test_a_time_limit_ends_a_search_that_proves_nothing() -> None:
    result = ssmopt.solve(hard_instance(), time_limit=2, workers=2)
    check_result(result)
    assert result.status == "FEASIBLE"
    assert result.interrupted == 0
    assert result.gap is not None
    assert result.gap > 0


SCRIPT = """
import json, os, signal, sys
sys.path.insert(0, {tests!r})
from test_solve import hard_instance
import ssmopt

sent = []

def interrupt(progress):
    if not sent and progress.phase == {phase!r} and progress.makespan is not None:
        sent.append(True)
        for _ in range({times}):
            os.kill(os.getpid(), {signum})

before = signal.getsignal({signum})
result = ssmopt.solve(hard_instance(), time_limit=300, workers=2, on_progress=interrupt)
assert signal.getsignal({signum}) is before
assert ssmopt.validate(result.instance, result.schedule) == []
print(json.dumps([result.status, result.interrupted, result.makespan]))
"""


def run_script(phase: str, signum: int, times: int = 1) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(tests=str(Path(__file__).parent), phase=phase, signum=int(signum), times=times)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("phase", ["heft", "cpsat"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_returns_the_best_schedule_so_far(phase: str, signum: signal.Signals) -> None:
    process = run_script(phase, signum)
    assert process.returncode == 0, process.stderr
    status, interrupted, makespan = json.loads(process.stdout)
    assert (status, interrupted) == ("FEASIBLE", signum)
    assert makespan > 0


def test_a_second_signal_interrupts_at_once() -> None:
    process = run_script("heft", signal.SIGINT, times=2)
    assert process.returncode not in (0, None)
    assert "KeyboardInterrupt" in process.stderr
    assert process.stdout == ""


@pytest.mark.searches
def test_a_signal_while_a_tiling_is_searched_is_not_lost() -> None:
    def interrupt(progress: Progress) -> None:
        if progress.phase.startswith("tiling"):
            phases.append(progress.phase)
            signal.raise_signal(signal.SIGINT)

    phases: list[str] = []
    result = ssmopt.solve(tiny(), time_limit=300, on_progress=interrupt)
    check_result(result)
    assert result.interrupted == signal.SIGINT
    assert len(phases) == 1


def test_it_runs_in_any_thread() -> None:
    """Only the main thread can listen for signals."""
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(ssmopt.solve(random_instance(3), time_limit=20, workers=1)))
    thread.start()
    thread.join()
    check_result(results[0])


def test_progress_only_gets_better() -> None:
    seen: list[Progress] = []
    result = ssmopt.solve(tiny(), time_limit=2, workers=2, on_progress=seen.append)
    searching = [p for p in seen if p.phase.startswith("tiling")]
    solving = [p for p in seen if not p.phase.startswith("tiling")]
    assert searching
    assert {p.phase for p in solving} <= {*HEURISTICS, "cpsat", "lns"}
    for part in (searching, solving):
        makespans = [p.makespan for p in part if p.makespan is not None]
        assert makespans == sorted(makespans, reverse=True)
    assert solving[-1].makespan == result.makespan
    assert all(p.lower_bound == result.lower_bound for p in seen)
    assert [p.elapsed_seconds for p in seen] == sorted(p.elapsed_seconds for p in seen)
    assert solving[-1].gap == result.gap


def test_an_invalid_schedule_is_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the decoder does: here it forgets the transfers."""
    instance = random_instance(11)
    assert len(ssmopt.decode(instance, instance.topological_order).transfers)
    decoded = SEARCH_MODULE.schedules_of

    def forget(*args: object) -> Iterator[Schedule]:
        for schedule in decoded(*args):
            yield dataclasses.replace(schedule, transfers=type(schedule.transfers).empty())

    monkeypatch.setattr(SEARCH_MODULE, "schedules_of", forget)
    with pytest.raises(InvalidScheduleError):
        ssmopt.solve(instance, time_limit=5)


def resumed(target: ssmopt.Problem | Instance, known: Result, *, tiling: Tiling | None, any_tiling: bool) -> Result:
    """The exact solver without any time of its own, given a result."""
    with Stop(0) as stop:
        return SOLVE_MODULE.run_solver(
            target,
            stop,
            tiling=tiling,
            any_tiling=any_tiling,
            solver="cpsat",
            workers=1,
            seed=0,
            on_progress=None,
            known=[known],
        )


def test_the_exact_solver_starts_from_what_is_known() -> None:
    by_heuristic = {s: ssmopt.solve(random_instance(s), solver="heft", time_limit=60) for s in searched(range(30))}
    seed = next(seed for seed, result in by_heuristic.items() if result.makespan != optimum(seed))
    instance = random_instance(seed)
    known = ssmopt.solve(instance, time_limit=60, workers=2)
    result = resumed(instance, known, tiling=None, any_tiling=False)
    check_result(result)
    assert result.makespan == known.makespan
    assert result.solver == "cpsat"


def test_it_changes_to_a_better_tiling_only_if_it_may() -> None:
    good, bad = Tiling(tokens=4), Tiling(tokens=1, channel_splits=8)
    known = ssmopt.solve(tiny(), tiling=good, solver="fuse-block", time_limit=60)
    free = resumed(tiny(), known, tiling=bad, any_tiling=True)
    bound = resumed(tiny(), known, tiling=bad, any_tiling=False)
    for result in (free, bound):
        check_result(result)
    assert (free.makespan, free.instance.tiling) == (known.makespan, good)
    assert free.note == "on the tiling of fuse-block"
    assert bound.instance.tiling == bad
    same = resumed(tiny(), known, tiling=good, any_tiling=False)
    assert same.makespan == known.makespan


def test_too_many_tiles_for_the_exact_model_are_left_to_heuristics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SEARCH_MODULE, "EXACT_TILES", 30)
    result = ssmopt.solve(tiny(), tiling=Tiling(tokens=4), time_limit=60)
    check_result(result)
    assert "too many for the exact model" in result.note


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "fuse-blok"}, "unknown solver 'fuse-blok'; did you mean 'fuse-block'"),
        ({"time_limit": 0}, "the time limit must be positive, not 0"),
        ({"time_limit": -1.0}, "the time limit must be positive, not -1.0"),
        ({"time_limit": float("nan")}, "the time limit must be positive, not nan"),
        ({"workers": 0}, "the number of workers must be positive, not 0"),
        ({"tiling": Tiling(channel_splits=17)}, "cannot cut dimension"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ssmopt.solve(tiny(), **arguments)


def test_a_tile_instance_cannot_be_tiled_again() -> None:
    with pytest.raises(InputError, match="a tiling can only be given for a problem"):
        ssmopt.solve(random_instance(1), tiling=Tiling())


def test_a_memory_that_is_too_small_is_an_error_with_the_number() -> None:
    small = tiny(hardware=ssmopt.load_hardware("tiny").override("sram", 255))
    with pytest.raises(CapacityError, match="holds 255 bytes") as caught:
        ssmopt.solve(small, tiling=Tiling(tokens=4), time_limit=5)
    need = caught.value.need_bytes
    enough = tiny(hardware=ssmopt.load_hardware("tiny").override("sram", need))
    check_result(ssmopt.solve(enough, tiling=Tiling(tokens=4), solver="fuse-block", time_limit=5))
    with pytest.raises(CapacityError):
        ssmopt.solve(tiny(hardware=ssmopt.load_hardware("tiny").override("sram", 16)), time_limit=5)


@pytest.mark.parametrize("solver", ["auto", "cpsat", "lns", "heft"])
def test_private_memories_are_scheduled_without_the_exact_model(solver: str) -> None:
    two = {"memories": {"m": 9, "n": 9}, "cores": {"c": "m", "d": "n"}, "channels": {"dma": (1, 1, "dram m n")}}
    tiles = {"a": (1, "w", "x", ""), "b": (4, "w", "y", ""), "c": (4, "x", "z", "")}
    tensors = {"w": (1, "weight"), "x": (1, "intermediate"), "y": (1, "output"), "z": (1, "output")}
    result = ssmopt.solve(make_instance(tiles, tensors, **two), solver=solver, work_limit=0.001)
    assert result.schedule is not None
    assert result.status in ("OPTIMAL", "FEASIBLE")
    if solver != "heft" and result.status == "FEASIBLE":
        assert "the exact model covers one memory only" in result.note or solver == "lns"


def test_private_memories_are_refused_by_the_periodic_solver() -> None:
    machine = ssmopt.load_hardware("marca-32core-private")
    problem = ssmopt.Problem("p", ssmopt.load_model("mamba-tiny"), machine, 9)
    with pytest.raises(InputError, match="works in one memory"):
        ssmopt.solve(problem, solver="periodic", time_limit=5)


@pytest.mark.parametrize("solver", ["A", "AS", "A-BS"])
def test_a_solver_that_is_not_defined_is_refused_before_a_tiling_is_searched(
    solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = ssmopt.Problem("p", ssmopt.load_model("mamba2-tiny"), ssmopt.load_hardware("tiny"), 3, form="chunked")
    monkeypatch.setattr(SOLVE_MODULE, "choose_tiling", lambda *_, **__: pytest.fail("a tiling was searched"))
    with pytest.raises(InputError, match="is not defined for the chunked form"):
        ssmopt.solve(problem, solver=solver, time_limit=5)
