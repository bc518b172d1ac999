"""When to stop: wall time, and the signals of an impatient user."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any


class Stop:
    """Says when a search has to end.

    As a context manager it listens for SIGINT and SIGTERM (in the main thread): the first one asks the search to end
    with the best schedule so far, a second one interrupts at once.

    Attributes
    ----------
    signal
        Number of the signal received; 0 if none was.
    """

    def __init__(self, time_limit: float):
        self.started = time.monotonic()
        self.time_limit = time_limit
        self.signal = 0
        self._previous: dict[int, Any] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the search began."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> float:
        """Seconds left."""
        return max(0.0, self.time_limit - self.elapsed)

    def __call__(self) -> bool:
        """Whether the search has to end now."""
        return self.signal != 0 or self.elapsed >= self.time_limit

    def after(self, share: float) -> _Share:
        """A condition that holds once this share of the time limit is used up, or a signal came."""
        return _Share(self, share * self.time_limit)

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number


class _Share:
    """`Stop` with an earlier time limit."""

    def __init__(self, stop: Stop, limit: float):
        self.stop = stop
        self.limit = limit

    def __call__(self) -> bool:
        return self.stop() or self.stop.elapsed >= self.limit
