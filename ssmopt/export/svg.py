"""Small pictures as SVG text, for notebooks: shares per column, so that their size does not grow with the schedule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssmopt.export.bins import FloatArray, busy_share, peak_samples
from ssmopt.export.gantt import gantt_rows
from ssmopt.export.markup import Markup, escaped
from ssmopt.export.occupancy import levels_by_kind
from ssmopt.export.palette import BOUND_COLOUR, Style, kind_styles
from ssmopt.export.rows import Row
from ssmopt.export.units import cycles, size
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule

_COLUMNS = 240
_WIDTH, _LEFT, _ROW, _PANEL, _AXIS = 760, 90, 22, 64, 16
_ROWS, _PANELS = 10, 2
"""Most rows, and most memories, in a picture."""

Styled = tuple[Row, Sequence[Style], Sequence[int]]


def schedule_svg(instance: Instance, schedule: Schedule, lower_bound: int | None = None) -> Markup:
    """Cores, channels and bytes in memories over time.

    Parameters
    ----------
    instance, schedule
        What to draw.
    lower_bound
        Cycles below which no schedule exists: drawn as a line.
    """
    rows, n_cores = gantt_rows(instance, schedule)
    rows = [*_few(rows[:n_cores]), *_few(rows[n_cores:])]
    span = max(schedule.makespan, lower_bound or 0, 1)
    panels = [m for m in range(instance.n_memories) if schedule.peak_memory_bytes(instance.tensor_bytes, m)][:_PANELS]
    height = _ROW * len(rows) + (_PANEL + 6) * len(panels) + _AXIS
    edges = np.linspace(0, span, _COLUMNS + 1)
    parts = [_row(row, styles, order, edges, i * _ROW) for i, (row, styles, order) in enumerate(rows)]
    top = _ROW * len(rows) + 6
    for memory in panels:
        parts.append(_memory(instance, schedule, memory, edges, top))
        top += _PANEL + 6
    if lower_bound is not None:
        x = _x(lower_bound, span)
        parts.append(f'<path d="M{x:.1f} 0V{height - _AXIS}" stroke="{BOUND_COLOUR}"><title>lower bound</title></path>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        label = cycles(float(f"{span * share:.4g}"))
        parts.append(_text(_x(span * share, span), height - 4, label, anchor))
    words = f"{instance.name}: {schedule.makespan:,} cycles"
    return svg(_WIDTH, height, "".join(parts), words)


def svg(width: int, height: int, inner: str, title: str) -> Markup:
    """A picture of so many pixels."""
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'style="max-width:100%;background:#ffffff;font:11px sans-serif" role="img"><title>{escaped(title)}</title>'
        f"{inner}</svg>"
    )


def bar_svg(share: float, mark: float | None = None, colour: str = "#0072b2", width: int = 180) -> Markup:
    """A bar that fills a share of its width, and a mark at another share."""
    bar = f'<rect width="{width * min(max(share, 0), 1):.1f}" height="11" fill="{colour}"/>'
    line = "" if mark is None else f'<rect x="{width * mark:.1f}" width="2" height="11" fill="{BOUND_COLOUR}"/>'
    return svg(width + 2, 11, bar + line, f"{share:.0%}")


def _few(rows: Sequence[Styled]) -> list[Styled]:
    """Rows as they are, or all of them as one when there are too many."""
    if len(rows) <= _ROWS:
        return list(rows)
    every = [row for row, _, _ in rows]
    merged = Row(
        f"{len(rows)} rows",
        np.concatenate([row.start for row in every]),
        np.concatenate([row.end for row in every]),
        np.concatenate([row.category for row in every]),
        (),
        sum(row.lanes for row in every),
    )
    return [(merged, rows[0][1], rows[0][2])]


def _x(time: float, span: int) -> float:
    return _LEFT + time / span * (_WIDTH - _LEFT - 2)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333333">{escaped(text)}</text>'


def _row(row: Row, styles: Sequence[Style], order: Sequence[int], edges: FloatArray, top: float) -> str:
    label = row.label if len(row.label) <= 14 else row.label[:13] + "…"
    parts = [_text(_LEFT - 6, top + _ROW / 2 + 4, label, "end")]
    height, floor = _ROW - 4, np.zeros(len(edges) - 1)
    if not row.is_binned(_COLUMNS):
        span = int(edges[-1])
        for category in order:
            mine = row.category == category
            boxes = zip(row.start[mine].tolist(), row.end[mine].tolist(), strict=True)
            steps = [f"M{_x(a, span):.1f} {top + 2}H{_x(b, span):.1f}v{height}H{_x(a, span):.1f}z" for a, b in boxes]
            parts.append(_path(steps, styles[category].colour, styles[category].label))
        return "".join(parts)
    present = set(np.unique(row.category).tolist())
    for category in order:
        if category not in present:
            continue
        mine = row.category == category
        ceiling = floor + busy_share(row.start[mine], row.end[mine], edges) / row.lanes
        style = styles[category]
        parts.append(_area(floor * height, ceiling * height, top + 2 + height, style.colour, style.label))
        floor = ceiling
    return "".join(parts)


def _memory(instance: Instance, schedule: Schedule, memory: int, edges: FloatArray, top: float) -> str:
    moments, levels = levels_by_kind(instance, schedule, memory)
    capacity = int(instance.memory_capacity[memory])
    best = peak_samples(moments, levels.sum(axis=1), edges)
    levels = np.where(best[:, None] >= 0, levels[np.maximum(best, 0)], 0)
    most = max(capacity, int(levels.sum(axis=1).max(initial=0)), 1) * 1.05
    floor = np.zeros(len(edges) - 1)
    parts = [
        _text(_LEFT - 6, top + _PANEL / 2 - 3, instance.memory_ids[memory][:14], "end"),
        _text(_LEFT - 6, top + _PANEL / 2 + 11, size(capacity), "end"),
    ]
    for code, style in enumerate(kind_styles()):
        if levels[:, code].any():
            ceiling = floor + levels[:, code]
            shown = floor / most * _PANEL, ceiling / most * _PANEL
            parts.append(_area(*shown, top + _PANEL, style.colour, style.label))
            floor = ceiling
    y = top + _PANEL * (1 - capacity / most)
    parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - 2}" stroke="#333333" stroke-dasharray="5 3"/>')
    return "".join(parts)


def _area(low: FloatArray, high: FloatArray, bottom: float, colour: str, title: str) -> str:
    """The area between two step functions (pixels above ``bottom``); columns of equal height are one rectangle."""
    low, high = np.round(low, 1), np.round(high, 1)
    width = (_WIDTH - _LEFT - 2) / len(low)
    begins = np.flatnonzero(np.append(True, (np.diff(low) != 0) | (np.diff(high) != 0)))
    ends = np.append(begins[1:], len(low))
    steps = []
    for a, b in zip(begins.tolist(), ends.tolist(), strict=True):
        if high[a] > low[a]:
            left, right, lower, upper = _LEFT + a * width, _LEFT + b * width, bottom - low[a], bottom - high[a]
            steps.append(f"M{left:.1f} {lower:.1f}V{upper:.1f}H{right:.1f}V{lower:.1f}z")
    return _path(steps, colour, title)


def _path(steps: Sequence[str], colour: str, title: str) -> str:
    return f'<path fill="{colour}" d="{"".join(steps)}"><title>{escaped(title)}</title></path>' if steps else ""
