"""``ssmopt run``: what a schedule computes, compared with the model."""

from __future__ import annotations

import enum
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from ssmopt.commands.options import JsonOption, SramOption
from ssmopt.commands.output import columns, pairs, say, say_json
from ssmopt.commands.target import load_target
from ssmopt.errors import InputError
from ssmopt.export.units import short, size, whole

if TYPE_CHECKING:
    from ssmopt.execute import Execution

_SECONDS_BETWEEN_LINES = 2.0


class Precision(enum.StrEnum):
    """Type of the arrays."""

    float32 = "float32"
    float64 = "float64"


_TOLERANCE = {Precision.float32: 1e-5, Precision.float64: 1e-10}
"""Largest relative error of an output that still counts as the same."""


def run(
    instance: Annotated[
        str,
        typer.Argument(
            metavar="INSTANCE", help="Name or instance file (.yaml) of the schedule.", show_default=False
        ),
    ],
    schedule: Annotated[
        Path, typer.Argument(metavar="SCHEDULE", help="Schedule to run, as JSON.", show_default=False)
    ],
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the random arrays.")] = 0,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", metavar="FILE", show_default=False,
            help="Arrays to start from, .npz by name (such as x, W_in, A, h_initial); those missing are random.",
        ),
    ] = None,
    dtype: Annotated[Precision, typer.Option("--dtype", help="Precision of all arrays.")] = Precision.float64,
    sram: SramOption = None,
    save_outputs: Annotated[
        Path | None,
        typer.Option("--save-outputs", metavar="FILE", help="Write the outputs, as .npz.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Compute the model by running a schedule, and compare the outputs with the model's equations.

    Tiles find only what the schedule has put into their memory by then.
    The exit code is 0 when all outputs agree (relative error below 1e-10, or 1e-5 with float32) and 1 otherwise.

    [bold]Examples[/bold]

    [cyan]$ ssmopt run mamba-130m-marca-L64 mamba-130m-marca-L64.schedule.json[/cyan]

    [cyan]$ ssmopt run mamba-130m-marca-L64 best.json --dtype float32 --weights layer.npz --save-outputs out.npz[/cyan]
    """
    from ssmopt.execute import execute, reference, relative_error
    from ssmopt.files.arrays import read_arrays, write_arrays
    from ssmopt.files.atomic import check_writable
    from ssmopt.folding.written import read_rows
    from ssmopt.validate import check

    if save_outputs is not None:
        check_writable(save_outputs)
    given = {} if weights is None else read_arrays(weights)
    target = load_target(instance, sram=sram)
    tiles, found = read_rows(schedule, target.what, target.tiling)
    check(tiles, found)
    try:
        execution = execute(tiles, found, weights=given, seed=seed, dtype=np.dtype(dtype), on_progress=_progress())
    except InputError as error:
        raise error if weights is None or error.key is None else error.at(file=str(weights)) from None
    assert tiles.problem is not None
    expected = reference(tiles.problem, execution.arrays)
    errors = {name: relative_error(array, expected[name]) for name, array in execution.outputs.items()}
    tolerance = _TOLERANCE[dtype]
    if save_outputs is not None:
        write_arrays(save_outputs, execution.outputs)
    if as_json:
        header = {"instance": tiles.name, "schedule": str(schedule), "solver": found.solver}
        start = {"dtype": str(dtype), "seed": seed, "given": sorted(given)}
        say_json({**header, **start, **_document(execution, errors, tolerance)})
    else:
        origin = f"random, seed {seed}"
        if weights is not None:
            origin = f"{len(given)} of {len(execution.arrays)} from {weights}, others {origin}"
        rows = [
            ("instance", tiles.name),
            ("solver", found.solver),
            ("executed", f"{whole(tiles.n_tiles)} tiles, {whole(len(found.transfers))} transfers"),
            ("arrays", f"{dtype}, {origin}"),
            *_work_rows(execution),
            ("wrote", "" if save_outputs is None else str(save_outputs)),
        ]
        say(pairs(rows), _error_table(execution, errors, tolerance))
    raise typer.Exit(0 if _agree(errors, tolerance) else 1)


def _agree(errors: Mapping[str, float], tolerance: float) -> bool:
    # Not "none is larger": an error that is not a number is no agreement.
    return all(error <= tolerance for error in errors.values())


def _totals(execution: Execution) -> dict[str, int]:
    counts = execution.counts.values()
    return {
        "macs": sum(count.macs for count in counts),
        "operations": sum(count.operations for count in counts),
        "tile_bytes": sum(count.weight_bytes + count.activation_bytes for count in counts),
    }


def _document(execution: Execution, errors: Mapping[str, float], tolerance: float) -> dict[str, object]:
    # JSON has no word for infinite or undefined errors.
    finite = {name: error if math.isfinite(error) else None for name, error in errors.items()}
    return {
        "tolerance": tolerance,
        "relative_errors": finite,
        "agrees": _agree(errors, tolerance),
        **_totals(execution),
    }


def _work_rows(execution: Execution) -> list[tuple[str, str]]:
    totals = _totals(execution)
    return [
        ("work", f"{short(totals['macs'])} MACs, {short(totals['operations'])} other operations"),
        ("tile traffic", f"{size(totals['tile_bytes'])} between cores and their memories"),
    ]


def _error_table(execution: Execution, errors: Mapping[str, float], tolerance: float) -> Table:
    table = columns("output", "shape", "relative error>", "")
    for name, error in errors.items():
        shape = " x ".join(map(str, execution.outputs[name].shape))
        table.add_row(name, shape, f"{error:.2g}", "agrees" if error <= tolerance else "differs")
    return table


def _progress() -> Callable[[int, int], None]:
    """Prints a line on stderr every two seconds."""
    printed = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal printed
        if time.monotonic() - printed >= _SECONDS_BETWEEN_LINES:
            printed = time.monotonic()
            print(f"running: {whole(done)} of {whole(total)} events", file=sys.stderr, flush=True)

    return show
