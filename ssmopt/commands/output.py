"""Printing results: to stdout, for people or as JSON, without noise when nobody reads on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ssmopt.export.units import megabytes, microjoules, milliseconds, percent, size, square_millimetres, whole
from ssmopt.result import Result

_WIDE = 240  # columns when stdout is no terminal: nothing is cut for a pipe or a file


def say(*parts: RenderableType) -> None:
    """Print text and tables to stdout."""
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, soft_wrap=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    lines = capture.get() if sys.stdout.isatty() else _stripped(capture.get())
    _write(lines)


def say_json(value: object) -> None:
    """Print one JSON object to stdout."""
    _write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def complain(message: str) -> None:
    """Print one line to stderr."""
    print(" ".join(message.splitlines()), file=sys.stderr)


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values; empty values are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value not in ("", "-"):
            table.add_row(name, value)
    return table


def columns(*names: str) -> Table:
    """A table with a header; names that end in ``>`` are of columns aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left", overflow="fold")
    return table


def heading(text: str) -> Text:
    """A line above a table; a title of the table itself would be wrapped to its width."""
    return Text(text, style="bold")


def result_rows(result: Result) -> list[tuple[str, str]]:
    """What people want to know about a result."""
    fields = result.as_dict()
    latency, model_latency = fields["latency_ms"], fields["model_latency_ms"]
    per_token = fields["ms_per_token"]
    makespan = whole(result.makespan) if result.makespan is None else f"{whole(result.makespan)} cycles"
    return [
        ("instance", result.instance.name),
        ("tiling", str(fields["tiling"] or "")),
        ("solver", result.solver),
        ("status", result.status),
        ("makespan", makespan),
        ("lower bound", f"{whole(result.lower_bound)} cycles ({result.bound.reason})"),
        ("gap", percent(result.gap)),
        ("instance bound", f"{whole(result.instance_bound)} cycles ({result.tile_bound.reason})"),
        ("instance gap", percent(result.instance_gap)),
        ("latency", milliseconds(_number(latency)) + (" per layer" if latency is not None else "")),
        ("model latency", milliseconds(_number(model_latency))),
        ("per token", milliseconds(_number(per_token))),
        ("DRAM traffic", megabytes(_whole(fields["dram_bytes"]))),
        ("peak SRAM", size(_whole(fields["peak_memory_bytes"]))),
        ("second objective", _second(result)),
        ("area", square_millimetres(_number(fields["area_mm2"]))),
        ("energy", _energy(fields)),
        ("tiles", whole(result.n_tiles)),
        ("transfers", whole(_whole(fields["transfers"]))),
        ("wall time", f"{result.wall_seconds:.1f} s"),
        ("valid", "yes" if fields["valid"] else "no schedule"),
        ("note", result.note),
    ]


def _energy(fields: Mapping[str, object]) -> str:
    """Energy of the schedule and where it goes, as far as it is known."""
    total, dram = _number(fields["energy_uj"]), _number(fields["energy_dram_uj"])
    if total is None or dram is None:
        return "" if dram is None else f"{microjoules(dram)} for DRAM; that on the chip is not known"
    compute, sram = _number(fields["energy_compute_uj"]), _number(fields["energy_sram_uj"])
    return (
        f"{microjoules(total)} (operations {microjoules(compute)}, SRAM {microjoules(sram)}, DRAM {microjoules(dram)})"
    )


def _second(result: Result) -> str:
    """What a second objective gained, and whether more is possible."""
    second = result.second
    if second is None:
        return ""
    proved = "the least" if second.proved else f"at least {second.bound_bytes:,}"
    return f"{second.objective}: {second.bytes:,} bytes, {second.before_bytes:,} before; {proved} for this makespan"


def exit_code(results: Iterable[Result], signals: Iterable[int] = ()) -> int:
    """0 when there is a schedule, 1 when there is none, 128 plus the signal's number after a signal.

    Parameters
    ----------
    results
        What was found; each knows of a signal that ended its search.
    signals
        Numbers of signals that arrived since.
    """
    results = list(results)
    for number in (*(result.interrupted for result in results), *signals):
        if number:
            return 128 + number
    return 0 if any(result.found for result in results) else 1


def _number(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _stripped(text: str) -> str:
    """Without the spaces that fill a table's last column."""
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough, which is no error; Python's own flush at exit must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
