"""``ssmopt import-job-shop``: a tile instance from a published job shop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssmopt.commands.output import say
from ssmopt.errors import InputError, nearest


def import_job_shop(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Job shop in the standard or the flexible format.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Tile instance to write.", show_default="NAME.json"),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help="standard or flexible.", show_default="whichever of the two it is"
        ),
    ] = None,
) -> None:
    """Write a tile instance from a job shop, or a flexible one.

    The first line has the numbers of jobs and machines, then each job has a line. In the standard format
    it lists machine and duration, step by step. In the flexible format (.fjs) it begins with the number
    of steps, and each step with the number of machines that can run it, each with its duration.

    [bold]Examples[/bold]

    [cyan]$ ssmopt import-job-shop ft06.txt[/cyan]

    [cyan]$ ssmopt import-job-shop mk01.fjs -o instance.json[/cyan]

    [cyan]$ ssmopt solve instance.json[/cyan]
    """
    from ssmopt.commands.target import file_stem
    from ssmopt.files.job_shop import FORMS, read_job_shop
    from ssmopt.files.tile_instance import write_instance

    if form is not None and form not in FORMS:
        raise InputError(f"unknown format {form!r}{nearest(form, FORMS)}", key="--format")
    instance = read_job_shop(file, form)
    path = output or Path(f"{file_stem(instance.name)}.json")
    write_instance(path, instance)
    say(f"wrote {path}: {instance.n_tiles} tiles on {instance.n_cores} cores")
