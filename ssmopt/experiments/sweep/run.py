"""Runs the points of a sweep that have no result yet, and records each as soon as it is finished."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager
from typing import Any

from ssmopt.errors import InputError, SsmoptError
from ssmopt.experiments.sweep.executors import Pool, Runner, default_workers
from ssmopt.experiments.sweep.frame import RESULT_FIELDS, SweepResult, axis_column, joined
from ssmopt.experiments.sweep.job import Job, Outcome
from ssmopt.experiments.sweep.monotone import Contender, best_smaller, taken_over, with_own_fields
from ssmopt.experiments.sweep.packing import unpack
from ssmopt.experiments.sweep.plugin import Plugin, load_all
from ssmopt.experiments.sweep.points import Point, code_version, points_of
from ssmopt.experiments.sweep.progress import SweepListener, SweepProgress, showing_sweep
from ssmopt.experiments.sweep.spec import SweepSpec, make_sweep
from ssmopt.experiments.sweep.store import FAILED, Store, Stored, Taken, locked
from ssmopt.files.text import PathLike
from ssmopt.stopping import Signals

_SECONDS_BETWEEN_LOOKS = 0.2
"""How often a signal is looked for while all workers are busy."""

_CRASHES = 2
"""A point that took its process, or several on a cluster, with it so often is to blame for it."""


def sweep(
    axes: Mapping[str, Sequence[Any]],
    *,
    fixed: Mapping[str, Any] | None = None,
    store: PathLike | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | SweepListener | None = None,
    retry_failed: bool = False,
    monotone: bool = True,
    plugins: Sequence[PathLike] = (),
) -> SweepResult:
    """Solve every combination of some parameters' values.

    A parameter is ``model``, ``hardware``, ``seq_len``, ``batch``, ``layers``, ``scope``, ``initial_state``, ``form``,
    ``dtype``, ``tiling``; a field of the hardware, such as ``sram``, ``bandwidth``, ``array`` or
    ``memories.sram.capacity``; ``instance``, an instance file or name to change the others of; or ``solver``,
    ``time_limit`` (seconds), ``work_limit`` (units of work), ``seed`` and ``solver_workers`` (threads of CP-SAT per
    point, 1 unless said).

    Parameters
    ----------
    axes
        Values of the parameters that vary: what a YAML file could say, or objects of this package. The last one varies
        fastest.
    fixed
        Values of other parameters; None is as good as nothing.
    store
        SQLite file to which every finished point is written, and whose points are not run again; it is made if it does
        not exist. None keeps the results in memory.
    executor
        Where the points run; None starts processes of its own.
    workers
        How many processes that are; None for one per core.
    progress
        True or False for a bar on stderr or none, None for one on terminals only; or a function that is called with
        `SweepProgress`.
    retry_failed
        Whether points that failed before are run again.
    monotone
        Whether a point with more memory takes over the schedule of one with less where that is better, so that more
        memory never gives a worse answer.
    plugins
        Python files that register solvers; every worker process runs them.

    Returns
    -------
    SweepResult
        One row per point, in order. After SIGINT or SIGTERM only the finished ones, and ``interrupted`` says so.

    Raises
    ------
    InputError
        A parameter, a value, a combination of values or the store cannot be used.
    SsmoptError
        The executor broke.
    """
    known = load_all(plugins)
    return run_sweep(
        make_sweep(axes, fixed), store=store, executor=executor, workers=workers, progress=progress,
        retry_failed=retry_failed, monotone=monotone, plugins=known,
    )  # fmt: skip


def run_sweep(
    spec: SweepSpec,
    *,
    store: PathLike | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | SweepListener | None = None,
    retry_failed: bool = False,
    monotone: bool = True,
    plugins: Mapping[str, Plugin] | None = None,
) -> SweepResult:
    """`sweep`, for what a file has said; ``plugins`` says where solvers are from that are not the project's own."""
    return run_points(
        points_of(spec, plugins), tuple(spec.axes), store=store, executor=executor, workers=workers, progress=progress,
        retry_failed=retry_failed, monotone=monotone,
    )  # fmt: skip


def run_points(
    points: Sequence[Point],
    axes: tuple[str, ...],
    *,
    store: PathLike | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | SweepListener | None = None,
    retry_failed: bool = False,
    monotone: bool = True,
) -> SweepResult:
    """`sweep`, for points that are no product of values; ``axes`` names the columns that tell them apart."""
    if workers is not None and workers < 1:
        raise InputError(f"the number of workers must be positive, not {workers}")
    with locked(store), Store(store) as results, Signals() as signals:
        number = results.begin(points, axes)
        with showing_sweep(progress) as listener:
            run = _Run(points, results, signals, listener, retry_failed)
            if run.todo:
                with _runner(executor, workers, len(run.todo)) as runner:
                    run.everything(runner)
            if monotone and not signals.number:
                take_from_smaller(points, results, number, signals, lambda: run.report("comparing memories"))
        return read_rows(results, number, monotone=monotone, interrupted=signals.number)


def take_from_smaller(
    points: Sequence[Point],
    store: Store,
    sweep: str,
    signals: Signals | None = None,
    on_take: Callable[[], None] | None = None,
) -> None:
    """Write down which points of a sweep take the schedule of one with less memory; see `monotone`.

    What is there already and still right is left alone, so that the pass can be interrupted and repeated.
    """
    unique = list({point.key: point for point in points}.values())
    own = store.results(point.key for point in unique)
    unique = [point for point in unique if point.key in own]
    known = store.taken(sweep)
    contenders = [Contender(point.family, point.capacities, _makespan(own[point.key])) for point in unique]
    for point, index in zip(unique, best_smaller(contenders), strict=True):
        if signals is not None and signals.number:
            return
        origin = None if index is None else unique[index]
        if origin is None:
            if point.key in known:
                store.take(sweep, point.key, None)
            continue
        if point.key in known and known[point.key].source == origin.key:
            continue
        data = store.schedule(origin.key)
        if data is None:
            raise SsmoptError(f"{origin.problem.name}: its schedule is missing in {store.file}")
        if on_take is not None:
            on_take()
        mine = _makespan(own[point.key])
        result = taken_over(point.problem, point.solving.solver, unpack(data), origin.problem.name, mine)
        store.take(sweep, point.key, Taken(origin.key, with_own_fields(result.as_dict(), dict(own[point.key].fields))))


def read_rows(store: Store, sweep: str, *, monotone: bool = True, interrupted: int = 0) -> SweepResult:
    """The rows of a sweep that a store has."""
    axes = next(names for known, names in store.sweeps() if known == sweep)
    points = store.points(sweep)
    results = store.results(key for key, _ in points)
    taken = store.taken(sweep) if monotone else {}
    names = {key: result.fields.get("instance") for key, result in results.items()}
    rows = []
    for key, values in points:
        if key not in results:
            continue
        result, better = results[key], taken.get(key)
        fields = result.fields if better is None else better.fields
        rows.append(
            {
                **dict.fromkeys(RESULT_FIELDS),
                **fields,
                **{axis_column(axis): value for axis, value in values.items()},
                "error": result.error if better is None and result.error else None,
                "taken_from": None if better is None else names.get(better.source),
                "key": key,
            }
        )
    return SweepResult(tuple(axes), tuple(rows), len(points) - len(rows), interrupted)


def read_results(path: PathLike) -> SweepResult:
    """All rows of a file of results, those of the oldest sweep first.

    Raises
    ------
    InputError
        The file is missing, damaged, or none of this kind.
    """
    with Store(path, create=False) as store:
        return joined([read_rows(store, sweep) for sweep, _ in store.sweeps()])


def _makespan(result: Stored) -> int | None:
    makespan = result.fields.get("makespan")
    return makespan if isinstance(makespan, int) else None


@contextmanager
def _runner(executor: Executor | None, workers: int | None, jobs: int) -> Iterator[Runner]:
    runner = Pool(min(workers or default_workers(), jobs)) if executor is None else Runner(executor)
    try:
        yield runner
    finally:
        runner.stop()


class _Run:
    """The points that are left to do, and those that are being done."""

    def __init__(
        self, points: Sequence[Point], store: Store, signals: Signals, listener: SweepListener, retry_failed: bool
    ):
        self.store = store
        self.signals = signals
        self.listener = listener
        self.started = time.monotonic()
        unique = {point.key: point for point in points}
        known = store.results(unique)
        finished = {key for key, result in known.items() if not (result.failed and retry_failed)}
        self.total = len(unique)
        self.reused = self.done = len(finished)
        self.failed = sum(known[key].failed for key in finished)
        self.todo = deque(point for key, point in unique.items() if key not in finished)
        self.suspects: deque[Point] = deque()
        self.crashes: dict[str, int] = {}
        self.running: dict[Future[Outcome], Point] = {}
        self.finished: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        self.report()

    def report(self, phase: str = "running") -> None:
        elapsed = time.monotonic() - self.started
        self.listener(SweepProgress(self.total, self.done, self.failed, self.reused, elapsed, phase))

    def everything(self, runner: Runner) -> None:
        """Run all points, until they are done or a signal came."""
        try:
            while (self.todo or self.suspects or self.running) and not self.signals.number:
                self._submit(runner)
                try:
                    future = self.finished.get(timeout=_SECONDS_BETWEEN_LOOKS)
                except queue.Empty:
                    continue
                self._take(future, runner)
            while not self.finished.empty():  # What was finished when the signal came is not lost.
                self._take(self.finished.get(), runner)
        finally:
            for future in list(self.running):
                future.cancel()

    def _submit(self, runner: Runner) -> None:
        """Keep the workers busy; points that may have killed their process run alone."""
        waiting = self.suspects or self.todo
        window = 1 if self.suspects else runner.window
        while waiting and (window is None or len(self.running) < window):
            point = waiting.popleft()
            try:
                future = runner.submit(Job(point.problem, point.tiling, point.solving, code_version(), point.plugin))
            except BrokenExecutor:
                waiting.appendleft(point)
                if not self.running:  # otherwise those say what happened
                    self._restart(runner)
                return
            except RuntimeError as error:  # an executor that has been shut down
                raise self._broken(error) from None
            self.running[future] = point
            future.add_done_callback(self.finished.put)

    def _take(self, future: Future[Outcome], runner: Runner) -> None:
        point = self.running.pop(future, None)
        if point is None:
            return
        try:
            outcome = future.result()
        except BrokenExecutor:
            self._crashed(point, runner)
            return
        except CancelledError:
            if not self.signals.number:
                raise self._broken("its tasks were cancelled") from None
            return
        except Exception as error:  # what the executor itself has to say, such as that workers died of this point
            self.crashes[point.key] = self.crashes.get(point.key, 0) + 1
            if self.crashes[point.key] < _CRASHES:  # It may only have been there when they did.
                self.todo.append(point)
                return
            outcome = Outcome(None, error=f"{type(error).__name__}: {' '.join(str(error).split())}")
        self._finish(point, outcome)

    def _finish(self, point: Point, outcome: Outcome) -> None:
        if outcome.other_version:
            raise InputError(
                f"the workers run another version of ssmopt, {outcome.other_version}, than this process, "
                f"{code_version()}"
            )
        if outcome.interrupted:
            if not self.signals.number:
                self.todo.append(point)
            return
        self._record(point, outcome)

    def _record(self, point: Point, outcome: Outcome) -> None:
        fields = outcome.fields
        if fields is None:
            fields = {"instance": point.problem.name, "solver": point.solving.solver, "status": FAILED, "valid": False}
        self.store.record(point, fields, outcome.schedule, outcome.error)
        self.done += 1
        self.failed += bool(outcome.error)
        self.report()

    def _crashed(self, point: Point, runner: Runner) -> None:
        """A process died: every point that was running may be why, so each of them runs alone once more."""
        together = [point, *self._broken_ones()]
        for suspect in together:
            self.crashes[suspect.key] = self.crashes.get(suspect.key, 0) + 1
        if self.signals.number:
            return
        if len(together) == 1 and self.crashes[point.key] >= _CRASHES:
            self._record(point, Outcome(None, error="its process died: killed, or out of memory"))
            together = []
        self.suspects.extend(together)
        self._restart(runner)

    def _broken_ones(self) -> list[Point]:
        """The other points that were with the executor when it broke; those that it had finished are recorded."""
        broken = []
        for future in list(self.running):
            point = self.running.pop(future)
            error = future.exception()  # An executor that broke leaves no future undone.
            if error is None:
                self._finish(point, future.result())
            else:
                broken.append(point)
        return broken

    def _restart(self, runner: Runner) -> None:
        if not runner.restart():
            raise self._broken("a worker process died")

    def _broken(self, reason: object) -> SsmoptError:
        """What to raise when the executor is of no more use; what it has finished is recorded first."""
        for future in [future for future in self.running if future.done()]:
            point = self.running.pop(future)
            if not future.cancelled() and future.exception() is None:
                self._finish(point, future.result())
        kept = "" if self.store.file is None else f", which {self.store.file} keeps"
        return SsmoptError(f"the executor broke: {reason}; {self.done:,} of {self.total:,} points are finished{kept}")
