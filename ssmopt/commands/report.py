"""``ssmopt report``: a schedule as one interactive HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssmopt.commands.explain import changes_progress
from ssmopt.commands.options import (
    HardwareOption,
    LayersOption,
    ModelOption,
    QuietOption,
    SeqLenOption,
    SramOption,
    TimeLimitOption,
)
from ssmopt.commands.output import say
from ssmopt.commands.progress import showing_progress
from ssmopt.commands.scheduled import Scheduled, ScheduledArguments, load_scheduled
from ssmopt.commands.target import file_stem

if TYPE_CHECKING:
    from ssmopt.experiments.compare import Comparison


def report(
    schedule: ScheduledArguments,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Page to write.", show_default="INSTANCE.report.html"),
    ] = None,
    no_baselines: Annotated[bool, typer.Option("--no-baselines", help="Do not compare with other schedules.")] = False,
    no_gains: Annotated[bool, typer.Option("--no-gains", help="Do not look at larger machines.")] = False,
    time_limit: TimeLimitOption = 60.0,
    model: ModelOption = None,
    hardware: HardwareOption = None,
    seq_len: SeqLenOption = None,
    sram: SramOption = None,
    layers: LayersOption = None,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Write a report of a schedule: one HTML file with an interactive picture, which needs no network.

    Zoom and hover show tiles and memory; a click says why a tile starts when it does.
    The baselines for the comparison are computed now, within the time limit.

    [bold]Examples[/bold]

    [cyan]$ ssmopt report mamba-130m-marca-L64.schedule.json -o report.html[/cyan]

    [cyan]$ ssmopt report tiles.json schedule.json --no-baselines[/cyan]
    """
    from ssmopt.explain import explain
    from ssmopt.export.report import save_report
    from ssmopt.files.atomic import check_writable

    if output is not None:
        check_writable(output)
    found = load_scheduled(schedule, model, hardware, seq_len, sram, layers)
    file = output if output is not None else Path(f"{file_stem(found.instance.name)}.report.html")
    explanation = explain(
        found.instance, found.schedule, gains=not no_gains, on_change=changes_progress(quiet)
    )  # fmt: skip
    comparison = None if no_baselines else _baselines(found, time_limit, quiet)
    save_report(
        file, found.instance, found.schedule, comparison=comparison, explanation=explanation, note=found.note
    )  # fmt: skip
    say(f"wrote {file} ({file.stat().st_size / 1e6:,.1f} MB)")


def _baselines(found: Scheduled, time_limit: float, quiet: bool) -> Comparison | None:
    """Every heuristic that applies to the problem; None where a schedule of more than its tiles is shown."""
    from ssmopt.errors import SsmoptError
    from ssmopt.experiments.compare import compare
    from ssmopt.instance import Instance
    from ssmopt.solvers import HEURISTICS

    target = found.target.what
    if found.note:
        return None
    names = [name for name, heuristic in HEURISTICS.items() if heuristic.applies_to(target) and not heuristic.custom]
    if not names:
        return None
    tiling = None if isinstance(target, Instance) else found.target.tiling
    with showing_progress(f"baselines of {target.name}", f"{time_limit:g} s", quiet=quiet) as listener:
        try:
            return compare(target, tiling=tiling, solvers=names, time_limit=time_limit, on_progress=listener)
        except SsmoptError as error:
            say(f"no comparison: {error}")
            return None
