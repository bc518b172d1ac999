"""``ssmopt figure``: the figures of papers on fused state space models, made anew."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssmopt.commands.options import JsonOption, QuietOption
from ssmopt.commands.output import columns, complain, say, say_json
from ssmopt.errors import InputError

if TYPE_CHECKING:
    from ssmopt.experiments.figures import FigureProgress
    from ssmopt.experiments.figures.base import FigureListener

_SECONDS_BETWEEN_LINES = 2.0


def figure(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="Figures, by name; see --list.", show_default=False),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the files; made if there is none.")
    ] = Path("figures"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer points and less time for each.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="Print what figures there are.")] = False,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Model, by name or file.")] = "mamba1-2.7b-n64",
    hardware: Annotated[str, typer.Option("--hardware", metavar="NAME", help="Hardware, by name or file.")] = "marca",
    seq_len: Annotated[
        list[int] | None,
        typer.Option("--seq-len", metavar="N", min=1, max=2**31 - 1, show_default=False,
                     help="Tokens instead of the figure's own; may be repeated."),
    ] = None,
    sram: Annotated[
        list[str] | None,
        typer.Option("--sram", metavar="SIZE", show_default=False,
                     help="SRAM instead of the figure's own, where it varies; may be repeated."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds", metavar="SECONDS", help="What a solver may take for each point.",
            show_default="the figure's own choice",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=1, max=1024, help="Points at once; all cores by default.",
                     show_default=False),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Make figures: each a PNG, an SVG, and a CSV with the numbers.

    Solved points are kept in NAME.sqlite beside them: the same command again
    goes on where an interrupted one stopped.

    [bold]Examples[/bold]

    [cyan]$ ssmopt figure --list[/cyan]

    [cyan]$ ssmopt figure roofline operations --output figures[/cyan]

    [cyan]$ ssmopt figure fusion-schemes --quick[/cyan]

    [cyan]$ ssmopt figure memory --model mamba-2.8b --seconds 10[/cyan]
    """
    from ssmopt.experiments.figures import FIGURES, FigureInterrupted, FigureOptions, figure_kind, figure_paths
    from ssmopt.files.yaml_reader import parse_size

    if show_list:
        _list(as_json)
        return
    if not names:
        raise InputError(f"expected the name of a figure: {', '.join(FIGURES)}", key="NAME")
    srams = None if sram is None else [parse_size(size) for size in sram]
    kinds = [figure_kind(name) for name in dict.fromkeys(names)]
    for kind in kinds:
        figure_paths(kind.name, output)  # before anything is computed that could not be written
    written = []
    for kind in kinds:
        with _showing(kind.name, quiet=quiet or (as_json and not sys.stderr.isatty())) as listener:
            options = FigureOptions(
                quick=quick, model=model, hardware=hardware, seq_lens=seq_len, srams=srams,
                seconds=seconds, workers=workers, store=output / f"{kind.name}.sqlite", on_progress=listener,
            )  # fmt: skip
            try:
                result = kind.make(options)
            except FigureInterrupted as stopped:
                complain(str(stopped))
                raise typer.Exit(128 + stopped.number) from None
        paths = result.save(output)
        written.append((result, paths))
        if not as_json:
            for path in paths:
                say(f"wrote {path}")
    if as_json:
        say_json(
            [
                {
                    "figure": result.name,
                    "files": [str(path) for path in paths],
                    "rows": result.records(),
                }
                for result, paths in written
            ]
        )


def _list(as_json: bool) -> None:
    from ssmopt.experiments.figures import FIGURES

    if as_json:
        say_json([{"name": kind.name, "summary": kind.summary} for kind in FIGURES.values()])
        return
    table = columns("figure", "shows")
    for kind in FIGURES.values():
        table.add_row(kind.name, kind.summary)
    say(table)


@contextmanager
def _showing(name: str, *, quiet: bool) -> Iterator[FigureListener | None]:
    """Progress on stderr: a bar on a terminal, a line every few seconds elsewhere."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        parts = (TextColumn("{task.fields[figure]}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        told = TextColumn("{task.description}")
        with Progress(*parts, told, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None, figure=name)

            def update(progress: FigureProgress) -> None:
                bar.update(task, completed=progress.done, total=progress.total, description=progress.what)

            yield update
    else:
        lines = _PlainLines(name)
        yield lines.update


class _PlainLines:
    """Lines for a log, some seconds apart."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._printed = time.monotonic()

    def update(self, progress: FigureProgress) -> None:
        if time.monotonic() - self._printed < _SECONDS_BETWEEN_LINES:
            return
        self._printed = time.monotonic()
        line = f"{progress.elapsed_seconds:6.1f} s  {self._name}: {progress.done} of {progress.total}  {progress.what}"
        try:
            print(line.rstrip(), file=sys.stderr, flush=True)
        except OSError:
            self._printed = float("inf")  # Nobody reads it any more; the figure is made all the same.
