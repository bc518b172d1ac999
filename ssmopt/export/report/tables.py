"""The tables of a report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssmopt.experiments.compare import Comparison
from ssmopt.explain import Explanation
from ssmopt.explain.idle import Idle
from ssmopt.export.markup import NUMBER, Markup, escaped, table
from ssmopt.export.palette import operator_styles, stage_order
from ssmopt.export.units import megabytes, percent, size, whole
from ssmopt.instance import Instance
from ssmopt.result import Bound, relative_gap
from ssmopt.schedule import Schedule

_STRETCHES, _BOUNDS = 20, 16  # rows of the tables

_IDLE_COLOURS = {
    "busy": "#0072b2", "transfer": "#e69f00", "dependence": "#cc79a7", "space": "#009e73", "held back": "#999999",
    "nothing left": "#e4e4e4",
}  # fmt: skip


def operator_table(instance: Instance, schedule: Schedule) -> Markup:
    """Per operator: tiles, cycles, and when it runs."""
    names, operator = instance.tile_operators
    styles = operator_styles(names)
    tiles = schedule.tiles
    of, length = operator[tiles.tile], tiles.end - tiles.start
    count = np.bincount(of, minlength=len(names))
    spent = np.zeros(len(names), dtype=np.int64)
    np.add.at(spent, of, length)
    first = np.full(len(names), schedule.makespan, dtype=np.int64)
    np.minimum.at(first, of, tiles.start)
    last = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(last, of, tiles.end)
    total = max(int(spent.sum()), 1)
    rows = []
    for i in stage_order(names):
        if not count[i]:
            continue
        rows.append(
            (
                Markup(f'<i class="swatch" style="background:{styles[i].colour}"></i>{escaped(names[i])}'),
                whole(int(count[i])),
                whole(int(spent[i])),
                percent(int(spent[i]) / total),
                f"{int(spent[i]) / int(count[i]):,.1f}",
                whole(int(first[i])),
                whole(int(last[i])),
            )
        )
    heads = ("operator", "tiles>", "cycles>", "of all tiles' cycles>", "per tile>", "first start>", "last end>")
    return table(heads, rows)


def bound_table(untiled: Sequence[Bound], tiled: Sequence[Bound]) -> Markup:
    """Bounds under any tiling and bounds of the tiles, with their reasons, the largest first."""
    rows = [("any tiling", bound) for bound in untiled] + [("these tiles", bound) for bound in tiled]
    rows.sort(key=lambda row: -row[1].cycles)
    heads = ("cycles>", "holds for", "reason")
    shown = table(heads, [(whole(bound.cycles), scope, bound.reason) for scope, bound in rows[:_BOUNDS]])
    left = len(rows) - _BOUNDS
    return Markup(f"{shown}<p>and {left} smaller ones</p>") if left > 0 else shown


def comparison_table(comparison: Comparison, instance: Instance, schedule: Schedule, lower_bound: int | None) -> Markup:
    """Solvers and this schedule, the slowest first, with bars."""
    found = [
        (row.label, row.result.makespan, row.speedup, row.result.as_dict(), row.result.note)
        for row in comparison.rows
        if row.result.makespan is not None
    ]
    baseline = next((makespan for label, makespan, *_ in found if label == "layer-by-layer"), None)
    mine: dict[str, object] = {
        "dram_bytes": schedule.dram_bytes(instance.tensor_bytes),
        "peak_memory_bytes": sum(
            schedule.peak_memory_bytes(instance.tensor_bytes, memory) for memory in range(instance.n_memories)
        ),
    }
    speedup = baseline / schedule.makespan if baseline and schedule.makespan else None
    this = ("this schedule", schedule.makespan, speedup, mine, f"by {schedule.solver}")
    ordered = sorted([*found, this], key=lambda row: -(row[1] or 0))
    longest = max((row[1] or 0 for row in ordered), default=0) or 1
    rows = [
        (
            label,
            whole(makespan),
            _bar(makespan or 0, lower_bound, longest),
            "-" if speed is None else f"{speed:.2f}x",
            "-" if lower_bound is None or makespan is None else percent(relative_gap(makespan, lower_bound)),
            megabytes(_whole(fields["dram_bytes"])),
            size(_whole(fields["peak_memory_bytes"])),
            note,
        )
        for label, makespan, speed, fields, note in ordered
    ]
    heads = ("solver", "cycles>", "", "speed-up>", "gap>", "DRAM traffic>", "peak SRAM>", "note")
    result = table(heads, rows, marked=ordered.index(this))
    if comparison.failures:
        failures = "".join(f"<li>{escaped(name)}: {escaped(reason)}</li>" for name, reason in comparison.failures)
        result = Markup(f"{result}<p>Without a schedule:</p><ul>{failures}</ul>")
    return result


def chain_table(explanation: Explanation) -> Markup:
    """The longest stretches of the critical chain, in the order of time; a click shows them in the picture."""
    every = explanation.stretches
    longest = sorted(sorted(range(len(every)), key=lambda i: (-every[i].cycles - every[i].wait, i))[:_STRETCHES])
    rows = []
    for i in longest:
        s = every[i]
        range_ = f"{whole(s.start)} to {whole(s.end)}"
        link = Markup(f'<button type="button" class="link" data-zoom="{s.start},{s.end}">{range_}</button>')
        waited = f", {whole(s.wait)} cycles" if s.wait else ""
        rows.append((link, whole(s.cycles), s.resource, whole(s.steps), s.what, s.first, s.last, s.reason + waited))
    heads = ("cycles", "length>", "on", "steps>", "mostly", "from", "to", "began after")
    return table(heads, rows)


def idle_table(idle: Sequence[Idle], makespan: int) -> Markup:
    """Where the time of each core and channel goes."""
    rows = []
    for one in idle:
        total = max(one.lanes * makespan, 1)
        parts = (one.busy, one.transfer, one.dependence, one.space, one.held, one.done)
        pieces = "".join(
            f'<i style="width:{100 * part / total:.3f}%;background:{colour}" title="{name}"></i>'
            for part, (name, colour) in zip(parts, _IDLE_COLOURS.items(), strict=True)
            if part
        )
        name = one.resource if one.lanes == 1 else f"{one.resource} ({one.lanes} lanes)"
        numbers = (percent(part / total) if part else "-" for part in parts)
        rows.append((name, Markup(f'<span class="parts">{pieces}</span>'), *numbers))
    heads = ["core or channel", ""]
    marks = [
        Markup(f'<i class="swatch" style="background:{colour}"></i>{name}') for name, colour in _IDLE_COLOURS.items()
    ]
    # Heads are text elsewhere; here they carry the colours of the bars.
    plain = table([*heads, *(f"{name}>" for name in _IDLE_COLOURS)], rows)
    for name, mark in zip(_IDLE_COLOURS, marks, strict=True):
        plain = Markup(plain.replace(f"<th{NUMBER}>{name}</th>", f"<th{NUMBER}>{mark}</th>", 1))
    return plain


def gain_table(explanation: Explanation) -> Markup:
    """Bounds of larger machines."""
    rows = [
        (
            gain.change,
            whole(gain.bound.cycles),
            percent(gain.most),
            whole(gain.found),
            percent(gain.reached),
            gain.bound.reason,
        )
        for gain in explanation.gains
    ]
    heads = ("machine", "at best>", "gain at most>", "tiles in the same order>", "gain>", "what bounds it")
    return table(heads, rows)


def _bar(cycles: int, bound: int | None, longest: int) -> Markup:
    mark = "" if bound is None else f'<u style="left:{100 * bound / longest:.2f}%"></u>'
    return Markup(f'<span class="gauge"><i style="width:{100 * cycles / longest:.2f}%"></i>{mark}</span>')


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
