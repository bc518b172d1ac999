"""Draw ``docs/images/architecture.svg``: what becomes what, from left to right.

Run it from anywhere: ``python docs/_site/architecture.py``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

TARGET = Path(__file__).resolve().parents[1] / "images" / "architecture.svg"

NOUN, VERB, JUDGE = "#dbe9f6", "#fdf3d8", "#dff0dc"
WIDTH, HEIGHT = 2.3, 0.78

BOXES = {
    # name: (column, row, kind, text, code)
    "files": (0, 1, NOUN, "model, hardware,\ntokens", "files/, library.py"),
    "problem": (1, 1, NOUN, "problem", "problem.py"),
    "tiling": (1, 0, VERB, "tiling search", "autotile/"),
    "tiles": (2, 1, NOUN, "tile instance", "workload/, instance.py"),
    "order": (3, 1, VERB, "order and policy", "heuristics/"),
    "decoder": (4, 1, VERB, "decoder", "decode/"),
    "schedule": (5, 1, NOUN, "schedule", "schedule.py"),
    "exact": (4, 2, VERB, "exact model", "cpsat/"),
    "neighbours": (4, 0, VERB, "neighbourhoods", "neighbourhood/"),
    "bounds": (2, 2, VERB, "bounds", "bounds/"),
    "validator": (5, 2, JUDGE, "validator", "validate*.py"),
    "result": (5, 3, JUDGE, "result: makespan,\nbound, gap, status", "result.py"),
    "after": (3, 3, VERB, "addresses, execution,\npictures, tables", "allocate/, execute/, export/"),
}
ARROWS = [
    # from, to, label
    ("files", "problem", ""),
    ("problem", "tiles", ""),
    ("tiling", "tiles", "how to cut"),
    ("problem", "tiling", ""),
    ("tiles", "order", ""),
    ("order", "decoder", ""),
    ("decoder", "schedule", ""),
    ("neighbours", "decoder", "changed orders"),
    ("tiles", "bounds", ""),
    ("bounds", "exact", "constraints"),
    ("exact", "schedule", "improves"),
    ("schedule", "validator", "nothing else passes"),
    ("validator", "result", ""),
    ("bounds", "result", "gap, OPTIMAL"),
    ("result", "after", ""),
]


def centre(name: str) -> tuple[float, float]:
    """Middle of a box."""
    column, row, *_ = BOXES[name]
    return column * 2.95, -row * 1.45


def draw(axes: Axes) -> None:
    """Boxes, then arrows between their edges."""
    for name, (_, _, colour, text, code) in BOXES.items():
        x, y = centre(name)
        axes.add_patch(
            FancyBboxPatch(
                (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, boxstyle="round,pad=0.06", facecolor=colour,
                edgecolor="#667788", linewidth=0.9,
            )
        )  # fmt: skip
        axes.text(x, y + 0.13, text, ha="center", va="center", fontsize=9.5, color="#111111")
        axes.text(x, y - 0.31, code, ha="center", va="center", fontsize=7, color="#445566", family="monospace")
    for start, end, label in ARROWS:
        (x0, y0), (x1, y1) = _edges(start, end)
        axes.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "-|>", "color": "#334455", "linewidth": 1.1})
        if label:
            axes.text(
                (x0 + x1) / 2, (y0 + y1) / 2, label, ha="center", va="center", fontsize=7.5, color="#334455",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
            )  # fmt: skip


def _edges(start: str, end: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow leaves one box and meets the other: at the sides that face each other."""
    (x0, y0), (x1, y1) = centre(start), centre(end)
    half_width, half_height = WIDTH / 2 + 0.07, HEIGHT / 2 + 0.07
    if y0 == y1:
        step = half_width if x1 > x0 else -half_width
        return (x0 + step, y0), (x1 - step, y1)
    if x0 == x1:
        step = half_height if y1 > y0 else -half_height
        return (x0, y0 + step), (x1, y1 - step)
    step = half_width if x1 > x0 else -half_width
    return (x0 + step * 0.9, y0 + (half_height if y1 > y0 else -half_height)), (x1 - step, y1)


def main() -> None:
    """Write the picture; the same bytes each time."""
    matplotlib.rcParams["svg.hashsalt"] = "architecture"
    figure, axes = plt.subplots(figsize=(12.4, 4.6))
    axes.set_xlim(-1.35, 16.1)
    axes.set_ylim(-4.95, 0.65)
    axes.set_axis_off()
    draw(axes)
    figure.subplots_adjust(0, 0, 1, 1)
    figure.savefig(TARGET, metadata={"Date": None, "Creator": None}, facecolor="white")
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
