"""What every tile and transfer of a schedule waited for: read off the schedule, whatever made it.

With everything else as it is, a tile or transfer could not have started before each of these moments:

* its *core* was free, or a lane of its channel: the last moment at which all of it was busy;
* the *transfers* that it needs had ended: the load or move that brought an input into its memory, the store that a
  load reads again, the transfer of a partial sum that is added to next;
* the tiles that it *depends* on had ended: those that write what it reads, or added before it;
* there was *space* in the memory for the residencies that begin with it: the last moment at which they would not have
  fitted beside the others, or the tensor's own last residency there had not ended.

The latest of the four is what it waited for. If it starts later still, nothing forced it to: it was *held back* by
whoever made the schedule. Space is counted in bytes, not addresses. The rules are those of a feasible schedule
(docs/concepts.md); a schedule that breaks them is not explained.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ssmopt.csr import Csr, IntArray, expand_ranges
from ssmopt.explain.latest import NEVER, LatestEvents, last_above
from ssmopt.instance import DRAM, Instance
from ssmopt.schedule import Schedule

RESOURCE, TRANSFER, DEPENDENCE, SPACE = range(4)
"""Reasons, as rows of `Causes.release`; of equally late ones the first is named."""

HELD, NOTHING = 4, 5
"""Further values of `Causes.reason`: started later than it had to, and started at time 0."""

_WORDS = ("core busy", "transfer", "dependence", "space", "held back", "nothing")


@dataclass(frozen=True, eq=False)
class Causes:
    """What every activity waited for. Activities are the rows of the tiles, then those of the transfers.

    Attributes
    ----------
    n_tiles
        Number of activities that are tiles.
    start, end
        Shape (activities,): cycles.
    release
        Shape (4, activities): per reason the cycle before which the activity could not have started because of it;
        -1 where it knows no such moment.
    blocker
        Shape (4, activities): the activity whose end that moment is, or that last used what made room; -1 for none.
    room
        Shape (activities,): row of the residency whose end made room; -1 where space was never short.
    """

    n_tiles: int
    start: IntArray
    end: IntArray
    release: IntArray
    blocker: IntArray
    room: IntArray

    @cached_property
    def strongest(self) -> IntArray:
        """Shape (activities,): the reason with the latest moment, of equal ones the first."""
        return np.asarray(self.release.argmax(axis=0), dtype=np.int64)

    @cached_property
    def ready(self) -> IntArray:
        """Shape (activities,): the cycle at which each could have started, everything else being as it is."""
        return np.asarray(self.release.max(axis=0, initial=0), dtype=np.int64)

    @cached_property
    def reason(self) -> IntArray:
        """Shape (activities,): what decided the start."""
        late = np.where(self.start > self.ready, HELD, self.strongest)
        return np.asarray(np.where(self.start == 0, NOTHING, late), dtype=np.int64)

    @cached_property
    def waited_for(self) -> IntArray:
        """Shape (activities,): the activity that the strongest reason names; -1 for none."""
        return np.asarray(self.blocker[self.strongest, np.arange(len(self.start))], dtype=np.int64)


def reason_name(reason: int, is_tile: bool) -> str:
    """A word or two for a value of `Causes.reason`."""
    return _WORDS[reason] if is_tile or reason != RESOURCE else "channel busy"


def find_causes(instance: Instance, schedule: Schedule) -> Causes:
    """What every tile and transfer of a feasible schedule waited for.

    Parameters
    ----------
    instance, schedule
        The schedule must be feasible (`ssmopt.validate.check`).
    """
    return _Finder(instance, schedule).find()


class _Finder:
    """The schedule as events in the order of time; times are replaced by their ranks."""

    def __init__(self, instance: Instance, schedule: Schedule) -> None:
        self.instance, self.schedule = instance, schedule
        tiles, transfers, residencies = schedule.tiles, schedule.transfers, schedule.residencies
        self.n_tiles, self.n_transfers = len(tiles), len(transfers)
        self.n = self.n_tiles + self.n_transfers
        self.clock = np.unique(
            np.concatenate([column for t in (tiles, transfers, residencies) for column in (t.start, t.end)])
        )
        self.start = np.concatenate([tiles.start, transfers.start])
        self.end = np.concatenate([tiles.end, transfers.end])
        self.start_rank, self.end_rank = self._rank(self.start), self._rank(self.end)
        self.memory = instance.core_memory[tiles.core] if self.n_tiles else np.zeros(0, dtype=np.int64)
        self.release = np.full((4, self.n), NEVER, dtype=np.int64)
        self.blocker = np.full((4, self.n), NEVER, dtype=np.int64)
        self.room = np.full(self.n, NEVER, dtype=np.int64)
        # Transfers that take no time carry nothing, and are waited for by nobody.
        self.moving = np.flatnonzero(transfers.end > transfers.start)
        self.reads, self.writes, self.adds = (
            self._pairs(rows) for rows in (instance.inputs, instance.writes, instance.accumulates)
        )

    def find(self) -> Causes:
        self._cores()
        self._channels()
        self._dependences()
        self._transfers()
        self._space()
        known = self.release >= 0
        release = np.where(known, self.clock[np.maximum(self.release, 0)] if self.n else self.release, NEVER)
        return Causes(self.n_tiles, self.start, self.end, release, self.blocker, self.room)

    def _rank(self, times: IntArray) -> IntArray:
        return np.searchsorted(self.clock, times)

    def _pairs(self, rows: Csr) -> tuple[IntArray, IntArray]:
        """Activities that are tiles, and the tensors that each of them accesses."""
        tile = self.schedule.tiles.tile
        slots, owner = expand_ranges(rows.indptr[tile], rows.indptr[tile + 1])
        return owner, rows.indices[slots]

    def _place(self, tensor: IntArray, memory: IntArray) -> IntArray:
        """One number for a tensor in a memory or DRAM."""
        return tensor * (self.instance.n_memories + 1) + (memory - DRAM)

    def _offer(self, reason: int, activity: IntArray, events: LatestEvents, who: IntArray, key: IntArray) -> None:
        """Let activities wait for the last event of a key before they start; ``who`` are the events' activities."""
        event = events.up_to(key, self.start_rank[activity])
        activity, event = activity[event >= 0], event[event >= 0]
        self._offer_times(reason, activity, self.end_rank[who[event]], who[event])

    def _offer_times(self, reason: int, activity: IntArray, release: IntArray, who: IntArray) -> None:
        """Keep the latest of what an activity waits for, and of what was known."""
        order = np.lexsort((release, activity))
        last = order[np.diff(activity[order], append=NEVER) != 0]
        later = last[release[last] > self.release[reason, activity[last]]]
        self.release[reason, activity[later]] = release[later]
        self.blocker[reason, activity[later]] = who[later]

    def _cores(self) -> None:
        core = self.schedule.tiles.core
        every = np.arange(self.n_tiles, dtype=np.int64)
        self._offer(RESOURCE, every, LatestEvents(core, self.end_rank[: self.n_tiles]), every, core)

    def _channels(self) -> None:
        """A lane is free from the last moment on at which all lanes were busy."""
        table, moving = self.schedule.transfers, self.moving
        ends = LatestEvents(table.channel[moving], self.end_rank[self.n_tiles + moving])
        for channel, lanes in enumerate(self.instance.channel_lanes.tolist()):
            mine = np.flatnonzero(table.channel == channel)
            busy = moving[table.channel[moving] == channel] + self.n_tiles
            one = np.ones(len(busy), dtype=np.int64)
            moments, level = _steps(self.start_rank[busy], self.end_rank[busy], one)
            activity = mine + self.n_tiles
            free = _free_from(moments, level, self.start_rank[activity], np.full(len(mine), lanes - 1))
            waits = free >= 0
            event = ends.up_to(np.full(int(waits.sum()), channel, dtype=np.int64), free[waits])
            self._offer_times(RESOURCE, activity[waits], free[waits], moving[event] + self.n_tiles)

    def _dependences(self) -> None:
        table, n_tiles = self.schedule.transfers, self.n_tiles
        owner, tensor = self.writes
        written = LatestEvents(tensor, self.end_rank[owner])
        for reader, read in (self.reads, self.adds):
            self._offer(DEPENDENCE, reader, written, owner, read)
        leaving = np.flatnonzero(table.source != DRAM)
        self._offer(DEPENDENCE, leaving + n_tiles, written, owner, table.tensor[leaving])

    def _transfers(self) -> None:
        table, moving, n_tiles = self.schedule.transfers, self.moving, self.n_tiles
        who = moving + n_tiles
        arrived = LatestEvents(self._place(table.tensor[moving], table.target[moving]), self.end_rank[who])
        for reader, read in (self.reads, self.adds):
            self._offer(TRANSFER, reader, arrived, who, self._place(read, self.memory[reader]))
        every = np.arange(self.n_transfers, dtype=np.int64)
        self._offer(TRANSFER, every + n_tiles, arrived, who, self._place(table.tensor, table.source))
        # A partial sum must not change while it is carried elsewhere.
        carried = LatestEvents(table.tensor[moving], self.end_rank[who])
        adder, sums = self.adds
        self._offer(TRANSFER, adder, carried, who, sums)

    def _space(self) -> None:
        instance, table = self.instance, self.schedule.residencies
        size = instance.tensor_bytes[table.tensor]
        rows = np.flatnonzero(size > 0)
        first, last = self._rank(table.start), self._rank(table.end)
        need = self._need(rows, first)
        uses, users = self._uses()
        for memory, capacity in enumerate(instance.memory_capacity.tolist()):
            mine = rows[table.memory[rows] == memory]
            moments, level = _steps(first[mine], last[mine], size[mine])
            activity = np.flatnonzero((need > 0) & (self._target() == memory))
            free = _free_from(moments, level, self.start_rank[activity], capacity - need[activity])
            activity, free = activity[free >= 0], free[free >= 0]
            # Of the residencies that end at that moment the largest made room; events of equal time keep their order.
            mine = mine[np.argsort(size[mine], kind="stable")]
            self.room[activity] = mine[LatestEvents(0 * mine, last[mine]).up_to(0 * free, free)]
            self.release[SPACE, activity] = free
        self._own_space(rows, last)
        waits = np.flatnonzero(self.room >= 0)
        ended = self.room[waits]
        use = uses.up_to(self._place(table.tensor[ended], table.memory[ended]), last[ended])
        user = np.where(use >= 0, users[use], NEVER)
        known = (user >= 0) & (self.end_rank[user] >= first[ended])
        self.blocker[SPACE, waits[known]] = user[known]

    def _own_space(self, rows: IntArray, last: IntArray) -> None:
        """A tensor cannot come into a memory again before its last residency there has ended."""
        transfers, table = self.schedule.transfers, self.schedule.residencies
        ends = LatestEvents(self._place(table.tensor[rows], table.memory[rows]), last[rows])
        arriving = self.moving[transfers.target[self.moving] != DRAM]
        activity = arriving + self.n_tiles
        event = ends.up_to(
            self._place(transfers.tensor[arriving], transfers.target[arriving]), self.start_rank[activity]
        )
        activity, ended = activity[event >= 0], rows[event[event >= 0]]
        later = last[ended] > self.release[SPACE, activity]
        self.release[SPACE, activity[later]] = last[ended[later]]
        self.room[activity[later]] = ended[later]

    def _target(self) -> IntArray:
        """Per activity the memory in which residencies begin with it, or DRAM."""
        return np.concatenate([self.memory, self.schedule.transfers.target])

    def _need(self, rows: IntArray, first: IntArray) -> IntArray:
        """Per activity: bytes of the residencies that begin when it starts, because of it."""
        instance, table, transfers = self.instance, self.schedule.residencies, self.schedule.transfers
        begun = LatestEvents(self._place(table.tensor[rows], table.memory[rows]), first[rows])
        need = np.zeros(self.n, dtype=np.int64)
        owner, tensor = self.writes
        arriving = np.flatnonzero(transfers.target != DRAM)
        for activity, moved, memory in (
            (owner, tensor, self.memory[owner]),
            (arriving + self.n_tiles, transfers.tensor[arriving], transfers.target[arriving]),
        ):
            row = begun.up_to(self._place(moved, memory), self.start_rank[activity])
            activity, moved, row = activity[row >= 0], moved[row >= 0], row[row >= 0]
            new = first[rows[row]] == self.start_rank[activity]
            np.add.at(need, activity[new], instance.tensor_bytes[moved[new]])
        return need

    def _uses(self) -> tuple[LatestEvents, IntArray]:
        """Ends of everything that uses a tensor in a memory, and the activities."""
        transfers, moving = self.schedule.transfers, self.moving
        tiles = [(owner, self._place(tensor, self.memory[owner])) for owner, tensor in (self.reads, self.writes)]
        sides = [
            (moving + self.n_tiles, self._place(transfers.tensor[moving], side[moving]))
            for side in (transfers.source, transfers.target)
        ]
        users = np.concatenate([who for who, _ in (*tiles, *sides)])
        return LatestEvents(np.concatenate([key for _, key in (*tiles, *sides)]), self.end_rank[users]), users


def _steps(start: IntArray, end: IntArray, size: IntArray) -> tuple[IntArray, IntArray]:
    """Sum of what is present over time: the moments of change, and the sum from each on."""
    moments, where = np.unique(np.concatenate([start, end]), return_inverse=True)
    change = np.zeros(len(moments), dtype=np.int64)
    np.add.at(change, where, np.concatenate([size, -size]))
    return moments, np.cumsum(change)


def _free_from(moments: IntArray, level: IntArray, before: IntArray, most: IntArray) -> IntArray:
    """The last moment, up to a given one, just before which the level exceeded ``most``; -1 if it never did."""
    if not len(moments):
        return np.full(len(before), NEVER, dtype=np.int64)
    found = last_above(level, np.searchsorted(moments, before), most)
    ends: npt.NDArray[np.int64] = moments[np.minimum(found + 1, len(moments) - 1)]
    return np.where(found >= 0, ends, NEVER)
