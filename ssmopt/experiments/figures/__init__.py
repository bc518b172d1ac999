"""Figures of papers on fused state space models, each made anew: numbers as CSV, pictures as PNG and SVG.

In a notebook, one cell each::

    from ssmopt.experiments import figures

    figures.roofline(quick=True)

Every function takes the fields of `FigureOptions` as keywords and returns a `FigureResult`: ``frame`` (the numbers, a
pandas data frame), ``figure`` (the picture, of matplotlib) and ``save(folder)``. ``ssmopt figure`` does the same.

To add a figure: a file ``ssmopt/experiments/figures/NAME.py`` with two functions and a `FigureKind`,

- ``data(options: FigureOptions) -> pandas.DataFrame``: the numbers, a row per point. ``options.quick`` asks for fewer
  points, and ``options.lengths(full, quick)`` says of which tokens; ``options.problem(seq_len, sram_bytes)``,
  ``options.load_model()`` and ``options.load_hardware()`` give what the user asked for; ``options.each(points,
  describe)`` walks over points and reports progress, and ``options.report(done, total, what)`` does where points are
  computed elsewhere; ``options.store`` is the SQLite file in which finished points are kept, and
  ``options.n_workers`` how many are solved at once (`ssmopt.experiments.figures.solving` uses both);
- ``draw(frame) -> matplotlib.figure.Figure``: the picture, from nothing but the table
  (`ssmopt.experiments.figures.style` has colours, titles, notes and legends);
- ``NAME = FigureKind("name", "what it shows, in a line", data, draw)``,

then its line in ``FIGURES`` and its function below. Listing, ``--quick``, saving, progress and the command line follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ssmopt.errors import InputError, nearest
from ssmopt.experiments.figures.area import AREA
from ssmopt.experiments.figures.base import (
    FigureInterrupted,
    FigureKind,
    FigureOptions,
    FigureProgress,
    FigureResult,
    figure_paths,
)
from ssmopt.experiments.figures.fusion_schemes import FUSION_SCHEMES
from ssmopt.experiments.figures.lifetimes import LIFETIMES
from ssmopt.experiments.figures.memory import MEMORY
from ssmopt.experiments.figures.operations import OPERATIONS
from ssmopt.experiments.figures.roofline import ROOFLINE

FIGURES: Mapping[str, FigureKind] = MappingProxyType(
    {kind.name: kind for kind in (ROOFLINE, OPERATIONS, LIFETIMES, FUSION_SCHEMES, MEMORY, AREA)}
)
"""All figures by name."""


def make_figure(name: str, options: FigureOptions | None = None) -> FigureResult:
    """Make a figure by its name.

    Raises
    ------
    InputError
        There is no such figure, or the options cannot be used.
    """
    return figure_kind(name).make(options)


def figure_kind(name: str) -> FigureKind:
    """The kind of figure of that name; `InputError` names the nearest one if there is none."""
    if name not in FIGURES:
        raise InputError(f"unknown figure {name!r}{nearest(name, FIGURES)}", key="NAME")
    return FIGURES[name]


def roofline(**options: Any) -> FigureResult:
    """Each type of operator under the machine's roof, and its roofline latency; keywords as for `FigureOptions`."""
    return ROOFLINE.make(FigureOptions(**options))


def operations(**options: Any) -> FigureResult:
    """Operations, memory accesses and operations per byte; keywords as for `FigureOptions`."""
    return OPERATIONS.make(FigureOptions(**options))


def lifetimes(**options: Any) -> FigureResult:
    """Lifetimes of tensors in one state update; keywords as for `FigureOptions`."""
    return LIFETIMES.make(FigureOptions(**options))


def fusion_schemes(**options: Any) -> FigureResult:
    """Nine fusion schemes against the optimum and the bound; keywords as for `FigureOptions`."""
    return FUSION_SCHEMES.make(FigureOptions(**options))


def memory(**options: Any) -> FigureResult:
    """Latency over SRAM; keywords as for `FigureOptions`."""
    return MEMORY.make(FigureOptions(**options))


def area(**options: Any) -> FigureResult:
    """Latency over the share of SRAM at several areas; keywords as for `FigureOptions`."""
    return AREA.make(FigureOptions(**options))


__all__ = [
    "FIGURES",
    "FigureInterrupted",
    "FigureKind",
    "FigureOptions",
    "FigureProgress",
    "FigureResult",
    "area",
    "figure_kind",
    "figure_paths",
    "fusion_schemes",
    "lifetimes",
    "make_figure",
    "memory",
    "operations",
    "roofline",
]
