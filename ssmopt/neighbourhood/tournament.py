"""Order searches from several schedules: all begin, then the best four go on, and in the end all begin anew.

Heuristics end in different basins, and the best of them is not always in the one that leads furthest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ssmopt.neighbourhood.orders import OrderSearch
from ssmopt.schedule import Schedule

_FIRST = 600
"""Orders that every search tries before only the best ones go on."""

_GO_ON = 4
"""Searches that go on, the best ones."""

_STALLED = 400
"""Once the best searches have all tried so many orders without success, all begin anew and go other ways."""

_STEP = 50
"""Orders that a search tries at a time."""


@dataclass
class Tournament:
    """Order searches that take turns.

    Attributes
    ----------
    searches
        Of equally good ones, the first goes on.
    """

    searches: list[OrderSearch]

    def step(self, progress: Callable[[], float], on_better: Callable[[Schedule], None]) -> None:
        """Let one of the searches go on for a moment."""
        young = next((search for search in self.searches if search.tried < _FIRST), None)
        if young is None or len(self.searches) == 1:
            best = sorted(self.searches, key=lambda search: search.best.makespan)[:_GO_ON]
            if len(self.searches) > 1 and all(search.stalled >= _STALLED for search in best):
                self.searches = [search.again() for search in self.searches]
                best = self.searches[:1]
            young = min(best, key=lambda search: search.tried)
        young.run(progress, on_better, _STEP)
