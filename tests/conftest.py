"""What all tests share; a problem that several of them solve is searched for a tiling once per process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from command_line import run
from hypothesis import settings

from ssmopt import solvers
from ssmopt.autotile import choice
from ssmopt.autotile.candidates import TilingChoice
from ssmopt.problem import Problem

# No test fails because the machine is busy.
settings.register_profile("without a clock", deadline=None)
settings.load_profile("without a clock")

__all__ = ["forget", "run", "tilings_are_searched_once"]

_search = choice.search_tilings
_FOUND: dict[str, tuple[TilingChoice, list[tuple[int, int]], list[float]]] = {}


def _searched_once(
    problem: Problem,
    *,
    should_stop: Callable[[int], bool] | None = None,
    on_candidate: Callable[[int, int], None] | None = None,
    spend: Callable[[float], None] | None = None,
) -> TilingChoice:
    """The search, or what it found the last time if nothing stopped it then; it is deterministic."""
    key = repr(problem)
    if key not in _FOUND:
        stopped: list[bool] = []
        candidates: list[tuple[int, int]] = []
        work: list[float] = []

        def stop(tiles: int) -> bool:
            now = should_stop is not None and should_stop(tiles)
            stopped.append(now)
            return now

        def seen(tried: int, makespan: int) -> None:
            candidates.append((tried, makespan))
            if on_candidate is not None:
                on_candidate(tried, makespan)

        def spent(amount: float) -> None:
            work.append(amount)
            if spend is not None:
                spend(amount)

        found = _search(problem, should_stop=stop, on_candidate=seen, spend=spent)
        if any(stopped):
            return found
        _FOUND[key] = (found, candidates, work)
        return found
    found, candidates, work = _FOUND[key]
    for tried, makespan in candidates:
        if on_candidate is not None:
            on_candidate(tried, makespan)
    for amount in work:
        if spend is not None:
            spend(amount)
    return found


@pytest.fixture(autouse=True)
def tilings_are_searched_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for tests marked ``searches``, which look at the search itself or interrupt it."""
    if request.node.get_closest_marker("searches") is None:
        monkeypatch.setattr(choice, "search_tilings", _searched_once)


@pytest.fixture
def forget() -> Iterator[None]:
    """Nothing that a test registers stays."""
    kept = dict(solvers._HEURISTICS), dict(solvers._SOLVERS)
    yield
    for known, before in zip((solvers._HEURISTICS, solvers._SOLVERS), kept, strict=True):
        known.clear()
        known.update(before)
