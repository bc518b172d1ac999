"""The three headline numbers, each beside the published one, and where it comes from; the page docs/results.md.

    python benchmarks/headline.py [--seconds 60] [--quick] [--write docs/results.md]

Published are figures of the literature: of the study of fusion schemes for state space models, of the artefact that
comes with it, and of the accelerator that it takes for comparison (MARCA). Everything else is computed here.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import baselines
from markdown_table import cells, table, times

import ssmopt
from ssmopt.bounds import best, lower_bounds
from ssmopt.experiments.attribution import (
    FUSED,
    UNFUSED,
    Attribution,
    attribute,
    best_baseline,
    least_sram,
    makespan_or_none,
    ratio,
    solved,
)
from ssmopt.exploration.result import Row
from ssmopt.export.units import percent, size
from ssmopt.files.atomic import write_text_atomically
from ssmopt.hardware import Hardware
from ssmopt.library import load_hardware, load_model
from ssmopt.problem import Problem
from ssmopt.result import Result

PUBLISHED_SPEEDUP, PUBLISHED_SRAM, PUBLISHED_EQUAL_AREA = "4.8x", "an order of magnitude", "1.78x"
"""What the published fusion study says of itself."""

PUBLISHED_CYCLES = baselines.PUBLISHED
"""Cycles per layer of its artefact, run as published."""

PUBLISHED_SRAM_CYCLES = {
    "fuse-all": {0.5: 723_679, 1: 722_427, 2: 714_857, 6: 663_640, 24: 663_880},
    "mem-aware": {0.1: 663_915, 0.5: 663_710, 1: 663_738, 6: 663_758, 24: 663_880},
}
"""The same for one token over MiB of SRAM."""

PUBLISHED_AREA_CYCLES = {"fuse-all, 24 MiB, 8,192 PEs": 860_229, "mem-aware, 6 MiB, 32,768 PEs": 829_565}
"""The same for 64 tokens on two machines of 222 mm2."""

MODEL, HARDWARE = "mamba1-2.7b-n64", "marca"
MIB = 1 << 20
SIZES_MIB = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.4, 4, 6, 8, 24)
EQUAL = 1.02
"""Latencies are taken for equal up to so much."""

NOTE = "<!-- written by benchmarks/headline.py -->"


def problem_of(tokens: int, hardware: Hardware | None = None) -> Problem:
    """One block of the reference model."""
    machine = hardware or load_hardware(HARDWARE)
    return Problem(f"{MODEL}-{machine.name}-L{tokens}", load_model(MODEL), machine, tokens)


def told(section: str) -> str:
    """The section, shown on stderr as soon as it is there."""
    print(section, file=sys.stderr, flush=True)
    return section


def baseline(problem: Problem, name: str) -> Result:
    """A baseline on the best of some coarse tilings; what is known is not scheduled again."""
    key = (problem.name, name, repr(problem.hardware))
    if key not in _BASELINES:
        _BASELINES[key] = best_baseline(problem, name)
    return _BASELINES[key]


_BASELINES: dict[tuple[str, str, str], Result] = {}


def cycles(result: Result) -> str:
    """Makespan."""
    return f"{makespan(result):,}"


def makespan(result: Result) -> int:
    """The same as a number."""
    assert result.makespan is not None, result.instance.name
    return result.makespan


def speedup_section(lengths: Sequence[int], seconds: float) -> tuple[dict[int, Attribution], str]:
    """Fused against unfused, split into scheme, schedule and tiling, in both orders."""
    found = {tokens: attribute(problem_of(tokens), seconds=seconds) for tokens in lengths}
    steps = table(
        ("tokens", "unfused", "published scheme", "same tiles, better schedule", "same order, better tiling",
         "both: the optimum", "lower bound", "gap"),
        [
            cells(
                f"{tokens:,}", cycles(a.unfused), cycles(a.fused), cycles(a.same_tiles), cycles(a.same_order),
                cycles(a.best), f"{a.bound.cycles:,}", percent(a.best.gap),
            )
            for tokens, a in found.items()
        ],
    )  # fmt: skip
    shares = table(
        ("tokens", "fusing, by the published scheme", "then scheduling the same tiles", "then tiling",
         "or first tiling in the same order", "then scheduling", "together"),
        [
            cells(
                f"{tokens:,}", times(a.scheme), times(a.scheduling_first[0]), times(a.scheduling_first[1]),
                times(a.tiling_first[0]), times(a.tiling_first[1]), times(a.total),
            )
            for tokens, a in found.items()
        ],
    )  # fmt: skip
    text = f"""## Fused over unfused

Published: {PUBLISHED_SPEEDUP}. Cycles of one layer, `{MODEL}` on `{HARDWARE}` with 24 MiB:

{steps}

*Unfused* is `{UNFUSED}`, *published scheme* is `{FUSED}`; both on the best of three coarse tilings, with one-token
tiles in the state update. *Same tiles* keeps the tiles of the published scheme and lets the solver schedule them; *same
order* keeps its order and policy, and cuts the projections as the optimum does. The state update stays in one-token
tiles there, since the scheme says so. As speed-ups, of which the first column times either pair is the last:

{shares}
"""
    return found, text


def mapping_section(tokens: int, ours: Attribution, seconds: float) -> str:
    """How much of the difference to the published speed-up is the model of the machine, not the schedule."""
    published = PUBLISHED_CYCLES[tokens]
    base = problem_of(tokens)
    pairs = paired_operand_cycles(base)
    variants = {
        "as it is": base.hardware,
        "two transfers at a time over the DRAM channel": base.hardware.override("channels.dma.lanes", 2),
        "elementwise operators on 128 of the 8,192 PEs": baselines.slow_elementwise(base.hardware, 64),
        "softplus at the cost of an addition": cheap_softplus(base.hardware),
    }
    rows = []
    for name, hardware in variants.items():
        problem = dataclasses.replace(base, hardware=hardware)
        slow, fast = baseline(problem, UNFUSED), baseline(problem, FUSED)
        free = solved(problem, time_limit=seconds / 2)
        rows.append(
            cells(
                name, cycles(slow), cycles(fast), times(ratio(slow, fast)), cycles(free), times(ratio(slow, free)),
            )
        )  # fmt: skip
    corrected = makespan(ours.unfused) - pairs
    rows.append(
        cells(
            "as it is, less one operand of each pair",
            f"{corrected:,}",
            cycles(ours.fused),
            times(corrected / makespan(ours.fused)),
            "",
            "",
        )
    )
    rows.append(
        cells(
            "*published artefact*", f"*{published[UNFUSED]:,}*", f"*{published[FUSED]:,}*",
            f"*{times(published[UNFUSED] / published[FUSED])}*", "", "",
        )
    )  # fmt: skip
    variants_table = table(("machine", UNFUSED, FUSED, "scheme", "optimum", "together"), rows)
    here, there = ours.scheme, published[UNFUSED] / published[FUSED]
    return f"""### What the model of the machine has to do with it

The same two schedules are {times(here)} apart here and {times(there)} in the published artefact at {tokens} tokens:
{times(here / there)} of our speed-up is the model of the machine, no merit of any schedule. The artefact lets both
operands of an operator come in over the one DRAM channel at once, runs elementwise operators on 128 of the 8,192 PEs,
charges nothing for softplus and copies, and writes evicted tensors back in time windows that have already passed.
Here a channel carries one transfer at a time, every PE works, and every operator costs what it computes. Our own
schedules on machines that differ in one respect:

{variants_table}

"Less one operand of each pair" takes off the {pairs:,} cycles that the smaller operand of mul_hA and of add_h takes on
the channel: what the unfused schedule would gain if it came in beside the other one. That explains all but
{percent(abs(corrected / published[UNFUSED] - 1))} of the artefact's unfused cycles. Two transfers at a time is more
than it allows: there any two share the channel. Writing back into the past cannot be had here at any price, as the
validator refuses it; it can only make published numbers smaller. [Baselines](baselines.md#against-published-numbers)
goes through the published cycles row by row.
"""


def paired_operand_cycles(problem: Problem) -> int:
    """Cycles of the channel for one of two state-sized operands from DRAM, for every tile that has two (unfused)."""
    n_bytes = problem.model.d_inner * problem.model.d_state * problem.dtype.state
    (channel,) = problem.hardware.channels
    return 2 * problem.seq_len * math.ceil(n_bytes / channel.bandwidth)


def cheap_softplus(hardware: Hardware) -> Hardware:
    """Softplus at one cycle, the least that the hardware model knows."""
    cores = tuple(dataclasses.replace(core, op_cycles={**core.op_cycles, "softplus": 1}) for core in hardware.cores)
    return dataclasses.replace(hardware, cores=cores)


def sram_section(lengths: Sequence[int], seconds: float, sizes_mib: Sequence[float]) -> tuple[str, str]:
    """The SRAM that each way needs for the latency of the published scheme with 24 MiB."""
    sizes = [int(mib * MIB) for mib in sizes_mib]
    rows, ratios = [], []
    for tokens in lengths:
        problem = problem_of(tokens)
        target = EQUAL * makespan(baseline(problem, FUSED))
        free = Optimum(seconds)
        own = EQUAL * (free(problem) or math.inf)
        ways: list[Callable[[Problem], int | None]] = [
            lambda smaller: makespan_or_none(lambda: baseline(smaller, FUSED)),
            lambda smaller: makespan_or_none(lambda: baseline(smaller, "mem-aware")),
            lambda smaller: same_tiles_cycles(smaller, seconds / 3),
            free,
        ]
        found = [least_sram(problem, sizes, target, way) for way in ways]
        enough = least_sram(problem, sizes, own, free)
        saved = found[0] / found[-1] if found[0] and found[-1] else math.nan
        ratios.append(f"{saved:.0f}x at {tokens:,} token{'s' if tokens > 1 else ''}")
        shown = [size(n) if n else "none of these" for n in (*found, enough)]
        rows.append(cells(f"{tokens:,}", f"{target:,.0f}", *shown[:-1], f"{saved:.0f}x", f"{own:,.0f}", shown[-1]))
    header = (
        "tokens", "cycles", FUSED, "mem-aware", "mem-aware's tiles, better schedule", "optimum", "saving",
        "cycles of the optimum with 24 MiB", "optimum for these",
    )  # fmt: skip
    published = PUBLISHED_SRAM_CYCLES
    text = f"""## SRAM at equal latency

Published: {PUBLISHED_SRAM}. The least SRAM, of {", ".join(f"{mib:g}" for mib in sizes_mib)} MiB, with which a layer
takes no longer than `{FUSED}` with 24 MiB, up to {EQUAL - 1:.0%}; on the right, no longer than the optimum with 24 MiB:

{table(header, rows)}

From left to right the columns change one thing at a time: the tiling (the published memory-aware variant cuts the
channels into chunks, and only that), the schedule of those tiles, and everything. The saving of the optimum over
`{FUSED}` is what is comparable with the published claim. For one token the artefact gives {published["fuse-all"][2]:,}
cycles for fuse-all with 2 MiB, {published["fuse-all"][6]:,} with 6 MiB, and {published["mem-aware"][0.1]:,} for
mem-aware with 0.1 MiB: with one token nothing but the state is large, and cutting it costs no traffic. With more tokens
a small SRAM also has to hold activations, or read weights again, which the lower bound knows (see `ssmopt figure
memory`).
"""
    return "; ".join(ratios), text


class Optimum:
    """The solver's makespan by SRAM; what is known is not solved again."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._known: dict[int, int | None] = {}

    def __call__(self, problem: Problem) -> int | None:
        capacity = problem.hardware.memories[0].capacity
        if capacity not in self._known:
            self._known[capacity] = makespan_or_none(lambda: solved(problem, time_limit=self._seconds))
        return self._known[capacity]


def same_tiles_cycles(problem: Problem, seconds: float) -> int | None:
    """The tiles of mem-aware's best schedule, scheduled as well as the solver can."""

    def run() -> Result:
        chunked = baseline(problem, "mem-aware")
        return solved(problem, tiling=chunked.instance.tiling, start=chunked.schedule, time_limit=seconds)

    return makespan_or_none(run)


def makespan_of(row: Row) -> int:
    """Cycles of the best schedule of a machine."""
    assert row.makespan is not None, row.machine.hardware.name
    return row.makespan


def area_section(lengths: Sequence[int], seconds: float) -> tuple[str, str]:
    """The best machine of the area of MARCA against MARCA, split into machine and schedule."""
    rows, gains = [], []
    for tokens in lengths:
        found = ssmopt.explore(MODEL, tokens, hardware=HARDWARE, time_limit=3 * seconds)
        best_row, reference = found.best, found.reference
        assert best_row is not None
        fastest, here = makespan_of(best_row), makespan_of(reference)
        machine = best_row.machine
        marca = baseline(problem_of(tokens), FUSED)
        there = dataclasses.replace(problem_of(tokens), hardware=machine.hardware)
        published_there = min(
            (baseline(there, name) for name in (FUSED, "mem-aware")), key=lambda r: r.makespan or math.inf
        )
        gains.append(f"{times(makespan(marca) / fastest)} at {tokens:,} tokens")
        shape = f"{size(machine.sram_bytes)}, {machine.shape[0]}x{machine.shape[1]} PEs"
        rows.append(
            cells(
                f"{tokens:,}", shape, cycles(marca), f"{here:,}", cycles(published_there), f"{fastest:,}",
                times(ratio(marca, published_there)), times(makespan(marca) / here), times(here / fastest),
                times(makespan(marca) / fastest), f"{found.bound:,}",
            )
        )  # fmt: skip
    header = (
        "tokens", "best machine", "MARCA, published scheme", "MARCA, optimum", "best machine, published scheme",
        "best machine, optimum", "machine alone", "schedule and tiling alone", "machine after that", "together",
        "lower bound of all machines",
    )  # fmt: skip
    published = list(PUBLISHED_AREA_CYCLES.items())
    gain = published[0][1] / published[1][1]
    text = f"""## At the area of MARCA

Published: {PUBLISHED_EQUAL_AREA} over MARCA. Machines of 222 mm2 that differ in the split between SRAM and PEs and in
the shape of the array (`ssmopt explore`):

{table(header, rows)}

*Published scheme* is `{FUSED}`, or `mem-aware` on the other machine where that is faster. *Machine alone* leaves the
scheme; *schedule and tiling alone* leaves the machine. For 64 tokens the artefact gives {published[0][1]:,} cycles for
{published[0][0]}, and {published[1][1]:,} for {published[1][0]}, {times(gain)}: short prompts are limited by loading
the weights, which no split of the area makes faster. Long ones are limited by work, and PEs pay.
"""
    return "; ".join(gains), text


def page(lengths: Sequence[int], seconds: float, sizes_mib: Sequence[float], area_lengths: Sequence[int]) -> str:
    """The whole page."""
    found, speedup = speedup_section(lengths, seconds)
    told(speedup)
    mapping = told(mapping_section(64, found[64], seconds))
    saving, sram = sram_section([length for length in lengths if length <= 64], seconds, sizes_mib)
    told(sram)
    gain, area = area_section(area_lengths, seconds)
    told(area)
    total = "; ".join(f"{times(a.total)} at {tokens:,} token{'s' if tokens > 1 else ''}" for tokens, a in found.items())
    bound = best(lower_bounds(problem_of(64))).cycles
    summary = table(
        ("claim", "published", "here"),
        [
            cells("fused over unfused, 24 MiB", PUBLISHED_SPEEDUP, total),
            cells("less SRAM at the latency of the fused schedule", PUBLISHED_SRAM, saving),
            cells("over MARCA at equal area", PUBLISHED_EQUAL_AREA, gain),
        ],
    )
    return f"""{NOTE}
# Results beside published ones

{summary}

None of the three is a matter of one thing, and they are not comparable number by number: what is gained by fusing, by
scheduling, by tiling and by another model of the machine is taken apart below. All of it is computed by
`benchmarks/headline.py`, every schedule passed the independent validator, and gaps are to a bound that holds under any
tiling (for 64 tokens {bound:,} cycles). Measured with {seconds:g} s for each solver run on {os.cpu_count()} cores
({platform.machine()}); more time gives the same or better. Published numbers are those of the published fusion study
and of its artefact, run as published.

{speedup}
{mapping}
{sram}
{area}"""


def main() -> None:
    """Compute the page; print or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="wall seconds for each solver run")
    parser.add_argument("--quick", action="store_true", help="fewer lengths and sizes")
    parser.add_argument("--write", type=Path, default=None, help="file to write")
    parser.add_argument("--tokens", type=int, nargs="+", help="prompt lengths of the first section, 64 among them")
    options = parser.parse_args()
    if options.tokens and 64 not in options.tokens:
        parser.error("--tokens must have 64 among them: it is what the published artefact was run with")
    lengths = options.tokens or ((1, 64) if options.quick else (1, 64, 512))
    sizes = (0.5, 1, 2, 8, 24) if options.quick else SIZES_MIB
    text = page(lengths, options.seconds, sizes, (64,) if options.quick else (64, 1024))
    if options.write is None:
        print(text)
    else:
        write_text_atomically(options.write, text)


if __name__ == "__main__":
    main()
