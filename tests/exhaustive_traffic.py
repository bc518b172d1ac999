"""The fewest bytes that a schedule no longer than a limit moves to and from DRAM, by cheapest-first search."""

from __future__ import annotations

import heapq
import itertools

from exhaustive import Search
from exhaustive_states import State, at_least_as_good

from ssmopt.instance import Instance


def exhaustive_traffic(instance: Instance, limit: int) -> int:
    """Bytes moved by the schedule of at most ``limit`` cycles that moves fewest."""
    return _Traffic(instance, limit).fewest()


class _Traffic(Search):
    """The same states; a state comes before those with more bytes moved, and none that must end too late counts."""

    def __init__(self, instance: Instance, limit: int) -> None:
        super().__init__(instance)
        self.limit = limit

    def fewest(self) -> int:
        """Bytes of the first finished node."""
        start = State(0, 0, 0, self.given, (), (), frozenset())
        count = itertools.count()
        queue: list[tuple[int, int, int, State]] = []
        kept: dict[tuple[object, ...], list[tuple[int, State]]] = {}

        def push(moved: int, before: State, state: State) -> None:
            if (not state.runs and not state.moves) or self.bound(state) > self.limit:
                return
            moved += sum(self.size[move.tensor] for move in state.moves if move not in before.moves)
            family = kept.setdefault(self._family(state), [])
            if any(other <= moved and at_least_as_good(known, state) for other, known in family):
                return
            family.append((moved, state))
            heapq.heappush(queue, (moved, -state.time, next(count), state))

        if self.finished(start):
            return 0
        for state in self.decide(start):
            push(0, start, state)
        while queue:
            moved, *_, state = heapq.heappop(queue)
            after = self.advance(state)
            if self.finished(after):
                return moved
            for following in self.decide(after):
                push(moved, after, following)
        raise AssertionError("no schedule is that short")
