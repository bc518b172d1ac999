"""Printing results: to stdout, for people or as JSON, without noise when nobody reads on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ssmopt.export.summary import result_rows
from ssmopt.result import Result

__all__ = ["columns", "complain", "exit_code", "heading", "pairs", "result_rows", "say", "say_json"]

_WIDE = 240  # columns when stdout is no terminal: nothing is cut for a pipe or a file


def say(*parts: RenderableType) -> None:
    """Print text and tables to stdout."""
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, soft_wrap=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    lines = capture.get() if sys.stdout.isatty() else _stripped(capture.get())
    _write(lines)


def say_json(value: object) -> None:
    """Print one JSON object to stdout."""
    _write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def complain(message: str) -> None:
    """Print one line to stderr."""
    print(" ".join(message.splitlines()), file=sys.stderr)


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values; empty values are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value not in ("", "-"):
            table.add_row(name, value)
    return table


def columns(*names: str) -> Table:
    """A table with a header; names that end in ``>`` are of columns aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left", overflow="fold")
    return table


def heading(text: str) -> Text:
    """A line above a table; a title of the table itself would be wrapped to its width."""
    return Text(text, style="bold")


def exit_code(results: Iterable[Result], signals: Iterable[int] = ()) -> int:
    """0 when there is a schedule, 1 when there is none, 128 plus the signal's number after a signal.

    Parameters
    ----------
    results
        What was found; each knows of a signal that ended its search.
    signals
        Numbers of signals that arrived since.
    """
    results = list(results)
    for number in (*(result.interrupted for result in results), *signals):
        if number:
            return 128 + number
    return 0 if any(result.found for result in results) else 1


def _stripped(text: str) -> str:
    """Without the spaces that fill a table's last column."""
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough, which is no error; Python's own flush at exit must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
