"""``ssmopt solve`` leaves a valid schedule whenever it is interrupted; with a work limit it does the same twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import ssmopt
from ssmopt.commands.target import load_target
from ssmopt.files.schedule import read_schedule
from ssmopt.files.tiling import read_schedule_tiling
from ssmopt.validate import validate

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(ssmopt.__file__).parents[1])}
DONE_EARLY = "mamba-130m-marca-L1"
"""Solved to proved optimality about when the signal comes."""

MOMENTS = (
    # seconds after the first line, signal, instance, further arguments: together they hit every phase
    (0.05, signal.SIGINT, "mamba1-2.7b-n64-marca-L1024", ()),  # imports, first candidates
    (0.2, signal.SIGTERM, "mamba-2.8b-array-vector-L64", ()),
    (0.5, signal.SIGINT, "mamba-130m-array-vector-L1024", ()),  # tilings of long prompts
    (1.0, signal.SIGTERM, "mamba1-2.7b-n64-marca-L64", ("--sram", "512KiB")),  # no first schedule yet
    (0.6, signal.SIGINT, DONE_EARLY, ()),  # writing and drawing
    (2.0, signal.SIGTERM, "mamba-130m-array-vector-L64", ("--solver", "lns", "--time-limit", "4")),
    (2.5, signal.SIGINT, "mamba-130m-array-vector-L16", ("--time-limit", "6")),  # heuristics
    (3.0, signal.SIGINT, "mamba2-2.7b-marca-L64", ()),
    (4.0, signal.SIGTERM, "mamba-130m-array-vector-L16", ("--solver", "cpsat", "--time-limit", "8")),  # exact model
    (6.0, signal.SIGINT, "mamba-130m-array-vector-L16", ("--solver", "lns", "--time-limit", "10")),  # neighbourhoods
)


def command(*args: str) -> list[str]:
    return [sys.executable, "-c", "from ssmopt.cli import main; main()", "solve", *args]


def started(folder: Path, *args: str) -> subprocess.Popen[str]:
    """A run that has printed its first line; the rest of its stderr is read and dropped."""
    process = subprocess.Popen(
        command(*args), cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("solving")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process


def check_file(file: Path, name: str, sram: str | None = None) -> None:
    instance = load_target(name, sram=sram).instance(read_schedule_tiling(file))
    assert validate(instance, read_schedule(file, instance)) == []


@pytest.mark.parametrize(("seconds", "signum", "name", "more"), MOMENTS, ids=lambda value: str(value)[:32])
def test_a_signal_at_any_moment_leaves_a_valid_schedule(
    tmp_path: Path, seconds: float, signum: signal.Signals, name: str, more: tuple[str, ...]
) -> None:
    process = started(tmp_path, name, "--no-plot", "-o", "out.json", *more)
    time.sleep(seconds)
    over = process.poll() is not None
    process.send_signal(signum)
    code = process.wait(timeout=60)
    if name == DONE_EARLY:
        assert code in (0, 128 + signum)
    else:
        assert not over
        assert code == 128 + signum
    assert [file.name for file in tmp_path.iterdir()] == ["out.json"]
    check_file(tmp_path / "out.json", name, more[1] if "--sram" in more else None)


def test_an_impatient_second_signal_still_leaves_the_schedule(tmp_path: Path) -> None:
    name = "mamba-130m-array-vector-L16"
    process = started(tmp_path, name, "-o", "out.json", "--plot", "out.png")
    time.sleep(1)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert process.wait(timeout=60) == 130
    check_file(tmp_path / "out.json", name)


@pytest.mark.parametrize(
    ("name", "solver", "work"),
    [
        ("mamba-130m-array-vector-L16", "auto", "0.4"),  # tilings, exact model, neighbourhoods
        ("mamba-130m-array-vector-L64", "lns", "0.4"),
        ("tiny-state-L4-scan", "cpsat", "0.5"),
    ],
)
def test_equal_work_gives_equal_files(tmp_path: Path, name: str, solver: str, work: str) -> None:
    texts = []
    for file in ("a.json", "b.json"):
        args = (name, "--solver", solver, "--work-limit", work, "--seed", "3", "--no-plot", "-q", "-o", file)
        subprocess.run(command(*args), cwd=tmp_path, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL, timeout=60)
        document = json.loads((tmp_path / file).read_text())
        document.pop("wall_seconds", None)
        texts.append(json.dumps(document))
    assert texts[0] == texts[1]
