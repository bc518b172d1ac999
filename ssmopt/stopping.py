"""When to stop: wall time, work, and the signals of an impatient user."""

from __future__ import annotations

import math
import signal
import threading
import time
from types import FrameType
from typing import Any, Self

DETERMINISTIC_TIME = 0.2
"""CP-SAT's deterministic time per unit of work: in these models it passes several times slower than seconds."""


class Signals:
    """Listens for SIGINT and SIGTERM (in the main thread) while its block runs, and lets the block finish.

    A search inside the block takes over what has arrived before it began.

    Attributes
    ----------
    number
        Number of the last signal that this listener received; 0 if none did.
    """

    def __init__(self) -> None:
        self.number = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.number = number


class Stop(Signals):
    """Says when a search has to end: when its time or its work is used up, or a signal came, whichever is first.

    As a context manager it listens for signals: the first one asks the search to end with the best schedule so far, a
    second one interrupts at once (a third one where the caller listens, too, and will write what was found).

    With a work limit the search is planned by work alone: shares and parts of the budget do not depend on the clock,
    which then only ends it. Work is counted in units that take one core two to five seconds: a million tiles and
    touched pieces of tensors decoded, or 0.2 of CP-SAT's deterministic time.

    Parameters
    ----------
    time_limit
        Wall seconds.
    work_limit
        Units of work; None for no such limit.

    Attributes
    ----------
    signal
        Number of the signal received; 0 if none was.
    work
        Units of work done.
    """

    def __init__(self, time_limit: float = math.inf, work_limit: float | None = None):
        self.started = time.monotonic()
        self.time_limit = time_limit
        self.work_limit = work_limit
        self.work = 0.0
        super().__init__()
        self._signals_left = 1

    @property
    def signal(self) -> int:
        """Number of the signal received; 0 if none was."""
        return self.number

    @signal.setter
    def signal(self, number: int) -> None:
        self.number = number

    @property
    def elapsed(self) -> float:
        """Seconds since the search began."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> float:
        """Seconds left."""
        return max(0.0, self.time_limit - self.elapsed)

    def spend(self, work: float) -> None:
        """Count some units of work."""
        self.work += work

    @property
    def used(self) -> float:
        """Share of the budget that is used up: of the work if it is limited, otherwise of the time; at most 1."""
        if self():
            return 1.0
        return self.work / self.work_limit if self.work_limit is not None else self.elapsed / self.time_limit

    def part(self, share: float) -> tuple[float, float | None]:
        """A share of what is left: seconds, and units of work; the latter is None if work is not limited."""
        if self.work_limit is None:
            return share * self.remaining, None
        return self.remaining, share * max(0.0, self.work_limit - self.work)

    def late(self) -> bool:
        """Whether time is up or a signal came, whatever the work."""
        return self.signal != 0 or self.elapsed >= self.time_limit

    def __call__(self) -> bool:
        """Whether the search has to end now."""
        return self.late() or (self.work_limit is not None and self.work >= self.work_limit)

    def after(self, share: float) -> _Share:
        """A condition that holds once this share of the budget is used up, or a signal came."""
        return _Share(self, share)

    def __enter__(self) -> Self:
        super().__enter__()
        for handler in self._previous.values():
            outer = getattr(handler, "__self__", None)
            if isinstance(outer, Signals):
                self._signals_left = 2
                self.number = self.number or outer.number
        return self

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._signals_left == 0:
            raise KeyboardInterrupt
        self._signals_left -= 1
        self.number = self.number or number


class _Share:
    """`Stop` with a smaller budget."""

    def __init__(self, stop: Stop, share: float):
        self.stop = stop
        self.share = share

    def __call__(self) -> bool:
        return self.stop.used >= self.share
