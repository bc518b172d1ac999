"""``ssmopt bounds``: every bound on the makespan, with its reason, without solving anything."""

from __future__ import annotations

import dataclasses

from ssmopt.commands.options import (
    HardwareOption,
    InstanceArgument,
    JsonOption,
    LayersOption,
    ModelOption,
    SeqLenOption,
    SramOption,
)
from ssmopt.commands.output import columns, heading, pairs, say, say_json
from ssmopt.commands.target import load_target
from ssmopt.export.units import whole
from ssmopt.instance import Instance
from ssmopt.result import Bound


def bounds(
    instance: InstanceArgument = None,
    model: ModelOption = None,
    hardware: HardwareOption = None,
    seq_len: SeqLenOption = None,
    sram: SramOption = None,
    layers: LayersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print all bounds on the makespan with their reasons: those under any tiling, and those of given tiles.

    Nothing is solved and no tiling is searched for.
    Bounds of tiles are printed for tile instances and where the instance gives its tiling.

    [bold]Examples[/bold]

    [cyan]$ ssmopt bounds mamba1-2.7b-n64-marca-L64 --sram 1MiB[/cyan]

    [cyan]$ ssmopt bounds --model mamba2-2.7b --hardware marca --seq-len 256 --json[/cyan]

    [cyan]$ ssmopt bounds my-problem.json[/cyan]
    """
    from ssmopt.bounds import instance_bounds, lower_bounds

    target = load_target(instance, model, hardware, seq_len, sram, layers)
    of_tiles = isinstance(target.what, Instance)
    own = largest_first(instance_bounds(target.instance())) if of_tiles or target.tiling is not None else None
    # For tiles read from a file the two coincide.
    lower = own if isinstance(target.what, Instance) else largest_first(lower_bounds(target.what))
    assert lower is not None
    if as_json:
        say_json(
            {
                "instance": target.what.name,
                "lower_bounds": [dataclasses.asdict(bound) for bound in lower],
                "instance_bounds": None if own is None else [dataclasses.asdict(bound) for bound in own],
            }
        )
        return
    say(pairs([("instance", target.what.name), ("tiling", target.tiling.describe() if target.tiling else "")]), "")
    if not of_tiles:
        say_bounds("lower bounds: no schedule under any tiling is faster", lower)
    if own is not None:
        say_bounds("instance bounds: no schedule of these tiles is faster", own)


def largest_first(found: list[Bound]) -> list[Bound]:
    """Bounds in falling order; of equal ones the first first."""
    return sorted(found, key=lambda bound: -bound.cycles)


def say_bounds(title: str, found: list[Bound]) -> None:
    """Print bounds as a table."""
    table = columns("cycles>", "reason")
    for bound in found:
        table.add_row(whole(bound.cycles), bound.reason)
    say(heading(title), table)
