"""How a sweep is going: counts and an estimate, as a bar on a terminal or as lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SECONDS_BETWEEN_LINES = 5.0


@dataclass(frozen=True)
class SweepProgress:
    """State of a running sweep.

    Attributes
    ----------
    total, done, failed
        Points in all, finished (those of earlier runs included), and finished without a result.
    reused
        Points that an earlier run had finished.
    elapsed_seconds
        Wall time of this run.
    phase
        What is going on, in a word or two.
    """

    total: int
    done: int
    failed: int
    reused: int
    elapsed_seconds: float
    phase: str = "running"

    @property
    def remaining_seconds(self) -> float | None:
        """Estimate from the points of this run; None before the first."""
        here = self.done - self.reused
        return None if here <= 0 else self.elapsed_seconds / here * (self.total - self.done)


SweepListener = Callable[[SweepProgress], None]
"""Called whenever a point is finished."""


@contextmanager
def showing_sweep(wanted: bool | SweepListener | None) -> Iterator[SweepListener]:
    """A listener that shows progress on stderr while the block runs.

    Parameters
    ----------
    wanted
        A listener of the caller's own; True for a bar on a terminal and lines elsewhere; None for a bar on a terminal
        alone; False for nothing.
    """
    if callable(wanted):
        yield wanted
    elif wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield _nothing
    elif sys.stderr.isatty():
        with _bar() as listener:
            yield listener
    else:
        yield _Lines().update


def _nothing(_: SweepProgress) -> None:
    pass


def describe(progress: SweepProgress) -> str:
    """The state of a sweep on one line."""
    parts = [f"{progress.elapsed_seconds:6.1f} s", f"{progress.done:,} of {progress.total:,} points"]
    if progress.reused:
        parts.append(f"{progress.reused:,} from before")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    remaining = progress.remaining_seconds
    if progress.phase != "running":
        parts.append(progress.phase)
    elif remaining is not None and progress.done < progress.total:
        parts.append(f"about {span(remaining)} left")
    return "  ".join(parts)


def span(seconds: float) -> str:
    """A time as people say it."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 6_000:
        return f"{round(whole / 60)} min"
    return f"{whole / 3_600:.1f} h"


@contextmanager
def _bar() -> Iterator[SweepListener]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("sweep"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[failed]}", style="red"),
    )  # fmt: skip
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("sweep", total=None, left="", failed="")

        def update(progress: SweepProgress) -> None:
            remaining = progress.remaining_seconds
            left = "" if remaining is None else f"about {span(remaining)} left"
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                left=left if progress.phase == "running" else progress.phase,
                failed=f"{progress.failed} failed" if progress.failed else "",
            )

        yield update


class _Lines:
    """Lines for a log: the first at once, then one every few seconds, and the last."""

    def __init__(self) -> None:
        self._printed = float("-inf")

    def update(self, progress: SweepProgress) -> None:
        now = time.monotonic()
        if now - self._printed < _SECONDS_BETWEEN_LINES and progress.done < progress.total:
            return
        self._printed = now
        try:
            print(describe(progress), file=sys.stderr, flush=True)
        except OSError:
            self._printed = float("inf")  # Nobody reads it any more.
