"""Figure ``roofline``: where each type of operator lies under the machine's roof, and how long that takes at least."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssmopt.bounds.untiled import dram_bytes_per_cycle
from ssmopt.experiments.figures.base import FigureKind, FigureOptions
from ssmopt.experiments.figures.counting import (
    FUSED,
    STATE,
    TYPES,
    UNFUSED,
    count_types,
    peak_operations_per_cycle,
    phases,
    title_of,
)
from ssmopt.experiments.figures.style import legend_of, new_figure, note, tidy, title
from ssmopt.export.units import milliseconds


def data(options: FigureOptions) -> pd.DataFrame:
    """The counts of `count_types`, with the machine's two roofs beside them."""
    hardware = options.load_hardware()
    return count_types(options).assign(
        peak_operations_per_cycle=peak_operations_per_cycle(hardware),
        dram_bytes_per_cycle=dram_bytes_per_cycle(hardware),
    )


def draw(frame: pd.DataFrame) -> Figure:
    """Above: operations per cycle over operations per byte. Below: cycles by type of operator over the tokens."""
    panels = phases(frame)
    figure = new_figure(3.1 * len(panels) + 1.5, 7.4)
    grid = figure.subplots(2, len(panels), squeeze=False)
    for column, (model, phase) in enumerate(panels):
        mine = frame[(frame["model"] == model) & (frame["phase"] == phase)]
        _draw_roof(grid[0, column], mine, frame)
        _draw_latency(grid[1, column], mine)
        grid[0, column].set_title(title_of(model, phase), fontsize=10)
        grid[1, column].set_xlabel("tokens" if phase == "prefill" else "tokens so far")
    for axes in grid[0, 1:]:
        axes.sharey(grid[0, 0])
    grid[0, 0].set_ylabel("operations per cycle")
    grid[1, 0].set_ylabel("share of the roofline latency")
    used = [series for kind, series in TYPES.items() if kind in set(frame["operator_type"])]
    legend_of(figure, used, fused=FUSED in set(frame["fusion"]))
    title(figure, "Roofline of whole models")
    note(
        figure,
        "Above: larger marks for more tokens; the line is the machine's peak and its DRAM bandwidth; what lies below "
        "it is limited by the cycles of its operations, or by how few fit the array. Below: each operator on its own, "
        "operands from DRAM and results to DRAM; above each bar the sum over all layers and, in brackets, "
        "the sum with the state update fused.",
    )
    return figure


def _draw_roof(axes: Axes, mine: pd.DataFrame, frame: pd.DataFrame) -> None:
    peak, rate = (int(frame[name].iloc[0]) for name in ("peak_operations_per_cycle", "dram_bytes_per_cycle"))
    low, high = frame["intensity"].min() / 2, max(frame["intensity"].max(), peak / rate) * 2
    intensity = np.geomspace(low, high, 200)
    axes.plot(intensity, np.minimum(peak, rate * intensity), color="#333333", linewidth=1.2)
    lengths = sorted(mine["seq_len"].unique())
    sizes = dict(zip(lengths, np.linspace(9, 60, len(lengths)), strict=True))
    for kind, series in TYPES.items():
        for fusion in (UNFUSED, FUSED):
            points = mine[(mine["operator_type"] == kind) & (mine["fusion"] == fusion)]
            axes.scatter(
                points["intensity"], points["operations"] / points["roofline_cycles"],
                s=[sizes[length] for length in points["seq_len"]], marker=series.marker, linewidths=0.8, zorder=3,
                edgecolors=series.colour if fusion == FUSED else "white",
                facecolors="none" if fusion == FUSED else series.colour,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_xlabel("operations per byte")
    tidy(axes)


def _draw_latency(axes: Axes, mine: pd.DataFrame) -> None:
    lengths = sorted(mine["seq_len"].unique())
    unfused = mine[mine["fusion"] == UNFUSED].pivot(index="seq_len", columns="operator_type", values="roofline_ms")
    total = unfused.sum(axis=1)
    fused = mine[mine["fusion"] == FUSED].set_index("seq_len")["roofline_ms"]
    floor = np.zeros(len(lengths))
    for kind, series in TYPES.items():
        if kind in unfused:
            share = (unfused[kind] / total).to_numpy()
            axes.bar(range(len(lengths)), share, bottom=floor, color=series.colour, width=0.8, linewidth=0)
            floor = floor + share
    for place, length in enumerate(lengths):
        text = milliseconds(float(total[length]))
        if len(fused):
            text += f"\n({milliseconds(float(total[length] - unfused[STATE][length] + fused[length]))})"
        axes.text(place, 1.02, text, ha="center", va="bottom", fontsize=6, rotation=90)
    axes.set_ylim(0, 1.5)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xticks(range(len(lengths)), [str(length) for length in lengths], fontsize=7, rotation=45)
    tidy(axes)
    axes.grid(False, axis="x")


ROOFLINE = FigureKind(
    "roofline",
    "each type of operator under the machine's roof, and its share of the roofline latency, Mamba beside a transformer",
    data,
    draw,
)
