"""``ssmopt list``: the names that other commands take."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from ssmopt.commands.options import JsonOption, PluginOption, load_plugins
from ssmopt.commands.output import columns, heading, say, say_json
from ssmopt.errors import InputError, nearest
from ssmopt.export.units import size, whole
from ssmopt.hardware import Hardware

Entry = dict[str, object]


def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND", help="models, hardware, instances or solvers; all if left out.", show_default=False
        ),
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """List models, hardware, instances and solvers by name.

    [bold]Examples[/bold]

    [cyan]$ ssmopt list[/cyan]

    [cyan]$ ssmopt list instances[/cyan]

    [cyan]$ ssmopt list solvers --json[/cyan]

    [cyan]$ ssmopt list solvers --plugin my_solver.py[/cyan]
    """
    if kind is not None and kind not in _READERS:
        raise InputError(f"unknown kind {kind!r}{nearest(kind, _READERS)}", key="KIND")
    load_plugins(plugin)
    found = {name: read() for name, read in _READERS.items() if kind in (None, name)}
    if as_json:
        say_json(found)
    else:
        for name, entries in found.items():
            say(heading(name), _table(entries))


def _models() -> list[Entry]:
    from ssmopt.library import list_models, load_model

    models = [(name, load_model(name)) for name in list_models()]
    return [{"name": name, "family": model.family, **model.sizes()} for name, model in models]


def _hardware() -> list[Entry]:
    from ssmopt.library import list_hardware, load_hardware

    return [{"name": name, **hardware_summary(load_hardware(name))} for name in list_hardware()]


def hardware_summary(hardware: Hardware) -> Entry:
    """Cores, memories and channels in a few words each."""
    return {
        "clock_ghz": hardware.clock_ghz,
        "cores": ", ".join(
            f"{core.count} x {core.id} {core.rows}x{core.columns}" if core.count > 1
            else f"{core.id} {core.rows}x{core.columns}"
            for core in hardware.cores
        ),
        "memories": _joined([
            f"{memory.count} x {memory.id} {size(memory.capacity)}" if memory.count > 1
            else f"{memory.id} {size(memory.capacity)}"
            for memory in hardware.memories
        ]),
        "channels": ", ".join(
            f"{channel.id} {channel.bandwidth} bytes/cycle" + (f" x {channel.lanes} lanes" if channel.lanes > 1 else "")
            for channel in hardware.channels
        ),
    }  # fmt: skip


def _joined(parts: list[str]) -> str:
    return ", ".join(parts) if len(parts) <= 4 else f"{parts[0]}, ... {parts[-1]} ({len(parts)} in all)"


def _instances() -> list[Entry]:
    from ssmopt.library import list_instances, load_problem

    problems = [(name, load_problem(name)[0]) for name in list_instances()]
    # By number of tokens, where the alphabet would put 1024 before 16.
    problems.sort(key=lambda pair: (pair[1].model.name, pair[1].hardware.name, pair[1].seq_len, pair[0]))
    return [
        {
            "name": name,
            "model": problem.model.name,
            "hardware": problem.hardware.name,
            "seq_len": problem.seq_len,
            "form": problem.form,
            "scope": problem.scope,
        }
        for name, problem in problems
    ]


def _solvers() -> list[Entry]:
    from ssmopt.solvers import SOLVERS

    return [{"name": name, "summary": entry.summary, "source": entry.source} for name, entry in SOLVERS.items()]


_READERS = {"models": _models, "hardware": _hardware, "instances": _instances, "solvers": _solvers}


def _table(entries: list[Entry]) -> Table:
    """One column per field that any entry has; fields that an entry lacks are left empty."""
    names = list(dict.fromkeys(name for entry in entries for name in entry)) or ["name"]
    numbers = {name for entry in entries for name, value in entry.items() if isinstance(value, int | float)}
    table = columns(*(f"{name}>" if name in numbers else name for name in names))
    for entry in entries:
        values = [entry.get(name, "") for name in names]
        table.add_row(*(whole(value) if isinstance(value, int) else str(value) for value in values))
    return table
