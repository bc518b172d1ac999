"""Results of a sweep: one row per point, as a data frame, a table, or a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssmopt.errors import InputError
from ssmopt.experiments.sweep.store import FAILED
from ssmopt.files.atomic import check_writable, write_bytes_atomically, write_text_atomically
from ssmopt.files.text import PathLike

if TYPE_CHECKING:
    import pandas as pd

RESULT_FIELDS = (
    "instance", "solver", "status", "makespan", "lower_bound", "bound_reason", "gap", "instance_bound",
    "instance_bound_reason", "instance_gap", "tiling", "latency_ms", "model_latency_ms", "ms_per_token", "tiles",
    "transfers", "dram_bytes", "peak_memory_bytes", "area_mm2", "energy_uj", "energy_compute_uj", "energy_sram_uj",
    "energy_dram_uj", "wall_seconds", "valid", "note",
)  # fmt: skip
"""Fields of a result, as `ssmopt.Result.as_dict` names them."""

EXTRA_FIELDS = ("error", "taken_from", "key")
"""What a row says beyond a result: why there is none, which point its schedule comes from, and what identifies it."""

_WHOLE = ("makespan", "lower_bound", "instance_bound", "tiles", "transfers", "dram_bytes", "peak_memory_bytes")
_REAL = (
    "gap", "instance_gap", "latency_ms", "model_latency_ms", "ms_per_token", "area_mm2", "energy_uj",
    "energy_compute_uj", "energy_sram_uj", "energy_dram_uj", "wall_seconds",
)  # fmt: skip
_SHOWN = ("status", "makespan", "lower_bound", "gap", "dram_bytes", "peak_memory_bytes", "taken_from", "error")


def axis_column(axis: str) -> str:
    """The column of an axis; its own name, unless a result's field has that."""
    return f"{axis}_asked" if axis in ("instance", "tiling") else axis


@dataclass(frozen=True)
class SweepResult:
    """Rows of a sweep, in the order of its points.

    Attributes
    ----------
    axes
        Names of the axes, which are the first columns.
    rows
        Per finished point the values of the axes, the fields of its result (cycles, bytes, milliseconds, seconds),
        ``error`` (why there is no result; its status is then ``FAILED``), ``taken_from`` (the instance with less
        memory whose schedule this is) and ``key``.
    pending
        Number of points that have not been run yet.
    interrupted
        Number of the signal that ended the sweep early; 0 if none did.
    """

    axes: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    pending: int = 0
    interrupted: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, the axes first."""
        axes = [axis_column(axis) for axis in self.axes]
        return (*axes, *(name for name in (*RESULT_FIELDS, *EXTRA_FIELDS) if name not in axes))

    @property
    def failed(self) -> tuple[Mapping[str, Any], ...]:
        """The rows of points that have no result."""
        return tuple(row for row in self.rows if row["status"] == FAILED)

    def to_frame(self) -> pd.DataFrame:
        """A pandas data frame with one row per point; whole numbers stay whole where some are missing."""
        import pandas as pd

        frame = pd.DataFrame([[row.get(name) for name in self.columns] for row in self.rows], columns=self.columns)
        types = {**dict.fromkeys(_WHOLE, "Int64"), **dict.fromkeys(_REAL, "Float64"), "valid": "boolean"}
        return frame.astype({name: kind for name, kind in types.items() if name in frame})

    def to_csv(self, path: PathLike | None = None) -> str | None:
        """Write the rows as CSV; without a path the text is returned instead.

        Raises
        ------
        InputError
            The file cannot be written.
        """
        text: str = self.to_frame().to_csv(index=False, lineterminator="\n")
        if path is None:
            return text
        write_text_atomically(path, text)
        return None

    def to_parquet(self, path: PathLike) -> None:
        """Write the rows as Parquet.

        Raises
        ------
        InputError
            The package pyarrow is missing, or the file cannot be written.
        """
        data: bytes = self._parquet_frame(path).to_parquet(index=False, engine="pyarrow")
        write_bytes_atomically(path, data)

    def as_dict(self) -> dict[str, object]:
        """``axes``, ``columns``, ``rows`` and ``pending``, as ``--json`` prints them."""
        rows = [{name: row.get(name) for name in self.columns} for row in self.rows]
        return {"axes": list(self.axes), "columns": list(self.columns), "rows": rows, "pending": self.pending}

    def _parquet_frame(self, path: PathLike) -> pd.DataFrame:
        check_parquet(path)
        frame = self.to_frame()
        for axis in self.axes:
            column = axis_column(axis)
            kinds = {type(value) for value in frame[column] if value is not None}
            if len(kinds - {int, float}) > 0 and len(kinds) > 1:  # such as layers, a number or "all"
                frame[column] = frame[column].map(lambda value: None if value is None else str(value))
        return frame

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        shown = [axis_column(axis) for axis in self.axes]
        shown += [name for name in _SHOWN if name not in shown and (name in _SHOWN[:4] or frame[name].notna().any())]
        gap = {"gap": lambda value: f"{value:.2%}"}
        whole = {name: (lambda value: f"{value:,}") for name in shown if name in _WHOLE}
        html: str = frame[shown].to_html(index=False, na_rep="-", formatters={**gap, **whole})
        return f"<p>{self._summary()}</p>{html}"

    def __repr__(self) -> str:
        return f"SweepResult({self._summary()}; axes {', '.join(self.axes) or 'none'})"

    def _summary(self) -> str:
        parts = [f"{len(self.rows):,} points"]
        if self.failed:
            parts.append(f"{len(self.failed):,} failed")
        if self.pending:
            parts.append(f"{self.pending:,} not run yet")
        return ", ".join(parts)


def check_parquet(path: PathLike) -> None:
    """Make sure before a long run that Parquet can be written.

    Raises
    ------
    InputError
        The package pyarrow is missing, or the file cannot be written.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError(
            "Parquet needs the package pyarrow: pip install 'ssmopt[parquet]'", file=os.fspath(path)
        ) from None
    check_writable(path)


def joined(results: Sequence[SweepResult]) -> SweepResult:
    """The rows of several sweeps one after another, each point once."""
    axes = tuple(dict.fromkeys(axis for result in results for axis in result.axes))
    rows: dict[str, Mapping[str, Any]] = {}
    for result in results:
        for row in result.rows:
            rows.setdefault(row["key"], row)
    return SweepResult(axes, tuple(rows.values()), sum(result.pending for result in results))
