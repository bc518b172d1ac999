"""Periodic schedules of loops as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from periodic.test_search import scan
from random_loops import random_loop

from ssmopt.errors import InputError
from ssmopt.files.loop_schedule import loop_schedule_document, read_loop_schedule, write_loop_schedule
from ssmopt.periodic import schedule_loop

from .samples import schema


def assert_same(a: Any, b: Any) -> None:
    if is_dataclass(a):
        for field in fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray):
        assert np.array_equal(a, b)
        assert a.dtype == b.dtype
    else:
        assert a == b


@pytest.mark.parametrize("seed", [0, 4, 5, 7, 9, 10, 17, 23, 25])
def test_round_trip(tmp_path: Path, seed: int) -> None:
    loop = random_loop(seed)
    schedule = schedule_loop(loop).schedule
    run = schedule.with_repeats(schedule.fewest_repeats + 1000)
    write_loop_schedule(tmp_path / "s.json", loop, run)
    assert_same(read_loop_schedule(tmp_path / "s.json", loop), run)
    jsonschema.validate(json.loads((tmp_path / "s.json").read_text()), schema("loop-schedule"))


def test_the_schema_is_one_and_refuses_unknown_keys() -> None:
    jsonschema.Draft202012Validator.check_schema(schema("loop-schedule"))
    document = loop_schedule_document(scan(20), schedule_loop(scan(20)).schedule)
    document["periodic"]["body"]["tiles"][0]["when"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema("loop-schedule"))


def of(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of("format", value="ssmopt-schedule"), "format: expected 'ssmopt-loop-schedule'"),
        (of("loop", "sha256", value="0" * 64), "loop.sha256: this schedule belongs to another loop"),
        (of("makespan", value=1), "makespan: expected "),
        (of("periodic", "period", value=0), "periodic.period: expected a whole number of at least 1, not 0"),
        (of("periodic", "repeats", value="many"), "periodic.repeats: expected a whole number"),
        (of("periodic", "body", value=[]), "periodic.body: expected an object, not a list"),
        (of("periodic", "body", "tiles", 0, "id", value="g"), "periodic.body.tiles[0].id: 'g': unknown tile 'g'"),
        (
            of("periodic", "body", "tiles", 0, "skip_last", value=-1),
            "periodic.body.tiles[0].skip_last: expected a whole",
        ),
        (
            of("periodic", "prologue", "residencies", 0, "lastin", value=True),
            "periodic.prologue.residencies[0].lastin:",
        ),
        (
            of("periodic", "prologue", "transfers", 0, "iteration", value="first"),
            "periodic.prologue.transfers[0].iteration: 'w': expected a whole number",
        ),
        (
            of("periodic", "prologue", "residencies", 0, "lasting", value=1),
            "periodic.prologue.residencies[0].lasting: expected true",
        ),
        (of("periodic", "epilogue", "transfers", value=None), "periodic.epilogue.transfers: expected a list"),
    ],
)
def test_malformed_files(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    loop = scan(20)
    document = json.loads(json.dumps(loop_schedule_document(loop, schedule_loop(loop).schedule)))
    change(document)
    (tmp_path / "s.json").write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        read_loop_schedule(tmp_path / "s.json", loop)
    assert str(caught.value).startswith(f"{tmp_path / 's.json'}: {message}")


def test_truncated_and_foreign_files(tmp_path: Path) -> None:
    loop = scan(20)
    file = tmp_path / "s.json"
    write_loop_schedule(file, loop, schedule_loop(loop).schedule)
    with pytest.raises(InputError, match="belongs to another loop"):
        read_loop_schedule(file, scan(21))
    file.write_text(file.read_text()[:-40])
    with pytest.raises(InputError, match="is it truncated"):
        read_loop_schedule(file, loop)
