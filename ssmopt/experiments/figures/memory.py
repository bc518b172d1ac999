"""Figure ``memory``: how much SRAM fused prefill needs, by heuristics and by the optimum."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssmopt.experiments.figures.base import FigureKind, FigureOptions
from ssmopt.experiments.figures.solving import (
    BOUND,
    MIB,
    OPTIMUM,
    solve_schemes,
)
from ssmopt.experiments.figures.style import (
    BASELINE_SERIES,
    BOUND_SERIES,
    OKABE_ITO,
    OPTIMUM_SERIES,
    cycle_axis,
    legend_of,
    new_figure,
    note,
    tidy,
    title,
)

SRAM_MIB = (0.1, 0.25, 0.5, 0.75, 1, 2, 3, 4, 6, 8, 10, 12, 18, 24, 30)
QUICK_SRAM_MIB = (0.25, 1, 4, 24)
LENGTHS, QUICK_LENGTHS = (1, 64, 512, 1024), (1, 16)
BASELINES = tuple(BASELINE_SERIES)
ENOUGH = 1.02
"""The SRAM that is enough: the least with which the optimum is within so much of that with the most."""

_SECONDS, _LONG_SECONDS, _QUICK_SECONDS = 10.0, 4.0, 3.0
"""Per optimum: for short prompts, which differ most between memories, for long ones, and for a quick figure."""

_AXES = ("seq_len", "sram_mib")
_TICKS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.03, 0.06, 0.1, 0.25, 0.5, 1, 2, 4, 8, 24, 64, 128)

_SERIES = {
    **BASELINE_SERIES,
    OPTIMUM: OPTIMUM_SERIES,
    BOUND: BOUND_SERIES,
}


def data(options: FigureOptions) -> pd.DataFrame:
    """Makespans in cycles of one layer by tokens and MiB of SRAM, the optimum's never growing with the SRAM.

    Heuristics are scheduled on up to three coarse tilings that fit, of which the best counts. Where no tiling fits, the
    row has the status ``FAILED``.
    """
    usual = (_QUICK_SECONDS, _QUICK_SECONDS) if options.quick else (_SECONDS, _LONG_SECONDS)
    seconds, long_seconds = (options.seconds, options.seconds) if options.seconds else usual
    lengths = options.lengths(LENGTHS, QUICK_LENGTHS)
    sizes: tuple[float, ...] = QUICK_SRAM_MIB if options.quick else SRAM_MIB
    if options.srams is not None:
        sizes = tuple(size / MIB for size in options.srams)
    problems = [
        (options.problem(length, int(mib * MIB + 1e-6)), {"seq_len": length, "sram_mib": mib})
        for length in lengths
        for mib in sizes
    ]
    frame = solve_schemes(problems, _AXES, BASELINES, seconds, options, long_seconds=long_seconds)
    frame.insert(0, "problem", f"{options.load_model().name} on {options.load_hardware().name}")
    return frame


def least_enough(frame: pd.DataFrame, seq_len: int, scheme: str = OPTIMUM) -> float:
    """The least SRAM in MiB of the table with which a scheme is within ``ENOUGH`` of the optimum with the most SRAM.

    Parameters
    ----------
    frame
        The table of `data`.
    seq_len
        Tokens.
    scheme
        Whose SRAM is asked for.

    Returns
    -------
    float
        MiB; infinite if no row is so good.
    """
    mine = frame[(frame["seq_len"] == seq_len) & frame["makespan"].notna()].sort_values("sram_mib")
    target = float(mine[mine["scheme"] == OPTIMUM]["makespan"].iloc[-1])
    good = mine[(mine["scheme"] == scheme) & (mine["makespan"].astype(float) <= ENOUGH * target)]
    return float(good["sram_mib"].min()) if len(good) else float("inf")


def draw(frame: pd.DataFrame) -> Figure:
    """A panel per number of tokens: cycles over SRAM, both logarithmic."""
    lengths = sorted(frame["seq_len"].unique())
    figure = new_figure(3.2 * len(lengths) + 1.8, 4.6)
    grid = figure.subplots(1, len(lengths), squeeze=False)[0]
    for axes, length in zip(grid, lengths, strict=True):
        _draw_length(axes, frame, length)
    grid[0].set_ylabel("cycles of one layer")
    legend_of(figure, list(_SERIES.values()))
    title(figure, f"Latency over SRAM: {frame['problem'].iloc[0]}")
    optimum = frame[frame["scheme"] == OPTIMUM]["gap"].dropna().astype(float)
    worst = f"; the optimum is proved to within {optimum.min():.2%} to {optimum.max():.1%}" if len(optimum) else ""
    note(
        figure,
        f"Dotted: the least SRAM with which the optimum is within {ENOUGH - 1:.0%} of that with the most{worst}. "
        "Heuristics run on the best of up to three coarse tilings that fit. Every schedule passed the independent "
        "validator; a schedule found with less SRAM counts for more.",
    )
    return figure


def _draw_length(axes: Axes, frame: pd.DataFrame, length: int) -> None:
    mine = frame[(frame["seq_len"] == length) & frame["makespan"].notna()].sort_values("sram_mib")
    for scheme, series in _SERIES.items():
        points = mine[mine["scheme"] == scheme]
        axes.plot(points["sram_mib"], points["makespan"].astype(float), **series.line_style())
    axes.set_xscale("log")
    tidy(axes)
    cycle_axis(axes)
    wanted = [size for size in _TICKS if mine["sram_mib"].min() <= size <= mine["sram_mib"].max()]
    axes.set_xticks(wanted, [f"{size:g}" for size in wanted], fontsize=8)
    axes.set_xlabel("SRAM (MiB)")
    axes.set_title(f"{length:,} token{'s' if length > 1 else ''}", fontsize=10)
    if (mine["scheme"] == OPTIMUM).any():
        enough = least_enough(frame, length)
        axes.axvline(enough, color=OKABE_ITO["blue"], linestyle=":", linewidth=1.2)
        axes.text(
            enough, 0.97, f" {enough:g} MiB", transform=axes.get_xaxis_transform(), fontsize=8, va="top",
            color=OKABE_ITO["blue"],
        )  # fmt: skip


MEMORY = FigureKind(
    "memory",
    "latency over SRAM of two heuristics and the optimum, with the lower bound",
    data,
    draw,
)
