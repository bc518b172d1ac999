"""A schedule of a prompt of any length in closed form: that of a shorter prompt, one of whose token tiles repeats."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.errors import InputError
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule

BEFORE, REPEATED, AFTER = range(3)
"""Parts of a schedule: what happens once at the beginning, what repeats, and what happens once at the end."""

Parts = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class FoldedSchedule:
    """A schedule in closed form.

    ``short`` is the tile instance of the same problem with fewer tokens, and ``schedule`` a schedule of it. One *round*
    of it, the tiles and tensors of ``round_tokens`` tokens, repeats: copy ``j`` of what belongs to it is ``j * period``
    cycles later, and so is by ``copies * period`` all that belongs to rounds after it.

    Attributes
    ----------
    problem
        The whole prompt.
    short, schedule
        The shorter prompt's tiles, cut like the whole one's, and their schedule.
    round_tokens
        Tokens of a round.
    repeated
        Number of the round that repeats.
    period
        Cycles from one copy of it to the next.
    tile_part, transfer_part
        Shape (rows,): whether each row of the tables is before what repeats, repeats, or is after.
    begin_part, end_part
        Likewise for the beginning and the end of each residency. They differ for what stays throughout.
    """

    problem: Problem
    short: Instance
    schedule: Schedule
    round_tokens: int
    repeated: int
    period: int
    tile_part: Parts
    transfer_part: Parts
    begin_part: Parts
    end_part: Parts

    def __post_init__(self) -> None:
        more = self.problem.seq_len - self._short_tokens
        if more < 0 or more % self.round_tokens:
            raise InputError(f"{more} tokens more are no whole number of rounds of {self.round_tokens}", key="seq_len")

    @property
    def _short_tokens(self) -> int:
        assert self.short.problem is not None
        return self.short.problem.seq_len

    @property
    def copies(self) -> int:
        """How many more copies of the round there are than in the short schedule."""
        return (self.problem.seq_len - self._short_tokens) // self.round_tokens

    @property
    def repeats(self) -> int:
        """How many copies of the round there are in all."""
        return self.copies + 1

    @property
    def delay(self) -> int:
        """By how many cycles what comes after the copies is later than in the short schedule."""
        return self.copies * self.period

    @property
    def makespan(self) -> int:
        """End of the last tile or transfer, in cycles."""
        last = 0
        for table, part in ((self.schedule.tiles, self.tile_part), (self.schedule.transfers, self.transfer_part)):
            if len(table):
                last = max(last, int((table.end + np.where(part == BEFORE, 0, self.delay)).max()))
        return last

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return len(self.tile_part) + self.copies * int((self.tile_part == REPEATED).sum())

    @property
    def n_transfers(self) -> int:
        """Number of transfers."""
        return len(self.transfer_part) + self.copies * int((self.transfer_part == REPEATED).sum())

    @property
    def dram_bytes(self) -> int:
        """Bytes that cross the boundary of DRAM, both ways."""
        transfers = self.schedule.transfers
        size = self.short.tensor_bytes[transfers.tensor] * ((transfers.source < 0) | (transfers.target < 0))
        return int(size.sum()) + self.copies * int(size[self.transfer_part == REPEATED].sum())

    @property
    def telling_copies(self) -> int:
        """With so many copies more, a schedule shows all that any number of further copies can.

        By then all that happens before the copies or in the first of them is over before anything of the last of them
        or of what comes after them begins.
        """
        ends, starts = [0], []
        lasting = self.begin_part != self.end_part
        for table, part in (
            (self.schedule.tiles, self.tile_part),
            (self.schedule.transfers, self.transfer_part),
            (self.schedule.residencies, np.where(lasting, -1, self.begin_part)),
        ):
            ends.append(int(table.end[(part == BEFORE) | (part == REPEATED)].max(initial=0)))
            starts.append(int(table.start[part >= REPEATED].min(initial=self.schedule.makespan)))
        return min(self.copies, 2 + max(0, -(-(max(ends) - min(starts)) // self.period)))

    def with_copies(self, copies: int) -> FoldedSchedule:
        """The same schedule of another number of copies, and so of another number of tokens."""
        tokens = self._short_tokens + copies * self.round_tokens
        return dataclasses.replace(self, problem=dataclasses.replace(self.problem, seq_len=tokens))

    def __repr__(self) -> str:
        return (
            f"FoldedSchedule({self.schedule.solver}: makespan {self.makespan:,} cycles, {self.n_tiles:,} tiles, "
            f"{self.repeats:,} rounds of {self.round_tokens:,} tokens, one every {self.period:,} cycles)"
        )
