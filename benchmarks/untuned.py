"""Instances that nothing was tuned for: odd lengths, other models, memories, arrays and bandwidths.

Prints, per instance, the best heuristic, CP-SAT, the gap, and whether every schedule is valid.

    python benchmarks/untuned.py --time-limit 20
"""

from __future__ import annotations

import argparse
import dataclasses
import time

from ssmopt.experiments.compare import compare
from ssmopt.files.yaml_reader import parse_size
from ssmopt.library import load_hardware, load_model
from ssmopt.problem import Problem

CASES: tuple[tuple[str, str, int, dict[str, object]], ...] = (
    ("mamba-130m", "marca", 37, {}),
    ("mamba-130m", "marca", 100, {"sram": "3MiB"}),
    ("mamba-130m", "marca", 333, {"array": [32, 32]}),
    ("mamba-130m", "marca-32core", 48, {"sram": "6MiB"}),
    ("mamba-130m", "array-vector", 23, {}),
    ("mamba-370m", "marca", 7, {"sram": "0.75MiB"}),
    ("mamba-370m", "marca", 200, {"bandwidth": 64}),
    ("mamba-370m", "marca", 50, {"bandwidth": 1000, "array": [16, 64]}),
    ("mamba-370m", "array-vector", 65, {"sram": "2MiB"}),
    ("mamba-790m", "marca", 129, {"sram": "12MiB"}),
    ("mamba-790m", "marca", 3, {"array": [128, 128]}),
    ("mamba-790m", "marca-32core", 99, {}),
    ("mamba-1.4b", "marca", 31, {"sram": "5MiB", "bandwidth": 512}),
    ("mamba-1.4b", "marca", 500, {}),
    ("mamba-1.4b", "array-vector", 12, {"array": [32, 32]}),
    ("mamba-2.8b", "marca", 72, {"sram": "2MiB"}),
    ("mamba-2.8b", "marca", 777, {"sram": "30MiB", "array": [128, 320]}),
    ("mamba1-2.7b-n64", "marca", 96, {"sram": "8MiB"}),
    ("mamba1-2.7b-n64", "marca", 33, {"sram": "0.6MiB"}),
    ("mamba1-2.7b-n64", "marca-32core", 17, {"bandwidth": 400}),
)


def problem_of(model: str, hardware: str, seq_len: int, changes: dict[str, object]) -> Problem:
    """The problem of one case."""
    machine = load_hardware(hardware)
    words = [model, hardware, f"L{seq_len}"]
    for field, value in changes.items():
        machine = machine.override(field, parse_size(value) if isinstance(value, str) else value)
        words.append(f"{field}={value}")
    problem = Problem("-".join(words), load_model(model), machine, seq_len)
    return dataclasses.replace(problem, name=" ".join(words))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time-limit", type=float, default=20.0, help="wall seconds per instance")
    parser.add_argument("--only", type=int, default=None, help="number of the one case to run")
    options = parser.parse_args()
    print("| instance | best heuristic | makespan | cpsat | gap | instance gap | tiles | all valid | seconds |")
    print("|---|---|---:|---:|---:|---:|---:|---|---:|")
    for number, case in enumerate(CASES):
        if options.only not in (None, number):
            continue
        problem = problem_of(*case)
        started = time.monotonic()
        comparison = compare(problem, time_limit=options.time_limit)
        seconds = time.monotonic() - started
        rows = {row.result.solver: row.result for row in comparison.rows}
        exact = rows.pop("cpsat")
        best = min(rows.values(), key=lambda result: result.makespan or 0)
        assert exact.makespan is not None
        assert best.makespan is not None
        valid = all(row.result.schedule is not None for row in comparison.rows) and not comparison.failures
        print(
            f"| {problem.name} | {best.solver} | {best.makespan:,} | {exact.makespan:,} | {exact.gap:.2%} "
            f"| {exact.instance_gap:.2%} | {exact.instance.n_tiles:,} | {'yes' if valid else comparison.failures} "
            f"| {seconds:.1f} |",
            flush=True,
        )
        assert exact.makespan <= best.makespan, "CP-SAT is worse than a heuristic"


if __name__ == "__main__":
    main()
