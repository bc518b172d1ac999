"""The critical chain: from the makespan back, each tile or transfer after the one that it waited for."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.explain.causes import RESOURCE, Causes, reason_name
from ssmopt.instance import DRAM, KINDS, Instance
from ssmopt.schedule import Schedule

_NAMED = 3  # operators that a stretch names


@dataclass(frozen=True, eq=False)
class Chain:
    """Activities (rows of `Causes`) in the order of time, whose lengths and waits add up to the makespan.

    Attributes
    ----------
    activity
        Shape (steps,).
    reason
        Shape (steps,): what decided the start of each.
    wait
        Shape (steps,): cycles between the end of the step before, or 0, and the start: nothing is known that filled
        them.
    """

    activity: IntArray
    reason: IntArray
    wait: IntArray

    def __len__(self) -> int:
        return len(self.activity)


@dataclass(frozen=True)
class Stretch:
    """Steps of the chain that follow each other on one core or channel without a break.

    Attributes
    ----------
    resource
        Core or channel.
    what
        The operators, or directions and kinds of tensor, that take most of the time; ``...`` stands for more.
    reason
        What decided when the first step starts.
    wait
        Cycles before the first step that nothing is known to have filled.
    first, last
        Id of the first and the last tile or moved tensor.
    steps
        How many.
    start, end
        Cycles.
    """

    resource: str
    what: str
    reason: str
    wait: int
    first: str
    last: str
    steps: int
    start: int
    end: int

    @property
    def cycles(self) -> int:
        """Length."""
        return self.end - self.start

    def as_dict(self) -> dict[str, object]:
        """All fields, by name."""
        return dataclasses.asdict(self)


def critical_chain(causes: Causes) -> Chain:
    """The chain that ends with whatever ends last; of equal ends with the last row."""
    if not len(causes.end):
        empty = np.zeros(0, dtype=np.int64)
        return Chain(empty, empty, empty)
    before = causes.waited_for.tolist()
    start, end = causes.start.tolist(), causes.end.tolist()
    activity = len(end) - 1 - int(np.argmax(causes.end[::-1]))
    steps, waits = [], []
    while activity >= 0:
        steps.append(activity)
        previous = before[activity]
        waits.append(start[activity] - (end[previous] if previous >= 0 else 0))
        activity = previous
    order = np.array(steps[::-1], dtype=np.int64)
    return Chain(order, causes.reason[order], np.array(waits[::-1], dtype=np.int64))


def stretches(instance: Instance, schedule: Schedule, causes: Causes, chain: Chain) -> list[Stretch]:
    """The chain with steps that follow each other on one core or channel taken together."""
    place, what = labels(instance, schedule)
    breaks = [
        step
        for step, activity in enumerate(chain.activity.tolist())
        if step == 0 or chain.reason[step] != RESOURCE or place[activity] != place[int(chain.activity[step - 1])]
    ]
    found = []
    for begin, until in pairwise([*breaks, len(chain)]):
        rows = chain.activity[begin:until].tolist()
        spent: Counter[str] = Counter()
        for row in rows:
            spent[what[row]] += int(causes.end[row] - causes.start[row])
        ranked = [name for name, _ in spent.most_common()]
        found.append(
            Stretch(
                resource=place[rows[0]],
                what=", ".join(ranked[:_NAMED]) + (", ..." if len(ranked) > _NAMED else ""),
                reason=reason_name(int(chain.reason[begin]), rows[0] < causes.n_tiles),
                wait=int(chain.wait[begin]),
                first=name_of(instance, schedule, rows[0]),
                last=name_of(instance, schedule, rows[-1]),
                steps=len(rows),
                start=int(causes.start[rows[0]]),
                end=int(causes.end[rows[-1]]),
            )
        )
    return found


def labels(instance: Instance, schedule: Schedule) -> tuple[list[str], list[str]]:
    """Per activity the core or channel that it is on, and what it does there."""
    names, operator = instance.tile_operators
    tiles, transfers = schedule.tiles, schedule.transfers
    place = [instance.core_ids[core] for core in tiles.core.tolist()]
    place += [instance.channel_ids[channel] for channel in transfers.channel.tolist()]
    what = [names[o] for o in operator[tiles.tile].tolist()]
    direction = transfer_directions(schedule)
    kind = instance.tensor_kind[transfers.tensor].tolist()
    words = transfer_words()
    what += [words[k][d] for k, d in zip(kind, direction.tolist(), strict=True)]
    return place, what


def transfer_directions(schedule: Schedule) -> IntArray:
    """Per transfer 0 for a load, 1 for a store, 2 for a move."""
    transfers = schedule.transfers
    return np.where(transfers.source == DRAM, 0, np.where(transfers.target == DRAM, 1, 2))


def transfer_words() -> list[list[str]]:
    """What a transfer does, by the code of the tensor's kind and the direction."""
    return [[f"{verb} {kind}" for verb in ("load", "store", "move")] for kind in KINDS]


def name_of(instance: Instance, schedule: Schedule, activity: int) -> str:
    """Id of a tile, or of the tensor that a transfer moves."""
    n_tiles = len(schedule.tiles)
    if activity < n_tiles:
        return instance.tile_ids[int(schedule.tiles.tile[activity])]
    return instance.tensor_ids[int(schedule.transfers.tensor[activity - n_tiles])]
