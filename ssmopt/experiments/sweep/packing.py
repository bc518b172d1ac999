"""Schedules as compressed bytes: the tables as arrays of numbers, which mean something together with the problem."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import numpy as np

from ssmopt.files.tiling import tiling_document, tiling_from_document
from ssmopt.folded import FoldedSchedule
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.result import Result
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import build_tiles

_TABLES = {"tiles": TileTable, "transfers": TransferTable, "residencies": ResidencyTable}
_PARTS = ("tile_part", "transfer_part", "begin_part", "end_part")
_NUMBERS = ("round_tokens", "repeated", "period")


def pack(result: Result) -> bytes | None:
    """The schedule of a result; None if it has none, or its instance comes from no problem."""
    folded = result.folded
    schedule = folded.schedule if folded is not None else result.schedule
    tiling = result.instance.tiling
    if schedule is None or tiling is None:
        return None
    header: dict[str, Any] = {
        "tiling": tiling_document(tiling),
        "solver": schedule.solver,
        "makespan": schedule.makespan,
    }
    arrays = {
        f"{name}.{field.name}": column
        for name, kind in _TABLES.items()
        for field in dataclasses.fields(kind)
        if (column := getattr(getattr(schedule, name), field.name)) is not None
    }
    if folded is not None:
        assert folded.short.problem is not None
        header["folded"] = {name: getattr(folded, name) for name in _NUMBERS}
        header["folded"]["short_seq_len"] = folded.short.problem.seq_len
        arrays |= {name: getattr(folded, name) for name in _PARTS}
    packed = io.BytesIO()
    np.savez_compressed(packed, header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8), **arrays)
    return packed.getvalue()


@dataclasses.dataclass(frozen=True)
class Packed:
    """A schedule that has been unpacked, and the tiling of its tiles; ``folded`` holds what a closed form adds."""

    tiling: Tiling
    schedule: Schedule
    folded: dict[str, Any] | None

    def instance(self, problem: Problem) -> Instance:
        """The tiles of a problem that it is a schedule of: of the short prompt, if it is in closed form."""
        if self.folded is not None:
            problem = dataclasses.replace(problem, seq_len=self.folded["short_seq_len"])
        return build_tiles(problem, self.tiling)

    def unfolded(self, problem: Problem) -> FoldedSchedule | None:
        """The closed form for a problem; None if this is an ordinary schedule."""
        if self.folded is None:
            return None
        fields = {name: value for name, value in self.folded.items() if name != "short_seq_len"}
        return FoldedSchedule(problem, self.instance(problem), self.schedule, **fields)


def unpack(data: bytes) -> Packed:
    """The schedule that `pack` made bytes of."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        header = json.loads(bytes(arrays["header"]))
        tables = {
            name: kind(**{key.partition(".")[2]: arrays[key] for key in arrays if key.startswith(f"{name}.")})
            for name, kind in _TABLES.items()
        }
        schedule = Schedule(**tables, makespan=header["makespan"], solver=header["solver"])
        folded = None
        if "folded" in header:
            folded = {**header["folded"], **{name: arrays[name] for name in _PARTS}}
        return Packed(tiling_from_document(header["tiling"]), schedule, folded)
