"""The page of a report: one HTML file that needs nothing else, neither network nor server."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from typing import Any

from ssmopt.bounds import best, instance_bounds, lower_bounds
from ssmopt.experiments.compare import Comparison
from ssmopt.explain import Explanation, explain
from ssmopt.export.markup import Markup, escaped
from ssmopt.export.report.data import packed, report_data
from ssmopt.export.report.tables import (
    bound_table,
    chain_table,
    comparison_table,
    gain_table,
    idle_table,
    operator_table,
)
from ssmopt.export.units import megabytes, milliseconds, percent, size, whole
from ssmopt.files.atomic import write_text_atomically
from ssmopt.instance import Instance
from ssmopt.result import relative_gap
from ssmopt.schedule import Schedule

_SCRIPTS = ("data.js", "timeline.js", "details.js", "main.js")

_KEYS = (
    ("+ and -", "zoom"), ("arrows left and right", "move"), ("0", "show all"), ("/", "search"),
    ("p and n", "the tile or transfer before and after the chosen one"), ("b", "what the chosen one waited for"),
    ("z", "zoom to the chosen one"), ("c", "mark the critical chain"), ("Escape", "choose nothing"),
)  # fmt: skip


def report_html(
    instance: Instance,
    schedule: Schedule,
    *,
    comparison: Comparison | None = None,
    explanation: Explanation | None = None,
    note: str = "",
) -> str:
    """A report of a feasible schedule as one HTML page.

    Parameters
    ----------
    instance, schedule
        What to show.
    comparison
        Other solvers' schedules of the same problem; None leaves them out.
    explanation
        What `ssmopt.explain` found; None makes it, without larger machines.
    note
        One more sentence for the reader.

    Raises
    ------
    InvalidScheduleError
        The schedule breaks a rule.
    """
    if explanation is None:
        explanation = explain(instance, schedule, gains=False)
    tiled = instance_bounds(instance)
    untiled = [] if instance.problem is None else lower_bounds(instance.problem)
    bound, tile_bound = best(untiled or tiled), best([*untiled, *tiled])
    meta, arrays = report_data(instance, schedule, explanation, bound.cycles)
    directory, block = packed(arrays)
    sections = [
        _section("operators", "Operators", operator_table(instance, schedule)),
        _section("idle", "Where the time goes", idle_table(explanation.idle, schedule.makespan), _IDLE),
        _section("chain-table", "Critical chain", chain_table(explanation), _chain_words(explanation)),
    ]
    if explanation.gains:
        sections.append(_section("gains", "What a larger machine could gain", gain_table(explanation), _GAINS))
    if comparison is not None:
        compared = comparison_table(comparison, instance, schedule, bound.cycles)
        sections.append(_section("comparison", "Comparison", compared, _COMPARISON))
    sections.append(_section("bounds", "Bounds", bound_table(untiled, tiled), _BOUNDS))
    facts = _facts(instance, schedule)
    facts += [
        ("lower bound", f"{whole(bound.cycles)} cycles", bound.reason),
        (
            "gap",
            percent(relative_gap(schedule.makespan, bound.cycles)),
            "to the lower bound" + ("" if instance.problem is None else " under any tiling"),
        ),
        ("instance gap", percent(relative_gap(schedule.makespan, tile_bound.cycles)), tile_bound.reason),
    ]
    links = [
        ("picture", "Picture"), ("operators", "Operators"), ("idle", "Idle time"), ("chain-table", "Critical chain"),
        *([("gains", "Gains")] if explanation.gains else []),
        *([("comparison", "Comparison")] if comparison is not None else []), ("bounds", "Bounds"),
    ]  # fmt: skip
    return _page(instance, facts, links, sections, {**meta, "arrays": directory}, block, note)


def save_report(
    path: str | os.PathLike[str],
    instance: Instance,
    schedule: Schedule,
    *,
    comparison: Comparison | None = None,
    explanation: Explanation | None = None,
    note: str = "",
) -> None:
    """Write the page of `report_html`; the whole file or nothing.

    Raises
    ------
    InputError
        The file cannot be written.
    InvalidScheduleError
        The schedule breaks a rule.
    """
    page = report_html(instance, schedule, comparison=comparison, explanation=explanation, note=note)
    write_text_atomically(path, page)


_IDLE = (
    "An idle core or channel waits for a transfer, for a tile that it depends on, or for space in a memory: whatever "
    "the tile or transfer that comes next there waited for last. Held back is what could have started earlier, "
    "everything else being as it is."
)
_GAINS = (
    "No schedule on the larger machine takes fewer cycles than its bound, whatever the tiling, so that no more than "
    "this can be gained. The tiles in their present order, scheduled again on it, show how much of that is easy."
)
_COMPARISON = "Every solver on the tiling that its definition asks for. The red mark is the lower bound."
_BOUNDS = "No schedule is shorter than any of these; the largest counts."


def _chain_words(explanation: Explanation) -> str:
    spent = [f"{name} {percent(share)}" for name, share in explanation.chain_shares()]
    count = len(explanation.stretches)
    return (
        f"From the end back, each time to what was waited for: {len(explanation.chain):,} steps in {count:,} stretches "
        f"without a break on one core or channel; of the makespan {', '.join(spent)}. The longest stretches:"
    )


def _facts(instance: Instance, schedule: Schedule) -> list[tuple[str, str, str]]:
    """Name, value, and what is to be said of it."""
    problem = instance.problem
    time = "" if problem is None else milliseconds(schedule.makespan / (problem.hardware.clock_ghz * 1e6))
    memories = range(instance.n_memories)
    peaks = [schedule.peak_memory_bytes(instance.tensor_bytes, m) for m in memories]
    most = [
        f"{size(peak)} of {size(capacity)} in {name}"
        for peak, capacity, name in zip(peaks, instance.memory_capacity.tolist(), instance.memory_ids, strict=True)
        if peak
    ]
    return [
        ("makespan", f"{whole(schedule.makespan)} cycles", time),
        ("solver", schedule.solver, "" if instance.tiling is None else f"tiling: {instance.tiling.describe()}"),
        ("tiles", whole(len(schedule.tiles)), f"and {whole(len(schedule.transfers))} transfers"),
        ("DRAM traffic", megabytes(schedule.dram_bytes(instance.tensor_bytes)), ""),
        ("peak SRAM", size(sum(peaks)), "; ".join(most[:4])),
    ]


def _section(name: str, title: str, body: Markup, words: str = "") -> str:
    told = f"<p>{escaped(words)}</p>" if words else ""
    return f'<section id="{name}"><h2>{escaped(title)}</h2>{told}<div class="scroll">{body}</div></section>'


def _page(
    instance: Instance,
    facts: list[tuple[str, str, str]],
    links: list[tuple[str, str]],
    sections: list[str],
    meta: dict[str, Any],
    block: str,
    note: str,
) -> str:
    """Everything in one file; a policy in its head keeps it from asking for anything else."""
    folder = files("ssmopt.export.report")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    script = "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS)
    shown = "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}<small>{escaped(more)}</small></dd></div>"
        for name, value, more in facts
    )
    keys = "".join(f"<li><kbd>{escaped(key)}</kbd> {escaped(what)}</li>" for key, what in _KEYS)
    page = folder.joinpath("page.html").read_text(encoding="utf-8")
    parts = {
        "TITLE": escaped(instance.name),
        "STYLE": style,
        "FACTS": shown,
        "NOTE": f'<p class="note">{escaped(note)}</p>' if note else "",
        "LINKS": "".join(f'<a href="#{name}">{escaped(text)}</a>' for name, text in links),
        "KEYS": keys,
        "SECTIONS": "\n".join(sections),
        # Within a script element only "<" could end it, or begin a comment.
        "META": json.dumps(meta, separators=(",", ":")).replace("<", "\\u003c"),
        "DATA": block,
        "SCRIPT": script,
    }
    pieces = page.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)
