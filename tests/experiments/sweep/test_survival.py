"""A sweep that is killed again and again ends with the rows of one that nobody disturbed; so does one on Dask."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

import ssmopt
from ssmopt.errors import InputError
from ssmopt.experiments.sweep import dask_executor, read_results, read_sweep

ROOT = Path(__file__).parents[3]
SWEEP = """\
axes:
  seq_len: [1, 2, 4]
  sram: [2560, 3KiB, 4KiB]
  solver: [fuse-all, fuse-block]
fixed:
  model: mamba-tiny
  hardware: tiny
  tiling: {tokens: 4, channel_splits: 2}
"""
LASTING = """\
axes:
  seed: [0, 1, 2]
fixed:
  instance: mamba-130m-marca-L64
  sram: 1MiB
  solver: lns
  time_limit: 600
"""


@pytest.fixture(scope="module")
def survives() -> ModuleType:
    """The benchmark that does the same with 200 points."""
    spec = importlib.util.spec_from_file_location("sweep_survives", ROOT / "benchmarks" / "sweep_survives.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sweep") / "sweep.yaml"
    file.write_text(SWEEP)
    return file


@pytest.fixture(scope="module")
def calm(survives: ModuleType, spec: Path) -> list[object]:
    """The rows of an undisturbed run."""
    store = spec.with_name("calm.sqlite")
    subprocess.run(survives.command(spec, store), check=True, capture_output=True)
    rows: list[object] = survives.rows(store)
    assert len(rows) == 18
    assert any(dict(row)["taken_from"] for row in rows)  # type: ignore[call-overload]
    return rows


def test_killed_and_resumed(survives: ModuleType, spec: Path, calm: list[object]) -> None:
    store = spec.with_name("killed.sqlite")
    counts = survives.kill_and_resume(spec, store, kills=2, points=18, seed=5)
    assert any(0 < count < 18 for count in counts), "no kill came in the middle"
    assert survives.rows(store) == calm


def test_on_dask_with_a_worker_killed(survives: ModuleType, spec: Path, calm: list[object]) -> None:
    pytest.importorskip("distributed")
    store = spec.with_name("dask.sqlite")
    survives.on_dask(spec, store, goal=3)
    assert survives.rows(store) == calm


def test_no_scheduler_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("ssmopt.experiments.sweep.executors.DASK_SECONDS", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(InputError, match=f"no Dask scheduler at '{address}'"), dask_executor(address):
            pass


def running(folder: Path, *command: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A command that takes very long, and its worker processes, once these are at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ssmopt.cli", *command],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(ssmopt.__file__).parents[1])},
    )  # fmt: skip
    workers: list[int] = []
    while len(workers) < 2:
        assert process.poll() is None
        time.sleep(0.05)
        workers = [
            pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent(pid) == process.pid
            and b"popen_loky" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]  # fmt: skip
    time.sleep(0.5)
    return process, workers


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def any_left(workers: list[int]) -> bool:
    """Whether any of them is still there after half a minute."""
    for _ in range(300):
        if not any(map(alive, workers)):
            return False
        time.sleep(0.1)
    return True


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_no_worker_outlives_a_figure_that_is_searched(tmp_path: Path, number: int, code: int) -> None:
    options = ("--quick", "--seq-len", "2048", "--seconds", "300", "--workers", "2", "--output", str(tmp_path))
    process, workers = running(tmp_path, "figure", "area", *options)
    process.send_signal(number)
    assert process.wait(timeout=30) == code
    assert not any_left(workers)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_no_worker_outlives_the_sweep(tmp_path: Path, number: int, code: int) -> None:
    store = tmp_path / "results.sqlite"
    (tmp_path / "lasting.yaml").write_text(LASTING)
    process, workers = running(tmp_path, "sweep", "lasting.yaml", "--store", str(store), "-j", "2")
    process.send_signal(number)
    assert process.wait(timeout=60) == code
    assert not any_left(workers)
    assert len(read_results(store)) == 0
    assert read_results(store).pending == read_sweep(tmp_path / "lasting.yaml").size
