"""Ragged integer lists as two numpy arrays (compressed sparse rows)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Csr:
    """``n`` rows of integers: row ``i`` is ``indices[indptr[i]:indptr[i + 1]]``."""

    indptr: IntArray
    indices: IntArray

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, row: int) -> IntArray:
        return self.indices[self.indptr[row] : self.indptr[row + 1]]

    def counts(self) -> IntArray:
        """Length of each row."""
        return np.diff(self.indptr)

    def rows(self) -> IntArray:
        """Row number of each entry of ``indices``."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.counts())

    def transpose(self, n_columns: int) -> Csr:
        """Rows and entries exchanged; each new row lists old rows in ascending order."""
        return Csr.from_pairs(self.indices, self.rows(), n_columns)

    def lists(self) -> list[list[int]]:
        """Rows as Python lists, for code that walks them one by one."""
        flat = self.indices.tolist()
        ptr = self.indptr.tolist()
        return [flat[ptr[i] : ptr[i + 1]] for i in range(len(self))]

    @staticmethod
    def from_pairs(rows: IntArray, values: IntArray, n_rows: int) -> Csr:
        """Rows from (row, value) pairs, in the order of the pairs within each row."""
        order = np.argsort(rows, kind="stable")
        indptr = np.zeros(n_rows + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=n_rows), out=indptr[1:])
        return Csr(indptr, np.ascontiguousarray(values[order], dtype=np.int64))

    @staticmethod
    def from_lists(lists: Sequence[Iterable[int]]) -> Csr:
        """Rows from Python lists."""
        rows = [list(row) for row in lists]
        indptr = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=indptr[1:])
        return Csr(indptr, np.array([v for row in rows for v in row], dtype=np.int64))

    @staticmethod
    def empty(n_rows: int) -> Csr:
        """``n_rows`` empty rows."""
        return Csr(np.zeros(n_rows + 1, dtype=np.int64), np.zeros(0, dtype=np.int64))


def expand_ranges(low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """All integers of the ranges ``[low[i], high[i])`` in a row, and for each the ``i`` that it came from."""
    counts = np.maximum(high - low, 0)
    owner = np.repeat(np.arange(len(low), dtype=np.int64), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    return low[owner] + (np.arange(len(owner), dtype=np.int64) - first), owner
