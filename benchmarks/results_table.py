"""The README's table of results: every solver on a few instances, measured now.

    python benchmarks/results_table.py [--time-limit 60] [--write README.md]

``--write`` replaces what stands between the two result markers of a file.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ssmopt.experiments.compare import compare
from ssmopt.export.units import percent
from ssmopt.files.atomic import write_text_atomically
from ssmopt.files.yaml_reader import parse_size
from ssmopt.library import load_problem

INSTANCES = (
    ("mamba1-2.7b-n64-marca-L1", None),
    ("mamba1-2.7b-n64-marca-L64", None),
    ("mamba1-2.7b-n64-marca-L64", "6MiB"),
    ("mamba1-2.7b-n64-marca-L64", "1MiB"),
    ("mamba1-2.7b-n64-marca-L64", "0.5MiB"),
    ("mamba1-2.7b-n64-marca-L1024", None),
    ("mamba-130m-marca-L64", None),
    ("mamba2-2.7b-marca-L64", None),
    ("mamba-2.8b-marca-32core-L64", None),
    ("mamba-2.8b-array-vector-L64", None),
)
"""Names, and the SRAM where it is not the one of the machine."""
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def table(time_limit: float) -> str:
    """The table in Markdown: makespans in cycles per layer, and CP-SAT's or the best heuristic's gap."""
    solvers = ("layer-by-layer", "fuse-all", "mem-aware", "pipelined", "cpsat")
    lines = [
        "| instance | " + " | ".join(f"`{name}`" for name in solvers) + " | lower bound | gap | speed-up |",
        "|---|" + "---:|" * (len(solvers) + 3),
    ]
    for name, sram in INSTANCES:
        problem = load_problem(name)[0]
        if sram is not None:
            problem = dataclasses.replace(problem, hardware=problem.hardware.override("sram", parse_size(sram)))
        comparison = compare(problem, solvers=solvers, time_limit=time_limit)
        rows = {row.result.solver: row for row in comparison.rows if not row.other_form}
        best = rows["cpsat"]
        cells = [f"{rows[s].result.makespan:,}" if s in rows else "-" for s in solvers]
        gap = percent(best.result.gap) + (" (optimal)" if best.result.gap == 0 else "")
        cells += [f"{comparison.lower_bound:,}", gap, f"{best.speedup:.1f}x"]
        lines.append(f"| {name if sram is None else f'{name}, {sram}'} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time-limit", type=float, default=60.0, help="wall seconds per instance")
    parser.add_argument("--write", type=Path, default=None, help="file whose table is replaced")
    options = parser.parse_args()
    text = table(options.time_limit)
    if options.write is None:
        print(text)
        return
    before, rest = options.write.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    write_text_atomically(options.write, f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
