"""From a closed form to an ordinary schedule, row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.folded import AFTER, BEFORE, REPEATED, FoldedSchedule, Parts
from ssmopt.instance import Instance
from ssmopt.schedule import ResidencyTable, Schedule
from ssmopt.workload.rounds import Rounds, rounds_of
from ssmopt.workload.tiles import build_tiles


def expand(folded: FoldedSchedule) -> tuple[Instance, Schedule]:
    """The tile instance of the whole prompt, and its schedule with every row written out.

    The instance is what `ssmopt.workload.tiles.build_tiles` makes of the whole prompt, nothing else.
    """
    tiling = folded.short.tiling
    assert tiling is not None
    instance = build_tiles(folded.problem, tiling)
    tiles, tensors = rounds_of(folded.short, folded.round_tokens)
    all_tiles, all_tensors = rounds_of(instance, folded.round_tokens)
    schedule = folded.schedule

    row, copy = _copies(folded, folded.tile_part)
    delay = copy * folded.period
    table = schedule.tiles
    unfolded_tiles = replace(
        table,
        tile=_moved(table.tile[row], copy, tiles, all_tiles),
        core=table.core[row],
        start=table.start[row] + delay,
        end=table.end[row] + delay,
    )
    row, copy = _copies(folded, folded.transfer_part)
    delay = copy * folded.period
    moves = schedule.transfers
    unfolded_transfers = replace(
        moves,
        tensor=_moved(moves.tensor[row], copy, tensors, all_tensors),
        channel=moves.channel[row],
        source=moves.source[row],
        target=moves.target[row],
        start=moves.start[row] + delay,
        end=moves.end[row] + delay,
    )
    row, begin, end = _stays(folded)
    stays = schedule.residencies
    unfolded_residencies = replace(
        stays,
        tensor=_moved(stays.tensor[row], begin, tensors, all_tensors),
        memory=stays.memory[row],
        start=stays.start[row] + begin * folded.period,
        end=stays.end[row] + end * folded.period,
    )
    return instance, Schedule(
        unfolded_tiles, unfolded_transfers, unfolded_residencies, folded.makespan, schedule.solver
    )


def peak_memory_bytes(folded: FoldedSchedule) -> int:
    """Largest number of bytes resident at once, summed over the memories, from as many copies as tell."""
    folded = folded.with_copies(folded.telling_copies)
    row, begin, end = _stays(folded)
    stays, size = folded.schedule.residencies, folded.short.tensor_bytes
    repeated = replace(
        folded.schedule,
        residencies=ResidencyTable(
            stays.tensor[row],
            stays.memory[row],
            stays.start[row] + begin * folded.period,
            stays.end[row] + end * folded.period,
        ),
    )
    return sum(repeated.peak_memory_bytes(size, m) for m in range(folded.short.n_memories))


def _stays(folded: FoldedSchedule) -> tuple[IntArray, IntArray, IntArray]:
    """Residencies, as often as they occur, and by how many rounds their beginning and their end are moved.

    What lasts through all copies has a beginning before and an end after them, and a single row.
    """
    lasting = folded.begin_part != folded.end_part
    row, begin = _copies(folded, np.where(lasting, BEFORE, folded.begin_part).astype(np.int8))
    return row, begin, np.where(lasting[row], folded.copies, begin)


def _copies(folded: FoldedSchedule, part: Parts) -> tuple[IntArray, IntArray]:
    """Rows of the short schedule, as often as they occur, and by how many rounds each is moved."""
    repeated = np.flatnonzero(part == REPEATED)
    row = np.concatenate([np.arange(len(part), dtype=np.int64), np.tile(repeated, folded.copies)])
    once = np.where(part == AFTER, folded.copies, 0)
    again = np.repeat(np.arange(1, folded.copies + 1, dtype=np.int64), len(repeated))
    return row, np.concatenate([once, again])


def _moved(thing: IntArray, by: IntArray, short: Rounds, whole: Rounds) -> IntArray:
    """Tiles or tensors of the short instance, so many rounds later, in the whole one."""
    number = short.number[thing]
    return whole.find(np.where(number < 0, number, number + by), short.rank[thing])
