"""``ssmopt explain``: why a schedule is as long as it is, and what would make it shorter."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ssmopt.commands.options import (
    HardwareOption,
    JsonOption,
    LayersOption,
    ModelOption,
    QuietOption,
    SeqLenOption,
    SramOption,
)
from ssmopt.commands.output import columns, heading, pairs, say, say_json
from ssmopt.commands.scheduled import ScheduledArguments, load_scheduled
from ssmopt.export.units import percent, whole

if TYPE_CHECKING:
    from ssmopt.explain import Explanation

_SECONDS_BEFORE_A_LINE = 2.0


def explain(
    schedule: ScheduledArguments,
    model: ModelOption = None,
    hardware: HardwareOption = None,
    seq_len: SeqLenOption = None,
    sram: SramOption = None,
    layers: LayersOption = None,
    stretches: Annotated[
        int, typer.Option("--stretches", metavar="N", min=1, help="Longest stretches of the critical chain to print.")
    ] = 12,
    no_gains: Annotated[bool, typer.Option("--no-gains", help="Do not look at larger machines.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Explain a schedule: the critical chain, idle times by cause, and what larger machines could gain.

    The critical chain leads from the end of the schedule back, each time to what was waited for.
    Gains are bounds of the larger machine, which no schedule on it beats, not guesses.

    [bold]Examples[/bold]

    [cyan]$ ssmopt explain mamba-130m-marca-L64.schedule.json[/cyan]

    [cyan]$ ssmopt explain mamba-130m-marca-L64 best.json --sram 1MiB[/cyan]

    [cyan]$ ssmopt explain tiles.json schedule.json --no-gains --json[/cyan]
    """
    found = load_scheduled(schedule, model, hardware, seq_len, sram, layers)

    from ssmopt.explain import explain as run

    explanation = run(found.instance, found.schedule, gains=not no_gains, on_change=changes_progress(quiet))
    if as_json:
        say_json({**explanation.as_dict(), "note": found.note})
        return
    makespan = found.schedule.makespan
    spent = [f"{name} {percent(share)}" for name, share in explanation.chain_shares()]
    say(
        pairs(
            [
                ("instance", found.instance.name),
                ("solver", found.schedule.solver),
                ("makespan", f"{whole(makespan)} cycles"),
                ("critical chain", f"{whole(len(explanation.chain))} steps: {', '.join(spent)}"),
                ("note", found.note),
            ]
        ),
        "",
    )
    _say_chain(explanation, stretches)
    say(heading("where the time goes; idle by what comes next waits for"), _idle_table(explanation))
    if explanation.gains:
        say(heading("larger machines, at best: no schedule on them is shorter"), _gain_table(explanation))


def changes_progress(quiet: bool) -> Callable[[str], None] | None:
    """Says on stderr which larger machine is being looked at, once that takes its time."""
    if quiet:
        return None
    started = time.monotonic()

    def say_change(change: str) -> None:
        if time.monotonic() - started >= _SECONDS_BEFORE_A_LINE:
            print(f"{time.monotonic() - started:6.1f} s  looking at a larger machine: {change}", file=sys.stderr)

    return say_change


def _say_chain(explanation: Explanation, count: int) -> None:
    """The longest stretches, in the order of time."""
    every = explanation.stretches
    longest = sorted(range(len(every)), key=lambda i: (-every[i].cycles - every[i].wait, i))[:count]
    table = columns("start>", "end>", "cycles>", "on", "steps>", "what", "from", "to", "began after")
    for i in sorted(longest):
        stretch = every[i]
        waited = f", {whole(stretch.wait)} cycles" if stretch.wait else ""
        table.add_row(
            whole(stretch.start), whole(stretch.end), whole(stretch.cycles), stretch.resource, whole(stretch.steps),
            stretch.what, stretch.first, stretch.last, stretch.reason + waited,
        )  # fmt: skip
    left = len(every) - len(longest)
    shorter = f", the longest {len(longest)} of {len(every)}" if left else ""
    say(heading(f"critical chain: stretches without a break on one core or channel{shorter}"), table)


def _idle_table(explanation: Explanation) -> Table:
    table = columns("core or channel", "busy>", "transfer>", "dependence>", "space>", "held back>", "nothing left>")
    for idle in explanation.idle:
        total = max(idle.lanes * explanation.schedule.makespan, 1)
        name = idle.resource if idle.lanes == 1 else f"{idle.resource} ({idle.lanes} lanes)"
        parts = (idle.busy, idle.transfer, idle.dependence, idle.space, idle.held, idle.done)
        table.add_row(name, *(percent(part / total) if part else "-" for part in parts))
    return table


def _gain_table(explanation: Explanation) -> Table:
    table = columns("machine", "at best>", "gain at most>", "same order>", "gain>", "what bounds it")
    for gain in explanation.gains:
        table.add_row(
            gain.change, f"{whole(gain.bound.cycles)} cycles", percent(gain.most), whole(gain.found),
            percent(gain.reached), gain.bound.reason,
        )  # fmt: skip
    return table
