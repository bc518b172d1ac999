"""How fast the parts are on large instances: medians, and ratios to what they must reach.

    python benchmarks/size_and_speed.py [--quick] [--json]

``--quick`` leaves out the instance of a million tiles. Times are wall seconds of this machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from ssmopt.decode import decode
from ssmopt.heuristics.fuse_block import block_order
from ssmopt.instance import Instance
from ssmopt.library import load_hardware, load_model
from ssmopt.problem import Problem
from ssmopt.solve import solve
from ssmopt.tiling import Tiling
from ssmopt.validate import check
from ssmopt.workload.tiles import build_tiles


@dataclass(frozen=True)
class Measurement:
    """One line of the table; ``ratio`` is measured / target."""

    what: str
    measured: float
    target: float
    unit: str
    detail: str = ""

    @property
    def ratio(self) -> float:
        """How much of the target is used up."""
        return self.measured / self.target


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall time of several calls."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def problem_of(seq_len: int) -> Problem:
    """The reference model on the reference accelerator."""
    return Problem(f"mamba1-2.7b-n64-marca-L{seq_len}", load_model("mamba1-2.7b-n64"), load_hardware("marca"), seq_len)


def large(seq_len: int) -> Instance:
    """One token and an eighth of the channels per state tile: many tiles, not a good tiling."""
    return build_tiles(problem_of(seq_len), Tiling(tokens=256, channel_splits=8))


def measure_tiles(seq_len: int, repeats: int, seconds: tuple[float, float, float]) -> list[Measurement]:
    """Build, decode and validate an instance of one size against their targets."""
    build, decoding, validating = seconds
    instance = large(seq_len)
    order = block_order(instance)
    schedule = decode(instance, order)
    size = f"{instance.n_tiles:,} tiles"
    return [
        Measurement(f"build {size}", median_seconds(lambda: large(seq_len), repeats), build, "s"),
        Measurement(f"decode {size}", median_seconds(lambda: decode(instance, order), repeats), decoding, "s"),
        Measurement(f"validate {size}", median_seconds(lambda: check(instance, schedule), repeats), validating, "s"),
    ]


def measure_gap(seq_len: int, seconds: float, target: float) -> Measurement:
    """Gap that ``solve`` reaches within a time limit."""
    result = solve(problem_of(seq_len), time_limit=seconds)
    assert result.gap is not None
    detail = f"{result.makespan:,} cycles, {result.status}, {result.wall_seconds:.1f} s"
    return Measurement(f"gap of solve, L={seq_len}, {seconds:.0f} s", result.gap * 100, target, "%", detail)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out the million tiles")
    parser.add_argument("--repeats", type=int, default=5, help="calls per median")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    rows = measure_tiles(1024, options.repeats, (1.0, 0.5, 0.5))
    if not options.quick:
        rows += measure_tiles(18_000, 1, (20.0, 10.0, 10.0))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append(Measurement("peak memory of all that", peak, 2.0, "GiB", "instance, schedule and validator"))
    rows += [measure_gap(64, 60.0, 1.0), measure_gap(1024, 120.0, 4.0)]
    if options.json:
        print(json.dumps([{**asdict(row), "ratio": row.ratio} for row in rows], indent=1))
        return
    print(f"{'what':36} {'measured':>10} {'target':>10} {'ratio':>7}")
    for row in rows:
        figures = f"{row.measured:>8.3f} {row.unit:<3}{row.target:>8.2f} {row.unit:<3}{row.ratio:>6.2f}"
        print(f"{row.what:36} {figures}  {row.detail}")


if __name__ == "__main__":
    main()
