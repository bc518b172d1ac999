"""Arguments and options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer


def positive(value: float | None) -> float | None:
    """Refuse numbers that are not above 0."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter("expected a number above 0")
    return value


_WHICH = "Instance"

InstanceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="INSTANCE",
        help="Name from 'ssmopt list instances', an instance file (.yaml) or a tile instance (.json).",
        show_default=False,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="NAME", help="Model, by name or file; with --hardware and --seq-len instead of INSTANCE.",
        rich_help_panel=_WHICH, show_default=False,
    ),
]  # fmt: skip
HardwareOption = Annotated[
    str | None,
    typer.Option(
        "--hardware", metavar="NAME", help="Hardware, by name or file.", rich_help_panel=_WHICH, show_default=False
    ),
]
SeqLenOption = Annotated[
    int | None,
    typer.Option(
        "--seq-len",
        metavar="N",
        min=1,
        max=2**31 - 1,
        help="Tokens of the prompt.",
        rich_help_panel=_WHICH,
        show_default=False,
    ),
]
SramOption = Annotated[
    str | None,
    typer.Option(
        "--sram", metavar="SIZE", help="Capacity of every on-chip memory instead of the hardware's, such as 1MiB.",
        rich_help_panel=_WHICH, show_default=False,
    ),
]  # fmt: skip
LayersOption = Annotated[
    str | None,
    typer.Option(
        "--layers", metavar="N", help="Blocks back to back instead of one: a number, or all of the model's.",
        rich_help_panel=_WHICH, show_default=False,
    ),
]  # fmt: skip
TimeLimitOption = Annotated[
    float,
    typer.Option(
        "--time-limit", metavar="SECONDS", callback=positive, help="Wall time for everything together."
    ),
]  # fmt: skip
OptionalTimeLimitOption = Annotated[
    float | None,
    typer.Option(
        "--time-limit", metavar="SECONDS", callback=positive, help="Wall time for everything together.",
        show_default="60, or none with --work-limit",
    ),
]  # fmt: skip
WorkLimitOption = Annotated[
    float | None,
    typer.Option(
        "--work-limit", metavar="UNITS", callback=positive, show_default=False,
        help="Work, two to five seconds of one core per unit; the same schedule again on any machine (with one "
        "worker, the default then), unless the time limit comes first.",
    ),
]  # fmt: skip
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        max=1024,
        help="Threads of the solver; all cores by default.",
        show_default=False,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Seed of the search.")]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE", help="Python file that registers solvers; may be repeated.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


def load_plugins(files: Iterable[Path] | None) -> None:
    """Run the files that ``--plugin`` names."""
    if files:
        from ssmopt.plugins import load_plugin

        for file in files:
            load_plugin(file)
