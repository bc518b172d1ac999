"""Find the round of a schedule that can be repeated: one that is like those before and after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.folded import AFTER, BEFORE, REPEATED, FoldedSchedule, Parts
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule
from ssmopt.workload.rounds import SHARED, Rounds, rounds_of


def fold(problem: Problem, short: Instance, schedule: Schedule, round_tokens: int) -> FoldedSchedule | None:
    """The closed form of a schedule of the whole prompt, if the short one has a round that can be repeated.

    That is one whose rows, and those of the rounds before and after it, are the same but for a constant delay.

    Parameters
    ----------
    problem
        The whole prompt: a whole number of rounds longer.
    short, schedule
        The shorter prompt's tiles, and a schedule of them.
    round_tokens
        Tokens of a round: a whole number of token tiles (and of chunks).
    """
    assert short.problem is not None
    tiles, tensors = rounds_of(short, round_tokens)
    rows = _rows(short, schedule, tiles, tensors)
    if rows is None:
        return None
    last = short.problem.seq_len // round_tokens - 1
    found = [_signature(schedule, rows, tiles, tensors, number) for number in range(last + 1)]
    for number in range(1, last):
        before, here, after = found[number - 1 : number + 2]
        period = here.start - before.start
        if period < 1 or after.start - here.start != period or not (before.like(here) and here.like(after)):
            continue
        begin, end = _part(rows.begin, number), _part(rows.end, number)
        if ((begin == REPEATED) != (end == REPEATED)).any():
            continue  # something stays for some of the rounds only
        return FoldedSchedule(
            problem, short, schedule, round_tokens, number, period,
            _part(rows.tile, number), _part(rows.transfer, number), begin, end,
        )  # fmt: skip
    return None


@dataclass(frozen=True, eq=False)
class _RowRounds:
    """The round that each row of each table belongs to; for residencies, where they begin and where they end."""

    tile: IntArray
    transfer: IntArray
    begin: IntArray
    end: IntArray


def _rows(short: Instance, schedule: Schedule, tiles: Rounds, tensors: Rounds) -> _RowRounds | None:
    """Rounds of all rows: those of their tensors, and for shared tensors those of the tiles that they serve."""
    begin = tensors.number[schedule.residencies.tensor]
    end = begin.copy()
    transfer = tensors.number[schedule.transfers.tensor]
    served = np.flatnonzero(begin == SHARED)
    if len(served):
        span = schedule.makespan + 1
        reader, tensor = short.inputs.rows(), short.inputs.indices
        shared = tensors.number[tensor] == SHARED
        reader, tensor = reader[shared], tensor[shared]
        start = np.empty(short.n_tiles, dtype=np.int64)
        start[schedule.tiles.tile] = schedule.tiles.start
        key = tensor * span + start[reader]
        order = np.argsort(key, kind="stable")
        key, by = key[order], tiles.number[reader[order]]
        stay = schedule.residencies
        first = np.searchsorted(key, stay.tensor[served] * span + stay.start[served])
        beyond = np.searchsorted(key, stay.tensor[served] * span + stay.end[served])
        if (first >= beyond).any():
            return None  # loaded for nothing: no round to count it to
        begin[served], end[served] = by[first], by[beyond - 1]
        loads = np.flatnonzero(transfer == SHARED)
        into = stay.tensor[served] * span + stay.start[served]
        order = np.argsort(into)
        key = schedule.transfers.tensor[loads] * span + schedule.transfers.start[loads]
        at = np.minimum(np.searchsorted(into[order], key), len(order) - 1)
        if (into[order][at] != key).any():
            return None
        transfer[loads] = begin[served[order[at]]]
    elif (transfer == SHARED).any():
        return None
    return _RowRounds(tiles.number[schedule.tiles.tile], transfer, begin, end)


def _part(number: IntArray, repeated: int) -> Parts:
    return np.where(number < repeated, BEFORE, np.where(number == repeated, REPEATED, AFTER)).astype(np.int8)


@dataclass(frozen=True, eq=False)
class _Signature:
    """All rows of a round, in an order of their own, with times since its beginning."""

    start: int
    rows: tuple[npt.NDArray[np.int64], ...]

    def like(self, other: _Signature) -> bool:
        """Whether all rows are the same."""
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self.rows, other.rows, strict=True))


def _signature(schedule: Schedule, rows: _RowRounds, tiles: Rounds, tensors: Rounds, number: int) -> _Signature:
    runs, moves, stays = schedule.tiles, schedule.transfers, schedule.residencies
    mine = np.flatnonzero(rows.tile == number)
    start = int(runs.start[mine].min(initial=schedule.makespan))
    parts = [_sorted(tiles.rank[runs.tile[mine]], runs.start[mine] - start, runs.end[mine] - start, runs.core[mine])]
    mine = np.flatnonzero(rows.transfer == number)
    parts.append(
        _sorted(
            _name(tensors, moves.tensor[mine]),
            moves.start[mine] - start,
            moves.end[mine] - start,
            moves.channel[mine],
            moves.source[mine],
            moves.target[mine],
        )
    )
    mine = np.flatnonzero((rows.begin == number) & (rows.end == number))
    parts.append(
        _sorted(
            _name(tensors, stays.tensor[mine]), stays.start[mine] - start, stays.end[mine] - start, stays.memory[mine]
        )
    )
    return _Signature(start, tuple(parts))


def _name(tensors: Rounds, tensor: IntArray) -> IntArray:
    """A number for each tensor that is the same in every round."""
    return np.where(tensors.number[tensor] == SHARED, -1 - tensor, tensors.rank[tensor])


def _sorted(*columns: IntArray) -> IntArray:
    """Rows in the order of their columns, the first one first."""
    return np.stack(columns)[:, np.lexsort(columns[::-1])]
