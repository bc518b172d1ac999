"""Where the time of every core and channel goes: busy, or idle for a reason."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.explain.causes import DEPENDENCE, SPACE, TRANSFER, Causes
from ssmopt.explain.lanes import assign_lanes
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule


@dataclass(frozen=True)
class Idle:
    """Cycles of one core, or of all lanes of one channel; they add up to the makespan times the lanes.

    Attributes
    ----------
    resource, kind
        Its id, and ``core`` or ``channel``.
    lanes
        How many things it does at a time.
    busy
        At work.
    transfer, dependence, space
        Idle because what came next waited for a transfer, for a tile, or for space in a memory.
    held
        Idle although what came next could have started, everything else being as it is.
    done
        Idle because nothing was left for it to do.
    """

    resource: str
    kind: str
    lanes: int
    busy: int
    transfer: int
    dependence: int
    space: int
    held: int
    done: int

    def as_dict(self) -> dict[str, object]:
        """All fields, by name."""
        return dataclasses.asdict(self)


def idle_times(instance: Instance, schedule: Schedule, causes: Causes) -> list[Idle]:
    """Idle time of every core and channel by cause, cores first.

    A gap belongs to what the next tile or transfer of that core or lane waited for; the part of it after the last such
    moment is held back.
    """
    n_tiles, transfers = causes.n_tiles, schedule.transfers
    lane = assign_lanes(transfers)
    found = []
    for core, name in enumerate(instance.core_ids):
        mine = np.flatnonzero(schedule.tiles.core == core)
        found.append(_idle(name, "core", 1, mine, np.zeros(len(mine), dtype=np.int64), causes, schedule.makespan))
    for channel, (name, lanes) in enumerate(zip(instance.channel_ids, instance.channel_lanes.tolist(), strict=True)):
        mine = np.flatnonzero((transfers.channel == channel) & (transfers.end > transfers.start))
        found.append(_idle(name, "channel", lanes, mine + n_tiles, lane[mine], causes, schedule.makespan))
    return found


def _idle(name: str, kind: str, lanes: int, rows: IntArray, lane: IntArray, causes: Causes, makespan: int) -> Idle:
    """Cycles of the activities ``rows``, each on its lane."""
    order = np.lexsort((causes.start[rows], lane))
    rows, lane = rows[order], lane[order]
    start, end = causes.start[rows], causes.end[rows]
    first = np.diff(lane, prepend=-1) != 0
    before = np.where(first, 0, np.roll(end, 1))
    others = causes.release[TRANSFER:, rows]
    ready = np.clip(others.max(axis=0, initial=0), before, start)
    reason = others.argmax(axis=0) + TRANSFER
    waited = {code: int((ready - before)[reason == code].sum()) for code in (TRANSFER, DEPENDENCE, SPACE)}
    last = np.diff(lane, append=-1) != 0
    unused = lanes - int(last.sum())
    return Idle(
        resource=name,
        kind=kind,
        lanes=lanes,
        busy=int((end - start).sum()),
        transfer=waited[TRANSFER],
        dependence=waited[DEPENDENCE],
        space=waited[SPACE],
        held=int((start - ready).sum()),
        done=int((makespan - end[last]).sum()) + unused * makespan,
    )
