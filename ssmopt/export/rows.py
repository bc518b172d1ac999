"""The rows of a Gantt: the intervals of each core and channel, drawn as boxes or, when too many, as shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from ssmopt.csr import IntArray
from ssmopt.export.bins import FloatArray, busy_share
from ssmopt.export.palette import DIRECTIONS, Style, is_dark
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule

CORE_ROWS = 32
"""Most cores that get a row each; beyond, one row shows all cores of a kind."""

_NAMED = 80  # rows with more boxes than this get no text inside them
_OUTLINED = 200  # boxes of rows with more intervals than this get no outline
_CHARACTER_INCHES = 0.063  # of the text inside boxes


@dataclass(frozen=True, eq=False)
class Row:
    """One line of the Gantt: intervals with a category each, on something that runs ``lanes`` of them at once.

    ``names`` are the texts for the boxes; empty when there are too many.
    """

    label: str
    start: IntArray
    end: IntArray
    category: IntArray
    names: Sequence[str]
    lanes: int = 1

    def is_binned(self, n_bins: int) -> bool:
        """Whether boxes would overlap, or be too narrow to see."""
        return self.lanes > 1 or len(self.start) > n_bins // 2


def core_rows(instance: Instance, schedule: Schedule, operator: IntArray) -> list[Row]:
    """A row per core, or per kind of core when there are more than `CORE_ROWS`; the category is the operator."""
    tiles = schedule.tiles
    labels = list(instance.core_ids)
    row_of_core = np.arange(instance.n_cores)
    lanes = [1] * instance.n_cores
    if instance.n_cores > CORE_ROWS:
        kinds, row_of_core = np.unique(instance.core_kind, return_inverse=True)
        lanes = np.bincount(row_of_core, minlength=len(kinds)).tolist()
        first = [labels[int(np.argmax(row_of_core == i))] for i in range(len(kinds))]
        labels = [f"{n} x {name.split('.', 1)[0]}" if n > 1 else name for n, name in zip(lanes, first, strict=True)]
    rows = []
    for i, label in enumerate(labels):
        mine = np.flatnonzero(row_of_core[tiles.core] == i)
        which = tiles.tile[mine]
        names = [instance.tile_ids[t] for t in which.tolist()] if len(mine) <= _NAMED else []
        rows.append(Row(label, tiles.start[mine], tiles.end[mine], operator[which], names, lanes[i]))
    return rows


def channel_rows(instance: Instance, schedule: Schedule) -> list[Row]:
    """A row per channel; the category is the tensor's kind times the number of directions, plus the direction."""
    transfers = schedule.transfers
    direction = np.where(transfers.source < 0, 0, np.where(transfers.target < 0, 1, 2))
    category = instance.tensor_kind[transfers.tensor].astype(np.int64) * len(DIRECTIONS) + direction
    rows = []
    for i, label in enumerate(instance.channel_ids):
        mine = np.flatnonzero(transfers.channel == i)
        names = [instance.tensor_ids[t] for t in transfers.tensor[mine].tolist()] if len(mine) <= _NAMED else []
        lanes = int(instance.channel_lanes[i])
        label = label if lanes == 1 else f"{label} ({lanes} lanes)"
        rows.append(Row(label, transfers.start[mine], transfers.end[mine], category[mine], names, lanes))
    return rows


def draw_rows(
    axes: Axes,
    rows: Sequence[tuple[Row, Sequence[Style], Sequence[int]]],
    edges: FloatArray,
    inches_per_cycle: float,
) -> list[Style]:
    """Draw rows from top to bottom, and return the styles that were used.

    Parameters
    ----------
    axes
        Where to draw; row ``i`` is centred on ``y = i``.
    rows
        Each row with its style per category, and the order in which categories are stacked from the bottom up.
    edges
        Bin edges, in cycles, of rows with more intervals than pixels.
    inches_per_cycle
        Scale of the time axis; decides which boxes have room for their name.
    """
    used: list[Style] = []
    for position, (row, styles, order) in enumerate(rows):
        present = set(np.unique(row.category).tolist())
        order = [category for category in order if category in present]
        used += [styles[category] for category in order]
        if row.is_binned(len(edges) - 1):
            _draw_shares(axes, position, row, styles, order, edges)
        else:
            _draw_boxes(axes, position, row, styles, order, inches_per_cycle)
    return used


_HALF = 0.4  # half the height of a box; rows are one apart


def _draw_boxes(
    axes: Axes, position: int, row: Row, styles: Sequence[Style], order: Sequence[int], inches_per_cycle: float
) -> None:
    outlined = len(row.start) <= _OUTLINED
    for category in order:
        mine = row.category == category
        left, right = row.start[mine].astype(np.float64), row.end[mine].astype(np.float64)
        top, bottom = np.full(len(left), position - _HALF), np.full(len(left), position + _HALF)
        corners = np.stack([left, bottom, left, top, right, top, right, bottom], axis=1).reshape(-1, 4, 2)
        _fill(axes, corners, styles[category], edge="white" if outlined else "face", width=0.5 if outlined else 0.2)
    for name, start, end, category in zip(row.names, row.start, row.end, row.category, strict=False):
        style = styles[category]
        if len(name) * _CHARACTER_INCHES < (end - start) * inches_per_cycle:
            ink = "white" if is_dark(style.colour) else "#222222"
            # A plain patch behind the text keeps it legible on a hatch.
            patch = {"facecolor": style.colour, "linewidth": 0, "pad": 1.5} if style.hatch else None
            middle = (int(start) + int(end)) / 2
            axes.text(middle, position, name, ha="center", va="center", fontsize=7, color=ink, bbox=patch)


def _draw_shares(
    axes: Axes, position: int, row: Row, styles: Sequence[Style], order: Sequence[int], edges: FloatArray
) -> None:
    """Stack, per bin, the share of its time that each category takes; the row is full where nothing is idle."""
    floor = np.zeros(len(edges) - 1)
    for category in order:
        mine = row.category == category
        share = busy_share(row.start[mine], row.end[mine], edges) / row.lanes
        outline = _steps(edges, position + _HALF - 2 * _HALF * floor, position + _HALF - 2 * _HALF * (floor + share))
        _fill(axes, outline, styles[category], edge="face", width=0.0, as_pixels=True)
        floor = floor + share


def _steps(edges: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Outline of the area between two step functions, as one polygon of shape (1, vertices, 2)."""
    x = np.repeat(edges, 2)[1:-1]
    there, back = np.stack([x, np.repeat(upper, 2)], axis=1), np.stack([x, np.repeat(lower, 2)], axis=1)[::-1]
    return np.concatenate([there, back])[None]


def _fill(axes: Axes, polygons: FloatArray, style: Style, *, edge: str, width: float, as_pixels: bool = False) -> None:
    """Add polygons; ``as_pixels`` makes them an image within an SVG or PDF, which would take megabytes otherwise."""
    # A hatch takes the colour of the edge, so that hatched boxes cannot have the edge of their own face.
    shapes = PolyCollection(
        list(polygons),
        facecolors=style.colour,
        edgecolors="white" if style.hatch else edge,
        linewidths=width,
        hatch=style.hatch or None,
        zorder=2,
        rasterized=as_pixels,
    )
    axes.add_collection(shapes, autolim=False)
