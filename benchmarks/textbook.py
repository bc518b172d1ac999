"""The plain textbook CP-SAT model against `ssmopt.solve`, on the same tile instances with the same time limit.

    python benchmarks/textbook.py --time-limit 60 --workers 2 [--sizes 64,256] [--write docs/textbook.md]

One block (and one state update alone) of mamba-130m over 64 tokens on marca, cut ever finer along its channels, with
24 MiB of SRAM and with so little that the best heuristic is 3 % above the instance bound. Every schedule is validated.
``--write`` replaces what stands between the two result markers of a file.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from markdown_table import cells
from textbook_model import PlainModel

import ssmopt
from ssmopt.bounds import bounds_of
from ssmopt.errors import CapacityError
from ssmopt.files.atomic import write_text_atomically
from ssmopt.heuristics.base import even_cuts, schedules_of
from ssmopt.instance import Instance
from ssmopt.library import load_hardware, load_model
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule
from ssmopt.solvers import HEURISTICS
from ssmopt.tiling import Tiling
from ssmopt.validate import check
from ssmopt.workload.tiles import build_tiles

MODEL, HARDWARE, TOKENS = "mamba-130m", "marca", 64
STATE_TOKENS = 16
"""Tokens per scan tile: a quarter of the prompt."""

SIZES = "32,64,128,256,1000,4000"
"""Numbers of tiles, about."""

SOLVED = 1e-4
"""An instance counts as solved with a gap to the instance bound of at most this."""

PRESSURE = 0.03
"""Under pressure the best heuristic is at least so far above the instance bound."""

STEP_BYTES = 16 << 10
"""An SRAM under pressure is a multiple of this."""

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


@dataclasses.dataclass(frozen=True)
class Row:
    """One instance, and what both solvers made of it; gaps are to ours' instance bound."""

    scope: str
    pressed: bool
    tiles: int
    sram_bytes: int
    heuristic_gap: float
    plain_makespan: int | None
    plain_gap: float | None
    plain_bound: int
    makespan: int
    gap: float
    bound: int
    plain_seconds: float
    seconds: float

    def line(self) -> str:
        """The row in Markdown."""
        plain = ["none", "-"]
        if self.plain_makespan is not None and self.plain_gap is not None:
            plain = [f"{self.plain_makespan:,}", _percent(self.plain_gap)]
        row = [
            self.scope,
            f"{self.tiles:,}",
            f"{self.sram_bytes / 2**20:.4g} MiB",
            f"{self.bound:,}",
            _percent(self.heuristic_gap),
            *plain,
            f"{self.plain_seconds:.0f} s",
            f"{self.makespan:,}",
            _percent(self.gap),
            f"{self.seconds:.0f} s",
        ]
        return cells(*row)


HEADER = (
    "| scope | tiles | SRAM | instance bound | best heuristic | plain model | its gap | its time "
    "| ssmopt | its gap | its time |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def _percent(gap: float) -> str:
    return f"{gap:.2%}" if gap == 0 or gap >= SOLVED else "under 0.01%"


def instance_of(scope: str, size: int, sram: int | None = None) -> Instance:
    """The instance of the family whose number of tiles is nearest to a size; channels are cut evenly."""
    hardware = load_hardware(HARDWARE)
    hardware = hardware if sram is None else hardware.override("sram", sram)
    problem = Problem(f"{MODEL}-{scope}", load_model(MODEL), hardware, TOKENS, scope=scope)
    cuts = even_cuts(problem)

    def tiled(pieces: int) -> Instance:
        return build_tiles(problem, Tiling(TOKENS, state_tokens=STATE_TOKENS, scan=True, channel_splits=pieces))

    one, two = tiled(cuts[0]).n_tiles, tiled(cuts[1]).n_tiles
    each = (two - one) // (cuts[1] - cuts[0])
    return tiled(min(cuts, key=lambda pieces: abs(one + each * (pieces - cuts[0]) - size)))


def heuristic_makespan(instance: Instance) -> int:
    """The shortest schedule of the heuristics that take any tiling."""
    instance.check_capacity()
    able = [h for h in HEURISTICS.values() if h.applies_to(instance) and h.prescribe is None and not h.custom]
    return min(schedule.makespan for heuristic in able for schedule in schedules_of(heuristic, instance))


def under_pressure(scope: str, size: int) -> tuple[Instance, bool]:
    """The instance in the largest SRAM found with which the heuristics are far off; False if there is none.

    From the full memory down by a fifth each, until they are far off, and then up again by bisection.
    """

    def is_far(steps: int) -> bool:
        pressed = instance_of(scope, size, steps * STEP_BYTES)
        return heuristic_makespan(pressed) / bounds_of(pressed)[1].cycles - 1 >= PRESSURE

    enough = low = int(instance_of(scope, size).memory_capacity[0]) // STEP_BYTES
    try:
        while not is_far(low):
            enough, low = low, low * 4 // 5
    except CapacityError:
        low = -(-instance_of(scope, size).minimum_capacity()[0] // STEP_BYTES)
        if not is_far(low):
            return instance_of(scope, size, low * STEP_BYTES), False
    while enough - low > 1:
        middle = (enough + low) // 2
        enough, low = (enough, middle) if is_far(middle) else (middle, low)
    return instance_of(scope, size, low * STEP_BYTES), True


def plain_schedule(instance: Instance, time_limit: float, workers: int) -> tuple[Schedule | None, int]:
    """The better of what the plain model gives with one residency per tensor and, unless it finishes, with two.

    Each has half of the time.
    """
    best, bound = None, 0
    for residencies in (1, 2):
        outcome = PlainModel(instance, residencies).solve(time_limit / 2, workers)
        if outcome.schedule is not None:
            check(instance, outcome.schedule)
            if best is None or outcome.schedule.makespan < best.makespan:
                best, bound = outcome.schedule, outcome.bound
        if best is not None and best.makespan <= bounds_of(instance)[1].cycles:
            break
    return best, bound


def compared(scope: str, instance: Instance, pressed: bool, time_limit: float, workers: int) -> Row:
    """Both solvers on one instance."""
    heuristic = heuristic_makespan(instance)
    begin = time.monotonic()
    plain, plain_bound = plain_schedule(instance, time_limit, workers)
    middle = time.monotonic()
    result = ssmopt.solve(instance, time_limit=time_limit, workers=workers)
    seconds = time.monotonic() - middle
    assert result.schedule is not None
    check(instance, result.schedule)
    bound = result.tile_bound.cycles
    assert plain is None or plain.makespan >= bound, "the plain model beats a bound"
    return Row(
        scope=scope,
        pressed=pressed,
        tiles=instance.n_tiles,
        sram_bytes=int(instance.memory_capacity[0]),
        heuristic_gap=heuristic / bound - 1,
        plain_makespan=None if plain is None else plain.makespan,
        plain_gap=None if plain is None else plain.makespan / bound - 1,
        plain_bound=plain_bound,
        makespan=result.schedule.makespan,
        gap=result.schedule.makespan / bound - 1,
        bound=bound,
        plain_seconds=middle - begin,
        seconds=seconds,
    )


def rows(scopes: list[str], sizes: list[int], time_limit: float, workers: int) -> Iterator[Row]:
    """All comparisons, with ample memory and under pressure."""
    for scope in scopes:
        for pressed in (False, True):
            for size in sizes:
                instance, far = under_pressure(scope, size) if pressed else (instance_of(scope, size), False)
                if pressed and not far:
                    print(f"{scope}, {instance.n_tiles:,} tiles: the heuristics are near the bound with any SRAM",
                          file=sys.stderr)  # fmt: skip
                yield compared(scope, instance, pressed, time_limit, workers)


def summary(measured: list[Row]) -> list[str]:
    """The largest instance that each solver solves, per scope and memory."""
    lines = []
    for scope, pressed in dict.fromkeys((row.scope, row.pressed) for row in measured):
        mine = [row for row in measured if (row.scope, row.pressed) == (scope, pressed)]
        plain = max((r.tiles for r in mine if r.plain_gap is not None and r.plain_gap <= SOLVED), default=0)
        ours = max((r.tiles for r in mine if r.gap <= SOLVED), default=0)
        where = "under pressure" if pressed else "24 MiB"
        lines.append(f"- {scope}, {where}: solved up to {plain:,} tiles by the plain model, up to {ours:,} by ssmopt")
    return lines


def main() -> None:
    """Print the table, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time-limit", type=float, default=60.0, help="wall seconds per solve (default 60)")
    parser.add_argument("--workers", type=int, default=2, help="threads of either solver (default 2)")
    parser.add_argument("--sizes", default=SIZES, help="numbers of tiles, about (default %(default)s)")
    parser.add_argument("--scopes", default="block,state-update", help="default %(default)s")
    parser.add_argument("--write", type=Path, default=None, help="a file whose results are replaced")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    print(HEADER)
    measured = []
    for row in rows(options.scopes.split(","), sizes, options.time_limit, options.workers):
        measured.append(row)
        print(row.line(), flush=True)
    print("\n" + "\n".join(summary(measured)))
    if options.write is not None:
        text = options.write.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        table = "\n".join([HEADER, *(row.line() for row in measured), "", *summary(measured)])
        said = f"Time limit {options.time_limit:g} s per solve, {options.workers} threads."
        write_text_atomically(options.write, f"{before}{BEGIN}\n{said}\n\n{table}\n{END}{after}")


if __name__ == "__main__":
    main()
