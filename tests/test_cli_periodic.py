"""The command line with periodic schedules: every command reads them, or says in one line why not."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from command_line import QUICK, TINY, Run, refused
from test_interruption import started

INSTANCE = """
model: mamba-tiny
hardware: tiny
seq_len: 60
tiling: {tokens: 4, state_tokens: 4, scan: true, channel_splits: 4}
"""


@pytest.fixture
def periodic(run: Run) -> str:
    """The instance ``long.yaml``, and its periodic schedule in ``long.json``."""
    Path("long.yaml").write_text(INSTANCE)
    outcome = run("solve", "long.yaml", "--solver", "periodic", "-o", "long.json", "--plot", "long.svg", "--quiet")
    assert outcome.code == 0, outcome.err
    assert "periodic" in json.loads(Path("long.json").read_text())
    return "long.json"


def test_it_is_valid_and_computes_the_model(run: Run, periodic: str) -> None:
    assert "valid: makespan" in run("validate", "long.yaml", periodic).out
    done = json.loads(run("run", "long.yaml", periodic, "--json").out)
    assert done["agrees"]


def test_a_broken_one_is_invalid_and_names_the_rule(run: Run, periodic: str) -> None:
    found = json.loads(Path(periodic).read_text())
    row = found["periodic"]["body"]["tiles"][0]
    row["end"] += 1
    Path("broken.json").write_text(json.dumps(found))
    outcome = run("validate", "long.yaml", "broken.json")
    assert outcome.code == 1
    assert "V1" in outcome.out


def test_show_says_what_repeats(run: Run, periodic: str) -> None:
    numbers = json.loads(Path(periodic).read_text())["periodic"]
    shown = run("show", periodic)
    assert shown.code == 0
    assert f"{numbers['repeats']} times the same {numbers['round_tokens']} tokens" in shown.out
    record = json.loads(run("show", periodic, "--json").out)
    solved = json.loads(run("solve", "long.yaml", "--solver", "periodic", "--json").out)
    for name in ("makespan", "lower_bound", "tiles", "transfers"):
        assert record[name] == solved[name]


def test_show_of_an_ordinary_schedule(run: Run) -> None:
    solved = json.loads(run("solve", *TINY, *QUICK, "-o", "plain.json", "--json").out)
    record = json.loads(run("show", "plain.json", "--json").out)
    for name in ("instance", "solver", "status", "makespan", "gap", "tiling", "tiles", "transfers"):
        assert record[name] == solved[name]
    assert "periodic" not in record
    refused(run("show", "plain.json", "--sram", "1MiB"), "plain.json", "--sram")
    Path("cut.json").write_text('{"format": "ssmopt-schedule", "version": 1}')
    refused(run("show", "cut.json"), "cut.json: instance")


def test_another_search_begins_from_it_and_the_periodic_one_does_not(run: Run, periodic: str) -> None:
    start = ("--start", periodic, "--no-plot", "--quiet", "-o", "better.json")
    assert run("solve", "long.yaml", *start, "--solver", "fuse-block").code == 0
    assert run("validate", "long.yaml", "better.json").code == 0
    known, better = (json.loads(Path(file).read_text()) for file in (periodic, "better.json"))
    assert better["makespan"] <= known["makespan"]
    refused(run("solve", "long.yaml", *start, "--solver", "periodic"), "start: solver 'periodic' makes")


def test_what_has_no_tiles_of_its_own_is_refused_before_the_search(run: Run) -> None:
    Path("long.yaml").write_text(INSTANCE)
    outcome = run("solve", "long.yaml", "--solver", "periodic", "--export", "tiles.json")
    refused(outcome, "--export: a periodic schedule has no tile instance")
    assert "solving" not in outcome.err
    assert sorted(file.name for file in Path().iterdir()) == ["long.yaml"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_valid_periodic_schedule(tmp_path: Path, run: Run, number: int, code: int) -> None:
    problem = ("--model", "mamba-130m", "--hardware", "marca", "--seq-len", "20000")
    process: subprocess.Popen[str] = started(tmp_path, *problem, "-o", "long.json", "--no-plot")
    process.send_signal(number)
    assert process.wait(timeout=120) == code
    Path("long.yaml").write_text("model: mamba-130m\nhardware: marca\nseq_len: 20000\nname: mamba-130m-marca-L20000\n")
    assert run("validate", "long.yaml", "long.json").code == 0
