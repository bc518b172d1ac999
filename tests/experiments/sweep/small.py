"""Small sweeps, and an executor that runs everything at once in this process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

FIXED: dict[str, Any] = {
    "model": "mamba-tiny",
    "hardware": "tiny",
    "seq_len": 4,
    "solver": "fuse-all",
    "tiling": {"tokens": 4, "channel_splits": 2},
}
AXES: dict[str, Any] = {"sram": [2048, 2560, 3072, 4096, 8192], "solver": ["A", "fuse-all"]}
"""Both heuristics do worse with more memory now and then."""


def without(*names: str) -> dict[str, Any]:
    """The fixed values but for some."""
    return {name: value for name, value in FIXED.items() if name not in names}


class Inline(Executor):
    """Runs each job when it is submitted, and counts them.

    ``before`` is called with the number of jobs so far, before each one.
    """

    def __init__(self, before: Callable[[int], None] | None = None):
        self.before = before
        self.jobs: list[Any] = []

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            if self.before is not None:
                self.before(len(self.jobs))
            self.jobs.append(args[0])
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
