"""Rule V5 where residencies have addresses: each within its memory, and no two at the same bytes at the same time."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.instance import Instance
from ssmopt.validate_tables import Findings, Residencies


def check_addresses(instance: Instance, stays: Residencies, found: Findings) -> None:
    """Check the offsets, if there are any."""
    if stays.offset is None:
        return
    first = stays.offset
    size = instance.tensor_bytes[stays.tensor]
    capacity = instance.memory_capacity[stays.memory]

    def name(row: int | np.int64) -> str:
        return instance.tensor_ids[int(stays.tensor[row])]

    def place(row: int | np.int64) -> str:
        memory = instance.memory_ids[int(stays.memory[row])]
        return f"bytes [{first[row]:,}, {int(first[row]) + int(size[row]):,}) of {memory}"

    # Subtracted, not added: an offset may be any number.
    inside = (first >= 0) & (first <= capacity - size)
    found.add(
        "V5",
        ~inside,
        stays.start,
        lambda row: (name(row), f"is put at {place(row)}, which has {capacity[row]:,} bytes"),
    )
    for memory in np.unique(stays.memory).tolist():
        rows = np.flatnonzero((stays.memory == memory) & inside)
        clash = _first_clash(stays.start[rows], stays.end[rows], first[rows], size[rows])
        if clash is None:
            continue
        early, late = rows[clash[0]], rows[clash[1]]
        at = np.zeros(len(stays.start), dtype=np.bool_)
        at[late] = True
        other = f"{place(late)} while {name(early)} is at {place(early)}"
        found.add("V5", at, stays.start, lambda row, other=other: (name(row), f"is put at {other}"))  # type: ignore[misc]


def _first_clash(start: IntArray, end: IntArray, first: IntArray, size: IntArray) -> tuple[int, int] | None:
    """Sweep over time with the residents sorted by address; the first newcomer on taken bytes, and whose they are."""
    n = len(start)
    departures = np.argsort(end, kind="stable").tolist()
    gone = 0
    ends, begins, sizes = end.tolist(), first.tolist(), size.tolist()
    addresses: list[int] = []
    residents: list[int] = []
    for new in np.argsort(start, kind="stable").tolist():
        now = int(start[new])
        while gone < n and ends[departures[gone]] <= now:
            at = bisect_left(addresses, begins[departures[gone]])
            del addresses[at], residents[at]
            gone += 1
        at = bisect_left(addresses, begins[new])
        if at > 0 and addresses[at - 1] + sizes[residents[at - 1]] > begins[new]:
            return residents[at - 1], new
        if at < len(addresses) and addresses[at] < begins[new] + sizes[new]:
            return residents[at], new
        addresses.insert(at, begins[new])
        residents.insert(at, new)
    return None
