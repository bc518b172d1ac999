"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def times(number: float) -> str:
    """A speed-up."""
    return f"{number:.3f}x" if number < 1.1 else f"{number:.2f}x"


def cells(*values: object) -> str:
    """A row of a table."""
    return "| " + " | ".join(str(value) for value in values) + " |"


def table(header: Sequence[str], rows: Sequence[str]) -> str:
    """A table whose columns after the first are numbers."""
    return "\n".join([cells(*header), "|---|" + "---:|" * (len(header) - 1), *rows])
