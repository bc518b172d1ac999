"""Figure ``operations``: what a model computes and touches, by type of operator and number of tokens."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from ssmopt.experiments.figures.base import FigureKind
from ssmopt.experiments.figures.counting import FUSED, TYPES, UNFUSED, count_types, phases, title_of
from ssmopt.experiments.figures.style import legend_of, new_figure, note, powers_of_two, tidy, title

_ROWS = (
    ("operations", "operations"),
    ("memory_bytes", "memory accesses (bytes)"),
    ("intensity", "operations per byte"),
)


def draw(frame: pd.DataFrame) -> Figure:
    """A column of panels per model and phase: operations, bytes, and operations per byte, over the tokens."""
    panels = phases(frame)
    figure = new_figure(3.1 * len(panels) + 1.5, 8.2)
    grid = figure.subplots(len(_ROWS), len(panels), sharex=True, sharey="row", squeeze=False)
    lengths = sorted(frame["seq_len"].unique())
    for column, (model, phase) in enumerate(panels):
        mine = frame[(frame["model"] == model) & (frame["phase"] == phase)]
        for row, (field, label) in enumerate(_ROWS):
            axes = grid[row, column]
            for kind, series in TYPES.items():
                for fusion, line in ((UNFUSED, "-"), (FUSED, ":")):
                    points = mine[(mine["operator_type"] == kind) & (mine["fusion"] == fusion)]
                    if len(points) and not (fusion == FUSED and field == "operations"):
                        axes.plot(points["seq_len"], points[field], **{**series.line_style(), "linestyle": line})
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            tidy(axes)
            powers_of_two(axes, lengths)
            if column == 0:
                axes.set_ylabel(label)
        grid[0, column].set_title(title_of(model, phase), fontsize=10)
        grid[-1, column].set_xlabel("tokens" if phase == "prefill" else "tokens so far")
    used = [series for kind, series in TYPES.items() if kind in set(frame["operator_type"])]
    legend_of(figure, used, fused=FUSED in set(frame["fusion"]))
    title(figure, "Operations and memory accesses of whole models")
    note(
        figure,
        "All layers, batch 1; a multiply-accumulate is two operations. Every operator reads its operands from DRAM and "
        "writes its results there; dotted: the state update fused. Scores of attention in full, without regard to the "
        "causal mask; embeddings and the last projection to the vocabulary are left out.",
    )
    return figure


OPERATIONS = FigureKind(
    "operations",
    "operations, memory accesses and operations per byte of each type of operator, Mamba beside a transformer",
    count_types,
    draw,
)
