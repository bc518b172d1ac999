"""Schedules as traces that ui.perfetto.dev and chrome://tracing open: Chrome's JSON trace event format.

One microsecond of the trace is one cycle, so that every time is a whole number. Cores and lanes of channels are
threads, tiles and transfers complete events (``X``), bytes in each memory counters (``C``), and arrows (``s`` and
``f``) lead from what made or moved a tensor to what used it next.

Format: "Trace Event Format", Google, 2016.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ssmopt.csr import Csr, IntArray, expand_ranges
from ssmopt.errors import InputError
from ssmopt.explain.causes import Causes, find_causes, reason_name
from ssmopt.explain.chain import labels, name_of
from ssmopt.explain.lanes import assign_lanes
from ssmopt.explain.latest import LatestEvents
from ssmopt.export.occupancy import levels_by_kind
from ssmopt.files.atomic import write_bytes_atomically
from ssmopt.instance import DRAM, KINDS, Instance
from ssmopt.schedule import Schedule

CORES, CHANNELS, MEMORIES = 1, 2, 3
"""Process ids of the trace."""

FIRST_THREAD = 10
"""Threads are numbered from here on, all processes together: viewers take a thread of a process's own number for its
main one, and some know threads by their number alone.
"""

SUFFIXES = (".json", ".json.gz")
"""What the name of a trace may end in."""

Event = dict[str, Any]


def trace_events(instance: Instance, schedule: Schedule) -> Iterator[Event]:
    """The events of a feasible schedule: first names, then everything by time.

    Parameters
    ----------
    instance, schedule
        The schedule must be feasible.
    """
    lane = assign_lanes(schedule.transfers)
    thread, process = _threads(instance, schedule, lane)
    yield from _names(instance, schedule, lane)
    causes = find_causes(instance, schedule)
    shown = np.flatnonzero(causes.end > causes.start)
    arrows = _arrows(instance, schedule, causes)
    # At equal times slices come before the arrows that bind to them.
    slices = sorted(shown.tolist(), key=lambda row: int(causes.start[row]))
    timed: list[tuple[int, int, Event]] = []
    _, what = labels(instance, schedule)
    for row in slices:
        timed.append((int(causes.start[row]), 0, _slice(instance, schedule, causes, row, process, thread, what)))
    for number, (source, target) in enumerate(arrows, start=1):
        # The arrow leaves in the last cycle of its source: at the end the next slice has begun.
        begin, end = int(causes.end[source]) - 1, int(causes.start[target])
        common = {"name": "tensor", "cat": "flow", "id": number}
        timed.append((begin, 1, {"ph": "s", **common, "ts": begin, **_where(source, process, thread)}))
        timed.append((end, 2, {"ph": "f", "bp": "e", **common, "ts": end, **_where(target, process, thread)}))
    timed += [(event["ts"], 3, event) for event in _counters(instance, schedule)]
    timed.sort(key=lambda item: item[:2])
    for _, _, event in timed:
        yield event


def write_trace(path: str | os.PathLike[str], instance: Instance, schedule: Schedule) -> None:
    """Write the trace of a feasible schedule, compressed if the name ends in ``.gz``; the whole file or nothing.

    Raises
    ------
    InputError
        The name ends otherwise, or the file cannot be written.
    """
    check_trace_name(path)
    encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, check_circular=False).encode
    lines = [encode(event) for event in trace_events(instance, schedule)]
    about = json.dumps(
        {
            "instance": instance.name,
            "solver": schedule.solver,
            "makespan_cycles": schedule.makespan,
            "unit": "1 us = 1 cycle",
        }
    )
    text = f'{{"displayTimeUnit":"ns","otherData":{about},"traceEvents":[\n' + ",\n".join(lines) + "\n]}\n"
    data = text.encode("ascii")
    write_bytes_atomically(path, gzip.compress(data, 6, mtime=0) if os.fspath(path).endswith(".gz") else data)


def check_trace_name(path: str | os.PathLike[str]) -> None:
    """Raise `InputError` unless a trace can have this name."""
    if not os.fspath(path).lower().endswith(SUFFIXES):
        raise InputError(f"a trace is named *{' or *'.join(SUFFIXES)}", file=os.fspath(path))


def _threads(instance: Instance, schedule: Schedule, lane: IntArray) -> tuple[IntArray, IntArray]:
    """Per activity its thread and process."""
    first = instance.n_cores + np.cumsum(instance.channel_lanes) - instance.channel_lanes
    channel = schedule.transfers.channel
    thread = np.concatenate([schedule.tiles.core, first[channel] + lane]) + FIRST_THREAD
    n_tiles, n_transfers = len(schedule.tiles), len(schedule.transfers)
    process = np.repeat(np.array([CORES, CHANNELS], dtype=np.int64), [n_tiles, n_transfers])
    return thread, process


def _where(row: int, process: IntArray, thread: IntArray) -> Event:
    return {"pid": int(process[row]), "tid": int(thread[row])}


def _names(instance: Instance, schedule: Schedule, lane: IntArray) -> Iterator[Event]:
    threads = [(CORES, i, name) for i, name in enumerate(instance.core_ids, start=FIRST_THREAD)]
    number = FIRST_THREAD + instance.n_cores
    for channel, (name, lanes) in enumerate(zip(instance.channel_ids, instance.channel_lanes.tolist(), strict=True)):
        used = 1 + int(lane[schedule.transfers.channel == channel].max(initial=0))
        for k in range(used):
            threads.append((CHANNELS, number + k, name if lanes == 1 else f"{name} lane {k}"))
        number += lanes
    for pid, name in ((CORES, "cores"), (CHANNELS, "channels"), (MEMORIES, "memories")):
        yield {"ph": "M", "name": "process_name", "pid": pid, "ts": 0, "args": {"name": name}}
        yield {"ph": "M", "name": "process_sort_index", "pid": pid, "ts": 0, "args": {"sort_index": pid}}
    for pid, tid, name in threads:
        yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "ts": 0, "args": {"name": name}}
        yield {"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": tid, "ts": 0, "args": {"sort_index": tid}}


def _slice(
    instance: Instance, schedule: Schedule, causes: Causes, row: int, process: IntArray, thread: IntArray,
    what: list[str],
) -> Event:  # fmt: skip
    start, is_tile = int(causes.start[row]), row < causes.n_tiles
    name = name_of(instance, schedule, row)
    args: Event = {"id": name, "start_cycle": start, "end_cycle": int(causes.end[row])}
    if not is_tile:
        tensor = int(schedule.transfers.tensor[row - causes.n_tiles])
        args["bytes"] = int(instance.tensor_bytes[tensor])
    args["waited_for"] = reason_name(int(causes.reason[row]), is_tile)
    blocker = int(causes.waited_for[row])
    if blocker >= 0:
        args["after"] = name_of(instance, schedule, blocker)
    return {
        "ph": "X", "name": what[row] if is_tile else f"{what[row].split()[0]} {name}",
        "cat": "tile" if is_tile else "transfer", "ts": start, "dur": int(causes.end[row]) - start,
        **_where(row, process, thread), "args": args,
    }  # fmt: skip


def _counters(instance: Instance, schedule: Schedule) -> Iterator[Event]:
    """Bytes in every memory by kind of tensor, after each change."""
    for memory, name in enumerate(instance.memory_ids):
        moments, levels = levels_by_kind(instance, schedule, memory)
        used = np.flatnonzero(levels.any(axis=0)).tolist()
        if not used:
            continue
        for ts, level in zip(moments.tolist(), levels.tolist(), strict=True):
            args = {KINDS[code]: level[code] for code in used}
            yield {"ph": "C", "name": f"{name} bytes", "pid": MEMORIES, "ts": ts, "args": args}


def _arrows(instance: Instance, schedule: Schedule, causes: Causes) -> list[tuple[int, int]]:
    """Pairs of activities: what brought a tensor to where it is used, and its user; each pair once.

    What a tile reads comes from the last transfer that brought it into the tile's memory or the last tile that wrote
    it, whichever is later; so does what a transfer takes from where it starts.
    """
    tiles, transfers, n_tiles = schedule.tiles, schedule.transfers, causes.n_tiles
    places = instance.n_memories + 1
    moving = np.flatnonzero(transfers.end > transfers.start)
    arrived = LatestEvents(transfers.tensor[moving] * places + transfers.target[moving] - DRAM, transfers.end[moving])

    def users(rows: Csr) -> tuple[IntArray, IntArray]:
        slots, owner = expand_ranges(rows.indptr[tiles.tile], rows.indptr[tiles.tile + 1])
        return owner, rows.indices[slots]

    reader, read = users(instance.inputs)
    adder, added = users(instance.accumulates)
    user = np.concatenate([reader, adder, moving + n_tiles])
    tensor = np.concatenate([read, added, transfers.tensor[moving]])
    memory = instance.core_memory[tiles.core]
    place = np.concatenate([memory[reader], memory[adder], transfers.source[moving]])
    owner, written = users(instance.writes)
    writers = LatestEvents(written, causes.end[owner])
    came, made = (
        arrived.up_to(tensor * places + place - DRAM, causes.start[user]),
        writers.up_to(tensor, causes.start[user]),
    )
    # Whoever adds to a tensor makes all other copies invalid, so that the latest event is where this one comes from.
    by_transfer = np.where(came >= 0, transfers.end[moving[came]], -1) if len(moving) else np.full(len(user), -1)
    by_tile = np.where(made >= 0, causes.end[owner[made]], -1) if len(owner) else np.full(len(user), -1)
    source = np.where(
        by_transfer >= by_tile,
        moving[came] + n_tiles if len(moving) else -1,
        owner[made] if len(owner) else -1,
    )
    known = np.maximum(by_transfer, by_tile) >= 0
    every = np.unique(np.stack([source[known], user[known]], axis=1), axis=0)
    return [(a, b) for a, b in every.tolist() if a != b]
