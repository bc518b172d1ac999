"""Kills a sweep again and again, resumes it, and compares it with one that nobody disturbed; then the same on Dask.

    python benchmarks/sweep_survives.py [--kills 10] [--seed 0] [--keep FOLDER]

200 points by heuristics, whose schedules depend on nothing but the point. The process that runs the sweep gets SIGKILL
at random moments, and is started again each time with the same command. In the end all rows must be those of the
undisturbed run, wall times aside, and no row may have been lost or written again on the way. On the Dask cluster a
worker process is killed in the middle.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from ssmopt.experiments.sweep import dask_executor, read_results, read_sweep, run_sweep

SWEEP = """\
axes:
  seq_len: [1, 2, 3, 4, 5, 6, 7, 8, 12, 16]
  sram: [2KiB, 3KiB, 4KiB, 8KiB]
  solver: [layer-by-layer, layer-by-layer-reuse, fuse-all, mem-aware, fuse-block]
fixed:
  model: mamba-tiny
  hardware: tiny
  tiling: {tokens: 4, channel_splits: 2}
"""

Row = tuple[tuple[str, Any], ...]


def command(spec: Path, store: Path) -> list[str]:
    """The command that runs a sweep, and goes on with it."""
    return [sys.executable, "-m", "ssmopt.cli", "sweep", str(spec), "--store", str(store), "--quiet"]


def rows(store: Path) -> list[Row]:
    """All rows, without what no two runs share."""
    return [
        tuple((name, value) for name, value in row.items() if name != "wall_seconds") for row in read_results(store)
    ]


def written(store: Path) -> dict[str, tuple[str, str]]:
    """What is stored of each point, with the moment at which it was written."""
    if not store.exists() or store.stat().st_size == 0:
        return {}
    with sqlite3.connect(store, timeout=30) as connection:
        try:
            found = connection.execute("SELECT key, fields, finished FROM results").fetchall()
        except sqlite3.OperationalError:  # not even the tables yet
            found = []
    connection.close()
    return {key: (fields, finished) for key, fields, finished in found}


def kill_and_resume(spec: Path, store: Path, kills: int, points: int, seed: int) -> list[int]:
    """Run a sweep that is killed so often, at random moments, and then left alone.

    Returns
    -------
    list of int
        How many points were finished at each kill.

    Raises
    ------
    AssertionError
        A finished point was lost or done again.
    """
    choose = random.Random(seed)
    counts: list[int] = []
    before: Mapping[str, tuple[str, str]] = {}
    for kill in range(kills):
        process = subprocess.Popen(command(spec, store), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Any moment from the very start to some way ahead, so that all kills find something to interrupt.
        goal = choose.randint(0, max(1, 2 * (points - len(before)) // (kills - kill + 1)))
        delay = choose.uniform(0, 0.3)
        while len(written(store)) - len(before) < goal and process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        after = written(store)
        assert before.items() <= after.items(), "a finished point was lost or done again"
        before = after
        counts.append(len(after))
    subprocess.run(command(spec, store), stdout=subprocess.DEVNULL, check=True)
    assert before.items() <= written(store).items(), "a finished point was lost or done again"
    return counts


def kill_one_worker(executor: Executor, store: Path, goal: int) -> threading.Thread:
    """Kill a worker process of a Dask cluster as soon as so many points are finished."""
    client: Any = getattr(executor, "_client")  # noqa: B009

    def wait_and_kill() -> None:
        while len(written(store)) < goal:
            time.sleep(0.01)
        victim = next(iter(client.run(os.getpid).values()))
        os.kill(victim, signal.SIGKILL)

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    return thread


def on_dask(spec: Path, store: Path, goal: int) -> None:
    """Run a sweep on a cluster of two worker processes, one of which is killed after so many points."""
    with dask_executor(None, 2) as executor:
        killer = kill_one_worker(executor, store, goal)
        run_sweep(read_sweep(spec), store=store, executor=executor, progress=False)
        killer.join(timeout=0)
        assert not killer.is_alive(), "the sweep was over before a worker was killed"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files of results, which are deleted otherwise")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        spec, calm, killed, dask = (folder / name for name in ("sweep.yaml", "calm.db", "killed.db", "dask.db"))
        spec.write_text(SWEEP)
        points = read_sweep(spec).size
        started = time.monotonic()
        subprocess.run(command(spec, calm), stdout=subprocess.DEVNULL, check=True)
        expected = rows(calm)
        taken = sum(dict(row)["taken_from"] is not None for row in expected)
        print(f"undisturbed: {len(expected)} rows in {time.monotonic() - started:.1f} s, {taken} from less memory")
        assert len(expected) == points
        started = time.monotonic()
        counts = kill_and_resume(spec, killed, given.kills, points, given.seed)
        same = rows(killed) == expected
        print(
            f"killed {given.kills} times, at {', '.join(map(str, counts))} points: "
            f"{'the same rows' if same else 'OTHER ROWS'} in {time.monotonic() - started:.1f} s"
        )
        started = time.monotonic()
        on_dask(spec, dask, points // 4)
        same_on_dask = rows(dask) == expected
        print(
            f"on Dask, one worker killed: {'the same rows' if same_on_dask else 'OTHER ROWS'} in "
            f"{time.monotonic() - started:.1f} s"
        )
    sys.exit(0 if same and same_on_dask else 1)


if __name__ == "__main__":
    main()
