"""Where points run: a pool of processes of our own, any executor that is given, or a Dask cluster."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from ssmopt.errors import InputError
from ssmopt.experiments.sweep.job import Job, Outcome, prepare_worker, run_job

DASK_SECONDS = 15
"""How long a scheduler may take to answer."""


def default_workers() -> int:
    """How many processes this machine can keep busy; fewer than its cores where this process may not use all."""
    from loky import cpu_count

    count: int = cpu_count()
    return count


class Runner:
    """Hands jobs to an executor.

    Attributes
    ----------
    window
        How many jobs may be with the executor at once; None for all of them.
    """

    window: int | None = None

    def __init__(self, executor: Executor):
        self.executor = executor

    def submit(self, job: Job) -> Future[Outcome]:
        """Run a job some time."""
        return self.executor.submit(run_job, job)

    def restart(self) -> bool:
        """Begin again after the executor broke; False if that cannot be done."""
        return False

    def stop(self) -> None:
        """Leave the executor as it is: it belongs to whoever gave it."""


class Pool(Runner):
    """Processes of our own, which end with this one; a pool that breaks is replaced.

    Processes are started by loky, which unlike the standard library needs no ``if __name__ == "__main__"`` in the
    calling script, and can be stopped in the middle of a task.
    """

    def __init__(self, workers: int):
        self.window = self.workers = workers
        super().__init__(self._started())

    def restart(self) -> bool:
        self.stop()
        self.executor = self._started()
        return True

    def stop(self) -> None:
        _end(self.executor)

    def _started(self) -> Executor:
        return _processes(self.workers)


@contextmanager
def worker_processes(workers: int) -> Iterator[Executor]:
    """So many processes while the block runs; they end with this one, and at once when an exception ends the block."""
    executor = _processes(workers)
    try:
        yield executor
    finally:
        _end(executor)


def _processes(workers: int) -> Executor:
    from loky import ProcessPoolExecutor

    # A worker's memory follows the size of the points: what looks like a leak is only the next, larger one.
    executor: Executor = ProcessPoolExecutor(
        max_workers=workers,
        initializer=prepare_worker,
        initargs=(os.getpid(),),
        env={"LOKY_MAX_MEMORY_LEAK_SIZE": "1e15"},
    )
    return executor


def _end(executor: Any) -> None:
    """End the processes, whatever they are doing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        executor.shutdown(wait=True, kill_workers=True)


@contextmanager
def dask_executor(address: str | None, workers: int | None = None) -> Iterator[Executor]:
    """The executor of a Dask cluster while the block runs.

    Parameters
    ----------
    address
        Of the cluster's scheduler, such as ``tcp://10.0.0.1:8786``; None starts a cluster on this machine.
    workers
        Worker processes of a cluster on this machine; None takes one per core.

    Raises
    ------
    InputError
        The package is missing, or nothing answers at that address.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("a Dask cluster needs the package distributed: pip install 'ssmopt[dask]'") from None
    if address is None:
        cluster = LocalCluster(n_workers=workers or default_workers(), threads_per_worker=1, dashboard_address=None)
    else:
        cluster = None
    try:
        try:
            client = Client(cluster if cluster is not None else address, timeout=DASK_SECONDS)
        except (OSError, ValueError, TypeError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"no Dask scheduler at {address!r}: {said}", key="--address") from None
        with client:
            yield client.get_executor(pure=False)
    finally:
        if cluster is not None:
            cluster.close()
