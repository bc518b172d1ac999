"""``ssmopt allocate``: addresses for buffers with lifetimes, or for the residencies of a schedule."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssmopt.commands.options import JsonOption, LayersOption, SramOption, TimeLimitOption
from ssmopt.commands.output import complain, pairs, say, say_json
from ssmopt.commands.target import load_target
from ssmopt.errors import InputError
from ssmopt.export.units import percent, size, whole

if TYPE_CHECKING:
    from ssmopt.allocate import Packing


def allocate(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Buffers as CSV (id,lower,upper,size), or a schedule as JSON.", show_default=False
        ),
    ],
    instance: Annotated[
        str | None,
        typer.Argument(
            metavar="[INSTANCE]", help="With a schedule: name or file of the instance it is for.", show_default=False
        ),
    ] = None,
    capacity: Annotated[
        str | None,
        typer.Option(
            "--capacity", metavar="SIZE", help="With buffers: bytes that there are, such as 1048576 or 1MiB.",
            show_default=False,
        ),
    ] = None,
    sram: SramOption = None,
    layers: LayersOption = None,
    time_limit: TimeLimitOption = 60.0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write the buffers or the schedule with offsets.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Picture of the memory to write (.png, .svg, .pdf).", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Give every buffer, or every residency of a schedule, an address, so that none overlap in time and space.

    The exit code is 0 when addresses were found within the capacity and 1 when they were not. Lifetimes are
    half-open: a buffer is gone at its upper end.

    [bold]Examples[/bold]

    [cyan]$ ssmopt allocate buffers.csv --capacity 1MiB -o placed.csv[/cyan]

    [cyan]$ ssmopt allocate buffers.csv --capacity 1048576 --plot memory.png --json[/cyan]

    [cyan]$ ssmopt allocate mamba-130m-marca-L64.schedule.json mamba-130m-marca-L64 -o placed.json[/cyan]
    """
    from ssmopt.export.gantt import plot_format
    from ssmopt.files.atomic import check_writable

    if plot is not None:
        plot_format(plot)
    for target in (output, plot):
        if target is not None:
            check_writable(target)
    if file.suffix.lower() == ".json":
        if capacity is not None:
            raise InputError("an instance fixes its memories; --capacity works with buffers", key="--capacity")
        if instance is None:
            raise InputError("which instance is the schedule for? give INSTANCE after FILE")
        found = _schedule(file, instance, sram, layers, time_limit, output, plot, as_json)
    else:
        if instance is not None or sram is not None or layers is not None:
            raise InputError("INSTANCE, --sram and --layers work with a schedule (.json); give buffers a --capacity")
        if capacity is None:
            raise InputError("how many bytes are there? give --capacity", key="--capacity")
        found = _buffers(file, capacity, time_limit, output, plot, as_json)
    raise typer.Exit(0 if found else 1)


def _buffers(
    file: Path, capacity: str, time_limit: float, output: Path | None, plot: Path | None, as_json: bool
) -> bool:
    from ssmopt.allocate import pack
    from ssmopt.files.buffers import read_buffers, write_buffers

    room = _bytes(capacity)
    table = read_buffers(file)
    started = time.monotonic()
    packing = pack(table.lower, table.upper, table.size, room, time_limit=time_limit)
    seconds = time.monotonic() - started
    written: list[Path] = []
    if packing.offsets is not None:
        if output is not None:
            write_buffers(output, table, packing.offsets)
            written.append(output)
        if plot is not None:
            from ssmopt.export.memory_map import save_buffer_map

            save_buffer_map(plot, table, packing.offsets, room, title=file.name)
            written.append(plot)
    elif output is not None or plot is not None:
        complain("no addresses within the capacity: nothing was written")
    if as_json:
        say_json(_fields(file.name, len(table), packing, room, seconds))
    else:
        say(pairs([*_rows(file.name, len(table), packing, room, seconds), *(("wrote", str(f)) for f in written)]))
    return packing.offsets is not None


def _bytes(text: str) -> int:
    from ssmopt.files.yaml_reader import parse_size

    try:
        return parse_size(text)
    except InputError as error:
        raise InputError(error.message, key="--capacity") from None


def _status(packing: Packing) -> str:
    return "FOUND" if packing.offsets is not None else "INFEASIBLE" if packing.impossible else "UNKNOWN"


def _fields(name: str, count: int, packing: Packing, capacity: int, seconds: float) -> dict[str, object]:
    return {
        "file": name,
        "buffers": count,
        "status": _status(packing),
        "capacity_bytes": capacity,
        "height_bytes": packing.height,
        "lower_bound_bytes": packing.peak,
        "utilisation": packing.peak / packing.height if packing.height else 1.0,
        "method": packing.method,
        "wall_seconds": seconds,
    }


def _rows(name: str, count: int, packing: Packing, capacity: int, seconds: float) -> list[tuple[str, str]]:
    share = packing.peak / packing.height if packing.height else 1.0
    return [
        ("file", name),
        ("buffers", whole(count)),
        ("status", _status(packing)),
        ("capacity", f"{whole(capacity)} bytes ({size(capacity)})"),
        ("height", f"{whole(packing.height)} bytes"),
        ("lower bound", f"{whole(packing.peak)} bytes (most bytes alive at once)"),
        ("utilisation", f"{percent(share)} of the height"),
        ("found by", packing.method),
        ("wall time", f"{seconds:.2f} s"),
    ]


def _schedule(
    file: Path,
    instance: str,
    sram: str | None,
    layers: str | None,
    time_limit: float,
    output: Path | None,
    plot: Path | None,
    as_json: bool,
) -> bool:
    from ssmopt.allocate import allocate as assign
    from ssmopt.allocate import allocation_of
    from ssmopt.bounds import bounds_of
    from ssmopt.files.schedule import write_schedule
    from ssmopt.folding.written import read_rows
    from ssmopt.result import FEASIBLE, OPTIMAL

    target = load_target(instance, sram=sram, layers=layers)
    tiles, schedule = read_rows(file, target.what, target.tiling)
    started = time.monotonic()
    placed = assign(tiles, schedule, time_limit=time_limit)
    seconds = time.monotonic() - started
    allocation = allocation_of(tiles, placed)
    assert allocation is not None
    written: list[Path] = []
    if output is not None:
        bound, tile_bound = bounds_of(tiles)
        status = OPTIMAL if placed.makespan <= tile_bound.cycles else FEASIBLE
        write_schedule(output, tiles, placed, status=status, bound=bound)
        written.append(output)
    if plot is not None:
        from ssmopt.export.memory_map import save_memory_map

        save_memory_map(plot, tiles, placed)
        written.append(plot)
    if as_json:
        say_json(
            {
                "file": file.name,
                "instance": tiles.name,
                "residencies": len(placed.residencies),
                "makespan": placed.makespan,
                "status": "FOUND",
                **allocation.as_dict(),
                "peak_memory_bytes": allocation.peak_bytes,
                "wall_seconds": seconds,
            }
        )
    else:
        fragmentation = f"{whole(allocation.fragmentation_bytes)} bytes ({percent(allocation.fragmentation)})"
        rows = [
            ("schedule", file.name),
            ("instance", tiles.name),
            ("residencies", whole(len(placed.residencies))),
            ("height", f"{whole(allocation.height_bytes)} bytes"),
            ("lower bound", f"{whole(allocation.peak_bytes)} bytes (most bytes resident at once)"),
            ("fragmentation", fragmentation),
            ("wall time", f"{seconds:.2f} s"),
        ]
        say(pairs([*rows, *(("wrote", str(path)) for path in written)]))
    return True
