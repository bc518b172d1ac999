"""``ssmopt show FILE`` of a schedule: what it says about itself, without the instance that it is for."""

from __future__ import annotations

import os
from typing import Any

from ssmopt.commands.output import pairs, say, say_json
from ssmopt.errors import InputError
from ssmopt.export.units import percent, whole
from ssmopt.files.json_reader import check_keys, read_document, text
from ssmopt.files.json_reader import whole as read_whole
from ssmopt.files.schedule import FORMAT, VERSION
from ssmopt.files.tiling import tiling_from_document

_BEGINNING_BYTES = 4096
_LISTS = ("tiles", "transfers", "residencies")
_PARTS = ("prologue", "body", "epilogue")


def is_schedule(path: str) -> bool:
    """Whether a JSON file says near its beginning, where it is written, that it is a schedule."""
    try:
        with open(path, "rb") as stream:
            return f'"{FORMAT}"'.encode() in stream.read(_BEGINNING_BYTES)
    except OSError:
        return False  # what is wrong with the file is said by whatever reads it


def show_schedule(path: str, *, as_json: bool) -> None:
    """Print what a schedule file says about itself; whether it is feasible is for ``ssmopt validate``.

    Raises
    ------
    InputError
        The file is malformed.
    """
    try:
        record = _record(read_document(path, FORMAT, VERSION))
    except InputError as error:
        raise error.at(file=os.fspath(path)) from None
    if as_json:
        say_json(record)
        return
    periodic = record.pop("periodic", None)
    rows = [(name.replace("_", " "), _shown(name, value)) for name, value in record.items()]
    if periodic is not None:
        rows.append(("periodic", _sentence(periodic)))
    rows.append(("check it with", f"ssmopt validate INSTANCE {path}"))
    say(pairs(rows))


def _record(document: dict[str, Any]) -> dict[str, Any]:
    instance = check_keys(document.get("instance"), ("name", "sha256"), (), "instance")
    header = ("solver", "status", "makespan", "lower_bound", "bound_reason")
    for key in header:
        if key not in document:
            raise InputError("this key is missing", key=key)
    makespan = read_whole(document["makespan"], "makespan", 0)
    bound = read_whole(document["lower_bound"], "lower_bound", 0)
    tiling = tiling_from_document(document["tiling"]).describe() if "tiling" in document else None
    record = {
        "instance": text(instance["name"], "instance.name"),
        "solver": text(document["solver"], "solver"),
        "status": text(document["status"], "status"),
        "makespan": makespan,
        "lower_bound": bound,
        "bound_reason": text(document["bound_reason"], "bound_reason"),
        "gap": (makespan - bound) / bound if bound else None,
        "tiling": tiling,
    }
    if "periodic" not in document:
        return record | {name: len(_rows(document, name, "")) for name in _LISTS}
    numbers = ("seq_len", "short_seq_len", "round_tokens", "repeated", "period", "repeats")
    periodic = check_keys(document["periodic"], (*numbers, *_PARTS), (), "periodic")
    found = {name: read_whole(periodic[name], f"periodic.{name}", 1) for name in numbers}
    for name in _LISTS:
        size = {part: len(_rows(periodic[part], name, f"periodic.{part}.")) for part in _PARTS}
        record[name] = size["prologue"] + size["body"] * found["repeats"] + size["epilogue"]
    # A residency that lasts has one row however often the body repeats, so those are counted right, too.
    return record | {"periodic": found}


def _rows(part: Any, name: str, prefix: str) -> list[Any]:
    if not isinstance(part, dict) or not isinstance(part.get(name), list):
        raise InputError("expected a list of rows", key=f"{prefix}{name}")
    rows: list[Any] = part[name]
    return rows


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "gap":
        return percent(value)
    if isinstance(value, int):
        return f"{whole(value)} cycles" if name in ("makespan", "lower_bound") else whole(value)
    return str(value)


def _sentence(periodic: dict[str, int]) -> str:
    return (
        f"{whole(periodic['repeats'])} times the same {whole(periodic['round_tokens'])} tokens, every "
        f"{whole(periodic['period'])} cycles; {whole(periodic['seq_len'])} tokens in all, "
        f"{whole(periodic['short_seq_len'])} in the rows"
    )
