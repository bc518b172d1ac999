"""Where the cycles of the baselines go, and how they compare with published numbers; the tables of docs/baselines.md.

    python benchmarks/baselines.py

Published are cycles per layer that the artefact of the fusion study gives, run as it was published; it models the
machine differently in several ways, which the page lists.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

import ssmopt
from ssmopt.hardware import Hardware
from ssmopt.instance import DRAM
from ssmopt.library import load_problem
from ssmopt.problem import Problem
from ssmopt.result import Result
from ssmopt.tiling import ProjectionTiling, Tiling

PUBLISHED = {
    1: {
        "layer-by-layer": 714_924,
        "A": 704_964,
        "B": 704_807,
        "A-B": 694_640,
        "AS": 684_279,
        "BS": 684_325,
        "AS-B": 663_842,
        "A-BS": 663_880,
        "fuse-all": 663_880,
    },
    64: {"layer-by-layer": 4_449_281, "fuse-all": 860_229},
}
"""Cycles per layer of the published artefact, by number of tokens and scheme."""

TILING = Tiling(
    tokens=64,
    projections={
        "in_proj": ProjectionTiling(columns=32),
        "x_proj": ProjectionTiling(reduction=2),
        "dt_proj": ProjectionTiling(columns=2),
        "out_proj": ProjectionTiling(columns=32),
    },
)
"""Fixed, so that the tables do not change with the search for tilings."""


def problem_of(tokens: int) -> Problem:
    """The reference model on the reference accelerator."""
    return load_problem(f"mamba1-2.7b-n64-marca-L{tokens}")[0]


def run(problem: Problem, scheme: str) -> Result:
    """The schedule of a scheme on the fixed tiling."""
    return ssmopt.solve(problem, tiling=TILING, solver=scheme, time_limit=600)


def comparison_table() -> str:
    """Every scheme against its published number."""
    lines = ["| tokens | scheme | cycles | channel busy | published | difference |", "|---:|---|---:|---:|---:|---:|"]
    for tokens, schemes in PUBLISHED.items():
        for scheme, published in schemes.items():
            result = run(problem_of(tokens), scheme)
            assert result.makespan is not None
            difference = result.makespan / published - 1
            lines.append(
                f"| {tokens} | {scheme} | {result.makespan:,} | {sum(traffic(result).values()):,} "
                f"| {published:,} | {difference:+.1%} |"
            )
    return "\n".join(lines)


def traffic(result: Result) -> dict[str, int]:
    """Cycles that the DRAM channel spends on the pieces of each tensor."""
    assert result.schedule is not None
    moves, ids = result.schedule.transfers, result.instance.tensor_ids
    off_chip = (moves.source == DRAM) | (moves.target == DRAM)
    cycles = np.zeros(len(ids.stems), dtype=np.int64)
    np.add.at(cycles, ids.stem[moves.tensor[off_chip]], (moves.end - moves.start)[off_chip])
    return {name: int(total) for name, total in zip(ids.stems, cycles, strict=True) if total}


def traffic_table(tokens: int) -> str:
    """Channel cycles by tensor: those that no schedule avoids, and those of two baselines."""
    schemes = ("fuse-block", "fuse-all", "layer-by-layer")
    columns = [traffic(run(problem_of(tokens), scheme)) for scheme in schemes]
    names = sorted({name for column in columns for name in column}, key=lambda name: -columns[-1].get(name, 0))
    lines = [f"| tensor | {' | '.join(schemes)} |", "|---|" + "---:|" * len(schemes)]
    lines += [f"| {name} | " + " | ".join(f"{column.get(name, 0):,}" for column in columns) + " |" for name in names]
    lines.append("| all | " + " | ".join(f"{sum(column.values()):,}" for column in columns) + " |")
    return "\n".join(lines)


def slow_elementwise(hardware: Hardware, factor: int) -> Hardware:
    """Every operation but the multiply-accumulate takes ``factor`` times as long, as on so many fewer elements."""
    cores = tuple(
        dataclasses.replace(
            core, op_cycles={name: n if name == "mac" else n * factor for name, n in core.op_cycles.items()}
        )
        for core in hardware.cores
    )
    return dataclasses.replace(hardware, cores=cores)


def variants_table(tokens: int) -> str:
    """What the baselines would take on machines that differ in one respect."""
    base = problem_of(tokens)
    variants = {
        "as it is": base.hardware,
        "two transfers at a time": base.hardware.override("channels.dma.lanes", 2),
        "elementwise operators on 1/64 of the array": slow_elementwise(base.hardware, 64),
        "no tile overhead": base.hardware.override("tile_overhead_cycles", 0),
    }
    schemes = ("layer-by-layer", "fuse-all")
    lines = [f"| machine | {' | '.join(schemes)} |", "|---|" + "---:|" * len(schemes)]
    for name, hardware in variants.items():
        makespans = [run(dataclasses.replace(base, hardware=hardware), scheme).makespan or 0 for scheme in schemes]
        lines.append(f"| {name} | " + " | ".join(f"{makespan:,}" for makespan in makespans) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=64, help="prompt length of the second and third table")
    options = parser.parse_args()
    print(comparison_table(), traffic_table(options.tokens), variants_table(options.tokens), sep="\n\n")


if __name__ == "__main__":
    main()
