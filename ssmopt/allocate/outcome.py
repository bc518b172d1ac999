"""What searches for a packing return, and what they may cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ssmopt.csr import IntArray

FOUND, IMPOSSIBLE, GAVE_UP = "found", "impossible", "gave up"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a search found: offsets (bytes), a proof that there are none, or nothing."""

    status: str
    offset: IntArray | None = None


class Budget:
    """What a search may still cost: effort, which is the same on every machine, wall time, and a condition.

    Attributes
    ----------
    effort
        What is left, in units of about a second.
    """

    def __init__(self, effort: float, time_limit: float, should_stop: Callable[[], bool] | None) -> None:
        self.effort = effort
        self._deadline = time.monotonic() + time_limit
        self._should_stop = should_stop

    @property
    def seconds(self) -> float:
        """Wall time left."""
        return max(0.0, self._deadline - time.monotonic())

    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.effort <= 0 or self.stopped()

    def stopped(self) -> bool:
        """Whether wall time is up or the condition holds."""
        return self.seconds <= 0 or (self._should_stop is not None and self._should_stop())
