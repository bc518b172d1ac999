from __future__ import annotations

import copy
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from ssmopt.errors import InputError
from ssmopt.files.schedule import read_schedule, schedule_document, write_schedule
from ssmopt.files.tile_instance import instance_sha256
from ssmopt.result import FEASIBLE, Bound
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable

from .samples import array, sample_instance, sample_schedule, schema
from .test_tile_instance import Change, drop, put

BOUND = Bound(20, "compulsory traffic of channel dma")


def document() -> dict[str, Any]:
    return copy.deepcopy(schedule_document(sample_instance(), sample_schedule(), status=FEASIBLE, bound=BOUND))


def read(folder: Path, content: object) -> Schedule:
    (folder / "s.json").write_text(json.dumps(content))
    return read_schedule(folder / "s.json", sample_instance())


def assert_same(a: Schedule, b: Schedule) -> None:
    assert (a.makespan, a.solver) == (b.makespan, b.solver)
    for table in ("tiles", "transfers", "residencies"):
        for column in fields(getattr(a, table)):
            assert np.array_equal(getattr(getattr(a, table), column.name), getattr(getattr(b, table), column.name))


@pytest.mark.parametrize(
    "schedule",
    [
        sample_schedule(),
        replace(sample_schedule(), transfers=TransferTable.empty(), residencies=ResidencyTable.empty()),
        Schedule(TileTable(*[array()] * 4), TransferTable.empty(), ResidencyTable.empty(), 0),
        replace(sample_schedule(), residencies=replace(sample_schedule().residencies, offset=array(0, 8, 0))),
    ],
)
def test_round_trip(tmp_path: Path, schedule: Schedule) -> None:
    write_schedule(tmp_path / "s.json", sample_instance(), schedule, status=FEASIBLE, bound=BOUND)
    assert_same(read_schedule(tmp_path / "s.json", sample_instance()), schedule)
    jsonschema.validate(json.loads((tmp_path / "s.json").read_text()), schema("schedule"))


def test_written_document_has_the_exact_names() -> None:
    found = document()
    assert found["instance"] == {"name": "sample, größer", "sha256": instance_sha256(sample_instance())}
    assert (found["solver"], found["status"], found["makespan"]) == ("hand", "FEASIBLE", 22)
    assert (found["lower_bound"], found["bound_reason"]) == (20, BOUND.reason)
    assert found["tiles"][1] == {"id": "second", "core": "b", "start": 11, "end": 14}
    assert found["transfers"][3] == {
        "tensor": "y", "channel": "dma", "source": "right", "target": "dram", "start": 21, "end": 22,
    }  # fmt: skip
    assert found["residencies"][0] == {"tensor": "x.0", "memory": "left", "start": 0, "end": 11}


def test_infeasible_schedules_are_read(tmp_path: Path) -> None:
    odd = document()
    odd["tiles"] = odd["tiles"][:1] * 2
    odd["tiles"][0]["start"] = -7
    odd["makespan"] = -1
    for residency in odd["residencies"]:
        residency["offset"] = 64
    again = read(tmp_path, odd)
    assert again.tiles.start.tolist() == [-7, -7]
    assert again.makespan == -1


def test_other_instance(tmp_path: Path) -> None:
    write_schedule(tmp_path / "s.json", sample_instance(), sample_schedule(), status=FEASIBLE, bound=BOUND)
    other = replace(sample_instance(), name="other")
    with pytest.raises(
        InputError, match=r"this schedule belongs to another instance: it was made for 'sample, größer'"
    ):
        read_schedule(tmp_path / "s.json", other)


BAD: list[tuple[Change, str]] = [
    (put("format", value="ssmopt-tile-instance"), "format: expected 'ssmopt-schedule', not 'ssmopt-tile-instance'"),
    (put("version", value=2), "version: this version of ssmopt reads version 1, not 2"),
    (put("periodic", value={}), "periodic: this periodic schedule is for a model on hardware"),
    (put("tile", value=[]), "tile: unknown key; did you mean 'tiles'"),
    (drop("status"), "status: this key is missing"),
    (put("status", value="OPTIMUM"), "status: unknown value 'OPTIMUM'; did you mean 'OPTIMAL'?"),
    (put("instance", value="x"), "instance: expected an object, not 'x'"),
    (put("instance", "sha256", value=3), "instance.sha256: expected text, not 3"),
    (put("makespan", value=1.5), "makespan: expected a whole number, not 1.5"),
    (put("makespan", value=None), "makespan: expected a whole number, not null"),
    (put("lower_bound", value=-1), "lower_bound: expected a whole number of at least 0, not -1"),
    (put("tiles", 0, "id", value="fist"), "tiles[0].id: 'fist': unknown tile 'fist'; did you mean 'first'?"),
    (put("tiles", 0, "core", value="a.2"), "tiles[0].core: 'first': unknown core 'a.2'; did you mean 'a.1'"),
    (put("tiles", 0, "start", value="0"), "tiles[0].start: 'first': expected a whole number, not '0'"),
    (put("tiles", 0, "end", value=10**20), "tiles[0].end: 'first': expected a whole number of at most"),
    (drop("tiles", 0, "end"), "tiles[0].end: 'first': this key is missing"),
    (put("transfers", 0, "channel", value="dna"), "transfers[0].channel: 'x.0': unknown channel 'dna'; did you mean"),
    (put("transfers", 0, "source", value="DRAM"), "transfers[0].source: 'x.0': unknown memory 'DRAM'; known: dram"),
    (put("transfers", 0, "tensor", value="x.2"), "transfers[0].tensor: 'x.2': unknown tensor 'x.2'; did you mean"),
    (put("residencies", 0, "memory", value="dram"), "residencies[0].memory: 'x.0': unknown memory 'dram'; known:"),
    (put("residencies", 0, "offset", value=-1), "residencies[0].offset: expected a whole number of at least 0"),
    (put("residencies", 0, "ofset", value=1), "residencies[0].ofset: 'x.0': unknown key; did you mean 'offset'?"),
    (put("transfers", value=None), "transfers: expected a list, not null"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[message[:60] for _, message in BAD])
def test_malformed_schedules(tmp_path: Path, change: Change, message: str) -> None:
    found = document()
    change(found)
    with pytest.raises(InputError) as caught:
        read(tmp_path, found)
    assert str(caught.value).startswith(f"{tmp_path / 's.json'}: {message}")


def test_failed_write_leaves_the_old_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_schedule(tmp_path / "s.json", sample_instance(), sample_schedule(), status=FEASIBLE, bound=BOUND)
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match="No space left"):
        write_schedule(
            tmp_path / "s.json",
            sample_instance(),
            replace(sample_schedule(), solver="new"),
            status=FEASIBLE,
            bound=BOUND,
        )
    assert_same(read_schedule(tmp_path / "s.json", sample_instance()), sample_schedule())


def test_addresses_are_given_to_all_residencies_or_to_none(tmp_path: Path) -> None:
    content = document()
    content["residencies"][0]["offset"] = 0
    with pytest.raises(InputError, match=r"residencies\[1\]: has no offset although others have"):
        read(tmp_path, content)
    content["residencies"] = [{**row, "offset": -1} for row in content["residencies"]]
    with pytest.raises(InputError, match="offset"):
        read(tmp_path, content)
