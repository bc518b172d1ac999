"""Traces obey the rules of their format, and say what the schedule says."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from handmade import INSTANCES, schedule_of
from random_instances import random_instance
from random_orders import random_order, random_policy, with_more

from ssmopt.decode import decode
from ssmopt.errors import InputError
from ssmopt.export.trace import CHANNELS, CORES, write_trace
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule

from .synthetic import many_tiles
from .trace_rules import Trace


def traced(folder: Path, instance: Instance, schedule: Schedule, name: str = "trace.json") -> Trace:
    write_trace(folder / name, instance, schedule)
    return Trace(folder / name)


def random_schedule(seed: int) -> tuple[Instance, Schedule]:
    rng = random.Random(seed)
    instance = with_more(random_instance(seed), rng)
    return instance, decode(instance, random_order(instance, rng), random_policy(instance, rng))


@pytest.mark.parametrize("seed", range(40))
def test_every_tile_transfer_and_byte_is_in_the_trace(tmp_path: Path, seed: int) -> None:
    instance, schedule = random_schedule(seed)
    trace = traced(tmp_path, instance, schedule)
    tiles, transfers = schedule.tiles, schedule.transfers
    drawn = {
        (e["args"]["id"], trace.names[track], e["ts"], e["ts"] + e["dur"])
        for track, slices in trace.slices.items()
        for e in slices
        if track[0] == CORES
    }
    columns = (tiles.tile, tiles.core, tiles.start, tiles.end)
    assert drawn == {
        (instance.tile_ids[t], instance.core_ids[c], s, e)
        for t, c, s, e in zip(*(column.tolist() for column in columns), strict=True)
    }
    moved = sorted(
        (e["args"]["id"], trace.names[track].split(" lane ")[0], e["ts"], e["ts"] + e["dur"])
        for track, slices in trace.slices.items()
        for e in slices
        if track[0] == CHANNELS
    )
    columns = (transfers.tensor, transfers.channel, transfers.start, transfers.end)
    assert moved == sorted(
        (instance.tensor_ids[t], instance.channel_ids[c], s, e)
        for t, c, s, e in zip(*(column.tolist() for column in columns), strict=True)
        if e > s
    )
    peak: dict[int, int] = {}
    for series in trace.counters.values():
        for time, value in series:
            peak[time] = peak.get(time, 0) + value
    assert max(peak.values(), default=0) == schedule.peak_memory_bytes(instance.tensor_bytes)


@pytest.mark.parametrize("seed", range(40))
def test_arrows_lead_to_every_tile_from_whoever_it_could_not_do_without(tmp_path: Path, seed: int) -> None:
    instance, schedule = random_schedule(seed)
    trace = traced(tmp_path, instance, schedule)
    into: dict[str, set[str]] = {}
    for source, target in trace.flows:
        assert source["ts"] + source["dur"] <= target["ts"]
        if target["pid"] == CORES:
            into.setdefault(target["args"]["id"], set()).add(source["args"]["id"])
    for tile in range(instance.n_tiles):
        sources = into.get(instance.tile_ids[tile], set())
        for tensor in instance.inputs[tile].tolist():
            writers = {instance.tile_ids[t] for t in instance.writers[tensor].tolist()}
            # Brought by a transfer of the tensor, or made by a tile that writes it.
            loaded_nothing = instance.tensor_bytes[tensor] == 0 and not writers
            assert loaded_nothing or sources & (writers | {instance.tensor_ids[tensor]})


@pytest.mark.parametrize("which", sorted(INSTANCES))
def test_several_memories(tmp_path: Path, which: str) -> None:
    trace = traced(tmp_path, INSTANCES[which][0], schedule_of(which))
    arrows = {(a["name"], b["name"]) for a, b in trace.flows}
    expected = {
        "moved": {("load w", "p"), ("p", "move a"), ("move a", "q"), ("q", "store out")},
        # The partial sum goes round: moved, spilled, loaded, read.
        "added": {
            ("x1", "move s"), ("move s", "x2"), ("x2", "store s"), ("store s", "load s"), ("load s", "x3"),
            ("x3", "r"), ("x3", "store s"), ("r", "store o"),
        },
        "jobs": {("j1", "j2"), ("j1", "j3")},
    }  # fmt: skip
    assert arrows == expected[which]


def test_compressed_traces_are_the_same_and_the_same_again(tmp_path: Path) -> None:
    instance, schedule = random_schedule(5)
    plain = traced(tmp_path, instance, schedule)
    packed = traced(tmp_path, instance, schedule, "trace.json.gz")
    assert packed.document == plain.document
    write_trace(tmp_path / "again.json.gz", instance, schedule)
    assert (tmp_path / "again.json.gz").read_bytes() == (tmp_path / "trace.json.gz").read_bytes()


def test_lanes_are_threads(tmp_path: Path) -> None:
    instance, schedule = many_tiles(3_000, 4, lanes=3, memories=4)
    # Synthetic transfers need not fit their lanes; the trace then has as many threads as it takes.
    trace = traced(tmp_path, instance, schedule)
    names = {name for (pid, tid), name in trace.names.items() if pid == CHANNELS and tid}
    assert {"dma lane 0", "noc lane 0"} <= names or {"dma", "noc lane 0"} <= names


def test_ids_are_escaped_and_other_names_refused(tmp_path: Path) -> None:
    instance, schedule = random_schedule(3)
    text = tmp_path / "trace.json"
    write_trace(text, instance, schedule)
    assert json.loads(text.read_text(encoding="ascii"))["otherData"]["makespan_cycles"] == schedule.makespan
    with pytest.raises(InputError, match=r"\*\.json"):
        write_trace(tmp_path / "trace.pftrace", instance, schedule)
    assert [file.name for file in tmp_path.iterdir()] == ["trace.json"]


def test_the_checker_refuses_what_breaks_a_rule(tmp_path: Path) -> None:
    instance, schedule = random_schedule(5)
    write_trace(tmp_path / "good.json", instance, schedule)
    good = json.loads((tmp_path / "good.json").read_text())
    events = good["traceEvents"]
    first = {phase: next(i for i, e in enumerate(events) if e["ph"] == phase) for phase in "XCsfM"}
    last_x = max(i for i, e in enumerate(events) if e["ph"] == "X")

    long = next(e for e in events if e["ph"] == "X" and e["dur"] > 1)

    def broken(index: int, **change: object) -> list[dict[str, object]]:
        return [{**event, **change} if i == index else event for i, event in enumerate(events)]

    cases = {
        "time": broken(last_x, ts=-1),
        "zero": broken(first["X"], dur=0),
        "flow": broken(first["f"], id=10**6),
        "binding": broken(first["s"], tid=99),
        "phase": broken(first["C"], ph="Q"),
        "unnamed": events[first["X"] :],
        "overlap": sorted([*events, {**long, "ts": long["ts"] + 1}], key=lambda e: int(e["ts"])),
        "end": [e for i, e in enumerate(events) if i != first["f"]],
    }
    for name, changed in cases.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**good, "traceEvents": changed}))
        with pytest.raises((AssertionError, KeyError, IndexError)):
            Trace(path)
    assert np.all([len(s) for s in Trace(tmp_path / "good.json").slices.values()])
