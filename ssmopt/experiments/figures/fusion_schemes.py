"""Figure ``fusion-schemes``: nine ways to fuse the state update, the optimum, and what no schedule beats."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ssmopt.experiments.figures.base import FigureKind, FigureOptions
from ssmopt.experiments.figures.solving import (
    BOUND,
    OPTIMUM,
    solve_schemes,
)
from ssmopt.experiments.figures.style import OKABE_ITO, new_figure, note, tidy, title
from ssmopt.export.palette import BOUND_COLOUR
from ssmopt.export.units import cycles, percent
from ssmopt.heuristics.fusion import SCHEMES

LENGTHS, QUICK_LENGTHS = (1, 64, 512, 1024, 2048), (1, 16, 64)
UNFUSED = "layer-by-layer"
NINE = (UNFUSED, *SCHEMES)
"""The schemes of the published study, in its order."""

_SECONDS, _QUICK_SECONDS = 60.0, 4.0
_AXES = ("seq_len",)


def data(options: FigureOptions) -> pd.DataFrame:
    """Makespans in cycles of one layer, at the SRAM of the hardware; ``speedup`` is relative to layer-by-layer.

    Every scheme is scheduled on up to three coarse tilings of the projections, of which the best counts.
    """
    seconds = options.seconds or (_QUICK_SECONDS if options.quick else _SECONDS)
    problems = [(options.problem(length), {"seq_len": length}) for length in options.lengths(LENGTHS, QUICK_LENGTHS)]
    frame = solve_schemes(problems, _AXES, NINE, seconds, options)
    unfused = frame[frame["scheme"] == UNFUSED].set_index("seq_len")["makespan"]
    frame.insert(3, "speedup", frame["seq_len"].map(unfused) / frame["makespan"])
    frame.insert(0, "problem", f"{options.load_model().name} on {options.load_hardware().name}")
    return frame


def draw(frame: pd.DataFrame) -> Figure:
    """A panel per number of tokens: a bar per scheme, the optimum, and the bound as a line."""
    lengths = sorted(frame["seq_len"].unique())
    figure = new_figure(3.0 * len(lengths) + 1.2, 4.6)
    grid = figure.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
    for axes, length in zip(grid, lengths, strict=True):
        _draw_length(axes, frame[frame["seq_len"] == length])
        axes.set_title(f"{length:,} token{'s' if length > 1 else ''}", fontsize=10)
    grid[0].invert_yaxis()
    title(figure, f"Fusion schemes: {frame['problem'].iloc[0]}")
    note(
        figure,
        "Cycles of one layer. In brackets the speed-up over layer-by-layer and the gap to the lower bound (red), below "
        "which no schedule exists under any tiling. Schemes run on the best of up to three coarse tilings of the "
        "projections, with one-token tiles in the state update; the optimum chooses its tiling. Every schedule passed "
        "the independent validator.",
    )
    return figure


def _draw_length(axes: Axes, mine: pd.DataFrame) -> None:
    bound = float(mine[mine["scheme"] == BOUND]["makespan"].iloc[0])
    rows = mine[mine["scheme"] != BOUND]
    makespans = rows["makespan"].astype(float).to_numpy(dtype=float)
    places = [float(place) for place in range(len(rows))]
    colours = [OKABE_ITO["blue"] if scheme == OPTIMUM else OKABE_ITO["grey"] for scheme in rows["scheme"]]
    axes.barh(places, makespans, color=colours, height=0.72)
    axes.axvline(bound, color=BOUND_COLOUR, linewidth=1.2)
    for place, (_, row) in zip(places, rows.iterrows(), strict=True):
        if pd.isna(row["makespan"]):
            axes.text(bound, place, f" {row['status']}", va="center", fontsize=7, color="#333333")
            continue
        speedup = "" if row["scheme"] == UNFUSED or pd.isna(row["speedup"]) else f"{row['speedup']:.2f}x, "
        text = f" {int(row['makespan']):,} ({speedup}+{percent(float(row['gap']))})"
        axes.text(float(row["makespan"]), place, text, va="center", fontsize=7, color="#333333")
    axes.set_yticks(places, list(rows["scheme"]))
    axes.set_xlim(0, np.nanmax([*makespans, bound]) * 1.85)
    tidy(axes)
    axes.grid(False, axis="y")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cycles(value)))
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)


FUSION_SCHEMES = FigureKind(
    "fusion-schemes",
    "nine ways to fuse the state update against the optimum and the lower bound, over the tokens",
    data,
    draw,
)
