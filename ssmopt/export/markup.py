"""HTML from values: everything that is not markup itself is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def escaped(value: object) -> str:
    """Text fit for an HTML element or a quoted attribute."""
    return html.escape(str(value), quote=True)


class Markup(str):
    """HTML that is finished: tables put it in as it is."""

    __slots__ = ()


def cell(value: object) -> str:
    """The inside of a cell: markup as it is, everything else escaped."""
    return value if isinstance(value, Markup) else escaped(value)


NUMBER = ' class="number" style="text-align:right"'
"""Attributes of cells with numbers; notebooks have no style sheet of ours."""


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, marked: int | None = None) -> Markup:
    """A table.

    Parameters
    ----------
    heads
        Heads of the columns; those that end in ``>`` are of columns of numbers, aligned to the right.
    rows
        Values by row.
    marked
        Number of the row that stands out.
    """
    number = [head.endswith(">") for head in heads]

    def line(values: Sequence[object], tag: str, kind: str = "") -> str:
        inner = "".join(
            f"<{tag}{NUMBER}>{cell(value)}</{tag}>" if right else f"<{tag}>{cell(value)}</{tag}>"
            for value, right in zip(values, number, strict=True)
        )
        return f"<tr{kind}>{inner}</tr>"

    head = line([head.rstrip(">") for head in heads], "th")
    body = "".join(line(row, "td", ' class="this"' if i == marked else "") for i, row in enumerate(rows))
    return Markup(f"<table><thead>{head}</thead><tbody>{body}</tbody></table>")
