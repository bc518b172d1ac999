"""``ssmopt solve``: the best schedule of one instance, and how far from optimal it can be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssmopt.commands.options import (
    HardwareOption,
    InstanceArgument,
    JsonOption,
    LayersOption,
    ModelOption,
    OptionalTimeLimitOption,
    PluginOption,
    QuietOption,
    SeedOption,
    SeqLenOption,
    SramOption,
    WorkersOption,
    WorkLimitOption,
    load_plugins,
)
from ssmopt.commands.output import exit_code, pairs, result_rows, say, say_json
from ssmopt.commands.progress import showing_progress
from ssmopt.commands.scheduled import folded_note
from ssmopt.commands.target import file_stem, load_target
from ssmopt.errors import InputError, nearest

if TYPE_CHECKING:
    from ssmopt.instance import Instance
    from ssmopt.schedule import Schedule


def solve(
    instance: InstanceArgument = None,
    model: ModelOption = None,
    hardware: HardwareOption = None,
    seq_len: SeqLenOption = None,
    sram: SramOption = None,
    layers: LayersOption = None,
    solver: Annotated[
        str, typer.Option("--solver", help="auto, or a name from 'ssmopt list solvers'.", metavar="NAME")
    ] = "auto",
    start: Annotated[
        Path | None,
        typer.Option(
            "--start", metavar="SCHEDULE", help="Schedule to start from, on its tiling; never returns a worse one.",
            show_default=False,
        ),
    ] = None,
    plugin: PluginOption = None,
    time_limit: OptionalTimeLimitOption = None,
    work_limit: WorkLimitOption = None,
    workers: WorkersOption = None,
    seed: SeedOption = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Schedule to write.", show_default="INSTANCE.schedule.json"
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Picture to write (.png, .svg, .pdf).", show_default="INSTANCE.schedule.png"
        ),
    ] = None,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Write no picture.")] = False,
    allocate: Annotated[
        bool, typer.Option("--allocate", help="Also give every residency an address in its memory.")
    ] = False,
    then: Annotated[
        str | None,
        typer.Option(
            "--then", metavar="NAME", show_default=False,
            help="After the makespan, minimise: dram (bytes moved) or sram (most bytes at once).",
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FILE", help="Also write the tile instance that was scheduled, as JSON.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE", help="Also write an interactive HTML report ('ssmopt report' has more in it).",
            show_default=False,
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace", metavar="FILE", help="Also write a trace for Perfetto (.json or .json.gz).", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Find a good schedule and prove how good it is.

    Writes the schedule and a picture of it into the current folder.
    With --json only the files that options name.
    Ctrl-C stops the search and keeps the best schedule so far.

    [bold]Examples[/bold]

    [cyan]$ ssmopt solve mamba-130m-marca-L64[/cyan]

    [cyan]$ ssmopt solve mamba-130m-marca-L64 --sram 1MiB --time-limit 10[/cyan]

    [cyan]$ ssmopt solve mamba-130m-marca-L64 --allocate[/cyan]

    [cyan]$ ssmopt solve mamba-130m-marca-L64 --then sram[/cyan]

    [cyan]$ ssmopt solve --model mamba-2.8b --hardware marca --seq-len 256 -o best.json --plot best.svg[/cyan]

    [cyan]$ ssmopt solve mamba-130m-marca-L64 --report report.html --trace trace.json.gz[/cyan]

    [cyan]$ ssmopt solve mamba-130m-marca-L64 --start mamba-130m-marca-L64.schedule.json --time-limit 600[/cyan]

    [cyan]$ ssmopt solve mamba-130m-marca-L64 --sram 1MiB --work-limit 20 --seed 1[/cyan]

    [cyan]$ ssmopt solve my-problem.json --json[/cyan]

    [cyan]$ ssmopt solve --model mamba-2.8b --hardware marca --seq-len 1000000 --solver periodic[/cyan]

    [cyan]$ ssmopt solve mamba-130m-marca-L64 --plugin my_solver.py --solver my-solver[/cyan]
    """
    if plot is not None and no_plot:
        raise InputError("give either --plot or --no-plot, not both")
    if allocate and then is not None:
        raise InputError("give either --allocate or --then, not both")
    target = load_target(instance, model, hardware, seq_len, sram, layers)
    load_plugins(plugin)
    check_solver(solver)

    from ssmopt.export.gantt import plot_format, save_plot
    from ssmopt.files.atomic import check_writable
    from ssmopt.files.schedule import write_schedule
    from ssmopt.files.tile_instance import write_instance
    from ssmopt.second_stage import check_objective
    from ssmopt.solve import solve as run
    from ssmopt.solve import will_be_periodic
    from ssmopt.stopping import Signals

    check_objective(then, key="--then")
    stem = file_stem(target.what.name)
    if output is None and not as_json:
        output = Path(f"{stem}.schedule.json")
    if plot is None and not as_json and not no_plot:
        plot = Path(f"{stem}.schedule.png")
    if plot is not None:
        plot_format(plot)
    if trace is not None:
        from ssmopt.export.trace import check_trace_name

        check_trace_name(trace)
    if export is not None and start is None and will_be_periodic(target.what, target.tiling, solver):
        raise InputError("a periodic schedule has no tile instance of its own to export", key="--export")
    for file in (output, plot, export, report, trace):
        if file is not None:
            check_writable(file)

    with Signals() as signals:
        with showing_progress(target.what.name, budget(time_limit, work_limit), quiet=quiet) as listener:
            result = run(
                target.what, tiling=target.tiling, solver=solver, start=start, time_limit=time_limit,
                work_limit=work_limit, workers=workers,
                seed=seed, allocate=allocate, then=then, on_progress=listener,
            )  # fmt: skip

        written: list[Path] = []
        if result.folded is not None:
            from ssmopt.files.folded import write_folded

            if output is not None:
                write_folded(output, result.folded, status=result.status, bound=result.bound)
                written.append(output)
            if plot is not None:
                # The first and the last rounds; those in between are like one of them.
                save_plot(plot, result.folded.short, result.folded.schedule)
                written.append(plot)
            written += write_views(
                report, trace, result.folded.short, result.folded.schedule, folded_note(result.folded)
            )
        elif result.schedule is not None:
            if output is not None:
                write_schedule(output, result.instance, result.schedule, status=result.status, bound=result.bound)
                written.append(output)
            if export is not None:
                write_instance(export, result.instance)
                written.append(export)
            if plot is not None:
                save_plot(plot, result.instance, result.schedule, lower_bound=result.lower_bound)
                written.append(plot)
            written += write_views(report, trace, result.instance, result.schedule, result.note)
        if as_json:
            say_json(result.as_dict())
        else:
            say(pairs([*result_rows(result), *(("wrote", str(file)) for file in written)]))
    raise typer.Exit(exit_code([result], [signals.number]))


def write_views(
    report: Path | None, trace: Path | None, instance: Instance, schedule: Schedule, note: str
) -> list[Path]:
    """Write the report and the trace that are asked for, and say which."""
    if report is not None:
        from ssmopt.export.report import save_report

        save_report(report, instance, schedule, note=note)
    if trace is not None:
        from ssmopt.export.trace import write_trace

        write_trace(trace, instance, schedule)
    return [file for file in (report, trace) if file is not None]


def budget(time_limit: float | None, work_limit: float | None) -> str:
    """What a search may take, in words."""
    from ssmopt.solve import TIME_LIMIT

    if work_limit is None:
        return f"{TIME_LIMIT if time_limit is None else time_limit:g} s"
    work = f"{work_limit:g} units of work"
    return work if time_limit is None else f"{work} or {time_limit:g} s"


def check_solver(name: str) -> None:
    """Raise `InputError` unless there is a solver of that name."""
    from ssmopt.solvers import SOLVERS

    known = ["auto", *SOLVERS]
    if name not in known:
        raise InputError(f"unknown solver {name!r}{nearest(name, known)}", key="--solver")
