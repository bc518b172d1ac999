"""``ssmopt explore``: the fastest chip of an area, and the Pareto front of area and latency."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ssmopt.commands.options import (
    JsonOption,
    QuietOption,
    SeedOption,
    WorkersOption,
    WorkLimitOption,
    positive,
)
from ssmopt.commands.output import columns, heading, pairs, say, say_json
from ssmopt.commands.progress import showing_progress
from ssmopt.errors import InputError
from ssmopt.export.units import microjoules, percent, size, square_millimetres, whole
from ssmopt.silicon import exact

if TYPE_CHECKING:
    from ssmopt.exploration import Exploration
    from ssmopt.exploration.result import Row

_SPACE = "Space"


def explore(
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Model, by name or file.")],
    seq_len: Annotated[
        list[int],
        typer.Option("--seq-len", metavar="N", min=1, max=2**31 - 1, help="Tokens of the prompt; repeat for a mix."),
    ],
    weight: Annotated[
        list[int] | None,
        typer.Option(
            "--weight", metavar="N", min=1, max=10**6, show_default="one each",
            help="How many prompts of each --seq-len the mix has, in the same order.",
        ),
    ] = None,
    hardware: Annotated[
        str, typer.Option("--hardware", metavar="NAME", help="What all machines have in common, and the reference.")
    ] = "marca",
    area: Annotated[
        list[str] | None,
        typer.Option(
            "--area", metavar="MM2", help="Area, or a range such as 28..278; may be repeated.",
            show_default="that of the hardware's area model", rich_help_panel=_SPACE,
        ),
    ] = None,
    area_steps: Annotated[
        int, typer.Option("--area-steps", metavar="N", min=2, max=100, help="Areas in a range, at equal ratios.",
                          rich_help_panel=_SPACE)
    ] = 6,
    share: Annotated[
        list[str] | None,
        typer.Option(
            "--share", metavar="PERCENT", show_default="5..95", rich_help_panel=_SPACE,
            help="SRAM's share of the area, or a range such as 10..50; may be repeated.",
        ),
    ] = None,
    share_step: Annotated[
        float, typer.Option("--share-step", metavar="PERCENT", callback=positive, help="Step of a range of shares.",
                            rich_help_panel=_SPACE)
    ] = 5.0,
    rows: Annotated[
        list[int] | None,
        typer.Option(
            "--rows", metavar="N", min=1, max=2**31 - 1, rich_help_panel=_SPACE,
            help="Rows of the array, whose columns are as many as fit; may be repeated.",
            show_default="powers of two, and the most nearly square",
        ),
    ] = None,
    shapes: Annotated[
        int | None,
        typer.Option(
            "--shapes", metavar="N", min=1, max=1000, rich_help_panel=_SPACE, show_default="all",
            help="Array shapes of each area and share, those of the smallest bounds.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--every", help="Search every machine, also those that cannot be the fastest.",
                           rich_help_panel=_SPACE)
    ] = False,
    bandwidth: Annotated[
        list[int] | None,
        typer.Option(
            "--bandwidth", metavar="BYTES", min=1, max=2**31 - 1, rich_help_panel=_SPACE,
            help="Bytes per cycle to DRAM; may be repeated.", show_default="what the area model says",
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit", metavar="SECONDS", callback=positive, help="Wall time for everything together.",
            show_default="300, or none with --work-limit",
        ),
    ] = None,
    work_limit: WorkLimitOption = None,
    workers: WorkersOption = None,
    seed: SeedOption = 0,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a row per machine as CSV.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Write a picture (.png, .svg, .pdf).", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Find the split of a chip's area between SRAM and processing elements that is the fastest.

    Machines are searched in the order of their lower bounds, shortly at first; one whose bound is no better
    than what another one of at most its area takes is never searched.
    The answer comes with a bound for all machines of the space.
    Ctrl-C ends the search and keeps the best machine so far.

    [bold]Examples[/bold]

    [cyan]$ ssmopt explore --model mamba1-2.7b-n64 --seq-len 1024[/cyan]

    [cyan]$ ssmopt explore --model mamba1-2.7b-n64 --seq-len 64 --weight 20 --seq-len 1024 --weight 1[/cyan]

    [cyan]$ ssmopt explore --model mamba-130m --seq-len 64 --area 28..278 --csv machines.csv --plot front.png[/cyan]

    [cyan]$ ssmopt explore --model mamba-130m --seq-len 64 --share 10..50 --share-step 2.5 --rows 64[/cyan]
    """
    areas = _numbers(area, "--area", lambda low, high: _ratios(low, high, area_steps)) if area else None
    shares = _numbers(share or ["5..95"], "--share", lambda low, high: _steps(low, high, share_step))
    for percents in shares:
        if percents >= 100:
            raise InputError(f"expected a share between 0 and 100 %, not {percents:g}", key="--share")

    from ssmopt.exploration import explore as run
    from ssmopt.exploration.explore import TIME_LIMIT
    from ssmopt.export.exploration import save_exploration
    from ssmopt.export.gantt import plot_format
    from ssmopt.files.atomic import check_writable, write_text_atomically
    from ssmopt.stopping import Signals

    if plot is not None:
        plot_format(plot)
    for file in (csv_file, plot):
        if file is not None:
            check_writable(file)
    limit = f"{TIME_LIMIT if time_limit is None else time_limit:g} s"
    if work_limit is not None:
        limit = f"{work_limit:g} units of work" + ("" if time_limit is None else f" or {limit}")

    with Signals() as signals:
        with showing_progress(f"machines for {model}", limit, quiet=quiet) as listener:
            found = run(
                model, seq_len, weights=weight, hardware=hardware, area_mm2=areas,
                shares=[_as_share(percents) for percents in shares], rows=rows, bandwidths=bandwidth,
                shapes=shapes, prune=not every, time_limit=time_limit,
                work_limit=work_limit, workers=workers, seed=seed, on_progress=listener,
            )  # fmt: skip
        written: list[Path] = []
        if csv_file is not None:
            write_text_atomically(csv_file, _as_csv(found))
            written.append(csv_file)
        if plot is not None:
            save_exploration(plot, found)
            written.append(plot)
        if as_json:
            say_json(found.as_dict())
        else:
            _show(found)
            for file in written:
                say(f"wrote {file}")
    number = found.interrupted or signals.number
    raise typer.Exit(128 + number if number else 0 if found.best is not None else 1)


def _show(found: Exploration) -> None:
    """Print the answer, the fastest machine of each area, and the Pareto front."""
    best, reference = found.best, found.reference
    mix = " + ".join(f"{part.weight} x {part.seq_len:,} tokens" for part in found.parts)
    counts = f"{len(found.rows):,}: {found.count('solved'):,} solved, {found.count('pruned'):,} pruned by their bounds"
    for state, text in (("bounded", "not reached in time"), ("no schedule", "without a schedule")):
        if found.count(state):
            counts += f", {found.count(state):,} {text}"
    say(
        pairs(
            [
                ("model", found.model),
                ("workload", mix),
                ("machines", counts),
                ("fastest", "-" if best is None else _described(best)),
                ("makespan", "-" if best is None else f"{whole(best.makespan)} cycles"),
                ("proved", f"no machine of the space takes fewer than {whole(found.bound)} cycles"),
                ("space gap", percent(found.gap)),
                ("gap on its machine", "-" if best is None else percent(best.gap)),
                ("energy", "-" if best is None else microjoules(best.energy_uj)),
                ("reference", f"{_described(reference)}: {whole(reference.makespan)} cycles"),
                ("speed-up", _speedup(found.speedup, f"over {reference.machine.hardware.name} at its own best")),
                (
                    "",
                    _speedup(
                        found.speedup_over_baseline,
                        f"over {reference.machine.hardware.name} with {found.baseline_name}",
                    ),
                ),
                ("wall time", f"{found.wall_seconds:.1f} s"),
            ]
        )
    )
    if found.front:
        say(heading("Pareto front: no machine found is both smaller and faster"), _table(found, found.front))
    shown = {(row.machine.fraction, row.machine.memory_share) for row in found.front}
    by_share = [r for r in _fastest_of_shares(found) if (r.machine.fraction, r.machine.memory_share) not in shown]
    if by_share:
        say(heading("the fastest of every other memory share"), _table(found, by_share))


def _table(found: Exploration, rows: list[Row]) -> Table:
    table = columns(
        "area>", "SRAM>", "", "array", "DRAM B/cycle>", "makespan>", "gap>", "bound of the area>", "energy>"
    )
    for row in rows:
        machine = row.machine
        table.add_row(
            square_millimetres(float(machine.area_mm2)),
            f"{float(100 * machine.memory_share):g} %",
            size(machine.sram_bytes),
            _array(row),
            whole(machine.bandwidth),
            whole(row.makespan),
            percent(row.gap),
            whole(found.bound_of(machine.fraction)),
            microjoules(row.energy_uj),
        )
    return table


def _fastest_of_shares(found: Exploration) -> list[Row]:
    fastest: dict[tuple[object, object], Row] = {}
    for row in found.rows:
        key = (row.machine.fraction, row.machine.memory_share)
        if row.makespan is not None and (key not in fastest or row.makespan < (fastest[key].makespan or 0)):
            fastest[key] = row
    return list(fastest.values())


def _described(row: Row) -> str:
    machine = row.machine
    area = square_millimetres(float(machine.area_mm2))
    return f"{_array(row)} array, {size(machine.sram_bytes)} SRAM, {machine.bandwidth} bytes/cycle, {area}"


def _array(row: Row) -> str:
    rows, columns = row.machine.shape
    count = row.machine.hardware.cores[0].count
    return f"{rows}x{columns}" if count == 1 else f"{count} x {rows}x{columns}"


def _speedup(ratio: float | None, over: str) -> str:
    return "" if ratio is None else f"{ratio:.2f}x {over}"


def _as_csv(found: Exploration) -> str:
    text = io.StringIO()
    rows = []
    for row in found.rows:
        fields = row.as_dict()
        del fields["parts"]
        fields["makespans"] = " ".join(str(result.makespan) for result in row.results)
        fields["tilings"] = "; ".join(str(result.as_dict()["tiling"]) for result in row.results)
        rows.append(fields)
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _numbers(texts: list[str], option: str, spread: Callable[[float, float], list[float]]) -> list[float]:
    """Numbers, and what ranges of them stand for."""
    found: list[float] = []
    for text in texts:
        ends = [_number(part, text, option) for part in text.split("..")]
        if len(ends) > 2 or (len(ends) == 2 and ends[0] > ends[1]):
            raise InputError(f"expected a number, or a range such as 10..50, not {text!r}", key=option)
        found += ends if len(ends) == 1 else spread(*ends)
    return found


def _number(part: str, text: str, option: str) -> float:
    try:
        number = float(part.strip().removesuffix("%"))
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"expected a number above 0, or a range such as 10..50, not {text!r}", key=option)
    return number


def _ratios(low: float, high: float, count: int) -> list[float]:
    """So many numbers from one to another at equal ratios, in whole tenths but for the ends."""
    inner = [round(low * (high / low) ** (step / (count - 1)), 1) for step in range(1, count - 1)]
    return [low, *(value for value in inner if low < value < high), high]


def _steps(low: float, high: float, step: float) -> list[float]:
    """From one number in equal steps as long as another is not exceeded."""
    count = math.floor((high - low) / step + 1e-9)
    return [round(low + number * step, 9) for number in range(count + 1)]


def _as_share(percents: float) -> float:
    """A percentage as a share, as the decimal number that it is."""
    return float(exact(percents) / 100)
