"""The errors that a user sees: one clear line that says what is wrong, where, and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SsmoptError(Exception):
    """Base class of every error that this package raises on purpose."""


class InputError(SsmoptError):
    """A file, name or value given by the user cannot be used.

    Parameters
    ----------
    message
        What is wrong and what was expected.
    file, line, key
        Where, as far as it is known. ``line`` counts from 1; ``key`` is a dotted path such as ``tiling.tokens``.
    """

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None, key: str | None = None):
        self.message = message
        self.file = file
        self.line = line
        self.key = key
        super().__init__(self._render())

    def _render(self) -> str:
        place = ""
        if self.file is not None:
            place = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = [part for part in (place, self.key) if part]
        return ": ".join([*parts, self.message])

    def at(self, *, file: str | None = None, line: int | None = None, key: str | None = None) -> InputError:
        """The same error with the missing parts of its place filled in."""
        return InputError(
            self.message,
            file=self.file if self.file is not None else file,
            line=self.line if self.line is not None else line,
            key=self.key if self.key is not None else key,
        )


class CapacityError(InputError):
    """A tile needs more bytes at once than its memory holds, so that no schedule exists.

    Attributes
    ----------
    tile
        Id of the tile.
    need_bytes, capacity_bytes
        What the tile's inputs, outputs and accumulators take together, and what the memory holds.
    """

    def __init__(self, message: str, *, tile: str, need_bytes: int, capacity_bytes: int):
        super().__init__(message)
        self.tile = tile
        self.need_bytes = need_bytes
        self.capacity_bytes = capacity_bytes


class SolverError(InputError):
    """A solver that a user has registered fails, or answers with no valid schedule."""


class ExecutionError(SsmoptError):
    """A schedule does not compute what it should: something is not there when it is needed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint ``; did you mean 'x'?`` with the closest known names, or the list of them when none is close."""
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(choices[:12]) + (", ..." if len(choices) > 12 else "")
    return f"; known: {shown}" if choices else ""
