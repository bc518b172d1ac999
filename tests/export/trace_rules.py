"""The rules of Chrome's trace event format, as a parser: what a viewer relies on, checked event by event."""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path
from typing import Any

Event = dict[str, Any]
Track = tuple[int, int]

METADATA = {
    "process_name": "name", "thread_name": "name", "process_sort_index": "sort_index", "thread_sort_index": "sort_index"
}  # fmt: skip
REQUIRED = {
    "X": {"name", "cat", "ts", "dur", "pid", "tid"}, "C": {"name", "ts", "pid", "args"}, "M": {"name", "pid", "args"},
    "s": {"name", "cat", "id", "ts", "pid", "tid"}, "f": {"name", "cat", "id", "ts", "pid", "tid", "bp"},
}  # fmt: skip


class Trace:
    """A trace that obeys the rules; an AssertionError otherwise.

    Attributes
    ----------
    slices
        Complete events by track (pid and tid), by time.
    flows
        The slices that each arrow leaves and reaches.
    counters
        Values by counter and series: pairs of time and value.
    names
        Names of processes (tid 0) and threads.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        document = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
        assert isinstance(document, dict)
        events = document["traceEvents"]
        self.document = document
        self.slices: dict[Track, list[Event]] = defaultdict(list)
        self.counters: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        self.names: dict[Track, str] = {}
        self.flows: list[tuple[Event, Event]] = []
        clock = 0
        for event in events:
            phase = event["ph"]
            assert phase in REQUIRED, event
            assert REQUIRED[phase] <= set(event), event
            assert isinstance(event["pid"], int), event
            if phase == "M":
                self._metadata(event)
                continue
            assert type(event["ts"]) is int, event
            assert event["ts"] >= clock, f"goes back in time: {event}"
            clock = event["ts"]
            if phase == "X":
                assert event["dur"] > 0, event
                self.slices[event["pid"], event["tid"]].append(event)
            elif phase == "C":
                assert "tid" not in event, f"counters belong to processes: {event}"
                for series, value in event["args"].items():
                    assert type(value) is int, event
                    self.counters[event["name"], series].append((event["ts"], value))
        self._nesting()
        self._flows([event for event in events if event["ph"] in "sf"])

    def _metadata(self, event: Event) -> None:
        key = METADATA[event["name"]]
        assert set(event["args"]) == {key}, event
        if key == "name":
            where = (event["pid"], event["tid"] if event["name"] == "thread_name" else 0)
            # Perfetto names threads by their number alone, and takes one of its process's number for the main thread.
            numbers = [tid for _, tid in self.names if tid] + [pid for pid, tid in self.names if not tid]
            assert where[1] not in numbers, f"a number taken by another thread or process: {event}"
            assert where not in self.names, f"named twice: {event}"
            self.names[where] = event["args"]["name"]

    def _nesting(self) -> None:
        """Slices of a thread lie apart or within each other; every thread and process has a name."""
        for track, slices in self.slices.items():
            assert track in self.names, track
            assert (track[0], 0) in self.names, track
            stack: list[int] = []
            for event in slices:
                while stack and stack[-1] <= event["ts"]:
                    stack.pop()
                end = event["ts"] + event["dur"]
                assert not stack or end <= stack[-1], f"overlaps without nesting: {event}"
                stack.append(end)

    def _flows(self, events: list[Event]) -> None:
        """Each arrow begins once, then ends once, both within a slice of the thread that they name."""
        starts = {track: [e["ts"] for e in slices] for track, slices in self.slices.items()}
        open_: dict[tuple[str, int], Event] = {}
        done: set[tuple[str, int]] = set()
        for event in events:
            key = (event["cat"], event["id"])
            track = (event["pid"], event["tid"])
            place = bisect_right(starts[track], event["ts"]) - 1
            assert place >= 0, f"binds to no slice: {event}"
            found = self.slices[track][place]
            assert found["ts"] <= event["ts"] < found["ts"] + found["dur"], f"binds to no slice: {event}"
            if event["ph"] == "s":
                assert key not in open_, event
                assert key not in done, event
                open_[key] = found
            else:
                assert event["bp"] == "e", event
                self.flows.append((open_.pop(key), found))
                done.add(key)
        assert not open_, "arrows without an end"
