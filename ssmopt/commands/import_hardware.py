"""``ssmopt import-hardware``: a hardware file from a description of Stream or ZigZag."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssmopt.commands.listing import hardware_summary
from ssmopt.commands.options import JsonOption
from ssmopt.commands.output import pairs, say, say_json


def import_hardware(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", show_default=False,
            help="Accelerator of Stream, or ZigZag's; then files or folders of its cores, if they are elsewhere.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Hardware file to write.", show_default="NAME.yaml"),
    ] = None,
    clock: Annotated[
        float, typer.Option("--clock", metavar="GHZ", min=0.001, help="Clock, which such files do not state.")
    ] = 1.0,
    share_memory: Annotated[
        bool, typer.Option("--share-memory", help="Add the cores' memories up to one that all of them share.")
    ] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Write a hardware file from an accelerator described for Stream or ZigZag.

    Cores and their arrays, their outermost SRAMs, the bandwidth to DRAM and that between cores are taken
    over; sizes in bits become bytes. All that was assumed, changed or left out is printed.

    [bold]Examples[/bold]

    [cyan]$ ssmopt import-hardware examples/stream/quad-core.yaml[/cyan]

    [cyan]$ ssmopt import-hardware my-soc.yaml my-cores/ --clock 0.8 -o my-soc.hardware.yaml[/cyan]

    [cyan]$ ssmopt solve --model mamba-130m --hardware quad-core.yaml --seq-len 16[/cyan]
    """
    from ssmopt.commands.target import file_stem
    from ssmopt.files.stream_hardware import import_accelerator, write_imported
    from ssmopt.files.stream_yaml import read_accelerator

    imported = import_accelerator(read_accelerator(paths), clock_ghz=clock, shared=True if share_memory else None)
    path = output or Path(f"{file_stem(imported.name)}.yaml")
    write_imported(path, imported)
    summary = hardware_summary(imported.hardware)
    if as_json:
        say_json({"wrote": str(path), "name": imported.name, **summary, "notes": list(imported.notes)})
        return
    say(pairs([("wrote", str(path)), *((name, str(value)) for name, value in summary.items())]))
    say("", "what to know about it:", *(f"- {note}" for note in imported.notes))
