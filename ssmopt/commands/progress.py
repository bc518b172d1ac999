"""Progress on stderr: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ssmopt.export.units import percent, whole
from ssmopt.result import Progress, ProgressListener

_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_BETWEEN_IMPROVEMENTS = 0.5


@contextmanager
def showing_progress(name: str, budget: str, *, quiet: bool) -> Iterator[ProgressListener | None]:
    """Show progress while the block runs, through the listener that it is given.

    Parameters
    ----------
    name
        Name of the instance.
    budget
        What the solver may take, in words.
    quiet
        Show nothing; the listener is None.
    """
    if quiet:
        yield None
    elif sys.stderr.isatty():
        line = _LiveLine(name)
        console = Console(stderr=True, highlight=False)
        with Live(line, console=console, transient=True, refresh_per_second=4, redirect_stdout=False):
            yield line.update
    else:
        lines = _PlainLines(name, budget)
        try:
            yield lines.update
        finally:
            lines.finish()


def describe(progress: Progress) -> str:
    """The state of a search on one line."""
    makespan = "no schedule yet" if progress.makespan is None else f"makespan {whole(progress.makespan)}"
    parts = [f"{progress.elapsed_seconds:6.1f} s", progress.phase, makespan]
    if progress.lower_bound:
        parts.append(f"bound {whole(progress.lower_bound)}")
    if progress.gap is not None and progress.lower_bound:
        parts.append(f"gap {percent(progress.gap)}")
    return "  ".join(parts)


class _LiveLine:
    """What a terminal shows; drawn again several times a second, so that the clock runs between reports."""

    def __init__(self, name: str) -> None:
        self._started = time.monotonic()
        self._progress = Progress(0.0, f"starting on {name}", None, 0)

    def update(self, progress: Progress, /) -> None:
        self._progress = progress

    def __rich__(self) -> Text:
        seen = self._progress
        now = Progress(time.monotonic() - self._started, seen.phase, seen.makespan, seen.lower_bound)
        return Text(describe(now), no_wrap=True, overflow="ellipsis")


class _PlainLines:
    """Lines for a log: the first at once, then on improvement, or when the last one is some seconds old."""

    def __init__(self, name: str, budget: str) -> None:
        self._started = time.monotonic()
        self._printed = self._started
        self._makespan: int | None = None
        self._unsaid: Progress | None = None
        self._print(f"solving {name}, at most {budget}")

    def update(self, progress: Progress, /) -> None:
        since = time.monotonic() - self._printed
        is_better = progress.makespan is not None and progress.makespan != self._makespan
        if since >= _SECONDS_BETWEEN_LINES or (is_better and since >= _SECONDS_BETWEEN_IMPROVEMENTS):
            self._makespan = progress.makespan
            self._unsaid = None
            self._print(describe(progress))
        elif is_better:
            self._unsaid = progress

    def finish(self) -> None:
        """Print an improvement that came too soon after the line before it."""
        if self._unsaid is not None:
            self._print(describe(self._unsaid))

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        try:
            print(line, file=sys.stderr, flush=True)
        except OSError:
            # Nobody reads it any more; the search goes on.
            self._printed = float("inf")
