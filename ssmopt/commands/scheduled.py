"""Which schedule of which instance the user means, for commands that show one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Annotated

import typer

from ssmopt.commands.target import Target, load_target
from ssmopt.errors import InputError
from ssmopt.folded import FoldedSchedule
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule

ScheduledArguments = Annotated[
    list[str],
    typer.Argument(
        metavar="[INSTANCE] SCHEDULE",
        help="A schedule file; before it the instance (name, .yaml or .json) where the file's own name of it is not "
        "in the library.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Scheduled:
    """A validated schedule and its tiles.

    Attributes
    ----------
    target
        What was asked for: baselines run on it.
    instance, schedule
        The tiles and their schedule; of a periodic schedule the short prompt whose rounds are repeated.
    note
        What a reader must know; may be empty.
    """

    target: Target
    instance: Instance
    schedule: Schedule
    note: str = ""


def load_scheduled(
    arguments: list[str],
    model: str | None = None,
    hardware: str | None = None,
    seq_len: int | None = None,
    sram: str | None = None,
    layers: str | None = None,
) -> Scheduled:
    """The schedule that the command line names, checked by the validator.

    Raises
    ------
    InputError
        The arguments are no instance and schedule, or one of them cannot be used.
    InvalidScheduleError
        The schedule breaks a rule.
    """
    from ssmopt.files.folded import read_folded
    from ssmopt.files.schedule import read_schedule
    from ssmopt.files.tiling import read_schedule_tiling
    from ssmopt.folding.check import check_folded
    from ssmopt.problem import Problem
    from ssmopt.validate import check

    if len(arguments) > 2:
        raise InputError(f"expected an instance and a schedule, not {len(arguments)} arguments")
    file = arguments[-1]
    named = arguments[0] if len(arguments) == 2 else None
    if named is not None or model is not None or hardware is not None or seq_len is not None:
        target = load_target(named, model, hardware, seq_len, sram, layers)
    else:
        target = _target_of(file, sram, layers)
    folded = read_folded(file, target.what) if isinstance(target.what, Problem) else None
    if folded is not None:
        check_folded(folded)
        return Scheduled(target, folded.short, folded.schedule, folded_note(folded))
    tiles = target.instance(read_schedule_tiling(file))
    found = read_schedule(file, tiles)
    check(tiles, found)
    return Scheduled(target, tiles, found)


def folded_note(folded: FoldedSchedule) -> str:
    """What the reader of a picture of a periodic schedule must know."""
    tokens = 0 if folded.short.problem is None else folded.short.problem.seq_len
    return (
        f"periodic: {folded.makespan:,} cycles in all; shown are {tokens:,} of {folded.problem.seq_len:,} tokens, "
        f"of which a round of {folded.round_tokens:,} tokens is repeated every {folded.period:,} cycles"
    )


def _target_of(file: str, sram: str | None, layers: str | None) -> Target:
    """The instance whose name is in the schedule's file: in the library, or as the command line made it up.

    A wrong guess cannot do harm: the schedule is tied to its tiles by their hash.
    """
    from ssmopt.files.json_reader import check_keys, read_document, text
    from ssmopt.library import list_hardware, list_instances, list_models

    try:
        document = read_document(file, "ssmopt-schedule", 1)
        name = text(check_keys(document.get("instance"), ("name", "sha256"), (), "instance")["name"], "instance.name")
    except InputError as error:
        raise error.at(file=os.fspath(file)) from None
    rest = name
    made = {"sram": sram, "layers": layers}
    for option, pattern in (("sram", r"(.+)-sram-([^-]+)"), ("layers", r"(.+)-layers(\d+)")):
        match = re.fullmatch(pattern, rest)
        if match is not None and rest not in list_instances():
            rest = match[1]
            made[option] = made[option] or match[2]
    if rest in list_instances():
        return load_target(rest, sram=made["sram"], layers=made["layers"])
    for model in list_models():
        for hardware in list_hardware():
            match = re.fullmatch(rf"{re.escape(model)}-{re.escape(hardware)}-L(\d+)", rest)
            if match is not None:
                return load_target(None, model, hardware, int(match[1]), made["sram"], made["layers"])
    raise InputError(
        f"its instance {name!r} is not in the library: give the instance (a name or a file) before the schedule, or "
        "--model, --hardware and --seq-len",
        file=file,
    )
