"""Exploration of small spaces, against every machine solved on its own."""

from __future__ import annotations

import dataclasses
import json
import signal
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ssmopt
from ssmopt.cli import app
from ssmopt.errors import CapacityError, InputError
from ssmopt.exploration.contender import Contender
from ssmopt.exploration.result import PRUNED, SOLVED, Exploration, Row
from ssmopt.problem import Problem
from ssmopt.result import Progress
from ssmopt.silicon import AreaModel
from ssmopt.validate import validate

BASE = dataclasses.replace(ssmopt.load_hardware("tiny"), area_model=AreaModel(2.0, 8192, 64, 128))
"""Its own 2 KiB and 16 processing elements take half of 2 mm2."""

SHARES = (0.25, 0.75)
WORK = 3.0


@pytest.fixture(scope="module")
def found() -> Exploration:
    return ssmopt.explore(
        "mamba-tiny", [1, 2], weights=[3, 1], hardware=BASE, area_mm2=[1, 2], shares=SHARES,
        bandwidths=[128, 2], work_limit=WORK,
    )  # fmt: skip


def test_every_machine_is_in_the_table_once(found: Exploration) -> None:
    machines = [(r.machine.fraction, r.machine.memory_share, r.machine.shape, r.machine.bandwidth) for r in found.rows]
    assert len(set(machines)) == len(machines) > 8
    assert {fraction for fraction, *_ in machines} == {Fraction(1, 2), Fraction(1)}
    states = [row.state for row in found.rows]
    assert found.count(SOLVED) == states.count(SOLVED) > 0
    assert all((row.makespan is not None) == (row.state == SOLVED) for row in found.rows)


def test_schedules_are_valid_and_add_up_by_weight(found: Exploration) -> None:
    for row in (*found.rows, found.reference):
        if row.makespan is None:
            continue
        lengths = []
        for result in row.results:
            assert result.schedule is not None
            assert result.problem is not None
            assert validate(result.instance, result.schedule) == []
            assert result.problem.hardware == row.machine.hardware
            lengths.append(result.problem.seq_len)
        assert lengths == [1, 2]
        assert row.makespan == 3 * row.results[0].schedule.makespan + row.results[1].schedule.makespan  # type: ignore[union-attr]
        assert row.makespan >= row.bound == 3 * row.results[0].lower_bound + row.results[1].lower_bound


def test_no_machine_that_was_pruned_is_faster_than_the_answer(found: Exploration) -> None:
    best = found.best
    assert best is not None
    assert best.makespan is not None
    pruned = [row for row in found.rows if row.state == PRUNED]
    assert pruned
    for row in pruned:
        no_larger = [
            r.makespan for r in found.rows if r.makespan is not None and r.machine.fraction <= row.machine.fraction
        ]
        assert row.bound >= min(no_larger)
        assert alone(row) >= min(no_larger)


def test_no_machine_beats_the_bound_of_the_space(found: Exploration) -> None:
    makespans = [alone(row) for row in found.rows]
    assert min(makespans) >= found.bound == min(row.bound for row in found.rows)
    assert found.best is not None
    assert found.best.makespan is not None
    # Solving each machine for itself finds nothing that is much better.
    assert found.best.makespan <= 1.5 * min(makespans)


_KNOWN: dict[str, int] = {}


def alone(row: Row) -> int:
    """Makespan of the mix on one machine, by the ordinary solver without looking at any other."""
    name = row.machine.hardware.name
    if name not in _KNOWN:
        total = 0
        for seq_len, weight in ((1, 3), (2, 1)):
            problem = Problem("alone", ssmopt.load_model("mamba-tiny"), row.machine.hardware, seq_len)
            makespan = ssmopt.solve(problem, solver="pipelined", work_limit=0.01).makespan
            assert makespan is not None
            total += weight * makespan
        _KNOWN[name] = total
    return _KNOWN[name]


def test_equal_calls_give_equal_results() -> None:
    first, second = (
        ssmopt.explore(
            "mamba-tiny", 2, hardware=BASE, area_mm2=[1, 2], shares=shares, shapes=1, work_limit=0.4
        ).as_dict()
        for shares in (SHARES, SHARES[::-1])
    )
    first.pop("wall_seconds"), second.pop("wall_seconds")
    assert first == second


def test_every_machine_is_searched_if_nothing_is_pruned() -> None:
    outcome = ssmopt.explore(
        "mamba-tiny", 1, hardware=BASE, area_mm2=2, shares=SHARES, shapes=1, prune=False, work_limit=1.5
    )
    assert [row.machine.memory_share for row in outcome.rows] == [Fraction(1, 4), Fraction(3, 4)]
    assert outcome.count(SOLVED) == 2


def test_the_front_only_gets_faster_with_area(found: Exploration) -> None:
    front = found.front
    assert front
    assert front[-1].makespan == (found.best.makespan if found.best else None)
    pairs = [(row.machine.fraction, row.makespan or 0) for row in front]
    assert pairs == sorted(pairs)
    assert [makespan for _, makespan in pairs] == sorted((makespan for _, makespan in pairs), reverse=True)
    for row in found.rows:
        if row.makespan is not None:
            assert any(f.machine.fraction <= row.machine.fraction and f.makespan <= row.makespan for f in front)  # type: ignore[operator]


def test_the_reference_is_the_hardware_itself(found: Exploration) -> None:
    assert found.reference.machine.hardware == BASE
    assert found.reference.makespan is not None
    assert found.baseline is not None
    assert found.baseline >= found.reference.bound
    assert found.best is not None
    assert found.speedup == found.reference.makespan / (found.best.makespan or 0)
    assert found.speedup_over_baseline == found.baseline / (found.best.makespan or 0)


def test_what_work_is_left_goes_to_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[tuple[Contender, float, float]] = []
    original = Contender.search

    def search(self: Contender, work: float, *args: object, **keywords: object) -> None:
        before = self.stop.work
        original(self, work, *args, **keywords)  # type: ignore[arg-type]
        searched.append((self, before, self.stop.work))

    monkeypatch.setattr(Contender, "search", search)
    monkeypatch.setattr("ssmopt.exploration.campaign.EXACT_TILES", 0)  # as if the fastest had too many tiles to improve
    monkeypatch.setattr("ssmopt.exploration.campaign.Campaign._go_on", lambda self, work: None)
    small, limit = ssmopt.load_hardware("marca").override("sram", 1 << 19), 0.7
    outcome = ssmopt.explore("mamba-130m", 64, hardware=small, shares=SHARES, shapes=1, work_limit=limit)
    last, before, after = searched[-1]
    assert last.machine.hardware == outcome.reference.machine.hardware
    assert before < limit <= after


def test_a_signal_ends_it_with_the_best_so_far() -> None:
    heard: list[Progress] = []

    def interrupt(progress: Progress, /) -> None:
        heard.append(progress)
        if progress.makespan is not None and all(p.makespan is None for p in heard[:-1]):
            signal.raise_signal(signal.SIGINT)

    outcome = ssmopt.explore("mamba-tiny", 2, hardware=BASE, shares=SHARES, work_limit=5, on_progress=interrupt)
    assert outcome.interrupted == signal.SIGINT
    assert outcome.best is not None
    assert outcome.count(SOLVED) == 1


def test_a_model_that_fits_no_machine_is_told_how_much_it_needs() -> None:
    with pytest.raises(CapacityError, match="the smallest capacity is"):
        ssmopt.explore("mamba-130m", 4, hardware=BASE, shares=[0.5], rows=[4], work_limit=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hardware": "tiny"}, "hardware 'tiny' has no area_model"),
        ({"seq_len": [4, 4]}, "seq_len: a number of tokens is given twice"),
        ({"seq_len": []}, "seq_len: give at least one number of tokens"),
        ({"seq_len": 0}, "seq_len: expected a positive whole number, not 0"),
        ({"weights": [1, 2]}, "weights: expected one weight for each of the 1 prompts, not 2"),
        ({"weights": [0]}, "weights: expected a positive whole number, not 0"),
        ({"area_mm2": -1}, "area_mm2: expected a positive number, not -1"),
        ({"area_mm2": []}, "area_mm2: give at least one area"),
        ({"shares": [1.5]}, "shares: expected a memory share between 0 and 1, not 1.5"),
        ({"shares": []}, "shares: give at least one memory share"),
        ({"time_limit": 0}, "the time limit must be positive"),
    ],
)
def test_bad_arguments(changes: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"model": "mamba-tiny", "seq_len": 4, "hardware": BASE, **changes}
    with pytest.raises(InputError, match=message):
        ssmopt.explore(**arguments)  # type: ignore[arg-type]


def command(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["explore", *arguments])
    return done.exit_code, done.stdout, done.stderr


SMALL = ("--model", "mamba-tiny", "--seq-len", "2", "--area", "0.02..0.04", "--area-steps", "2", "--share", "20..60",
         "--share-step", "40", "--work-limit", "0.5")  # fmt: skip


def test_the_command_writes_tables_and_pictures(tmp_path: Path) -> None:
    table, picture = tmp_path / "rows.csv", tmp_path / "front.svg"
    code, out, _ = command(*SMALL, "--json", "--csv", str(table), "--plot", str(picture))
    assert code == 0
    shown = json.loads(out)
    assert shown["machines"] == len(shown["rows"]) == len(table.read_text().splitlines()) - 1
    assert {row["area_fraction"] for row in shown["rows"]} == {0.02 / 222, 0.04 / 222}
    assert {row["memory_share"] for row in shown["rows"]} == {0.2, 0.6}
    assert shown["best"]["area_mm2"] > 0
    assert shown["best"]["energy_uj"] > 0
    assert shown["best"]["makespan"] >= shown["space_bound"]
    assert picture.read_text().lstrip().startswith("<?xml")


def test_the_command_says_what_is_proved() -> None:
    code, out, err = command(*SMALL)
    assert code == 0
    assert "no machine of the space takes fewer than" in out
    assert "pruned by their bounds" in out
    assert "over marca with fuse-all" in out
    assert "solving machines for mamba-tiny, at most 0.5 units of work" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--area", "1..x"), "--area: expected a number above 0, or a range such as 10..50, not '1..x'"),
        (("--area", "3..1"), "--area: expected a number, or a range such as 10..50, not '3..1'"),
        (("--share", "-5"), "--share: expected a number above 0"),
        (("--share", "100"), "--share: expected a share between 0 and 100 %, not 100"),
        (("--hardware", "array-vector"), "hardware 'array-vector' has no area_model"),
        (("--plot", "x.gif"), "unknown picture format 'gif'"),
        (("--model", "mamba-tinny"), "unknown model 'mamba-tinny'; did you mean 'mamba-tiny'"),
    ],
)
def test_bad_options_are_one_line(arguments: tuple[str, ...], message: str) -> None:
    code, out, err = command("--model", "mamba-tiny", "--seq-len", "2", *arguments, "--quiet")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err
