"""A tile instance and a schedule with every feature of the file formats, and helpers for tests of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import ssmopt
from ssmopt.csr import Csr
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, INPUT, INTERMEDIATE, NOT_ADMISSIBLE, OUTPUT, WEIGHT, Instance, TileMeta
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable


def array(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def sample_instance(*, meta: bool = True) -> Instance:
    """Two memories, three cores of two kinds, a channel to DRAM and one between the memories, one accumulation."""
    return Instance(
        name="sample, größer",
        memory_ids=("left", "right"),
        memory_capacity=array(100, 50),
        core_ids=("a.0", "a.1", "b"),
        core_memory=array(0, 1, 1),
        core_kind=array(0, 0, 1),
        channel_ids=("dma", "noc"),
        channel_bandwidth=array(4, 8),
        channel_lanes=array(1, 2),
        channel_connects=((DRAM, 0, 1), (0, 1)),
        tensor_ids=Ids(("w", "x", "y"), np.array([0, 1, 1, 2], np.int32), np.array([[-1], [0], [1], [-1]], np.int32)),
        tensor_bytes=array(8, 16, 0, 4),
        tensor_kind=np.array([WEIGHT, INPUT, INTERMEDIATE, OUTPUT], dtype=np.int8),
        tile_ids=Ids.of(["first", "second", "third"]),
        duration=np.array([[5, NOT_ADMISSIBLE], [6, 3], [7, 2]], dtype=np.int64),
        inputs=Csr.from_lists([[1, 0], [2, 0], [2]]),
        outputs=Csr.from_lists([[2], [], []]),
        accumulates=Csr.from_lists([[], [3], [3]]),
        meta=TileMeta(
            ("gemm", "scale"),
            np.array([1, 0, 0], dtype=np.int32),
            ("L", "E"),
            np.array([[0, -1], [0, 4], [0, 8]], dtype=np.int32),
            np.array([[1, -1], [1, 8], [1, 16]], dtype=np.int32),
        )
        if meta
        else None,
    )


def sample_schedule() -> Schedule:
    """A schedule of the sample instance that is well-formed; whether it is feasible does not matter here."""
    return Schedule(
        tiles=TileTable(array(0, 1, 2), array(0, 2, 1), array(6, 11, 14), array(11, 14, 21)),
        transfers=TransferTable(
            array(1, 0, 0, 3), array(0, 0, 1, 0), array(DRAM, DRAM, 0, 1), array(0, 0, 1, DRAM),
            array(0, 4, 6, 21), array(4, 6, 7, 22),
        ),
        residencies=ResidencyTable(array(1, 0, 3), array(0, 0, 1), array(0, 4, 11), array(11, 11, 22)),
        makespan=22,
        solver="hand",
    )  # fmt: skip


def schema(name: str) -> Any:
    """One of the JSON schemas of the package."""
    return json.loads((Path(ssmopt.__file__).parent / "schemas" / f"{name}.schema.json").read_text())
