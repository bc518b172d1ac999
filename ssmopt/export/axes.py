"""Schedules drawn into axes of one's own: a Gantt, or the bytes in one memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from ssmopt.errors import InputError, nearest
from ssmopt.export.gantt import BINS, dress, gantt_rows
from ssmopt.export.occupancy import draw_memory
from ssmopt.export.palette import BOUND_COLOUR, CAPACITY_COLOUR, Style, kind_styles
from ssmopt.export.rows import draw_rows
from ssmopt.export.units import cycles
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule

_LABEL_INCHES, _LEGEND_LINE_INCHES = 0.1, 0.16


def draw_gantt(
    instance: Instance, schedule: Schedule, *, ax: Axes | None = None, lower_bound: int | None = None
) -> Axes:
    """Draw a row per core and channel; crowded rows show the share of each category per pixel column.

    Parameters
    ----------
    instance, schedule
        What to draw.
    ax
        Where; None makes a figure with pyplot, which notebooks then show.
    lower_bound
        Cycles below which no schedule exists: drawn as a line.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn into.
    """
    rows, n_cores = gantt_rows(instance, schedule)
    ax = _new_axes(12.0, 1.6 + 0.35 * max(len(rows), 4)) if ax is None else ax
    span = max(schedule.makespan, lower_bound or 0, 1)
    used = draw_rows(ax, rows, np.linspace(0, span, BINS + 1), _inches(ax)[0] / span)
    dress(ax, [row for row, _, _ in rows], n_cores, span)
    every = max(math.ceil(len(rows) * _LABEL_INCHES / max(_inches(ax)[1], 0.1)), 1)
    if every > 1:  # no room for a label to each row
        ax.set_yticks(range(0, len(rows), every), [row.label for row, _, _ in rows[::every]], fontsize=7)
    handles = [_patch(style) for style in dict.fromkeys(used)]
    if lower_bound is not None:
        ax.axvline(lower_bound, color=BOUND_COLOUR, linewidth=1.2, zorder=4)
        handles.append(Line2D([], [], color=BOUND_COLOUR, linewidth=1.2, label="lower bound"))
    ax.set_title(f"{instance.name}, {schedule.solver}: {schedule.makespan:,} cycles", loc="left", fontsize=10)
    _finish(ax, handles)
    return ax


def draw_occupancy(instance: Instance, schedule: Schedule, *, memory: int | str = 0, ax: Axes | None = None) -> Axes:
    """Draw the bytes in one memory over time, by kind of tensor, against its capacity.

    Parameters
    ----------
    instance, schedule
        What to draw.
    memory
        Number or id of the memory.
    ax
        Where; None makes a figure with pyplot, which notebooks then show.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn into.

    Raises
    ------
    InputError
        There is no such memory.
    """
    number = _memory_number(instance, memory)
    ax = _new_axes(12.0, 3.0) if ax is None else ax
    span = max(schedule.makespan, 1)
    kinds = draw_memory(ax, instance, schedule, number, np.linspace(0, span, BINS + 1))
    ax.set_xlim(0, span * 1.004)
    handles = [_patch(style) for style in kind_styles() if style.label in kinds]
    handles.append(Line2D([], [], color=CAPACITY_COLOUR, linewidth=1.1, linestyle="--", label="capacity"))
    _finish(ax, handles)
    return ax


def _memory_number(instance: Instance, memory: int | str) -> int:
    if isinstance(memory, str):
        if memory not in instance.memory_ids:
            raise InputError(f"there is no memory {memory!r}{nearest(memory, instance.memory_ids)}")
        return instance.memory_ids.index(memory)
    if not 0 <= memory < instance.n_memories:
        raise InputError(f"there is no memory number {memory}: {instance.name!r} has {instance.n_memories}")
    return memory


def _new_axes(width: float, height: float) -> Axes:
    # Only here: importing pyplot chooses a backend for the whole process.
    from matplotlib import pyplot

    axes: Axes = pyplot.figure(figsize=(width, height), layout="constrained").subplots()
    return axes


def _patch(style: Style) -> Patch | Line2D:
    return Patch(facecolor=style.colour, hatch=style.hatch or None, edgecolor="white", linewidth=0, label=style.label)


def _finish(ax: Axes, handles: Sequence[Patch | Line2D]) -> None:
    ax.set_xlabel("time (cycles)")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cycles(value)))
    ax.spines[["top", "right"]].set_visible(False)
    if handles:
        # As many columns as it takes to be no higher than the axes: a layout would shrink them otherwise.
        lines = max(int(_inches(ax)[1] / _LEGEND_LINE_INCHES), 4)
        ax.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7, frameon=False,
            ncols=-(-len(handles) // lines), columnspacing=1.0, labelspacing=0.3,
        )  # fmt: skip


def _inches(ax: Axes) -> tuple[float, float]:
    """Width and height of axes, as far as they are known before the figure is laid out."""
    figure, extent = ax.get_figure(root=True), ax.get_window_extent()
    dpi = 72.0 if figure is None else figure.dpi
    return extent.width / dpi, extent.height / dpi
