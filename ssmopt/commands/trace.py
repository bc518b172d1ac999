"""``ssmopt trace``: a schedule as a trace for Perfetto."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssmopt.commands.options import HardwareOption, LayersOption, ModelOption, SeqLenOption, SramOption
from ssmopt.commands.output import say
from ssmopt.commands.scheduled import ScheduledArguments, load_scheduled
from ssmopt.commands.target import file_stem


def trace(
    schedule: ScheduledArguments,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Trace to write (.json or .json.gz).",
            show_default="INSTANCE.trace.json.gz",
        ),
    ] = None,
    model: ModelOption = None,
    hardware: HardwareOption = None,
    seq_len: SeqLenOption = None,
    sram: SramOption = None,
    layers: LayersOption = None,
) -> None:  # fmt: skip
    """Write a schedule as a trace that ui.perfetto.dev and chrome://tracing open.

    Cores and channels are threads, memories are counters, arrows lead from producers to consumers.
    One microsecond of the trace is one cycle.

    [bold]Examples[/bold]

    [cyan]$ ssmopt trace mamba-130m-marca-L64.schedule.json -o trace.json.gz[/cyan]

    [cyan]$ ssmopt trace tiles.json schedule.json -o trace.json[/cyan]
    """
    from ssmopt.export.trace import check_trace_name, write_trace
    from ssmopt.files.atomic import check_writable

    if output is not None:
        check_trace_name(output)
        check_writable(output)
    found = load_scheduled(schedule, model, hardware, seq_len, sram, layers)
    file = output if output is not None else Path(f"{file_stem(found.instance.name)}.trace.json.gz")
    write_trace(file, found.instance, found.schedule)
    if found.note:
        say(found.note)
    say(f"wrote {file}; open it at https://ui.perfetto.dev")
