"""A map of each memory: time to the right, addresses upwards, a rectangle for each residency."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from ssmopt.csr import IntArray
from ssmopt.errors import InputError
from ssmopt.export.bins import FloatArray
from ssmopt.export.gantt import plot_format, save_figure
from ssmopt.export.occupancy import MEMORY_PANELS
from ssmopt.export.palette import CAPACITY_COLOUR, Style, kind_styles
from ssmopt.export.units import cycles, percent, size, size_unit
from ssmopt.files.buffers import BufferTable
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule

_OUTLINED = 800
"""Most rectangles that get an outline; beyond, the outlines would hide what they enclose."""

_DRAWN = 4_000
"""Most rectangles that are drawn one by one; beyond, each pixel shows what covers its middle."""

_PIXELS = (1500, 700)


@dataclass(frozen=True)
class _Boxes:
    """Rectangles: half-open ranges of time and of bytes, and the style of each."""

    start: IntArray
    end: IntArray
    low: IntArray
    high: IntArray
    style: IntArray

    def __len__(self) -> int:
        return len(self.start)


_BUFFER_STYLES = tuple(
    Style(f"alive for up to {share:.0%} of the time", colour)
    for share, colour in ((0.01, "#8ccbf0"), (0.1, "#0f83c4"), (0.5, "#00507f"), (1.0, "#3f4a5c"))
)


def plot_memory_map(instance: Instance, schedule: Schedule) -> Figure:
    """Draw where each residency of a schedule lies, coloured by the tensor's kind.

    Parameters
    ----------
    instance, schedule
        A schedule with offsets. At most four memories are drawn.

    Raises
    ------
    InputError
        The schedule has no offsets.
    """
    table = schedule.residencies
    if table.offset is None:
        raise InputError(f"the schedule of {instance.name!r} has no addresses to draw")
    n_bytes = instance.tensor_bytes[table.tensor]
    kind = instance.tensor_kind[table.tensor].astype(np.int64)
    used = [m for m in range(instance.n_memories) if ((table.memory == m) & (n_bytes > 0)).any()][:MEMORY_PANELS]
    figure = Figure(figsize=(13.0, 2.0 + 5.0 * max(len(used), 1) ** 0.7), layout="constrained")
    panels = figure.subplots(max(len(used), 1), 1, sharex=True, squeeze=False)[:, 0]
    for memory, axes in zip(used, panels, strict=False):
        mine = (table.memory == memory) & (n_bytes > 0)
        low = table.offset[mine]
        boxes = _Boxes(table.start[mine], table.end[mine], low, low + n_bytes[mine], kind[mine])
        capacity = int(instance.memory_capacity[memory])
        _draw(axes, boxes, kind_styles(), capacity, schedule.makespan)
        axes.set_ylabel(f"address in {instance.memory_ids[memory]} ({size_unit(max(capacity, 1))[1]})")
    panels[-1].set_xlabel("time (cycles)")
    figure.suptitle(instance.name, fontsize=12, fontweight="bold", x=0.01, ha="left")
    shown = [kind_styles()[code] for code in np.unique(kind[n_bytes > 0]).tolist()]
    _legend(figure, "Tensors", shown)
    return figure


def save_memory_map(path: str | os.PathLike[str], instance: Instance, schedule: Schedule, *, dpi: int = 150) -> None:
    """Write the picture of `plot_memory_map`; the suffix (``.png``, ``.svg`` or ``.pdf``) says the format.

    Raises
    ------
    InputError
        The suffix is unknown, the schedule has no offsets, or the file cannot be written.
    """
    plot_format(path)
    save_figure(path, plot_memory_map(instance, schedule), dpi=dpi)


def save_buffer_map(
    path: str | os.PathLike[str], table: BufferTable, offsets: IntArray, capacity: int, *, title: str, dpi: int = 150
) -> None:
    """Write a map of buffers that were given offsets (bytes), coloured by how long they live.

    Raises
    ------
    InputError
        The suffix is unknown, or the file cannot be written.
    """
    plot_format(path)
    figure = Figure(figsize=(13.0, 7.0), layout="constrained")
    axes = figure.subplots()
    first, last = int(table.lower.min(initial=0)), int(table.upper.max(initial=1))
    share = (table.upper - table.lower) / (last - first)
    style = np.searchsorted([0.01, 0.1, 0.5], share)
    some = table.size > 0
    low = offsets[some]
    boxes = _Boxes(table.lower[some], table.upper[some], low, low + table.size[some], style[some])
    _draw(axes, boxes, _BUFFER_STYLES, capacity, last)
    axes.set_xlim(first, last)
    axes.set_ylabel(f"address ({size_unit(max(capacity, 1))[1]})")
    axes.set_xlabel("time")
    figure.suptitle(title, fontsize=12, fontweight="bold", x=0.01, ha="left")
    _legend(figure, "Buffers", [_BUFFER_STYLES[code] for code in np.unique(style[some]).tolist()])
    save_figure(path, figure, dpi=dpi)


def _draw(axes: Axes, boxes: _Boxes, styles: Sequence[Style], capacity: int, span: int) -> None:
    unit, _ = size_unit(max(capacity, 1))
    height = int(boxes.high.max(initial=0))
    limit = max(capacity, height, 1)
    shades = np.array([to_rgb(style.colour) for style in styles])[boxes.style]
    if len(boxes) <= _DRAWN:
        left, right, low, high = boxes.start, boxes.end, boxes.low / unit, boxes.high / unit
        corners = np.stack([left, low, right, low, right, high, left, high], axis=1).reshape(-1, 4, 2)
        width = 0.3 if len(boxes) <= _OUTLINED else 0.0
        axes.add_collection(PolyCollection(list(corners), facecolors=shades, edgecolors="white", linewidths=width))
    else:
        picture = _pixels(boxes, shades, limit, span)
        axes.imshow(picture, origin="lower", aspect="auto", extent=(0, span, 0, limit / unit), interpolation="nearest")
    axes.axhline(capacity / unit, color=CAPACITY_COLOUR, linestyle="--", linewidth=1.1)
    axes.set_xlim(0, max(span, 1))
    axes.set_ylim(0, limit / unit * 1.02)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cycles(value)))
    area = float(((boxes.end - boxes.start).astype(np.float64) * (boxes.high - boxes.low)).sum())
    use = area / (max(capacity, 1) * max(span - int(boxes.start.min(initial=span)), 1))
    axes.set_title(
        f"{len(boxes):,} rectangles up to {size(height)} of {size(capacity)}; {percent(use)} of time and space in use",
        loc="left", fontsize=10,
    )  # fmt: skip


def _pixels(boxes: _Boxes, shades: FloatArray, limit: int, span: int) -> npt.NDArray[np.uint8]:
    """Shape (rows, columns, 3): the colour of the rectangle that covers the middle of each pixel, white for none."""
    columns, rows = _PIXELS
    edges = [
        np.ceil(edge / full * count - 0.5).astype(np.int64)
        for edge, full, count in (
            (boxes.start, span, columns), (boxes.end, span, columns),
            (boxes.low, limit, rows), (boxes.high, limit, rows),
        )
    ]  # fmt: skip
    seen = np.flatnonzero((edges[0] < edges[1]) & (edges[2] < edges[3]))
    picture = np.full((rows, columns, 3), 255, dtype=np.uint8)
    colours = (shades * 255).astype(np.uint8)
    for box, left, right, low, high in zip(seen.tolist(), *(edge[seen].tolist() for edge in edges), strict=True):
        picture[low:high, left:right] = colours[box]
    return picture


def _legend(figure: Figure, heading: str, styles: Sequence[Style]) -> None:
    handles: list[Artist] = [Patch(facecolor=style.colour, label=style.label) for style in styles]
    handles.append(Line2D([], [], color=CAPACITY_COLOUR, linewidth=1.1, linestyle="--", label="capacity"))
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False, title=heading)
