"""Periodic schedules of loops as JSON, tied to their loop by its hash."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.errors import InputError
from ssmopt.files.atomic import write_text_atomically
from ssmopt.files.json_reader import (
    MAX_NUMBER,
    Entry,
    check_keys,
    document_text,
    entries,
    index_column,
    read_document,
    text,
    whole,
    whole_column,
)
from ssmopt.files.text import PathLike
from ssmopt.files.tile_instance import instance_document
from ssmopt.instance import DRAM, Instance
from ssmopt.loop import BoolArray, Loop
from ssmopt.periodic_schedule import Body, Once, PeriodicSchedule
from ssmopt.schedule import ResidencyTable, TileTable, TransferTable

FORMAT = "ssmopt-loop-schedule"
VERSION = 1

_ROWS = {
    "tiles": ("id", "core", "start", "end"),
    "transfers": ("tensor", "channel", "source", "target", "start", "end"),
    "residencies": ("tensor", "memory", "start", "end"),
}
_SKIPS = ("skip_first", "skip_last")

Table = TileTable | TransferTable | ResidencyTable


def loop_sha256(loop: Loop) -> str:
    """Hash that schedules name their loop by: of the body's document and what repeats, as UTF-8 with sorted keys."""
    names = loop.body.tensor_ids.all
    document = {
        "body": instance_document(loop.body),
        "shared": [names[t] for t in np.flatnonzero(loop.shared).tolist()],
        "carried": [
            [names[t], names[int(loop.source[t])], int(loop.distance[t])] for t in np.flatnonzero(loop.carried).tolist()
        ],
        "drains": [names[t] for t in np.flatnonzero(loop.drains).tolist()],
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def loop_schedule_document(loop: Loop, periodic: PeriodicSchedule) -> dict[str, Any]:
    """The JSON document of a periodic schedule.

    Ids are those of the body. A row of the prologue says its ``iteration``, one of the epilogue its iteration from the
    end (the last is -1), with times from ``repeats * period`` on. A row of the body says how many of the first and
    last iterations lack it, if any do. A residency of the prologue with ``lasting`` ends in the epilogue's times.
    """
    prologue = _once_rows(loop.body, periodic.prologue)
    lasting = _rows(loop.body, periodic.lasting, [{"iteration": 0, "lasting": True}] * len(periodic.lasting))
    prologue["residencies"] += lasting
    body = periodic.body
    pairs: tuple[tuple[Table, IntArray], ...] = (
        (body.tiles, body.tile_skip),
        (body.transfers, body.transfer_skip),
        (body.residencies, body.residency_skip),
    )
    return {
        "format": FORMAT,
        "version": VERSION,
        "loop": {"name": loop.body.name, "sha256": loop_sha256(loop)},
        "solver": periodic.solver,
        "makespan": periodic.makespan,
        "periodic": {
            "period": periodic.period,
            "repeats": periodic.repeats,
            "fewest_repeats": periodic.fewest_repeats,
            "prologue": prologue,
            "body": {
                name: _rows(loop.body, table, _skip_entries(skip))
                for name, (table, skip) in zip(_ROWS, pairs, strict=True)
            },
            "epilogue": _once_rows(loop.body, periodic.epilogue),
        },
    }


def write_loop_schedule(path: PathLike, loop: Loop, periodic: PeriodicSchedule) -> None:
    """Write a periodic schedule as JSON.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    write_text_atomically(path, document_text(loop_schedule_document(loop, periodic)))


def read_loop_schedule(path: PathLike, loop: Loop) -> PeriodicSchedule:
    """Read a periodic schedule of a loop from JSON.

    Only the form is checked: `ssmopt.validate_periodic` says whether the schedule is feasible.

    Raises
    ------
    InputError
        The file cannot be read, is malformed, or belongs to another loop.
    """
    document = read_document(path, FORMAT, VERSION)
    try:
        return _periodic(document, loop)
    except InputError as error:
        raise error.at(file=os.fspath(path)) from None


def _once_rows(body: Instance, once: Once) -> dict[str, list[Entry]]:
    pairs: tuple[tuple[Table, IntArray], ...] = (
        (once.tiles, once.tile_iteration),
        (once.transfers, once.transfer_iteration),
        (once.residencies, once.residency_iteration),
    )
    return {
        name: _rows(body, table, [{"iteration": i} for i in iteration.tolist()])
        for name, (table, iteration) in zip(_ROWS, pairs, strict=True)
    }


def _skip_entries(skip: IntArray) -> list[Entry]:
    return [{key: n for key, n in zip(_SKIPS, row, strict=True) if n} for row in skip.tolist()]


def _rows(body: Instance, table: Table, more: list[Entry]) -> list[Entry]:
    """Rows of a table with names, each with some more keys."""
    ends = [*body.memory_ids, "dram"]  # DRAM is index -1
    names: tuple[Any, ...]
    if isinstance(table, TileTable):
        keys, names = _ROWS["tiles"], (body.tile_ids.all, body.core_ids)
        columns = [table.tile, table.core]
    elif isinstance(table, TransferTable):
        keys, names = _ROWS["transfers"], (body.tensor_ids.all, body.channel_ids, ends, ends)
        columns = [table.tensor, table.channel, table.source, table.target]
    else:
        keys, names = _ROWS["residencies"], (body.tensor_ids.all, ends)
        columns = [table.tensor, table.memory]
    named = [[one[i] for i in column.tolist()] for one, column in zip(names, columns, strict=True)]
    values = zip(*named, table.start.tolist(), table.end.tolist(), strict=True)
    return [{**dict(zip(keys, row, strict=True)), **extra} for row, extra in zip(values, more, strict=True)]


def _periodic(document: Entry, loop: Loop) -> PeriodicSchedule:
    check_keys(document, ("format", "version", "loop", "solver", "makespan", "periodic"), (), "")
    made_for = check_keys(document["loop"], ("name", "sha256"), (), "loop")
    name, found, expected = (
        text(made_for["name"], "loop.name"),
        text(made_for["sha256"], "loop.sha256"),
        loop_sha256(loop),
    )
    if found != expected:
        raise InputError(
            f"this schedule belongs to another loop: it was made for {name!r} (sha256 {found[:12]}...), "
            f"not for {loop.body.name!r} (sha256 {expected[:12]}...)",
            key="loop.sha256",
        )
    numbers = ("period", "repeats", "fewest_repeats")
    periodic = check_keys(document["periodic"], (*numbers, "prologue", "body", "epilogue"), (), "periodic")
    period, repeats, fewest = (whole(periodic[key], f"periodic.{key}", 1) for key in numbers)
    (tiles, moves, stays), found_rows = _tables(periodic, "prologue", loop.body, ("iteration",), ("lasting",))
    of_tiles, of_moves, of_stays = _iterations(found_rows, "prologue")
    lasting = _lasting(found_rows[2])
    once = np.flatnonzero(~lasting)
    result = PeriodicSchedule(
        prologue=Once(tiles, of_tiles, moves, of_moves, _select(stays, once), of_stays[once]),
        body=_body(periodic, loop.body),
        epilogue=_epilogue(periodic, loop.body),
        lasting=_select(stays, np.flatnonzero(lasting)),
        period=period,
        repeats=repeats,
        fewest_repeats=fewest,
        solver=text(document["solver"], "solver"),
    )
    if whole(document["makespan"], "makespan", -MAX_NUMBER) != result.makespan:
        raise InputError(
            f"expected {result.makespan}, which the rows come to, not {document['makespan']}", key="makespan"
        )
    return result


def _select(stays: ResidencyTable, rows: IntArray) -> ResidencyTable:
    return ResidencyTable(stays.tensor[rows], stays.memory[rows], stays.start[rows], stays.end[rows])


def _iterations(found: list[list[Entry]], part: str) -> list[IntArray]:
    """Per list of a part the iterations of its rows."""
    return [
        whole_column(rows, f"periodic.{part}.{name}", "iteration", -MAX_NUMBER)
        for name, rows in zip(_ROWS, found, strict=True)
    ]


def _lasting(rows: list[Entry]) -> BoolArray:
    """Whether each residency of the prologue lasts over all iterations."""
    for i, row in enumerate(rows):
        if row.get("lasting", True) is not True:
            raise InputError("expected true, or no such key", key=f"periodic.prologue.residencies[{i}].lasting")
    return np.array(["lasting" in row for row in rows], dtype=np.bool_)


def _body(periodic: Entry, body: Instance) -> Body:
    (tiles, moves, stays), found = _tables(periodic, "body", body, (), _SKIPS)
    skips = [
        np.array(
            [
                [whole(row.get(key, 0), f"periodic.body.{name}[{i}].{key}", 0) for key in _SKIPS]
                for i, row in enumerate(rows)
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        for name, rows in zip(_ROWS, found, strict=True)
    ]
    return Body(tiles, skips[0], moves, skips[1], stays, skips[2])


def _epilogue(periodic: Entry, body: Instance) -> Once:
    (tiles, moves, stays), found = _tables(periodic, "epilogue", body, ("iteration",), ())
    of_tiles, of_moves, of_stays = _iterations(found, "epilogue")
    return Once(tiles, of_tiles, moves, of_moves, stays, of_stays)


def _tables(
    periodic: Entry, part: str, body: Instance, required: tuple[str, ...], optional: tuple[str, ...]
) -> tuple[tuple[TileTable, TransferTable, ResidencyTable], list[list[Entry]]]:
    """The three tables of a part, and their rows."""
    lists = check_keys(periodic[part], tuple(_ROWS), (), f"periodic.{part}")
    labelled = {f"periodic.{part}.{name}": lists[name] for name in _ROWS}
    found = [
        entries(labelled, label, (*keys, *required), optional)
        for label, keys in zip(labelled, _ROWS.values(), strict=True)
    ]
    memories = {name: i for i, name in enumerate(body.memory_ids)}
    lookup = {
        "id": (body.tile_ids.lookup, "tile"),
        "core": ({name: i for i, name in enumerate(body.core_ids)}, "core"),
        "tensor": (body.tensor_ids.lookup, "tensor"),
        "channel": ({name: i for i, name in enumerate(body.channel_ids)}, "channel"),
        "memory": (memories, "memory"),
        "source": ({**memories, "dram": DRAM}, "memory"),
        "target": ({**memories, "dram": DRAM}, "memory"),
    }
    columns = [
        [
            index_column(rows, label, key, *lookup[key])
            if key in lookup
            else whole_column(rows, label, key, -MAX_NUMBER)
            for key in keys
        ]
        for (label, rows), keys in zip(zip(labelled, found, strict=True), _ROWS.values(), strict=True)
    ]
    return (TileTable(*columns[0]), TransferTable(*columns[1]), ResidencyTable(*columns[2])), found
