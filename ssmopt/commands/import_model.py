"""``ssmopt import-model``: a model file from a published configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssmopt.commands.output import say


def import_model(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="The config.json of a published model.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Model file to write.", show_default="NAME.yaml"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the model.", show_default="the file's or its folder's"),
    ] = None,
) -> None:
    """Write a model file from a Hugging Face configuration of type mamba, mamba2 or falcon_mamba.

    Fields that would change what is computed and cannot be scheduled are refused, not ignored.

    [bold]Examples[/bold]

    [cyan]$ ssmopt import-model falcon-mamba-7b/config.json[/cyan]

    [cyan]$ ssmopt import-model config.json --name my-mamba -o my-mamba.yaml[/cyan]

    [cyan]$ ssmopt solve --model my-mamba.yaml --hardware marca --seq-len 64[/cyan]
    """
    from ssmopt.commands.target import file_stem
    from ssmopt.files.huggingface import read_config, write_model

    family, numbers = read_config(config)
    # Published configurations are all called config.json; their folder says more.
    known = name or (config.stem if config.stem != "config" else config.resolve().parent.name)
    path = output or Path(f"{file_stem(known)}.yaml")
    write_model(path, file_stem(known), family, numbers, config.name)
    say(f"wrote {path}: {family}, " + ", ".join(f"{key} {value}" for key, (value, _) in numbers.items()))
