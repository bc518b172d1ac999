"""Measures the packer: published problems at their capacity, rectangles cut without a gap, and many buffers.

python benchmarks/packing.py [--time-limit SECONDS]
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from ssmopt.allocate import pack
from ssmopt.csr import IntArray

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

Problem = tuple[IntArray, IntArray, IntArray]

_SLACK = (0, 2, 5, 10)
"""Percent of the height by which the capacity exceeds that of a rectangle without a gap."""


def main() -> None:
    """Print one line per problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds per problem")
    limit = parser.parse_args().time_limit
    problems: Any = importlib.import_module("allocate.packings")
    for name in "ACDEK":
        report(f"minimalloc {name}", problems.minimalloc(name), problems.MINIMALLOC_CAPACITY, limit)
    for pieces in (25, 50, 100, 300):
        problem = problems.full_rectangle(Random(pieces), 20 * pieces, 1_000, pieces, pinwheels=True)
        for slack in _SLACK:
            report(f"rectangle of {len(problem[0])}, slack {slack} %", problem, 1_000 + 10 * slack, limit)
    rng = np.random.default_rng(1)
    for count in (10_000, 60_000, 200_000):
        lower = rng.integers(0, 2 * count, count)
        size = rng.integers(1, 100, count) * 64
        upper = lower + rng.integers(1, 400, count)
        peak = pack(lower, upper, size, 0, effort=0).peak
        report(f"{count:,} at random, slack 20 %", (lower, upper, size), int(peak * 1.2), limit)


def report(name: str, problem: Problem, capacity: int, limit: float) -> None:
    """Pack one problem and print how that went."""
    lower, upper, size = problem
    started = time.perf_counter()
    found = pack(lower, upper, size, capacity, time_limit=limit)
    seconds = time.perf_counter() - started
    outcome = found.method if found.offsets is not None else "impossible" if found.impossible else "not found"
    print(f"{name:<36} {outcome:<12} height/capacity {found.height / capacity:6.3f}  {seconds:7.2f} s", flush=True)


if __name__ == "__main__":
    main()
