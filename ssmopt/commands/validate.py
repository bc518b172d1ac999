"""``ssmopt validate``: whether a schedule obeys every rule."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssmopt.commands.options import JsonOption, LayersOption, SramOption
from ssmopt.commands.output import columns, say, say_json
from ssmopt.commands.target import load_target
from ssmopt.export.units import whole


def validate(
    instance: Annotated[
        str,
        typer.Argument(
            metavar="INSTANCE", help="Name, instance file (.yaml) or tile instance (.json) of the schedule.",
            show_default=False,
        ),
    ],
    schedule: Annotated[
        Path, typer.Argument(metavar="SCHEDULE", help="Schedule to check, as JSON.", show_default=False)
    ],
    sram: SramOption = None,
    layers: LayersOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Check a schedule against the rules of a feasible one.

    The exit code is 0 for a valid schedule and 1 for one that breaks a rule.

    [bold]Examples[/bold]

    [cyan]$ ssmopt validate mamba-130m-marca-L64 mamba-130m-marca-L64.schedule.json[/cyan]

    [cyan]$ ssmopt validate tiles.json schedule.json --json[/cyan]
    """
    from ssmopt.files.folded import read_folded
    from ssmopt.files.schedule import read_schedule
    from ssmopt.files.tiling import read_schedule_tiling
    from ssmopt.folded import FoldedSchedule
    from ssmopt.folding.check import validate_folded
    from ssmopt.problem import Problem
    from ssmopt.schedule import Schedule
    from ssmopt.validate import validate as check

    # The solver may have chosen another tiling than the default one; the schedule says which.
    target = load_target(instance, sram=sram, layers=layers)
    folded = read_folded(schedule, target.what) if isinstance(target.what, Problem) else None
    found: Schedule | FoldedSchedule
    if folded is not None:
        found, name, n_tiles, solver = folded, folded.problem.name, folded.n_tiles, folded.schedule.solver
        violations = validate_folded(folded)
    else:
        tiles = target.instance(read_schedule_tiling(schedule))
        plain = read_schedule(schedule, tiles)
        found, name, n_tiles, solver = plain, tiles.name, len(plain.tiles), plain.solver
        violations = check(tiles, plain)
    if as_json:
        say_json(
            {
                "instance": name,
                "schedule": str(schedule),
                "solver": solver,
                "makespan": found.makespan,
                "valid": not violations,
                "violations": [
                    {"rule": v.rule, "object": v.object, "time": v.time, "message": v.message} for v in violations
                ],
            }
        )
    elif violations:
        table = columns("rule", "object", "time>", "message")
        for violation in violations:
            table.add_row(violation.rule, violation.object, whole(violation.time), violation.message)
        say(f"invalid: {len(violations)} of the rules V1 to V10 broken, each shown where it is broken first", table)
    else:
        say(f"valid: makespan {whole(found.makespan)} cycles, {whole(n_tiles)} tiles, by {solver}")
    raise typer.Exit(1 if violations else 0)
