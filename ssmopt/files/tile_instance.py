"""Tile instances as JSON: the format in which other programs give problems to the solver, or take them from it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from ssmopt.csr import Csr, IntArray
from ssmopt.errors import InputError
from ssmopt.files.atomic import write_text_atomically
from ssmopt.files.json_reader import (
    Entry,
    check_id,
    check_keys,
    document_text,
    entries,
    index_column,
    index_lists,
    read_document,
    text,
    unique_ids,
    whole,
    whole_column,
)
from ssmopt.files.text import PathLike
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, KINDS, NOT_ADMISSIBLE, Instance, TileMeta

FORMAT = "ssmopt-tile-instance"
VERSION = 1

MAX_SUMMED = 2**40
"""Largest size of a tensor and duration of a tile: the sum over four million of them still fits 64 bits."""

MAX_RANGE = 2**31 - 1
"""Largest end of a range in ``meta``, which is kept in 32 bits."""


def instance_document(instance: Instance) -> dict[str, Any]:
    """The JSON document of a tile instance, defaults written out, empty ``accumulates`` left out."""
    ends = [*instance.memory_ids, "dram"]  # DRAM is index -1
    memory_bytes, bandwidth, lanes = (
        column.tolist() for column in (instance.memory_capacity, instance.channel_bandwidth, instance.channel_lanes)
    )
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": instance.name,
        "memories": [
            {"id": name, "capacity": capacity} for name, capacity in zip(instance.memory_ids, memory_bytes, strict=True)
        ],
        "cores": [
            {"id": name, "memory": ends[memory]}
            for name, memory in zip(instance.core_ids, instance.core_memory.tolist(), strict=True)
        ],
        "channels": [
            {"id": name, "bandwidth": bandwidth[i], "connects": [ends[end] for end in connects], "lanes": lanes[i]}
            for i, (name, connects) in enumerate(zip(instance.channel_ids, instance.channel_connects, strict=True))
        ],
        "tensors": [
            {"id": name, "bytes": size, "kind": KINDS[kind]}
            for name, size, kind in zip(
                instance.tensor_ids.all, instance.tensor_bytes.tolist(), instance.tensor_kind.tolist(), strict=True
            )
        ],
        "tiles": _tile_entries(instance),
    }


def instance_sha256(instance: Instance) -> str:
    """Hash that schedules name their instance by: of the document with sorted keys and no spaces, as UTF-8."""
    document = instance_document(instance)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def write_instance(path: PathLike, instance: Instance) -> None:
    """Write a tile instance as JSON.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    write_text_atomically(path, document_text(instance_document(instance)))


def read_instance(path: PathLike) -> Instance:
    """Read a tile instance from JSON.

    Raises
    ------
    InputError
        The file cannot be read or is not a valid tile instance; the message names the entry.
    """
    document = read_document(path, FORMAT, VERSION)
    try:
        return _instance(document)
    except InputError as error:
        raise error.at(file=os.fspath(path)) from None


def _tile_entries(instance: Instance) -> list[Entry]:
    tensors = instance.tensor_ids.all
    inputs, outputs, accumulates = (
        _named(rows, tensors) for rows in (instance.inputs, instance.outputs, instance.accumulates)
    )
    durations = _duration_entries(instance)
    tiles = []
    for i, name in enumerate(instance.tile_ids.all):
        tile = {"id": name, "durations": durations[i], "inputs": inputs[i], "outputs": outputs[i]}
        if accumulates[i]:
            tile["accumulates"] = accumulates[i]
        tiles.append(tile)
    if instance.meta is not None:
        for tile, meta in zip(tiles, _meta_entries(instance.meta), strict=True):
            tile["meta"] = meta
    return tiles


def _named(rows: Csr, names: list[str]) -> list[list[str]]:
    flat = [names[i] for i in rows.indices.tolist()]
    return [flat[start:end] for start, end in pairwise(rows.indptr.tolist())]


def _duration_entries(instance: Instance) -> list[dict[str, int]]:
    """Per tile: cycles on each core that can run it. Tiles with equal durations share one object."""
    if instance.n_tiles == 0:
        return []
    distinct, which = np.unique(instance.duration, axis=0, return_inverse=True)
    cores = list(zip(instance.core_ids, instance.core_kind.tolist(), strict=True))
    shared = [{name: row[kind] for name, kind in cores if row[kind] != NOT_ADMISSIBLE} for row in distinct.tolist()]
    return [shared[i] for i in which.reshape(-1).tolist()]


def _meta_entries(meta: TileMeta) -> list[Entry]:
    return [
        {
            "operator": meta.operators[operator],
            "ranges": {dim: [start, end] for dim, start, end in zip(meta.dims, low, high, strict=True) if start >= 0},
        }
        for operator, low, high in zip(meta.operator.tolist(), meta.low.tolist(), meta.high.tolist(), strict=True)
    ]


def _instance(document: Entry) -> Instance:
    lists = ("memories", "cores", "channels", "tensors", "tiles")
    check_keys(document, ("format", "version", "name", *lists), (), "")
    memories = entries(document, "memories", ("id", "capacity"))
    cores = entries(document, "cores", ("id", "memory"))
    channels = entries(document, "channels", ("id", "bandwidth", "connects"), ("lanes",))
    tensors = entries(document, "tensors", ("id", "bytes", "kind"))
    tiles = entries(document, "tiles", ("id", "durations", "inputs", "outputs"), ("accumulates", "meta"))

    memory_ids = unique_ids(memories, "memories")
    if "dram" in memory_ids:
        raise InputError(
            "'dram' always means off-chip memory; call the memory something else",
            key=f"memories[{memory_ids.index('dram')}].id",
        )
    memory_index = _index(memory_ids)
    core_ids = unique_ids(cores, "cores")
    tensor_ids = unique_ids(tensors, "tensors")
    tensor_index = _index(tensor_ids)
    tile_ids = unique_ids(tiles, "tiles")
    core_kind, duration = _read_durations(tiles, _index(core_ids))
    inputs, outputs, accumulates = (
        Csr.from_lists(index_lists(tiles, "tiles", field, tensor_index, "tensor"))
        for field in ("inputs", "outputs", "accumulates")
    )
    for channel in channels:
        channel.setdefault("lanes", 1)
    return Instance(
        name=text(document["name"], "name"),
        memory_ids=tuple(memory_ids),
        memory_capacity=whole_column(memories, "memories", "capacity", 1),
        core_ids=tuple(core_ids),
        core_memory=index_column(cores, "cores", "memory", memory_index, "memory"),
        core_kind=core_kind,
        channel_ids=tuple(unique_ids(channels, "channels")),
        channel_bandwidth=whole_column(channels, "channels", "bandwidth", 1),
        channel_lanes=whole_column(channels, "channels", "lanes", 1),
        channel_connects=_read_connects(channels, memory_index),
        tensor_ids=Ids.of(tensor_ids),
        tensor_bytes=whole_column(tensors, "tensors", "bytes", 0, MAX_SUMMED),
        tensor_kind=index_column(tensors, "tensors", "kind", _index(KINDS), "kind").astype(np.int8),
        tile_ids=Ids.of(tile_ids),
        duration=duration,
        inputs=inputs,
        outputs=outputs,
        accumulates=accumulates,
        meta=_read_meta(tiles),
    )


def _index(names: list[str] | tuple[str, ...]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


def _read_connects(channels: list[Entry], memory_index: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
    connects = index_lists(channels, "channels", "connects", {**memory_index, "dram": DRAM}, "memory")
    for i, ends in enumerate(connects):
        if len(ends) < 2 or len(set(ends)) < len(ends):
            raise InputError("expected at least two ends, all different", key=f"channels[{i}].connects")
    return tuple(map(tuple, connects))


def _read_durations(tiles: list[Entry], core_index: Mapping[str, int]) -> tuple[IntArray, IntArray]:
    """Kind of each core, and ``duration[tile, kind]``: cores that take equally long for every tile are of one kind."""
    by_core = np.full((len(core_index), len(tiles)), NOT_ADMISSIBLE, dtype=np.int64)
    for i, tile in enumerate(tiles):
        durations = tile["durations"]
        if type(durations) is not dict or not durations:
            raise InputError(
                f"tile {tile['id']!r}: expected an object with the cycles on each core that can run the tile",
                key=f"tiles[{i}].durations",
            )
        for core, cycles in durations.items():
            column = core_index.get(core)
            if column is None or type(cycles) is not int or not 0 < cycles <= MAX_SUMMED:
                key, label = f"tiles[{i}].durations", f"tile {tile['id']!r}: "
                column = check_id(core, key, core_index, "core", label)
                whole(cycles, f"{key}.{core}", 1, MAX_SUMMED, label)
            by_core[column, i] = cycles
    kinds: dict[bytes, int] = {}
    core_kind = [kinds.setdefault(row.tobytes(), len(kinds)) for row in by_core]
    first = [core_kind.index(kind) for kind in range(len(kinds))]
    return np.array(core_kind, dtype=np.int64), np.ascontiguousarray(by_core[first].T)


def _read_meta(tiles: list[Entry]) -> TileMeta | None:
    """What the tiles compute. All tiles or none say so, since tools that use it need it of every tile."""
    if not any("meta" in tile for tile in tiles):
        return None
    operators: dict[str, int] = {}
    dims: dict[str, int] = {}
    operator, rows, columns, low, high = [], [], [], [], []
    for i, tile in enumerate(tiles):
        key, label = f"tiles[{i}].meta", f"tile {tile['id']!r}: "
        if "meta" not in tile:
            raise InputError(f"{label}has no meta although other tiles have; give it to all tiles or none", key=key)
        meta = check_keys(tile["meta"], ("operator", "ranges"), (), key)
        name = text(meta["operator"], f"{key}.operator", label=label)
        operator.append(operators.setdefault(name, len(operators)))
        if not isinstance(meta["ranges"], dict):
            raise InputError(f"{label}expected an object with [low, high] per dimension", key=f"{key}.ranges")
        for dim, ends in meta["ranges"].items():
            if dim not in dims:
                text(dim, f"{key}.ranges", label=label)
            if type(ends) is not list or len(ends) != 2:
                raise InputError(f"{label}expected [low, high]", key=f"{key}.ranges.{dim}")
            rows.append(i)
            columns.append(dims.setdefault(dim, len(dims)))
            low.append(whole(ends[0], f"{key}.ranges.{dim}", 0, MAX_RANGE - 1, label))
            high.append(whole(ends[1], f"{key}.ranges.{dim}", ends[0] + 1, MAX_RANGE, label))
    shape = (len(tiles), len(dims))
    low_table, high_table = np.full(shape, -1, dtype=np.int32), np.full(shape, -1, dtype=np.int32)
    low_table[rows, columns] = low
    high_table[rows, columns] = high
    return TileMeta(tuple(operators), np.array(operator, dtype=np.int32), tuple(dims), low_table, high_table)
