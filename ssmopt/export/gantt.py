"""A picture of a schedule: what runs where and when, and how full each memory is."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from ssmopt.csr import IntArray
from ssmopt.errors import InputError, nearest
from ssmopt.export.occupancy import MEMORY_PANELS, draw_memory, draw_memory_heat
from ssmopt.export.palette import (
    BOUND_COLOUR,
    CAPACITY_COLOUR,
    Style,
    direction_styles,
    kind_styles,
    operator_styles,
    stage_order,
    transfer_styles,
)
from ssmopt.export.rows import Row, channel_rows, core_rows, draw_rows
from ssmopt.export.units import cycles, milliseconds, percent
from ssmopt.files.atomic import write_bytes_atomically
from ssmopt.instance import Instance
from ssmopt.result import relative_gap
from ssmopt.schedule import Schedule

FORMATS = ("pdf", "png", "svg")
"""Suffixes that `save_plot` writes."""

BINS = 1200
"""Pixel columns of the time axis, about."""

_WIDTH_INCHES = 13.0
_AXIS_INCHES = 10.2  # of the time axis, about


def plot_schedule(
    instance: Instance, schedule: Schedule, *, lower_bound: int | None = None, figure: Figure | None = None
) -> Figure:
    """Draw a schedule: a row per core and channel, and below them the bytes in each memory.

    Where a row has more intervals than pixels, or its channel several lanes, each pixel column shows the share of
    its cycles that each category takes; otherwise every interval is a box.

    Parameters
    ----------
    instance, schedule
        What to draw; the schedule need not be feasible.
    lower_bound
        Cycles below which no schedule exists: drawn as a line, and the gap to it named in the title.
    figure
        Figure to draw into; a new one by default, without pyplot's global state.

    Returns
    -------
    Figure
        The figure, ready for ``savefig`` or a notebook.
    """
    rows, n_core_rows = gantt_rows(instance, schedule)
    styles, order, _ = _tile_styles(instance)
    panels = _panels(instance, schedule)
    row_inches = float(np.clip(4.0 / max(len(rows), 1), 0.2, 0.7))
    heights = [row_inches * len(rows) + 0.1, *((2.0 if panels == 1 else 1.2),) * panels]
    if figure is None:
        figure = Figure(figsize=(_WIDTH_INCHES, max(sum(heights) + 1.5, 6.0)), layout="constrained")
    axes = figure.subplots(1 + panels, 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]

    span = max(schedule.makespan, lower_bound or 0, 1)
    edges = np.linspace(0, span, BINS + 1)
    used = draw_rows(axes[0], rows, edges, _AXIS_INCHES / span)
    dress(axes[0], [row for row, _, _ in rows], n_core_rows, span)
    kinds: set[str] = set()
    if instance.n_memories > MEMORY_PANELS:
        for panel in axes[1:]:
            draw_memory_heat(panel, instance, schedule, edges)
    else:
        for memory, panel in enumerate(axes[1:]):
            kinds |= set(draw_memory(panel, instance, schedule, memory, edges))
    axes[-1].set_xlabel(_time_label([row for row, _, _ in rows], span))
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cycles(value)))
        if lower_bound is not None:
            panel.axvline(lower_bound, color=BOUND_COLOUR, linewidth=1.2, zorder=4)
    figure.suptitle(instance.name, fontsize=12, fontweight="bold", x=0.01, ha="left")
    axes[0].set_title(_summary(instance, schedule, lower_bound), fontsize=10, loc="left")
    lines = [] if lower_bound is None else [Line2D([], [], color=BOUND_COLOUR, linewidth=1.2, label="lower bound")]
    if kinds:
        lines.append(Line2D([], [], color=CAPACITY_COLOUR, linewidth=1.1, linestyle="--", label="capacity"))
    _legend(figure, [styles[i] for i in order], used, kinds, lines)
    return figure


def save_plot(
    path: str | os.PathLike[str],
    instance: Instance,
    schedule: Schedule,
    *,
    lower_bound: int | None = None,
    dpi: int = 150,
) -> None:
    """Write the picture of `plot_schedule` to a file.

    Parameters
    ----------
    path
        File to write; its suffix (``.png``, ``.svg`` or ``.pdf``) says the format.
    instance, schedule, lower_bound
        As for `plot_schedule`.
    dpi
        Pixels per inch of a PNG.

    Raises
    ------
    InputError
        The suffix is unknown, or the file cannot be written. An existing file is then left as it was.
    """
    plot_format(path)
    save_figure(path, plot_schedule(instance, schedule, lower_bound=lower_bound), dpi=dpi)


def save_figure(path: str | os.PathLike[str], figure: Figure, *, dpi: int = 150) -> None:
    """Write a figure in the format that the suffix says; the whole file or nothing.

    Raises
    ------
    InputError
        The suffix is unknown, or the file cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=plot_format(path), dpi=dpi)
    write_bytes_atomically(path, buffer.getvalue())


def plot_format(path: str | os.PathLike[str]) -> str:
    """Format that a file's suffix asks for; `InputError` when it is none of ``FORMATS``."""
    suffix = Path(path).suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        hint = nearest(suffix, FORMATS) if suffix else "; known: " + ", ".join(FORMATS)
        raise InputError(f"unknown picture format {suffix!r}{hint}", file=str(path))
    return suffix


def gantt_rows(instance: Instance, schedule: Schedule) -> tuple[list[tuple[Row, Sequence[Style], Sequence[int]]], int]:
    """Rows of cores and channels, each with its styles and their order from the bottom up; how many rows are cores."""
    styles, order, operator = _tile_styles(instance)
    transfers = transfer_styles()
    rows: list[tuple[Row, Sequence[Style], Sequence[int]]] = [
        (row, styles, order) for row in core_rows(instance, schedule, operator)
    ]
    n_core_rows = len(rows)
    rows += [(row, transfers, range(len(transfers))) for row in channel_rows(instance, schedule)]
    return rows, n_core_rows


def _tile_styles(instance: Instance) -> tuple[list[Style], list[int], IntArray]:
    """Style per operator, the order in which they are stacked, and each tile's operator."""
    names, operator = instance.tile_operators
    return operator_styles(names), stage_order(names), operator


def _panels(instance: Instance, schedule: Schedule) -> int:
    """Number of axes below the Gantt: none when nothing ever takes space, as in a job shop."""
    if not instance.tensor_bytes[schedule.residencies.tensor].any():
        return 0
    return instance.n_memories if instance.n_memories <= MEMORY_PANELS else 1


def dress(axes: Axes, rows: Sequence[Row], n_core_rows: int, span: int) -> None:
    """Limits, row labels, and the line between cores and channels."""
    axes.set_xlim(0, span * 1.004)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=9 if len(rows) <= 16 else 7)
    axes.tick_params(axis="y", length=0)
    if 0 < n_core_rows < len(rows):
        axes.axhline(n_core_rows - 0.5, color="#999999", linewidth=0.6)


def _time_label(rows: Sequence[Row], span: int) -> str:
    """Name of the time axis, and what a column of a crowded row means."""
    if not any(row.is_binned(BINS) for row in rows):
        return "time (cycles)"
    width = cycles(float(f"{span / BINS:.3g}"))
    return f"time (cycles); in crowded rows each column is stacked by the shares of its {width} cycles, white is idle"


def _summary(instance: Instance, schedule: Schedule, lower_bound: int | None) -> str:
    problem = instance.problem
    makespan = f"makespan {schedule.makespan:,} cycles"
    if problem is not None:
        makespan += f" ({milliseconds(schedule.makespan / (problem.hardware.clock_ghz * 1e6))})"
    parts = [f"{schedule.solver}: {makespan}"]
    if lower_bound is not None:
        gap = percent(relative_gap(schedule.makespan, lower_bound))
        parts.append(f"lower bound {lower_bound:,} cycles, gap {gap}")
    return "   |   ".join(parts)


def _legend(
    figure: Figure, operators: Sequence[Style], used: Sequence[Style], kinds: set[str], lines: Sequence[Line2D]
) -> None:
    """One legend at the right, its entries in groups under headings."""
    moved = [style.label.split() for style in used if style.heading == "Transfers"]
    directions = {direction for direction, _ in moved}
    kinds = kinds | {kind for _, kind in moved}
    entries = list(dict.fromkeys(style for style in operators if style in used))
    entries += [style for style in kind_styles() if style.label in kinds]
    entries += [style for style in direction_styles() if style.label in directions]
    groups: dict[str, list[Artist]] = {}
    for style in entries:
        patch = Patch(facecolor=style.colour, hatch=style.hatch or None, edgecolor="white", linewidth=0)
        patch.set_label(style.label)
        groups.setdefault(style.heading, []).append(patch)
    if lines:
        groups["Lines"] = list(lines)
    handles = [handle for heading, group in groups.items() for handle in (Patch(alpha=0, label=heading), *group)]
    if not handles:
        return
    legend = figure.legend(
        handles=handles, loc="outside right upper", fontsize=8, frameon=False,
        handlelength=1.5, handleheight=1.0, labelspacing=0.3, borderaxespad=0.2,
    )  # fmt: skip
    for text in legend.get_texts():
        if text.get_text() in groups:
            text.set_fontweight("bold")
