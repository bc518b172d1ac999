"""How large a tile graph can be, and how fast it is built, decoded, validated and solved, against the targets.

Every time is the median of several repeats, as wall time and as processor time: on a machine that does other work too,
the processor time is the one to trust. A ratio is measured over target, so at most 1 is good.

    python benchmarks/size_and_speed.py --quick
    python benchmarks/size_and_speed.py --json > numbers.json
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeVar

import ssmopt
from ssmopt.decode import decode
from ssmopt.heuristics.fuse_block import block_order
from ssmopt.library import load_problem
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles

T = TypeVar("T")

TILING = Tiling(tokens=256, state_tokens=1, channel_splits=8)
"""One token and one of eight pieces of d_inner per tile of the state update: many tiles, not a good tiling."""

INSTANCE = "mamba1-2.7b-n64-marca-L{tokens}"
MANY_TOKENS, MORE_TOKENS = 1_024, 17_920
"""Prompts of about 58 thousand and of about a million tiles."""

SOLVE_TARGETS = {64: (60.0, 0.001), 1_024: (120.0, 0.01)}
"""Per prompt length: the time limit in seconds, and the gap to reach within it."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    what
        What was measured.
    tiles
        Number of tiles.
    measured, target
        The number that the target is about, in ``unit``: median wall seconds, MiB, or a gap.
    unit
        ``s``, ``MiB`` or ``gap``.
    cpu_seconds
        Median processor time.
    """

    what: str
    tiles: int
    measured: float
    target: float
    unit: str
    cpu_seconds: float

    @property
    def ratio(self) -> float:
        """Measured over target."""
        return self.measured / self.target

    @property
    def cpu_ratio(self) -> float | None:
        """The same with processor time; None where the target is no time."""
        return self.cpu_seconds / self.target if self.unit == "s" else None


class Timer:
    """Times of one piece of code, run several times."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def run(self, work: Callable[[], T], repeats: int) -> T:
        """Do the work ``repeats`` times and return the last result."""
        for _ in range(repeats):
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            result = work()
            self.wall.append(time.perf_counter() - wall)
            self.cpu.append(time.process_time() - cpu)
        return result

    def row(self, what: str, tiles: int, target: float) -> Row:
        """The medians against a target in seconds."""
        return Row(what, tiles, statistics.median(self.wall), target, "s", statistics.median(self.cpu))


def problem_of(tokens: int) -> Problem:
    """The reference model on the reference accelerator, with a prompt of any length."""
    problem, _ = load_problem(INSTANCE.format(tokens=64))
    return Problem(INSTANCE.format(tokens=tokens), problem.model, problem.hardware, tokens)


def measure_tiles(tokens: int, repeats: int) -> list[Row]:
    """Build, order, decode and validate; the last row is the peak memory of this process."""
    large = tokens > MANY_TOKENS
    problem = problem_of(tokens)
    build, order_timer, decoder, validator = Timer(), Timer(), Timer(), Timer()
    instance = build.run(lambda: build_tiles(problem, TILING), repeats)
    order = order_timer.run(lambda: block_order(instance), repeats)
    schedule = decoder.run(lambda: decode(instance, order), repeats)
    violations = validator.run(lambda: validate(instance, schedule), repeats)
    assert violations == [], violations
    n = instance.n_tiles
    rows = [decoder.row("decode", n, 10.0 if large else 0.5), validator.row("validate", n, 10.0 if large else 0.5)]
    if large:
        rows.append(Row("peak memory", n, peak_mib(), 2_048.0, "MiB", 0.0))
    else:
        rows.insert(0, build.row("build", n, 1.0))
    return rows


def peak_mib() -> float:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def measure_apart(tokens: int, repeats: int) -> list[Row]:
    """`measure_tiles` in a process of its own, whose peak memory is nobody else's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure_tiles, (tokens, repeats))


def measure_solve(tokens: int, workers: int | None) -> list[Row]:
    """Gap and time of one call of `ssmopt.solve` with an automatic tiling."""
    limit, gap = SOLVE_TARGETS[tokens]
    timer = Timer()
    result = timer.run(lambda: ssmopt.solve(problem_of(tokens), time_limit=limit, workers=workers), 1)
    assert result.makespan is not None
    n, name = result.instance.n_tiles, f"solve L={tokens:,}"
    return [
        Row(f"{name}, gap", n, result.gap or 0.0, gap, "gap", timer.cpu[0]),
        timer.row(f"{name}, time", n, limit),
    ]


def as_markdown(rows: list[Row]) -> str:
    """The table for people."""
    lines = [
        "| what | tiles | measured | target | ratio | processor time | its ratio |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cpu = f"{row.cpu_seconds:.2f} s" if row.cpu_seconds else "-"
        cpu_ratio = "-" if row.cpu_ratio is None else f"{row.cpu_ratio:.2f}"
        shown, target = (_shown(value, row.unit) for value in (row.measured, row.target))
        lines.append(f"| {row.what} | {row.tiles:,} | {shown} | {target} | {row.ratio:.2f} | {cpu} | {cpu_ratio} |")
    return "\n".join(lines)


def _shown(value: float, unit: str) -> str:
    if unit == "gap":
        return f"{value:.3%}"
    return f"{value:,.0f} {unit}" if unit == "MiB" else f"{value:.2f} {unit}"


def as_json(rows: list[Row]) -> str:
    """The table for programs."""
    records = [{**asdict(row), "ratio": row.ratio, "cpu_ratio": row.cpu_ratio} for row in rows]
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    return json.dumps({"ssmopt": ssmopt.__version__, **machine, "rows": records}, indent=2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out the million tiles")
    parser.add_argument("--no-solve", action="store_true", help="leave out the solver")
    parser.add_argument("--repeats", type=int, default=7, help="repeats of each measurement; 3 at most for a million")
    parser.add_argument("--workers", type=int, default=None, help="threads of the solver; all cores by default")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()

    rows = measure_tiles(MANY_TOKENS, options.repeats)
    if not options.quick:
        rows += measure_apart(MORE_TOKENS, min(options.repeats, 3))
    if not options.no_solve:
        for tokens in SOLVE_TARGETS:
            rows += measure_solve(tokens, options.workers)
    print(as_json(rows) if options.json else as_markdown(rows))


if __name__ == "__main__":
    main()
