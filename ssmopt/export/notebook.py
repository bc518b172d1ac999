"""What notebooks show of an object: a table and a small picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssmopt.export.markup import Markup, escaped, table
from ssmopt.export.palette import operator_styles, stage_order
from ssmopt.export.summary import result_rows
from ssmopt.export.svg import bar_svg, schedule_svg
from ssmopt.export.units import megabytes, percent, size, whole
from ssmopt.instance import KINDS, NOT_ADMISSIBLE, Instance

if TYPE_CHECKING:
    from ssmopt.experiments.compare import Comparison
    from ssmopt.explain import Explanation
    from ssmopt.result import Result
    from ssmopt.schedule import Schedule

_BEST, _OTHER = "#0072b2", "#8c9aa8"


def result_html(result: Result) -> str:
    """Table and picture of a result."""
    parts = [_pairs(result_rows(result))]
    if result.schedule is not None:
        parts.append(schedule_svg(result.instance, result.schedule, result.lower_bound))
    elif result.folded is not None:
        parts.append(Markup("<p>The first and the last rounds; those in between are like one of them.</p>"))
        parts.append(schedule_svg(result.folded.short, result.folded.schedule))
    return _box("Result", result.instance.name, *parts)


def schedule_html(schedule: Schedule) -> str:
    """Table of a schedule: busy time by number of core and channel, since it does not know their names."""
    makespan = max(schedule.makespan, 1)
    rows = []
    for noun, tables, which in (
        ("core", schedule.tiles, schedule.tiles.core), ("channel", schedule.transfers, schedule.transfers.channel)
    ):  # fmt: skip
        busy = np.zeros(int(which.max(initial=-1)) + 1, dtype=np.int64)
        np.add.at(busy, which, tables.end - tables.start)
        count = np.bincount(which, minlength=len(busy))
        for number in range(len(busy)):
            share = int(busy[number]) / makespan
            colour = _BEST if noun == "core" else _OTHER
            rows.append((f"{noun} {number}", whole(int(count[number])), percent(share), bar_svg(share, colour=colour)))
    if len(rows) > 40:
        rows = [*rows[:40], (f"and {len(rows) - 40} more", "", "", Markup(""))]
    return _box(
        "Schedule",
        schedule.solver,
        _pairs(
            [
                ("makespan", f"{whole(schedule.makespan)} cycles"),
                ("tiles", whole(len(schedule.tiles))),
                ("transfers", whole(len(schedule.transfers))),
                ("residencies", whole(len(schedule.residencies))),
            ]
        ),
        table(("", "tiles or transfers>", "busy>", ""), rows),
    )


def comparison_html(comparison: Comparison) -> str:
    """Table of a comparison, the slowest first, with bars and the lower bound as a mark."""
    found = [(row, row.result.makespan) for row in comparison.rows if row.result.makespan is not None]
    longest = max((makespan for _, makespan in found), default=0) or 1
    best = min((makespan for _, makespan in found), default=0)
    rows = []
    for row, makespan in found:
        fields = row.result.as_dict()
        traffic, peak = fields["dram_bytes"], fields["peak_memory_bytes"]
        colour = _BEST if makespan == best else _OTHER
        rows.append(
            (
                row.label,
                whole(makespan),
                bar_svg(makespan / longest, comparison.lower_bound / longest, colour),
                "-" if row.speedup is None else f"{row.speedup:.2f}x",
                percent(row.result.gap),
                megabytes(traffic if isinstance(traffic, int) else None),
                size(peak if isinstance(peak, int) else None),
                row.result.status,
            )
        )
    heads = ("solver", "cycles>", "", "speed-up>", "gap>", "DRAM traffic>", "peak SRAM>", "status")
    bound = f"lower bound {whole(comparison.lower_bound)} cycles ({comparison.bound_reason})"
    failed = [(name, reason) for name, reason in comparison.failures]
    more = [table(("without a schedule", "reason"), failed)] if failed else []
    return _box("Comparison", comparison.instance, Markup(f"<p>{escaped(bound)}</p>"), table(heads, rows), *more)


def explanation_html(explanation: Explanation) -> str:
    """Tables of an explanation: the critical chain in one line, idle times by cause, and larger machines."""
    makespan = max(explanation.schedule.makespan, 1)
    spent = ", ".join(f"{name} {percent(share)}" for name, share in explanation.chain_shares())
    idle = [
        (
            one.resource,
            *(
                percent(part / (one.lanes * makespan)) if part else "-"
                for part in (one.busy, one.transfer, one.dependence, one.space, one.held, one.done)
            ),
        )
        for one in explanation.idle
    ]
    parts = [
        _pairs([("makespan", f"{whole(explanation.schedule.makespan)} cycles"), ("critical chain", spent)]),
        table(("", "busy>", "transfer>", "dependence>", "space>", "held back>", "nothing left>"), idle),
    ]
    if explanation.gains:
        gains = [
            (gain.change, whole(gain.bound.cycles), percent(gain.most), whole(gain.found), gain.bound.reason)
            for gain in explanation.gains
        ]
        parts.append(table(("machine", "at best>", "gain at most>", "same order>", "what bounds it"), gains))
    return _box("Explanation", explanation.instance.name, *parts)


def instance_html(instance: Instance) -> str:
    """Table of an instance: the machine, and per operator its tiles and cycles of work on the fastest core."""
    names, operator = instance.tile_operators
    possible = np.where(instance.duration == NOT_ADMISSIBLE, np.iinfo(np.int64).max, instance.duration)
    work = np.zeros(len(names), dtype=np.int64)
    if instance.n_tiles:
        np.add.at(work, operator, possible.min(axis=1))
    count = np.bincount(operator, minlength=len(names))
    total, most = max(int(work.sum()), 1), max(int(work.max(initial=0)), 1)
    styles = operator_styles(names)
    rows = [
        (
            names[i], whole(int(count[i])), whole(int(work[i])), percent(int(work[i]) / total),
            bar_svg(int(work[i]) / most, colour=styles[i].colour),
        )
        for i in stage_order(names)[:60]
    ]  # fmt: skip
    n_bytes = np.zeros(len(KINDS), dtype=np.int64)
    np.add.at(n_bytes, instance.tensor_kind, instance.tensor_bytes)
    memories = zip(instance.memory_ids, instance.memory_capacity.tolist(), strict=True)
    channels = zip(instance.channel_ids, instance.channel_bandwidth.tolist(), strict=True)
    kinds = ", ".join(f"{kind} {size(int(n))}" for kind, n in zip(KINDS, n_bytes, strict=True) if n)
    pairs = [
        ("tiling", "" if instance.tiling is None else instance.tiling.describe()),
        ("cores", _several(list(instance.core_ids))),
        ("memories", _several([f"{name} {size(capacity)}" for name, capacity in memories])),
        ("channels", _several([f"{name} {bandwidth:,} bytes/cycle" for name, bandwidth in channels])),
        ("tiles", whole(instance.n_tiles)),
        ("tensors", f"{whole(instance.n_tensors)}: {kinds}" if kinds else whole(instance.n_tensors)),
    ]
    heads = ("operator", "tiles>", "cycles of work>", "share>", "")
    return _box("Instance", instance.name, _pairs(pairs), table(heads, rows))


def _several(names: list[str], most: int = 4) -> str:
    return ", ".join(names) if len(names) <= most else f"{len(names)}: {', '.join(names[: most - 1])}, ..."


def _pairs(rows: list[tuple[str, str]]) -> Markup:
    return table(("", ""), [(name, value) for name, value in rows if value not in ("", "-")])


def _box(noun: str, name: str, *parts: Markup) -> str:
    return f"<div><b>{escaped(noun)}: {escaped(name)}</b>{''.join(parts)}</div>"
