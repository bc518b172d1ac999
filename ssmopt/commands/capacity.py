"""``ssmopt capacity``: the smallest SRAM with which a schedule exists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssmopt.commands.options import HardwareOption, InstanceArgument, JsonOption, ModelOption, SeqLenOption
from ssmopt.commands.output import pairs, say, say_json
from ssmopt.commands.target import load_target
from ssmopt.export.units import megabytes, size, whole

if TYPE_CHECKING:
    from ssmopt.capacity import MinimumCapacity


def capacity(
    instance: InstanceArgument = None,
    model: ModelOption = None,
    hardware: HardwareOption = None,
    seq_len: SeqLenOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the schedule that proves it.", show_default=False),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FILE", help="Write the tile instance of that schedule, as JSON.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the smallest on-chip memory with which a schedule exists, and the tile that needs it.

    With less, no schedule exists: under any tiling, or with the given tiles.
    A schedule that fits proves how much is enough.

    [bold]Examples[/bold]

    [cyan]$ ssmopt capacity mamba-130m-marca-L64[/cyan]

    [cyan]$ ssmopt capacity --model mamba-2.8b --hardware marca --seq-len 1 --json[/cyan]

    [cyan]$ ssmopt capacity my-problem.json -o smallest.json[/cyan]
    """
    target = load_target(instance, model, hardware, seq_len)

    from ssmopt.bounds import bounds_of
    from ssmopt.capacity import minimum_capacity
    from ssmopt.files.atomic import check_writable
    from ssmopt.files.schedule import write_schedule
    from ssmopt.files.tile_instance import write_instance
    from ssmopt.result import FEASIBLE, OPTIMAL

    for file in (output, export):
        if file is not None:
            check_writable(file)
    found = minimum_capacity(target.what, tiling=target.tiling)
    if output is not None:
        bound, tile_bound = bounds_of(found.instance)
        status = OPTIMAL if found.schedule.makespan <= tile_bound.cycles else FEASIBLE
        write_schedule(output, found.instance, found.schedule, status=status, bound=bound)
    if export is not None:
        write_instance(export, found.instance)
    if as_json:
        say_json(found.as_dict())
    else:
        files = [("wrote", str(file)) for file in (output, export) if file is not None]
        say(pairs([*_rows(found), *files]))


def _rows(found: MinimumCapacity) -> list[tuple[str, str]]:
    where = "under any tiling" if found.any_tiling else "for these tiles"
    parts = ", ".join(f"{name} {whole(n_bytes)}" for name, n_bytes in found.parts.items())
    return [
        ("instance", found.name),
        ("bound", f"{whole(found.bound_bytes)} bytes ({size(found.bound_bytes)}): no schedule with less, {where}"),
        ("needed by", found.tile + (f": {parts}" if parts else "")),
        (
            "smallest SRAM",
            f"{whole(found.capacity_bytes)} bytes ({size(found.capacity_bytes)})"
            + (", equal to the bound" if found.exact else ", the least for which a schedule was made"),
        ),
        ("tiling", "" if found.instance.tiling is None else found.instance.tiling.describe()),
        ("tiles", whole(found.instance.n_tiles)),
        ("makespan", f"{whole(found.schedule.makespan)} cycles"),
        ("DRAM traffic", megabytes(found.schedule.dram_bytes(found.instance.tensor_bytes))),
        ("valid", "yes"),
    ]
