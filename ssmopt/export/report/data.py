"""What the page of a report draws, as typed arrays in one compressed block, and what they mean, as JSON."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from typing import Any

import numpy as np

from ssmopt.csr import Csr, IntArray, expand_ranges
from ssmopt.explain import Explanation
from ssmopt.explain.causes import reason_name
from ssmopt.explain.chain import transfer_directions
from ssmopt.explain.lanes import assign_lanes
from ssmopt.export.occupancy import levels_by_kind
from ssmopt.export.palette import DIRECTIONS, kind_styles, operator_styles, stage_order, transfer_styles
from ssmopt.ids import Ids
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule

Arrays = dict[str, IntArray]


def report_data(
    instance: Instance, schedule: Schedule, explanation: Explanation, lower_bound: int | None
) -> tuple[dict[str, Any], Arrays]:
    """Everything that the page needs to draw and to answer clicks.

    Returns
    -------
    meta
        Names, colours and numbers, ready for JSON.
    arrays
        By name; activities are the tiles' rows, then the transfers', as in `ssmopt.explain.causes.Causes`.
    """
    tiles, transfers, causes = schedule.tiles, schedule.transfers, explanation.causes
    lane = assign_lanes(transfers)
    row, rows = _rows(instance, schedule, lane)
    category, categories = _categories(instance, schedule)
    order = np.lexsort((causes.start, row))
    order = order[causes.end[order] > causes.start[order]]
    arrays: Arrays = {
        "start": causes.start,
        "end": causes.end,
        "row": row,
        "category": category,
        "rowOrder": order,
        "rowFirst": np.searchsorted(row[order], np.arange(len(rows) + 1)),
        "reason": causes.reason,
        "room": causes.room,
        "transferTensor": transfers.tensor,
        "transferSource": transfers.source,
        "transferTarget": transfers.target,
        "tensorBytes": instance.tensor_bytes,
        "tensorKind": instance.tensor_kind.astype(np.int64),
        "chain": explanation.chain.activity,
        "chainWait": explanation.chain.wait,
        "resTensor": schedule.residencies.tensor,
        "resMemory": schedule.residencies.memory,
        "resStart": schedule.residencies.start,
        "resEnd": schedule.residencies.end,
    }
    if schedule.residencies.offset is not None:
        arrays["resOffset"] = schedule.residencies.offset
    for reason in range(4):
        arrays[f"release{reason}"] = causes.release[reason]
        arrays[f"blocker{reason}"] = causes.blocker[reason]
    for name, of in (("reads", instance.inputs), ("makes", instance.outputs), ("adds", instance.accumulates)):
        chosen = _chosen(of, tiles.tile)
        arrays[f"{name}First"], arrays[name] = chosen.indptr, chosen.indices
    tile_ids = _ids("tile", instance.tile_ids, arrays, tiles.tile)
    tensor_ids = _ids("tensor", instance.tensor_ids, arrays, np.arange(instance.n_tensors))
    memories = []
    for memory, (name, capacity) in enumerate(zip(instance.memory_ids, instance.memory_capacity.tolist(), strict=True)):
        moments, levels = levels_by_kind(instance, schedule, memory)
        used = np.flatnonzero(levels.any(axis=0)).tolist()
        arrays[f"moments{memory}"] = moments
        for kind in used:
            arrays[f"level{memory}.{kind}"] = levels[:, kind]
        memories.append(
            {"id": name, "capacity": capacity, "kinds": used, "peak": int(levels.sum(axis=1).max(initial=0))}
        )
    problem = instance.problem
    meta = {
        "instance": instance.name,
        "makespan": schedule.makespan,
        "lowerBound": lower_bound,
        "cyclesPerMs": None if problem is None else problem.hardware.clock_ghz * 1e6,
        "tiles": len(tiles),
        "rows": rows,
        "categories": categories,
        "kinds": [{"label": style.label, "colour": style.colour} for style in kind_styles()],
        "memories": memories,
        "tileReasons": [reason_name(code, True) for code in range(6)],
        "transferReasons": [reason_name(code, False) for code in range(6)],
        "tileIds": tile_ids,
        "tensorIds": tensor_ids,
    }
    return meta, arrays


def packed(arrays: Mapping[str, IntArray]) -> tuple[dict[str, list[Any]], str]:
    """The arrays in the smallest types that hold them: a directory, and one block (gzip, then base64).

    Returns
    -------
    directory
        Per array its type, the offset of its first byte, and its length; offsets are multiples of 8.
    block
        ASCII text.
    """
    directory: dict[str, list[Any]] = {}
    parts, offset = [], 0
    for name, array in arrays.items():
        kind = _smallest_type(array)
        data = np.ascontiguousarray(array, dtype=np.dtype(kind).newbyteorder("<")).tobytes()
        directory[name] = [kind, offset, len(array)]
        data += b"\0" * (-len(data) % 8)
        parts.append(data)
        offset += len(data)
    return directory, base64.b64encode(gzip.compress(b"".join(parts), 6, mtime=0)).decode("ascii")


def _smallest_type(array: IntArray) -> str:
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32"):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return kind
    return "float64"  # whole numbers up to 2**53, which is what JavaScript has


def _rows(instance: Instance, schedule: Schedule, lane: IntArray) -> tuple[IntArray, list[dict[str, Any]]]:
    """Per activity its row in the picture, and the rows: cores, then the lanes in use of each channel."""
    rows: list[dict[str, Any]] = [{"label": name, "kind": "core"} for name in instance.core_ids]
    first = np.zeros(len(instance.channel_ids), dtype=np.int64)
    for channel, (name, lanes) in enumerate(zip(instance.channel_ids, instance.channel_lanes.tolist(), strict=True)):
        first[channel] = len(rows)
        used = 1 + int(lane[schedule.transfers.channel == channel].max(initial=0))
        rows += [{"label": name if lanes == 1 else f"{name} {k}", "kind": "channel"} for k in range(used)]
    return np.concatenate([schedule.tiles.core, first[schedule.transfers.channel] + lane]), rows


def _categories(instance: Instance, schedule: Schedule) -> tuple[IntArray, list[dict[str, str]]]:
    """Per activity its colour, and the colours: operators in the order of the stages, then kinds of transfer."""
    names, operator = instance.tile_operators
    styles, order = operator_styles(names), stage_order(names)
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    kind = instance.tensor_kind[schedule.transfers.tensor].astype(np.int64)
    moved = len(names) + kind * len(DIRECTIONS) + transfer_directions(schedule)
    found = [{"label": names[i], "colour": styles[i].colour, "hatch": "", "heading": styles[i].heading} for i in order]
    found += [
        {"label": s.label, "colour": s.colour, "hatch": s.hatch[:1], "heading": s.heading} for s in transfer_styles()
    ]
    return np.concatenate([place[operator[schedule.tiles.tile]], moved]), found


def _chosen(rows: Csr, which: IntArray) -> Csr:
    """Some rows, in the order given."""
    slots, owner = expand_ranges(rows.indptr[which], rows.indptr[which + 1])
    return Csr.from_pairs(owner, rows.indices[slots], len(which))


def _ids(prefix: str, ids: Ids, arrays: Arrays, which: IntArray) -> dict[str, Any]:
    """Ids as stems and numbers, which the page puts together when it needs them."""
    arrays[f"{prefix}Stem"] = ids.stem[which].astype(np.int64)
    columns = ids.index.shape[1]
    for column in range(columns):
        arrays[f"{prefix}Index{column}"] = ids.index[which, column].astype(np.int64)
    return {"stems": list(ids.stems), "columns": columns, "separator": ids.separator}
