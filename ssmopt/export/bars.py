"""A bar chart of a comparison: the makespan of every solver against the lower bound."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ssmopt.export.gantt import save_figure
from ssmopt.export.palette import BOUND_COLOUR
from ssmopt.export.units import cycles, percent, whole

if TYPE_CHECKING:
    from ssmopt.experiments.compare import Comparison

_BEST, _OTHER = "#0072b2", "#8c9aa8"


def plot_comparison(comparison: Comparison) -> Figure:
    """Draw the makespans of a comparison, the slowest on top, with the gap to the lower bound beside each bar.

    Parameters
    ----------
    comparison
        The comparison; rows without a schedule are left out.
    """
    rows = [(row.result.makespan, row) for row in comparison.rows if row.result.makespan is not None]
    rows.sort(key=lambda pair: -pair[0])
    best = rows[-1][0] if rows else 0
    figure = Figure(figsize=(9, 1.5 + 0.34 * max(len(rows), 2)), layout="constrained")
    axes = figure.subplots()
    makespans = [makespan for makespan, _ in rows]
    colours = [_BEST if makespan == best else _OTHER for makespan in makespans]
    axes.barh(range(len(rows)), makespans, color=colours, height=0.7)
    for position, (makespan, row) in enumerate(rows):
        text = f" {whole(makespan)}  (+{percent(row.result.gap)})"
        axes.text(makespan, position, text, va="center", fontsize=8, color="#333333")
    axes.axvline(comparison.lower_bound, color=BOUND_COLOUR, linewidth=1.2, label="lower bound")
    axes.set_yticks(range(len(rows)), [row.label for _, row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, max([comparison.lower_bound, *makespans, 1]) * 1.22)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cycles(value)))
    axes.set_xlabel("makespan (cycles)")
    figure.suptitle(comparison.instance, fontsize=12, fontweight="bold", x=0.01, ha="left")
    bound = f"lower bound {comparison.lower_bound:,} cycles ({comparison.bound_reason}); in brackets the gap to it"
    if any(row.other_form for _, row in rows):
        bound = bound.replace("the gap to it", "the gap to it or to the other form's own bound")
    axes.set_title(bound, loc="left", fontsize=9, color=BOUND_COLOUR)
    return figure


def save_comparison(path: str | os.PathLike[str], comparison: Comparison, *, dpi: int = 150) -> None:
    """Write the chart of `plot_comparison`; the suffix (``.png``, ``.svg`` or ``.pdf``) says the format.

    Raises
    ------
    InputError
        The suffix is unknown, or the file cannot be written.
    """
    save_figure(path, plot_comparison(comparison), dpi=dpi)
