"""Periodic schedules of prompts as JSON: rows of the short schedule, by whether they happen once or repeat."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from ssmopt.errors import InputError
from ssmopt.files.atomic import write_text_atomically
from ssmopt.files.json_reader import check_keys, document_text, read_document, whole
from ssmopt.files.schedule import FORMAT, VERSION, schedule_document, schedule_from_document
from ssmopt.files.text import PathLike
from ssmopt.files.tiling import tiling_from_document
from ssmopt.folded import AFTER, BEFORE, REPEATED, FoldedSchedule, Parts
from ssmopt.problem import Problem
from ssmopt.result import Bound
from ssmopt.workload.tiles import build_tiles

_PARTS = {"prologue": BEFORE, "body": REPEATED, "epilogue": AFTER}
_LISTS = ("tiles", "transfers", "residencies")
_NUMBERS = ("seq_len", "short_seq_len", "round_tokens", "repeated", "period", "repeats")


def folded_document(folded: FoldedSchedule, *, status: str, bound: Bound) -> dict[str, Any]:
    """The JSON document of a schedule in closed form.

    Ids and times are those of the short schedule. Copy ``j`` of the body is ``j * period`` cycles and
    ``j * round_tokens`` tokens later, the epilogue as much as the last copy. A residency of the prologue that ends in
    the epilogue says ``"lasting": true``.
    """
    document = schedule_document(folded.short, folded.schedule, status=status, bound=bound)
    rows = {name: document.pop(name) for name in _LISTS}
    lasting = folded.begin_part != folded.end_part
    for row in np.flatnonzero(lasting).tolist():
        rows["residencies"][row]["lasting"] = True
    part_of = dict(zip(_LISTS, (folded.tile_part, folded.transfer_part, folded.begin_part), strict=True))
    assert folded.short.problem is not None
    return {
        **document,
        "makespan": folded.makespan,
        "periodic": {
            "seq_len": folded.problem.seq_len,
            "short_seq_len": folded.short.problem.seq_len,
            "round_tokens": folded.round_tokens,
            "repeated": folded.repeated,
            "period": folded.period,
            "repeats": folded.repeats,
            **{
                part: {
                    name: [rows[name][i] for i in np.flatnonzero(part_of[name] == number).tolist()] for name in _LISTS
                }
                for part, number in _PARTS.items()
            },
        },
    }


def write_folded(path: PathLike, folded: FoldedSchedule, *, status: str, bound: Bound) -> None:
    """Write a schedule in closed form as JSON.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    write_text_atomically(path, document_text(folded_document(folded, status=status, bound=bound)))


def read_folded(path: PathLike, problem: Problem) -> FoldedSchedule | None:
    """Read a schedule in closed form of a problem; None if the file holds an ordinary one.

    Raises
    ------
    InputError
        The file cannot be read, is malformed, or belongs to another problem.
    """
    document = read_document(path, FORMAT, VERSION)
    if "periodic" not in document:
        return None
    try:
        return folded_from_document(document, problem)
    except InputError as error:
        raise error.at(file=os.fspath(path)) from None


def folded_from_document(document: dict[str, Any], problem: Problem) -> FoldedSchedule:
    """The schedule in closed form of a document that has been read.

    Raises
    ------
    InputError
        It is malformed, or belongs to another problem.
    """
    periodic = check_keys(document["periodic"], (*_NUMBERS, *_PARTS), (), "periodic")
    number = {name: whole(periodic[name], f"periodic.{name}", 1) for name in _NUMBERS}
    if number["seq_len"] != problem.seq_len:
        raise InputError(
            f"this schedule is of {number['seq_len']:,} tokens, not of {problem.seq_len:,}", key="periodic.seq_len"
        )
    rows: dict[str, list[Any]] = {name: [] for name in _LISTS}
    parts: dict[str, list[int]] = {name: [] for name in _LISTS}
    ends: list[int] = []
    for part, code in _PARTS.items():
        lists = check_keys(periodic[part], _LISTS, (), f"periodic.{part}")
        for name in _LISTS:
            if not isinstance(lists[name], list) or not all(isinstance(row, dict) for row in lists[name]):
                raise InputError("expected a list of rows", key=f"periodic.{part}.{name}")
            rows[name] += lists[name]
            parts[name] += [code] * len(lists[name])
    for at, row in enumerate(rows["residencies"]):
        if "lasting" in row and (row["lasting"] is not True or parts["residencies"][at] != BEFORE):
            raise InputError("expected true, in the prologue, or no such key", key=f"residencies[{at}].lasting")
        ends.append(AFTER if "lasting" in row else parts["residencies"][at])
        rows["residencies"][at] = {key: value for key, value in row.items() if key != "lasting"}
    if "tiling" not in document:
        raise InputError("a periodic schedule has to say its tiling", key="tiling")
    short = build_tiles(
        dataclasses.replace(problem, seq_len=number["short_seq_len"]), tiling_from_document(document["tiling"])
    )
    plain = {key: value for key, value in document.items() if key != "periodic"}
    schedule = schedule_from_document({**plain, **rows}, short)
    schedule = dataclasses.replace(
        schedule, makespan=max(int(table.end.max(initial=0)) for table in (schedule.tiles, schedule.transfers))
    )

    def column(values: list[int]) -> Parts:
        return np.array(values, dtype=np.int8)

    folded = FoldedSchedule(
        problem,
        short,
        schedule,
        number["round_tokens"],
        number["repeated"],
        number["period"],
        column(parts["tiles"]),
        column(parts["transfers"]),
        column(parts["residencies"]),
        column(ends),
    )
    for name, expected in (("makespan", folded.makespan), ("repeats", folded.repeats)):
        said = document["makespan"] if name == "makespan" else number["repeats"]
        if said != expected:
            raise InputError(f"expected {expected:,}, which the rows come to, not {said!r}", key=name)
    return folded
