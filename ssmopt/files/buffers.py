"""Buffers with lifetimes as CSV, in the format of MiniMalloc: ``id,lower,upper,size`` and, once placed, ``offset``."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.errors import InputError, nearest
from ssmopt.files.atomic import write_text_atomically
from ssmopt.files.text import PathLike, read_text

_NAMES = {"buffer": "id", "buffer_id": "id", "begin": "lower", "start": "lower", "end": "upper"}
"""Other names of the columns; an ``end`` is the last moment of the lifetime, not the first one after it."""

_NEEDED = ("id", "lower", "upper", "size")
_IGNORED = {"alignment": ("", "1"), "gaps": ("",), "hint": None, "offset": None}
"""Further columns, and the values that may be ignored (None: all)."""

_LIMIT = 2**53


@dataclass(frozen=True, eq=False)
class BufferTable:
    """Names, half-open lifetimes and sizes (bytes) of buffers, as a file lists them."""

    ids: tuple[str, ...]
    lower: IntArray
    upper: IntArray
    size: IntArray

    def __len__(self) -> int:
        return len(self.ids)


def read_buffers(path: PathLike) -> BufferTable:
    """Read buffers from CSV.

    The first line names the columns, in any order: ``id`` (or ``buffer``), ``lower`` (``start``), ``upper`` (or
    ``end``, which is inclusive) and ``size``. ``hint`` and ``offset`` are ignored.

    Raises
    ------
    InputError
        The file cannot be read or is malformed, or it asks for alignment or gaps, which are not supported.
    """
    try:
        return _table(read_text(path))
    except InputError as error:
        raise error.at(file=os.fspath(path)) from None


def write_buffers(path: PathLike, table: BufferTable, offsets: IntArray) -> None:
    """Write buffers and their offsets (bytes) as CSV.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_NEEDED, "offset"])
    columns = (table.lower, table.upper, table.size, offsets)
    writer.writerows(zip(table.ids, *(column.tolist() for column in columns), strict=True))
    write_text_atomically(path, text.getvalue())


def _table(text: str) -> BufferTable:
    rows = [(number, row) for number, row in enumerate(csv.reader(io.StringIO(text)), 1) if any(map(str.strip, row))]
    if not rows:
        raise InputError("expected a line that names the columns: " + ",".join(_NEEDED))
    line, header = rows[0]
    given = [name.strip().lower() for name in header]
    names = [_NAMES.get(name, name) for name in given]
    known = (*_NEEDED, *_IGNORED)
    for name in names:
        if name not in known:
            raise InputError(f"unknown column {name!r}{nearest(name, known)}", line=line)
        if names.count(name) > 1:
            raise InputError(f"column {name!r} is given twice", line=line)
    for name in _NEEDED:
        if name not in names:
            raise InputError(f"column {name!r} is missing; expected {','.join(_NEEDED)}", line=line)
    ids: list[str] = []
    numbers: list[tuple[int, int, int]] = []
    for line, row in rows[1:]:
        if len(row) != len(names):
            raise InputError(f"expected {len(names)} values, one per column, not {len(row)}", line=line)
        cell = dict(zip(names, (value.strip() for value in row), strict=True))
        for name, harmless in _IGNORED.items():
            if harmless is not None and cell.get(name, "") not in harmless:
                raise InputError(f"{name} is not supported, and it is {cell[name]!r}", line=line, key=name)
        lower, upper, size = (_number(cell[name], name, line) for name in _NEEDED[1:])
        upper += "end" in given
        if upper <= lower:
            raise InputError(f"the lifetime of {cell['id']!r} is empty: [{lower}, {upper})", line=line)
        if size < 0:
            raise InputError(f"expected a size of at least 0, not {size}", line=line, key="size")
        ids.append(cell["id"])
        numbers.append((lower, upper, size))
    columns = np.array(numbers, dtype=np.int64).reshape(-1, 3)
    return BufferTable(tuple(ids), columns[:, 0], columns[:, 1], columns[:, 2])


def _number(value: str, name: str, line: int) -> int:
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 16 and int(digits) <= _LIMIT):
        raise InputError(f"expected a whole number up to 2**53, not {value!r}", line=line, key=name)
    return int(value)
