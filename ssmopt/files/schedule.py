"""Schedules as JSON, tied to their tile instance by its hash."""

from __future__ import annotations

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
from ssmopt.files.tile_instance import instance_sha256
from ssmopt.files.tiling import tiling_document, tiling_from_document
from ssmopt.instance import DRAM, Instance
from ssmopt.result import FEASIBLE, OPTIMAL, Bound
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable

FORMAT = "ssmopt-schedule"
VERSION = 1

_HEADER = ("format", "version", "instance", "solver", "status", "makespan", "lower_bound", "bound_reason")


def schedule_document(instance: Instance, schedule: Schedule, *, status: str, bound: Bound) -> dict[str, Any]:
    """The JSON document of a schedule.

    Parameters
    ----------
    instance, schedule
        The tile instance, and a schedule of it.
    status
        ``OPTIMAL`` or ``FEASIBLE``.
    bound
        The lower bound (cycles) that the schedule is measured against.
    """
    tensors, tiles = instance.tensor_ids.all, instance.tile_ids.all
    ends = [*instance.memory_ids, "dram"]  # DRAM is index -1
    return {
        "format": FORMAT,
        "version": VERSION,
        "instance": {"name": instance.name, "sha256": instance_sha256(instance)},
        "solver": schedule.solver,
        "status": status,
        "makespan": schedule.makespan,
        "lower_bound": bound.cycles,
        "bound_reason": bound.reason,
        **({} if instance.tiling is None else {"tiling": tiling_document(instance.tiling)}),
        "tiles": [
            {"id": tiles[tile], "core": instance.core_ids[core], "start": start, "end": end}
            for tile, core, start, end in _rows(
                schedule.tiles.tile, schedule.tiles.core, schedule.tiles.start, schedule.tiles.end
            )
        ],
        "transfers": [
            {
                "tensor": tensors[tensor],
                "channel": instance.channel_ids[channel],
                "source": ends[source],
                "target": ends[target],
                "start": start,
                "end": end,
            }
            for tensor, channel, source, target, start, end in _rows(
                schedule.transfers.tensor,
                schedule.transfers.channel,
                schedule.transfers.source,
                schedule.transfers.target,
                schedule.transfers.start,
                schedule.transfers.end,
            )
        ],
        "residencies": [
            {"tensor": tensors[tensor], "memory": ends[memory], "start": start, "end": end, **offset}
            for (tensor, memory, start, end), offset in zip(
                _rows(
                    schedule.residencies.tensor,
                    schedule.residencies.memory,
                    schedule.residencies.start,
                    schedule.residencies.end,
                ),
                _offset_entries(schedule.residencies),
                strict=True,
            )
        ],
    }


def write_schedule(path: PathLike, instance: Instance, schedule: Schedule, *, status: str, bound: Bound) -> None:
    """Write a schedule as JSON; the parameters are those of `schedule_document`.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    write_text_atomically(path, document_text(schedule_document(instance, schedule, status=status, bound=bound)))


def read_schedule(path: PathLike, instance: Instance) -> Schedule:
    """Read a schedule of a tile instance from JSON.

    Only the form is checked: whether the schedule is feasible is for the validator to say.

    Raises
    ------
    InputError
        The file cannot be read, is malformed, or belongs to another instance.
    """
    document = read_document(path, FORMAT, VERSION)
    try:
        return schedule_from_document(document, instance)
    except InputError as error:
        raise error.at(file=os.fspath(path)) from None


def _rows(*columns: IntArray) -> zip[tuple[Any, ...]]:
    return zip(*(column.tolist() for column in columns), strict=True)


def _offset_entries(residencies: ResidencyTable) -> list[dict[str, int]]:
    """Per residency what says its address, if it has one."""
    if residencies.offset is None:
        return [{}] * len(residencies)
    return [{"offset": offset} for offset in residencies.offset.tolist()]


def _offsets(found: list[Entry]) -> IntArray | None:
    """First byte of each residency; None when no addresses are given."""
    given = ["offset" in residency for residency in found]
    if not any(given):
        return None
    for row, residency in enumerate(found):
        if given[row]:
            whole(residency["offset"], f"residencies[{row}].offset", 0)
    if not all(given):
        missing = given.index(False)
        raise InputError(
            "has no offset although others have: give one to every residency or to none", key=f"residencies[{missing}]"
        )
    return np.array([residency["offset"] for residency in found], dtype=np.int64)


def schedule_from_document(document: Entry, instance: Instance) -> Schedule:
    """The schedule of a document that has been read.

    Raises
    ------
    InputError
        It is malformed, belongs to another instance, or is periodic.
    """
    if "periodic" in document:
        raise InputError(
            "this periodic schedule is for a model on hardware, not for tiles: give the name or the instance file",
            key="periodic",
        )
    check_keys(document, (*_HEADER, "tiles", "transfers", "residencies"), ("tiling",), "")
    _check_instance(document["instance"], instance)
    text(document["status"], "status", (OPTIMAL, FEASIBLE))
    whole(document["lower_bound"], "lower_bound", 0)
    if "tiling" in document:
        tiling_from_document(document["tiling"])
    text(document["bound_reason"], "bound_reason")
    tiles = entries(document, "tiles", ("id", "core", "start", "end"))
    transfers = entries(document, "transfers", ("tensor", "channel", "source", "target", "start", "end"))
    residencies = entries(document, "residencies", ("tensor", "memory", "start", "end"), ("offset",))

    cores = {name: i for i, name in enumerate(instance.core_ids)}
    channels = {name: i for i, name in enumerate(instance.channel_ids)}
    memories = {name: i for i, name in enumerate(instance.memory_ids)}
    ends = {**memories, "dram": DRAM}
    tensors = instance.tensor_ids.lookup
    return Schedule(
        tiles=TileTable(
            tile=index_column(tiles, "tiles", "id", instance.tile_ids.lookup, "tile"),
            core=index_column(tiles, "tiles", "core", cores, "core"),
            start=_times(tiles, "tiles", "start"),
            end=_times(tiles, "tiles", "end"),
        ),
        transfers=TransferTable(
            tensor=index_column(transfers, "transfers", "tensor", tensors, "tensor"),
            channel=index_column(transfers, "transfers", "channel", channels, "channel"),
            source=index_column(transfers, "transfers", "source", ends, "memory"),
            target=index_column(transfers, "transfers", "target", ends, "memory"),
            start=_times(transfers, "transfers", "start"),
            end=_times(transfers, "transfers", "end"),
        ),
        residencies=ResidencyTable(
            tensor=index_column(residencies, "residencies", "tensor", tensors, "tensor"),
            memory=index_column(residencies, "residencies", "memory", memories, "memory"),
            start=_times(residencies, "residencies", "start"),
            end=_times(residencies, "residencies", "end"),
            offset=_offsets(residencies),
        ),
        makespan=whole(document["makespan"], "makespan", -MAX_NUMBER),
        solver=text(document["solver"], "solver"),
    )


def _times(found: list[Entry], name: str, field: str) -> IntArray:
    """Times may be odd, even negative: the validator names the rule that they break."""
    return whole_column(found, name, field, -MAX_NUMBER)


def _check_instance(entry: object, instance: Instance) -> None:
    made_for = check_keys(entry, ("name", "sha256"), (), "instance")
    name = text(made_for["name"], "instance.name")
    found = text(made_for["sha256"], "instance.sha256")
    expected = instance_sha256(instance)
    if found != expected:
        raise InputError(
            f"this schedule belongs to another instance: it was made for {name!r} (sha256 {found[:12]}...), "
            f"not for {instance.name!r} (sha256 {expected[:12]}...)",
            key="instance.sha256",
        )
