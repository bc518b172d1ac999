"""How figures look: colours that colour-blind readers tell apart, each with a marker of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ssmopt.export.palette import BOUND_COLOUR
from ssmopt.export.units import cycles

OKABE_ITO: Mapping[str, str] = MappingProxyType(
    {
        "blue": "#0072b2",
        "orange": "#e69f00",
        "green": "#009e73",
        "vermilion": "#d55e00",
        "purple": "#cc79a7",
        "sky": "#56b4e9",
        "yellow": "#f0e442",
        "black": "#000000",
        "grey": "#8c8c8c",
    }
)
"""The palette of Okabe and Ito (2008), which readers with any kind of colour blindness tell apart, and a grey."""

_DIGITS = ((1, 2, 5), (1, 1.5, 2, 3, 5, 7))
"""Leading digits of ticks on a logarithmic axis, from few to many."""
_LEAST_TICKS, _MOST_INTERVALS = 3, 6

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


@dataclass(frozen=True)
class Series:
    """How one series is drawn, wherever it appears."""

    label: str
    colour: str
    marker: str = "o"
    line: str = "-"
    size: float = 4.5

    def line_style(self) -> dict[str, Any]:
        """Keywords for ``axes.plot``."""
        return {
            "label": self.label, "color": self.colour, "linestyle": self.line, "linewidth": 1.4,
            "marker": self.marker, "markersize": self.size, "markeredgecolor": "white", "markeredgewidth": 0.5,
        }  # fmt: skip


BASELINE_SERIES = {
    "fuse-all": Series("fuse-all", OKABE_ITO["vermilion"], "s"),
    "mem-aware": Series("mem-aware", OKABE_ITO["orange"], "^"),
}
"""The two published schemes that the optimum is compared with where there is little memory."""
OPTIMUM_SERIES = Series("optimum", OKABE_ITO["blue"], "o")
BOUND_SERIES = Series("lower bound", BOUND_COLOUR, "", "--")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, without pyplot's global state."""
    return Figure(figsize=(width, height), layout="constrained")


def tidy(axes: Axes) -> None:
    """Only the two spines that are axes, and a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        # On logarithmic axes they are many, say little, and take most of the time of drawing.
        axis.set_minor_locator(NullLocator())


def cycle_axis(axes: Axes) -> None:
    """A logarithmic y axis of cycles with at least three round numbers on it."""
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    for digits in _DIGITS:
        ticks = [tick for power in range(12) for digit in digits if low <= (tick := digit * 10**power) <= high]
        if len(ticks) >= _LEAST_TICKS:
            break
    else:
        ticks = [tick for tick in MaxNLocator(_MOST_INTERVALS).tick_values(low, high) if low <= tick <= high]
    axes.set_yticks(ticks)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: cycles(value)))


def title(figure: Figure, text: str) -> None:
    """A bold title at the upper left."""
    figure.suptitle(text, fontsize=12, fontweight="bold", x=0.01, ha="left")


def note(figure: Figure, text: str) -> None:
    """What the reader has to know, below the picture, wrapped to its width."""
    width = int(figure.get_size_inches()[0] * 17)
    figure.supxlabel("\n".join(textwrap.wrap(text, width)), fontsize=8, color="#555555", x=0.01, ha="left")


def powers_of_two(axes: Axes, values: Sequence[float]) -> None:
    """Ticks at these values of a logarithmic x axis, every other one named when there are many."""
    step = 2 if len(values) > 5 else 1
    axes.xaxis.set_major_locator(FixedLocator(list(values)[::step]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def legend_of(
    figure: Figure, series: Sequence[Series], *, fused: bool = False, place: str = "outside right upper"
) -> None:
    """One legend for all panels; ``fused`` adds what dotted lines and hollow marks mean."""
    handles = [Line2D([], [], **entry.line_style()) for entry in series]
    if fused:
        fusion = Series("the same, fused", "#333333", "o", ":").line_style()
        handles.append(Line2D([], [], **{**fusion, "markerfacecolor": "none", "markeredgecolor": "#333333"}))
    figure.legend(handles=handles, loc=place, fontsize=8, frameon=False)
