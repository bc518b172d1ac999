"""Signals that arrive while results are being written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def finishing() -> Iterator[list[int]]:
    """Let the block finish when a signal to stop arrives; the list that it is given gets the signal's number.

    The search itself handles signals by returning its best schedule. Writing that schedule must not be cut short.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return
    stops = (signal.SIGINT, signal.SIGTERM)
    before = {stop: signal.signal(stop, lambda number, _: arrived.append(number)) for stop in stops}
    try:
        yield arrived
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
