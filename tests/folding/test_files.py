"""Files of periodic schedules: their schema, what reads them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ssmopt.errors import InputError
from ssmopt.files.folded import folded_document, read_folded, write_folded
from ssmopt.folded import FoldedSchedule
from ssmopt.folding import written
from ssmopt.folding.expand import expand
from ssmopt.folding.written import read_rows
from ssmopt.problem import Problem
from ssmopt.result import FEASIBLE, Bound
from ssmopt.solve import solve
from ssmopt.validate import validate
from tests.files.samples import schema

from .test_folding import MAMBA, MAMBA2, TILING, folded, problem

BOUND = Bound(1, "work")
SCHEMA = schema("periodic-schedule")
Edit = Callable[[Any], object]


def document(closed: FoldedSchedule) -> Any:
    return json.loads(json.dumps(folded_document(closed, status=FEASIBLE, bound=BOUND)))


def written_file(folder: Path, target: Problem) -> Path:
    write_folded(folder / "closed.json", folded(target), status=FEASIBLE, bound=BOUND)
    return folder / "closed.json"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("model", [MAMBA, MAMBA2], ids=["mamba", "mamba2"])
@pytest.mark.parametrize(("tokens", "capacity", "initial"), [(49, 1600, "load"), (1_000_003, 10**6, "zero")])
def test_files_that_are_written_fit_the_schema(model: Any, tokens: int, capacity: int, initial: str) -> None:
    found = document(folded(problem(model, tokens, capacity, initial)))
    jsonschema.validate(found, SCHEMA)
    assert any("lasting" in row for row in found["periodic"]["prologue"]["residencies"])  # small weights stay


def test_an_ordinary_schedule_and_a_periodic_one_do_not_fit_each_others_schema() -> None:
    found = document(folded(problem(tokens=67)))
    plain = {key: value for key, value in found.items() if key != "periodic"}
    plain |= {name: found["periodic"]["body"][name] for name in ("tiles", "transfers", "residencies")}
    jsonschema.validate(plain, schema("schedule"))
    for wrong, name in ((plain, "periodic-schedule"), (found, "schedule")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema(name))


EDITS: list[tuple[str, Edit]] = [
    ("periodic.round_tokens", lambda d: d["periodic"].pop("round_tokens")),
    ("periodic.period", lambda d: d["periodic"].update(period=0)),
    ("periodic.repeats", lambda d: d["periodic"].update(repeats="many")),
    ("unknown", lambda d: d["periodic"].update(unknown=1)),
    ("periodic.body", lambda d: d["periodic"]["body"].pop("tiles")),
    ("tiles[0]", lambda d: d["periodic"]["prologue"]["tiles"][0].pop("core")),
    ("lasting", lambda d: d["periodic"]["prologue"]["residencies"][0].update(lasting=1)),
    ("lasting", lambda d: d["periodic"]["epilogue"]["residencies"][0].update(lasting=True)),
    ("tiling", lambda d: d.pop("tiling")),
]


@pytest.mark.parametrize(("key", "edit"), EDITS, ids=[f"{i}-{key}" for i, (key, _) in enumerate(EDITS)])
def test_what_the_schema_refuses_the_reader_refuses_by_name(tmp_path: Path, key: str, edit: Edit) -> None:
    target = problem(tokens=67)
    found = document(folded(target))
    edit(found)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, SCHEMA)
    (tmp_path / "broken.json").write_text(json.dumps(found))
    with pytest.raises(InputError) as refused:
        read_folded(tmp_path / "broken.json", target)
    assert "broken.json" in str(refused.value)
    assert key in str(refused.value)


def test_rows_of_a_periodic_file_are_those_of_the_whole_prompt(tmp_path: Path) -> None:
    target = problem(tokens=67)
    instance, schedule = read_rows(written_file(tmp_path, target), target, None)
    assert validate(instance, schedule) == []
    expected = expand(folded(target))[1]
    assert schedule.makespan == expected.makespan
    assert len(schedule.residencies) == len(expected.residencies)


def test_a_million_tiles_are_not_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = problem(tokens=67)
    file = written_file(tmp_path, target)
    monkeypatch.setattr(written, "MOST_TILES", 100)
    with pytest.raises(InputError, match=r"closed\.json.*stands for [\d,]+ tiles; up to 100 are written out"):
        read_rows(file, target, None)


def test_a_search_begins_from_a_periodic_schedule_and_is_never_worse(tmp_path: Path) -> None:
    target = problem(tokens=51)
    file = written_file(tmp_path, target)
    result = solve(target, start=file, solver="fuse-block")
    assert result.makespan is not None
    assert result.makespan <= folded(target).makespan
    assert result.instance.tiling == TILING


def test_the_periodic_solver_begins_from_nothing(tmp_path: Path) -> None:
    target = problem(tokens=51)
    with pytest.raises(InputError, match="start: solver 'periodic' makes its schedule anew"):
        solve(target, start=written_file(tmp_path, target), solver="periodic")


def test_tiles_alone_do_not_say_what_a_periodic_file_is_for(tmp_path: Path) -> None:
    target = problem(tokens=51)
    with pytest.raises(InputError, match="is for a model on hardware, not for tiles"):
        read_rows(written_file(tmp_path, target), folded(target).short, None)
