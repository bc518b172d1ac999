"""The table of best known schedules takes validated improvements, and nothing else."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from random_instances import random_instance

import ssmopt
from ssmopt.bounds import best, lower_bounds
from ssmopt.commands.target import load_target
from ssmopt.errors import InputError, SsmoptError
from ssmopt.experiments.best_known import COLUMNS, Record, offer, read_table, write_table
from ssmopt.files.problem_hash import problem_sha256
from ssmopt.files.schedule import write_schedule
from ssmopt.library import list_instances
from ssmopt.result import Bound
from ssmopt.validate import InvalidScheduleError

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "benchmarks" / "best_known.py"
NAME = "tiny-state-L4-scan"


def tiles(tiling: ssmopt.Tiling | None = None) -> ssmopt.Instance:
    target = load_target(NAME)
    return target.instance(tiling)


def slow(instance: ssmopt.Instance) -> ssmopt.Schedule:
    return ssmopt.decode(instance, instance.topological_order, ssmopt.Policy(prefetch=False), solver="slow")


def quick(instance: ssmopt.Instance) -> ssmopt.Schedule:
    return ssmopt.decode(instance, instance.topological_order, solver="quick")


def test_only_a_strictly_smaller_makespan_replaces_a_record() -> None:
    instance = tiles()
    assert instance.problem is not None
    bad, good = slow(instance), quick(instance)
    assert good.makespan < bad.makespan
    table, said = offer({}, instance, bad, "1")
    assert said.startswith("new")
    key = problem_sha256(instance.problem)
    bound = best(lower_bounds(instance.problem)).cycles
    gap = f"{bad.makespan / bound - 1:.6f}"
    assert table == {key: Record(NAME, key, bad.makespan, bound, gap, "slow", "1")}

    better, said = offer(table, instance, good, "2")
    assert said == f"better: {good.makespan} cycles instead of {bad.makespan}"
    assert (better[key].makespan, better[key].solver, better[key].version) == (good.makespan, "quick", "2")
    for schedule in (good, bad):
        same, said = offer(better, instance, schedule, "3")
        assert same == better
        assert said == f"not better: {schedule.makespan} cycles, known are {good.makespan}"
    assert len(table) == 1


def test_schedules_on_any_tiling_compete_for_one_record() -> None:
    table, _ = offer({}, tiles(), slow(tiles()), "1")
    other = tiles(ssmopt.Tiling(tokens=2, state_tokens=1))
    both, said = offer(table, other, quick(other), "1")
    assert len(both) == 1
    assert said.startswith(("better", "not better"))


def test_a_larger_bound_is_kept_and_a_smaller_one_is_not() -> None:
    instance = tiles()
    table, _ = offer({}, instance, quick(instance), "1")
    ((key, known),) = table.items()
    lower = {key: dataclasses.replace(known, lower_bound=known.lower_bound - 1)}
    raised, said = offer(lower, instance, quick(instance), "2")
    assert raised == table
    assert said.endswith(f"bound raised from {known.lower_bound - 1} to {known.lower_bound}")
    higher = {key: dataclasses.replace(known, lower_bound=known.lower_bound + 1, gap="-")}
    kept, _ = offer(higher, instance, slow(instance), "2")
    assert kept[key].lower_bound == known.lower_bound + 1


def test_what_cannot_be_true_is_refused() -> None:
    instance = tiles()
    schedule = quick(instance)
    with pytest.raises(InvalidScheduleError, match="V9"):
        offer({}, instance, dataclasses.replace(schedule, makespan=schedule.makespan - 1), "1")
    table, _ = offer({}, instance, schedule, "1")
    ((key, known),) = table.items()
    wrong = {key: dataclasses.replace(known, lower_bound=schedule.makespan + 1)}
    with pytest.raises(SsmoptError, match="one of them is wrong"):
        offer(wrong, instance, schedule, "1")
    other = random_instance(9)
    with pytest.raises(InputError, match="comes from no model and hardware"):
        offer({}, other, quick(other), "1")


def test_the_hash_is_that_of_the_problem_not_of_names() -> None:
    problem = load_target(NAME).what
    assert isinstance(problem, ssmopt.Problem)
    hardware, model = problem.hardware, problem.model
    same = [
        dataclasses.replace(problem, name="other"),
        dataclasses.replace(problem, model=dataclasses.replace(model, name="other", layers=99)),
        dataclasses.replace(problem, hardware=dataclasses.replace(hardware, name="other", clock_ghz=2.0, area_mm2=1.0)),
    ]
    different = [
        dataclasses.replace(problem, seq_len=problem.seq_len + 1),
        dataclasses.replace(problem, initial_state="zero" if problem.initial_state == "load" else "load"),
        dataclasses.replace(problem, dtype=dataclasses.replace(problem.dtype, state=2)),
        dataclasses.replace(problem, model=dataclasses.replace(model, d_state=model.d_state + 1)),
        dataclasses.replace(problem, hardware=hardware.override("sram", 12345)),
        dataclasses.replace(problem, hardware=hardware.override("bandwidth", 3)),
        dataclasses.replace(problem, hardware=hardware.override("array", [3, 3])),
    ]
    assert {problem_sha256(p) for p in same} == {problem_sha256(problem)}
    assert len({problem_sha256(p) for p in (problem, *different)}) == 1 + len(different)


def record(name: str, key: int) -> Record:
    return Record(name, f"{key:064x}", 110, 100, "0.100000", "auto", "1")


def test_tables_are_sorted_and_equal_tables_are_equal_files(tmp_path: Path) -> None:
    records = [record("b-L1024", 1), record("b-L64", 2), record("a-L64", 3)]
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    write_table(one, {r.problem_sha256: r for r in records})
    write_table(two, {r.problem_sha256: r for r in records[::-1]})
    assert one.read_bytes() == two.read_bytes()
    assert [line.split(",")[0] for line in one.read_text().splitlines()] == ["instance", "a-L64", "b-L64", "b-L1024"]
    assert read_table(one) == {r.problem_sha256: r for r in records}
    assert read_table(tmp_path / "none.csv") == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("makespan", "cycles"), "csv:1: expected the columns instance"),
        (lambda text: text.replace(",110,", ",x,"), "csv:2: makespan: expected a number of cycles"),
        (lambda text: text.replace("0.100000", "0.000000"), "csv:2: makespan, bound and gap do not agree"),
        (lambda text: text.replace(",110,", ",90,"), "do not agree"),
        (lambda text: text.replace("0" * 9, "z" * 9), "expected a sha256"),
        (lambda text: text + text.splitlines()[1] + "\n", "csv:3: the problem of 'a' has two rows"),
        (lambda text: text.replace(",auto", ""), "csv:2: expected 7 fields"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path: Path, change: object, message: str) -> None:
    path = tmp_path / "table.csv"
    write_table(path, {"": record("a", 1)})
    assert callable(change)
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=message):
        read_table(path)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("best_known_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_that_comes_along_is_sound(script: ModuleType) -> None:
    path = ROOT / "instances" / "best_known.csv"
    table = read_table(path)
    assert len(table) >= 12
    with path.open() as lines:
        assert tuple(next(csv.reader(lines))) == COLUMNS
    for key, known in table.items():
        problem = script.target_of(known.instance).what
        assert problem_sha256(problem) == key
        # The bounds of this version may be larger or smaller than what was known, but never prove it wrong.
        assert best(lower_bounds(problem)).cycles <= known.makespan
    assert any("-sram-" in known.instance for known in table.values())


def test_the_script_takes_files_and_runs_and_says_why_not(tmp_path: Path) -> None:
    instance, table = tiles(), tmp_path / "table.csv"
    for name, schedule in (("slow", slow(instance)), ("quick", quick(instance))):
        write_schedule(tmp_path / f"{name}.json", instance, schedule, status="FEASIBLE", bound=Bound(0, "none"))
    broken = (tmp_path / "slow.json").read_text().replace(f'"makespan": {slow(instance).makespan}', '"makespan": 1')
    (tmp_path / "broken.json").write_text(broken)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), "--table", str(table), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    done = run("slow.json", "quick.json", "slow.json", "broken.json")
    assert done.returncode == 1
    first, second, third, fourth = done.stdout.splitlines()
    assert first.startswith("slow.json: new")
    assert second.startswith("quick.json: better")
    assert third.startswith("slow.json: not better")
    assert fourth.startswith("broken.json: refused: broken.json: cannot start from a schedule that is not feasible: V9")
    before = table.read_bytes()
    done = run("--run", "no-such-instance", "tiny-state-L1-sram-4KiB", "--time-limit", "2")
    assert done.returncode == 1
    assert "no-such-instance: refused: unknown instance" in done.stdout
    names = [known.instance for known in read_table(table).values()]
    assert names == ["tiny-state-L1-sram-4KiB", NAME]
    assert before != table.read_bytes()
    assert "tiny-state-L1" in list_instances()
