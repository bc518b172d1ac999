"""Search for offsets by CP-SAT: of all buffers, or of some while the others stay where they are.

Branching builds a canonical packing from below, as in `ssmopt.allocate.canonical`: take the buffer that can lie
lowest, and put it there. CP-SAT adds inference on buffers that are alive together, since these exclude each other
whatever their order, and learns from each dead end; each node costs more. Without a limit the search is complete.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from ssmopt.allocate.buffers import Buffers
from ssmopt.allocate.canonical import crowds_of
from ssmopt.allocate.greedy import UNPLACED
from ssmopt.allocate.outcome import FOUND, GAVE_UP, IMPOSSIBLE, Budget, Outcome
from ssmopt.csr import IntArray

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

_DETERMINISTIC_TIME = 0.03
"""CP-SAT's deterministic time per unit of effort: in these models it passes some thirty times slower than time."""

_POLL_SECONDS = 0.05

MAX_BUFFERS = 3_000
"""Beyond this many free buffers, or this many entries of sections, a model costs too much to build."""
_MAX_ENTRIES = 400_000


def can_search(buffers: Buffers) -> bool:
    """Whether a model of all buffers is of a size that is worth building."""
    return len(buffers) <= MAX_BUFFERS and int((buffers.upper - buffers.lower).sum()) <= _MAX_ENTRIES


def place_free(
    buffers: Buffers,
    free: IntArray,
    order: IntArray | None,
    capacity: int,
    offset: IntArray,
    budget: Budget,
    effort: float,
) -> Outcome:
    """Find offsets of the free buffers that suit each other and all that are placed.

    Parameters
    ----------
    buffers
        All buffers.
    free
        Rows of the buffers to place, ascending.
    order
        A permutation of ``free``: ties between buffers that can lie equally low; None leaves the branching to CP-SAT.
    capacity
        Bytes.
    offset
        Shape (buffers,): where the others are; ``UNPLACED`` ones and the free ones are ignored.
    budget, effort
        What is left in all, and how much of it to spend at most.
    """
    # OR-Tools takes a while to import, and most packings are found without it.
    from ortools.sat.python import cp_model

    is_free = np.zeros(len(buffers), dtype=np.bool_)
    is_free[free] = True
    fixed = np.flatnonzero(~is_free & (offset != UNPLACED))
    unit = int(np.gcd.reduce(np.concatenate([buffers.size[free], buffers.size[fixed], offset[fixed]])))
    room = capacity // unit
    size = (buffers.size[free] // unit).tolist()

    model = cp_model.CpModel()
    starts, boxes = [], []
    for row, length in zip(free.tolist(), size, strict=True):
        beside = fixed[(buffers.lower[fixed] < buffers.upper[row]) & (buffers.upper[fixed] > buffers.lower[row])]
        gaps = _free_starts(offset[beside] // unit, (offset[beside] + buffers.size[beside]) // unit, length, room)
        if not gaps:
            return Outcome(IMPOSSIBLE)
        start = model.new_int_var_from_domain(cp_model.Domain.from_intervals(gaps), "")
        starts.append(start)
        boxes.append(model.new_fixed_size_interval_var(start, length, ""))
    for section in crowds_of(buffers.lower[free], buffers.upper[free]):
        if sum(size[i] for i in section) > room:
            return Outcome(IMPOSSIBLE)
        model.add_no_overlap([boxes[i] for i in section])

    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers = 1
    parameters.linearization_level = 0
    parameters.max_deterministic_time = min(effort, budget.effort) * _DETERMINISTIC_TIME
    if budget.seconds < 1e8:
        parameters.max_time_in_seconds = budget.seconds
    if order is not None:
        index = {row: i for i, row in enumerate(free.tolist())}
        model.add_decision_strategy(
            [starts[index[row]] for row in order.tolist()], cp_model.CHOOSE_LOWEST_MIN, cp_model.SELECT_MIN_VALUE
        )
        parameters.search_branching = cp_model.FIXED_SEARCH
    status = _solve(solver, model, budget)
    budget.effort -= solver.response_proto.deterministic_time / _DETERMINISTIC_TIME
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Outcome(FOUND, np.array([solver.value(start) * unit for start in starts], dtype=np.int64))
    return Outcome(IMPOSSIBLE if status == cp_model.INFEASIBLE else GAVE_UP)


def _solve(solver: cp_model.CpSolver, model: cp_model.CpModel, budget: Budget) -> int:
    """Solve in a thread, so that this one can poll and Python's signal handlers can run."""
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(solver.solve(model)), name="packing", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
            if budget.stopped():
                solver.stop_search()
    except BaseException:
        while thread.is_alive():
            solver.stop_search()
            thread.join(_POLL_SECONDS)
        raise
    return statuses[0]


def _free_starts(low: IntArray, high: IntArray, size: int, room: int) -> list[list[int]]:
    """Ranges (both ends included) of offsets at which ``size`` fits below ``room`` and beside what is there."""
    order = np.argsort(low, kind="stable")
    top = np.concatenate([[0], np.maximum.accumulate(high[order])]) if len(order) else np.zeros(1, dtype=np.int64)
    last = np.concatenate([low[order], [room]]) - size
    return [[a, b] for a, b in zip(top.tolist(), last.tolist(), strict=True) if a <= b]
