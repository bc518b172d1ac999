"""A picture of an exploration: latency over memory share for each area, and over area the fastest machines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ssmopt.export.gantt import save_figure
from ssmopt.export.palette import BOUND_COLOUR
from ssmopt.export.units import cycles, percent, whole

if TYPE_CHECKING:
    from ssmopt.exploration.result import Exploration, Row

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKS = "osD^vPX"


def plot_exploration(exploration: Exploration) -> Figure:
    """Draw the machines of an exploration.

    On the left the makespan over the memory share, a line per area through the fastest machine of each share, with the
    bound of the fastest shape below it; on the right, if there are several areas, the Pareto front over the area.
    """
    fractions = sorted({row.machine.fraction for row in exploration.rows})
    several = len(fractions) > 1
    figure = Figure(figsize=(11 if several else 7.5, 4.6), layout="constrained")
    panels = figure.subplots(1, 2 if several else 1, squeeze=False)[0]
    axes = panels[0]
    for number, fraction in enumerate(fractions):
        colour, mark = _COLOURS[number % len(_COLOURS)], _MARKS[number % len(_MARKS)]
        _draw_area(axes, exploration, fraction, colour, mark)
    reference = exploration.reference
    area = reference.machine.area_mm2
    if reference.makespan is not None:
        share = float(100 * reference.machine.memory_share)
        axes.plot(
            [share], [reference.makespan], "*", color="black", markersize=13, label=reference.machine.hardware.name
        )
        if exploration.baseline is not None:
            label = f"{reference.machine.hardware.name}, {exploration.baseline_name}"
            axes.plot(
                [share], [exploration.baseline], "*", color="black", markerfacecolor="white", markersize=13, label=label
            )
    axes.set_xlabel("share of the area that is SRAM (%)")
    _finish(axes)
    if several:
        _draw_front(panels[1], exploration)
        if reference.makespan is not None:
            panels[1].plot([float(area)], [reference.makespan], "*", color="black", markersize=13)
    mix = " + ".join(f"{f'{part.weight} x ' if part.weight > 1 else ''}{part.seq_len:,}" for part in exploration.parts)
    figure.suptitle(f"{exploration.model}, {mix} tokens", fontsize=12, fontweight="bold", x=0.01, ha="left")
    best = exploration.best
    if best is not None and best.makespan is not None:
        rows, columns = best.machine.shape
        panels[0].set_title(
            f"fastest: {rows}x{columns}, {float(100 * best.machine.memory_share):g} % SRAM, "
            f"{whole(best.makespan)} cycles, at most {percent(exploration.gap)} above the fastest possible",
            loc="left",
            fontsize=8,
        )
    return figure


def save_exploration(path: str | os.PathLike[str], exploration: Exploration, *, dpi: int = 150) -> None:
    """Write the picture of `plot_exploration`; the suffix (``.png``, ``.svg`` or ``.pdf``) says the format.

    Raises
    ------
    InputError
        The suffix is unknown, or the file cannot be written.
    """
    save_figure(path, plot_exploration(exploration), dpi=dpi)


def _draw_area(axes: Any, exploration: Exploration, fraction: Fraction, colour: str, mark: str) -> None:
    rows = [row for row in exploration.rows if row.machine.fraction == fraction]
    shares = sorted({row.machine.memory_share for row in rows})
    floor = [min(row.bound for row in rows if row.machine.memory_share == share) for share in shares]
    axes.plot([100 * float(share) for share in shares], floor, ":", color=colour, linewidth=1.2)
    fastest = [_fastest(row for row in rows if row.machine.memory_share == share) for share in shares]
    solved = [row for row in fastest if row is not None]
    label = f"{_nominal_area(rows[0]):.4g} mm2"
    axes.plot(
        [100 * float(row.machine.memory_share) for row in solved],
        [row.makespan for row in solved],
        marker=mark,
        color=colour,
        linewidth=1.4,
        markersize=4.5,
        label=f"{label} (dotted: lower bound)",
    )


def _fastest(rows: Any) -> Row | None:
    solved = [row for row in rows if row.makespan is not None]
    return min(solved, key=lambda row: row.makespan) if solved else None


def _draw_front(axes: Any, exploration: Exploration) -> None:
    fractions = sorted({row.machine.fraction for row in exploration.rows})
    areas = [next(_nominal_area(r) for r in exploration.rows if r.machine.fraction == f) for f in fractions]
    bounds = [exploration.bound_of(fraction) for fraction in fractions]
    axes.plot(areas, bounds, "_", markersize=14, color=BOUND_COLOUR, label="lower bound of all machines of an area")
    front: Sequence[Row] = exploration.front
    axes.step(
        [_nominal_area(row) for row in front],
        [row.makespan for row in front],
        where="post",
        marker="o",
        color=_COLOURS[0],
        label="Pareto front",
    )
    for row in front:
        rows, columns = row.machine.shape
        text = f"{float(100 * row.machine.memory_share):g} %, {rows}x{columns}"
        axes.annotate(text, (_nominal_area(row), row.makespan or 0), (4, 5), textcoords="offset points", fontsize=7)
    axes.set_xlabel("area (mm2)")
    axes.margins(x=0.18)
    _finish(axes)


def _finish(axes: Any) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: cycles(value)))
    axes.yaxis.set_minor_formatter(FuncFormatter(_minor))
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.set_ylabel("makespan (cycles)")
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def _minor(value: float, _: int) -> str:
    """Labels of some of the ticks between powers of ten."""
    leading = round(value / 10 ** int(f"{value:e}".split("e")[1]))
    return cycles(value) if leading in (2, 3, 5) else ""


def _nominal_area(row: Row) -> float:
    """The area in mm2 that a machine was made for."""
    model = row.machine.hardware.area_model
    assert model is not None
    return float(row.machine.fraction) * model.reference_mm2
