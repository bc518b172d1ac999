"""The memories and cores of a machine, numbered as in a tile instance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.hardware import Hardware
from ssmopt.instance import DRAM


def memory_indices(hardware: Hardware) -> dict[str, list[int]]:
    """Indices of the memories that each name stands for, in an instance."""
    indices: dict[str, list[int]] = {"dram": [DRAM]}
    first = 0
    for memory in hardware.memories:
        indices[memory.id] = list(range(first, first + memory.count))
        first += memory.count
    return indices


def cores_of(hardware: Hardware, memories_of: Mapping[str, list[int]]) -> tuple[tuple[str, ...], IntArray, IntArray]:
    """Names of the cores, the memory of each, and its group; a group's cores are shared evenly among its memories."""
    ids, memory, kind = [], [], []
    for group_index, group in enumerate(hardware.cores):
        for i in range(group.count):
            ids.append(group.id if group.count == 1 else f"{group.id}.{i}")
            choices = memories_of[group.memory]
            memory.append(choices[i * len(choices) // group.count])
            kind.append(group_index)
    return tuple(ids), np.array(memory, dtype=np.int64), np.array(kind, dtype=np.int64)
