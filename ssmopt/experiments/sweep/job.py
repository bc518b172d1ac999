"""What a worker process does: one point, from its problem to its row and its schedule."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass

from ssmopt.errors import SsmoptError
from ssmopt.experiments.sweep.packing import pack
from ssmopt.experiments.sweep.plugin import Plugin, make_sure_of
from ssmopt.experiments.sweep.points import Solving, code_version
from ssmopt.problem import Problem
from ssmopt.solve import solve
from ssmopt.tiling import Tiling

_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Job:
    """A point as it is sent to a worker, with the version of the code that it is meant for."""

    problem: Problem
    tiling: Tiling | None
    solving: Solving
    version: str
    plugin: Plugin | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a job: plain values, which travel between any processes.

    Attributes
    ----------
    fields
        The result's fields; None if there is no result.
    schedule
        The schedule, packed (`ssmopt.experiments.sweep.packing`); None if there is none.
    error
        Why there is no result; empty if there is one.
    interrupted
        Whether a signal ended the search: then the result is not the point's.
    other_version
        Version of the worker's code, if it is not the job's.
    """

    fields: dict[str, object] | None
    schedule: bytes | None = None
    error: str = ""
    interrupted: bool = False
    other_version: str = ""


def run_job(job: Job) -> Outcome:
    """Solve a point; whatever goes wrong becomes the reason why it has no result."""
    if code_version() != job.version:
        return Outcome(None, other_version=code_version())
    solving = job.solving
    try:
        if job.plugin is not None:
            make_sure_of(job.plugin)
        result = solve(
            job.problem,
            tiling=job.tiling,
            solver=solving.solver,
            time_limit=solving.time_limit,
            work_limit=solving.work_limit,
            workers=solving.solver_workers,
            seed=solving.seed,
        )
        return Outcome(result.as_dict(), pack(result), interrupted=result.interrupted != 0)
    except SsmoptError as error:
        return Outcome(None, error=str(error))
    except KeyboardInterrupt:
        return Outcome(None, interrupted=True)
    except Exception as error:
        return Outcome(None, error=f"{type(error).__name__}: {error}")


def prepare_worker(parent: int) -> None:
    """Make a worker process end with the process that started it, however that ends, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)
