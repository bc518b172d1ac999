"""How full each memory is over time: bytes by kind of tensor, or a heat map when there are many memories."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from ssmopt.csr import IntArray
from ssmopt.export.bins import FloatArray, peak_samples
from ssmopt.export.palette import CAPACITY_COLOUR, kind_styles
from ssmopt.export.units import size, size_unit
from ssmopt.instance import KINDS, Instance
from ssmopt.schedule import Schedule

MEMORY_PANELS = 4
"""Most memories that get a panel each; beyond, one heat map shows all."""

OUTLINE_CHANGES = 300
"""Most changes up to which the total is outlined; beyond, close changes would make the line a black blot."""


def draw_memory(axes: Axes, instance: Instance, schedule: Schedule, memory: int, edges: FloatArray) -> list[str]:
    """Draw the bytes in one memory, stacked by tensor kind, against its capacity.

    Where several changes fall into one pixel, its highest moment is shown, so that the peak is the true one.

    Returns
    -------
    list of str
        The tensor kinds that appear.
    """
    moments, levels = levels_by_kind(instance, schedule, memory)
    if len(moments) > len(edges) - 1:
        best = peak_samples(moments, levels.sum(axis=1), edges)
        levels = np.where(best[:, None] >= 0, levels[np.maximum(best, 0)], 0)
        x = edges
    else:
        x = np.append(moments, max(schedule.makespan, int(moments[-1]))) if len(moments) else np.array([0, 1])
        levels = levels if len(moments) else np.zeros((1, len(KINDS)), dtype=np.int64)
    capacity = int(instance.memory_capacity[memory])
    peak = int(levels.sum(axis=1).max(initial=0))
    unit, unit_name = size_unit(max(capacity, 1))
    floor = np.zeros(len(levels))
    kinds = []
    for code, style in enumerate(kind_styles()):
        if not levels[:, code].any():
            continue
        top = floor + levels[:, code] / unit
        axes.fill_between(
            x, np.append(floor, floor[-1]), np.append(top, top[-1]), step="post", color=style.colour, linewidth=0
        )
        floor = top
        kinds.append(style.label)
    width = 0.7 if len(x) <= OUTLINE_CHANGES else 0
    axes.step(x, np.append(floor, floor[-1]), where="post", color="#222222", linewidth=width)
    axes.axhline(capacity / unit, color=CAPACITY_COLOUR, linestyle="--", linewidth=1.1)
    axes.set_ylim(0, max(capacity, peak) / unit * 1.12)
    axes.set_ylabel(f"{instance.memory_ids[memory]} ({unit_name})")
    share = f" ({peak / capacity:.0%})" if capacity else ""
    axes.set_title(
        f"capacity {size(capacity)}, peak {size(peak)}{share}", loc="right", fontsize=8, color=CAPACITY_COLOUR, pad=3
    )
    return kinds


def draw_memory_heat(axes: Axes, instance: Instance, schedule: Schedule, edges: FloatArray) -> None:
    """Draw all memories as one heat map, a row each: the highest share of the capacity in use in each pixel."""
    n = instance.n_memories
    share = np.zeros((n, len(edges) - 1))
    for memory in range(n):
        moments, level = schedule.occupancy(instance.tensor_bytes, memory)
        best = peak_samples(moments, level, edges)
        share[memory] = np.where(best >= 0, level[np.maximum(best, 0)] if len(level) else 0, 0)
        share[memory] /= instance.memory_capacity[memory]
    heat = axes.pcolormesh(
        edges, np.arange(n + 1) - 0.5, share, norm=Normalize(0, 1), cmap="Blues", rasterized=True, zorder=2
    )
    axes.set_ylim(n - 0.5, -0.5)
    step = 1 if n <= 12 else 4 if n <= 48 else max(n // 12, 1)
    axes.set_yticks(range(0, n, step), [instance.memory_ids[i] for i in range(0, n, step)], fontsize=8)
    largest = size(int(instance.memory_capacity.max()))
    axes.set_title(
        f"peak use of each memory (largest {largest}), highest {share.max(initial=0):.0%}",
        loc="right", fontsize=8, color=CAPACITY_COLOUR, pad=3,
    )  # fmt: skip
    axes.figure.colorbar(heat, ax=axes, label="of capacity", format="{x:.0%}", pad=0.01, fraction=0.03)


def levels_by_kind(instance: Instance, schedule: Schedule, memory: int) -> tuple[IntArray, IntArray]:
    """Change times of a memory, and the bytes of each tensor kind from each on."""
    table = schedule.residencies
    mine = np.flatnonzero(table.memory == memory)
    tensor = table.tensor[mine]
    n_bytes = instance.tensor_bytes[tensor]
    times = np.concatenate([table.start[mine], table.end[mine]])
    moments, where = np.unique(times, return_inverse=True)
    change = np.zeros((len(moments), len(KINDS)), dtype=np.int64)
    kind = np.tile(instance.tensor_kind[tensor].astype(np.int64), 2)
    np.add.at(change, (where, kind), np.concatenate([n_bytes, -n_bytes]))
    return moments, np.cumsum(change, axis=0)
