"""Lanes of channels, filled with transfers that need not come in the order of time."""

from __future__ import annotations

from bisect import bisect_left

_GAPS = 64
"""So many of the latest idle times of a lane are remembered."""


class Lane:
    """One transfer at a time; what comes later may use the time that earlier ones have left idle."""

    def __init__(self) -> None:
        self.free = 0
        self._starts: list[int] = []
        self._ends: list[int] = []

    def earliest(self, ready: int, cycles: int) -> int:
        """The first time from ``ready`` on at which so many cycles are idle."""
        for i in range(bisect_left(self._ends, ready + cycles), len(self._ends)):
            start = max(ready, self._starts[i])
            if start + cycles <= self._ends[i]:
                return start
        return max(ready, self.free)

    def take(self, start: int, cycles: int) -> int:
        """Occupy the lane from a time that `earliest` has given; the end."""
        end = start + cycles
        if start >= self.free:
            if start > self.free:
                self._starts.append(self.free)
                self._ends.append(start)
                if len(self._ends) > _GAPS:
                    del self._starts[0], self._ends[0]
            self.free = end
            return end
        if not cycles:
            return end
        i = bisect_left(self._ends, end)
        before, after = self._starts[i], self._ends[i]
        pieces = [(low, high) for low, high in ((before, start), (end, after)) if low < high]
        self._starts[i : i + 1] = [low for low, _ in pieces]
        self._ends[i : i + 1] = [high for _, high in pieces]
        return end


class Lanes:
    """The lanes of all channels.

    Parameters
    ----------
    lanes, bandwidth
        Per channel: how many, and bytes per cycle of each.
    """

    def __init__(self, lanes: list[int], bandwidth: list[int]):
        self._lanes = [[Lane() for _ in range(count)] for count in lanes]
        self._bandwidth = bandwidth

    def earliest(self, channels: tuple[int, ...], ready: int, n_bytes: int) -> tuple[int, int, int, int]:
        """Channel, lane, start and end of a transfer where it ends first."""
        best = (-1, -1, -1, -1)
        for channel in channels:
            cycles = -(-n_bytes // self._bandwidth[channel])
            if best[0] >= 0 and ready + cycles >= best[3]:
                continue
            number, start = self._earliest(channel, ready, cycles)
            if best[0] < 0 or start + cycles < best[3]:
                best = (channel, number, start, start + cycles)
        return best

    def _earliest(self, channel: int, ready: int, cycles: int) -> tuple[int, int]:
        """Lane and start on one channel: on a lane with nothing later if that may start at once, else in idle time."""
        lanes = self._lanes[channel]
        for number, lane in enumerate(lanes):
            if lane.free <= ready:
                return number, ready
        best, first = 0, -1
        for number, lane in enumerate(lanes):
            start = lane.earliest(ready, cycles)
            if first < 0 or start < first:
                best, first = number, start
                if start == ready:
                    break
        return best, first

    def take(self, chosen: tuple[int, int, int, int]) -> None:
        """Occupy what `earliest` has given."""
        channel, number, start, end = chosen
        self._lanes[channel][number].take(start, end - start)
