"""``ssmopt compare``: the solver against the greedy and heuristic schedules of one instance."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ssmopt.commands.options import (
    HardwareOption,
    InstanceArgument,
    JsonOption,
    LayersOption,
    ModelOption,
    PluginOption,
    QuietOption,
    SeedOption,
    SeqLenOption,
    SramOption,
    TimeLimitOption,
    WorkersOption,
    load_plugins,
)
from ssmopt.commands.output import columns, exit_code, heading, say, say_json
from ssmopt.commands.progress import showing_progress
from ssmopt.commands.solve import check_solver
from ssmopt.commands.target import load_target
from ssmopt.export.units import megabytes, microjoules, percent, size, square_millimetres, whole

if TYPE_CHECKING:
    from ssmopt.experiments.compare import Comparison, Row


def compare(
    instance: InstanceArgument = None,
    model: ModelOption = None,
    hardware: HardwareOption = None,
    seq_len: SeqLenOption = None,
    sram: SramOption = None,
    layers: LayersOption = None,
    solver: Annotated[
        list[str] | None,
        typer.Option(
            "--solver", metavar="NAME", help="Solver to include; may be repeated. All that apply by default.",
            show_default=False,
        ),
    ] = None,
    plugin: PluginOption = None,
    time_limit: TimeLimitOption = 60.0,
    workers: WorkersOption = None,
    seed: SeedOption = 0,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the table as CSV.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Write a bar chart (.png, .svg, .pdf).", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Run the baselines and the solver on one instance, slowest schedule first.

    Every row is measured against the same lower bound, below which no
    schedule exists under any tiling. Mamba-2 has two forms of the state
    update; rows of the other form are measured against that form's bound.

    [bold]Examples[/bold]

    [cyan]$ ssmopt compare mamba-130m-marca-L64[/cyan]

    [cyan]$ ssmopt compare mamba-130m-marca-L64 --solver layer-by-layer --solver auto --csv rows.csv[/cyan]

    [cyan]$ ssmopt compare --model mamba-2.8b --hardware marca --seq-len 64 --plot bars.png[/cyan]
    """
    target = load_target(instance, model, hardware, seq_len, sram, layers)
    load_plugins(plugin)
    for name in solver or ():
        check_solver(name)

    from ssmopt.experiments.compare import compare as run
    from ssmopt.export.bars import save_comparison
    from ssmopt.export.gantt import plot_format
    from ssmopt.files.atomic import check_writable, write_text_atomically
    from ssmopt.stopping import Signals

    if plot is not None:
        plot_format(plot)
    for file in (csv_file, plot):
        if file is not None:
            check_writable(file)

    with Signals() as signals:
        with showing_progress(target.what.name, f"{time_limit:g} s", quiet=quiet) as listener:
            comparison = run(
                target.what, tiling=target.tiling, solvers=solver or None, time_limit=time_limit, workers=workers,
                seed=seed, on_progress=listener,
            )  # fmt: skip

        written: list[Path] = []
        if csv_file is not None:
            write_text_atomically(csv_file, _as_csv(comparison))
            written.append(csv_file)
        if plot is not None:
            save_comparison(plot, comparison)
            written.append(plot)
        if as_json:
            say_json(comparison.as_dict())
        else:
            bound = f"lower bound {whole(comparison.lower_bound)} cycles ({comparison.bound_reason})"
            say(heading(f"{comparison.instance}: {bound}"), _table(comparison))
            for file in written:
                say(f"wrote {file}")
    raise typer.Exit(exit_code((row.result for row in comparison.rows), [signals.number]))


def slowest_first(rows: Sequence[Row]) -> list[Row]:
    """Rows sorted by makespan, the largest first; those without a schedule come last."""
    return sorted(rows, key=lambda row: (row.result.makespan is None, -(row.result.makespan or 0)))


def _table(comparison: Comparison) -> Table:
    table = columns(
        "solver", "makespan>", "speed-up>", "gap>", "DRAM traffic>", "peak SRAM>", "energy>", "area>", "status", "note"
    )
    for row in slowest_first(comparison.rows):
        result = row.result
        fields = result.as_dict()
        traffic, peak = fields["dram_bytes"], fields["peak_memory_bytes"]
        energy, area = fields["energy_uj"], fields["area_mm2"]
        table.add_row(
            row.label,
            whole(result.makespan),
            "-" if row.speedup is None else f"{row.speedup:.2f}x",
            percent(result.gap),
            megabytes(traffic if isinstance(traffic, int) else None),
            size(peak if isinstance(peak, int) else None),
            microjoules(energy if isinstance(energy, float) else None),
            square_millimetres(area if isinstance(area, float) else None),
            result.status,
            result.note,
        )
    for solver, reason in comparison.failures:
        table.add_row(solver, *["-"] * 7, "no schedule", reason)
    return table


def _as_csv(comparison: Comparison) -> str:
    text = io.StringIO()
    rows = [{**row.result.as_dict(), "speedup": row.speedup} for row in slowest_first(comparison.rows)]
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()
