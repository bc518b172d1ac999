"""Figure ``lifetimes``: what is in SRAM during one state update, and the most that is there at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ssmopt.experiments.figures.base import FigureKind, FigureOptions
from ssmopt.experiments.figures.style import new_figure, note, tidy, title
from ssmopt.export.palette import is_dark, kind_styles, operator_styles
from ssmopt.export.units import size, size_unit
from ssmopt.heuristics.base import even_cuts
from ssmopt.heuristics.mem_aware import chunks
from ssmopt.heuristics.places import BoolArray
from ssmopt.instance import KINDS, Instance
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule
from ssmopt.solve import solve
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import build_tiles

_TOKENS = 4
"""Tokens that a scan tile takes; three tiles are scheduled, and the second is shown, where nothing begins or ends."""

_CHUNKS = 8
"""Pieces of the channels, or as near as the model allows."""

_SECONDS = 5.0
TILE, TENSOR = "tile", "tensor"


@dataclass(frozen=True)
class _Way:
    """One way to run the state update."""

    label: str
    problem: Problem
    tiling: Tiling
    solver: str


def data(options: FigureOptions) -> pd.DataFrame:
    """Tiles and residencies while one token (or one scan tile) of one piece of the channels is worked on.

    Returns
    -------
    DataFrame
        A row per tile and per tensor that is resident at some time of it, for each way to run the state update.
        ``start_cycles`` and ``end_cycles`` count from the first tile's start, and are cut at the window's ends;
        ``begins_before`` and ``ends_after`` say where. ``peak_bytes`` is the most that is resident at once in the
        window.
    """
    rows: list[dict[str, object]] = []
    for way in options.each(list(_ways(options)), lambda way: way.label):
        result = solve(way.problem, tiling=way.tiling, solver=way.solver, time_limit=options.seconds or _SECONDS)
        assert result.schedule is not None
        rows += _rows(way, result.instance, result.schedule)
    return pd.DataFrame(rows)


def _ways(options: FigureOptions) -> Iterator[_Way]:
    problem = options.problem(3, scope="state-update")
    model, n_bytes = problem.model, problem.dtype.activations
    state = model.d_inner * model.d_state * n_bytes
    whole = Tiling(tokens=1)
    room = dataclasses.replace(problem, hardware=problem.hardware.override("sram", 8 * state))
    yield _Way("fuse-all, one token", room, whole, "fuse-all")
    cuts = even_cuts(problem)
    pieces = min(cuts, key=lambda cut: abs(cut - _CHUNKS))
    small = dataclasses.replace(problem, hardware=problem.hardware.override("sram", 8 * state // pieces))
    yield _Way(f"mem-aware, one token, {chunks(small)} chunks of channels", small, whole, "mem-aware")
    scan = Tiling(
        tokens=_TOKENS,
        state_tokens=_TOKENS,
        scan=True,
        channel_splits=_scan_pieces(cuts, pieces),
        loop_order="channels",
    )
    long = dataclasses.replace(problem, seq_len=3 * _TOKENS)
    capacity = max(8 * state // pieces, 2 * build_tiles(long, scan).minimum_capacity()[0])
    long = dataclasses.replace(long, hardware=problem.hardware.override("sram", capacity))
    yield _Way(f"scan tiles of {_TOKENS} tokens, {scan.channel_splits} chunks", long, scan, "pipelined")


def _scan_pieces(cuts: list[int], pieces: int) -> int:
    """Pieces with which so many tokens at once take about the bytes of one token in the pieces that were given."""
    return next((cut for cut in cuts if cut >= _TOKENS * pieces), cuts[-1])


def _rows(way: _Way, instance: Instance, schedule: Schedule) -> list[dict[str, object]]:
    tiles, table, memory = schedule.tiles, schedule.residencies, 0
    chosen = np.flatnonzero(_of_the_second_step(instance, way.tiling.state_tokens)[tiles.tile])
    chosen = chosen[np.argsort(tiles.start[chosen], kind="stable")]
    first, last = int(tiles.start[chosen[0]]), int(tiles.end[chosen].max())
    shown = (table.memory == memory) & (table.start < last) & (table.end > first)
    moments, level = schedule.occupancy(instance.tensor_bytes, memory)
    # The level that holds when the window begins was reached before it.
    inside = (moments < last) & (np.append(moments[1:], schedule.makespan) > first)
    common = {
        "way": way.label,
        "problem": way.problem.name,
        "sram_bytes": int(instance.memory_capacity[memory]),
        "peak_bytes": int(level[inside].max()),
        "state_bytes": way.problem.model.d_inner * way.problem.model.d_state * way.problem.dtype.activations,
    }
    rows: list[dict[str, object]] = []
    assert instance.meta is not None
    for row in chosen.tolist():
        tile, start, end = int(tiles.tile[row]), int(tiles.start[row]), int(tiles.end[row])
        operator = instance.meta.operators[instance.meta.operator[tile]]
        rows.append(_interval(common, TILE, operator, operator, start, end, first, last, 0))
    order = np.flatnonzero(shown)
    order = order[np.lexsort((table.end[order], table.start[order]))]
    for row in order.tolist():
        tensor, start, end = int(table.tensor[row]), int(table.start[row]), int(table.end[row])
        kind = KINDS[instance.tensor_kind[tensor]]
        n_bytes = int(instance.tensor_bytes[tensor])
        rows.append(_interval(common, TENSOR, instance.tensor_ids[tensor], kind, start, end, first, last, n_bytes))
    return rows


def _interval(
    common: dict[str, object],
    what: str,
    name: str,
    category: str,
    start: int,
    end: int,
    first: int,
    last: int,
    n_bytes: int,
) -> dict[str, object]:
    return {
        **common,
        "what": what,
        "name": name,
        "category": category,
        "start_cycles": max(start, first) - first,
        "end_cycles": min(end, last) - first,
        "begins_before": start < first,
        "ends_after": end > last,
        "bytes": n_bytes,
    }  # fmt: skip


def _of_the_second_step(instance: Instance, tokens: int) -> BoolArray:
    """The tiles of the second token, or of the second so many tokens, in the first piece of the channels."""
    meta = instance.meta
    assert meta is not None
    token = meta.dims.index("L")
    low = meta.low[:, token]
    others = np.delete(meta.low, token, axis=1)
    return (low >= tokens) & (low < 2 * tokens) & (others <= 0).all(axis=1)


def draw(frame: pd.DataFrame) -> Figure:
    """A column per way: tiles and lifetimes above, and below them the bytes that are resident."""
    ways = list(dict.fromkeys(frame["way"]))
    most = max((frame["way"] == way).sum() for way in ways)
    figure = new_figure(5.0 * len(ways) + 1.3, 2.9 + 0.2 * most)
    grid = figure.subplots(2, len(ways), squeeze=False, sharex="col", height_ratios=(0.2 * most, 1.5))
    for column, way in enumerate(ways):
        mine = frame[frame["way"] == way]
        _draw_lifetimes(grid[0, column], mine)
        _draw_occupancy(grid[1, column], mine)
        grid[0, column].set_title(way, fontsize=10)
        grid[1, column].set_xlabel("cycles")
    kinds = set(frame[frame["what"] == TENSOR]["category"])
    handles = [Patch(facecolor=style.colour, label=style.label) for style in kind_styles() if style.label in kinds]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    title(figure, f"Tensor lifetimes in one state update: {frame['problem'].iloc[0]}")
    note(
        figure,
        "The second of three steps of a validated schedule, so that nothing begins or ends with it; a triangle marks "
        "what was there before or stays after it. Names are tensor, token, channels. A tensor counts from the start "
        "of the load or tile that brings it.",
    )
    return figure


def _draw_lifetimes(axes: Axes, mine: pd.DataFrame) -> None:
    tiles, tensors = mine[mine["what"] == TILE], mine[mine["what"] == TENSOR]
    colours = dict(zip(tiles["name"], operator_styles(list(tiles["name"])), strict=True))
    for _, row in tiles.iterrows():
        width = row["end_cycles"] - row["start_cycles"]
        colour = colours[row["name"]].colour
        axes.barh(0, width, left=row["start_cycles"], color=colour, height=0.9, edgecolor="white", linewidth=0.5)
        axes.text(
            row["start_cycles"] + width / 2, -0.75, row["name"], ha="left", va="bottom", fontsize=7, rotation=45,
            color="#333333",
        )  # fmt: skip
    kinds = {style.label: style.colour for style in kind_styles()}
    for place, (_, row) in enumerate(tensors.iterrows(), start=1):
        start, end, colour = row["start_cycles"], row["end_cycles"], kinds[row["category"]]
        axes.barh(place, end - start, left=start, color=colour, height=0.7)
        middle = (start + end) / 2
        axes.text(
            middle, place, size(int(row["bytes"])), ha="center", va="center", fontsize=6, clip_on=True,
            color="white" if is_dark(colour) else "black",
        )  # fmt: skip
        for there, moment, marker in ((row["begins_before"], start, "<"), (row["ends_after"], end, ">")):
            if there:
                axes.plot([moment], [place], marker=marker, color=colour, markersize=6, clip_on=False)
    axes.set_yticks(range(len(tensors) + 1), ["tiles", *tensors["name"]], fontsize=7)
    axes.set_ylim(len(tensors) + 0.6, -0.16 * len(tensors) - 0.6)
    axes.set_xlim(0, tiles["end_cycles"].max())
    axes.tick_params(axis="both", length=0)
    tidy(axes)
    axes.grid(False, axis="y")


def _draw_occupancy(axes: Axes, mine: pd.DataFrame) -> None:
    tensors = mine[mine["what"] == TENSOR]
    moments = np.unique(np.concatenate([tensors["start_cycles"], tensors["end_cycles"]]))
    peak, state = int(mine["peak_bytes"].iloc[0]), int(mine["state_bytes"].iloc[0])
    unit, unit_name = size_unit(peak)
    floor = np.zeros(len(moments))
    for style in kind_styles():
        of_kind = tensors[tensors["category"] == style.label]
        level = np.zeros(len(moments))
        for start, end, n_bytes in zip(of_kind["start_cycles"], of_kind["end_cycles"], of_kind["bytes"], strict=True):
            level[(moments >= start) & (moments < end)] += n_bytes / unit
        if level.any():
            level[-1] = level[-2]
            axes.fill_between(moments, floor, floor + level, step="post", color=style.colour, linewidth=0)
            floor = floor + level
    axes.axhline(peak / unit, color="#555555", linestyle="--", linewidth=1)
    axes.set_title(
        f"peak {size(peak)}, {peak / state:.3g} of a token's state ({size(state)})", loc="right", fontsize=8,
        color="#555555", pad=3,
    )  # fmt: skip
    axes.set_ylim(0, peak / unit * 1.15)
    axes.set_ylabel(f"SRAM ({unit_name})")
    tidy(axes)


LIFETIMES = FigureKind(
    "lifetimes",
    "lifetimes of tensors and peak occupancy of the SRAM in one state update",
    data,
    draw,
)
