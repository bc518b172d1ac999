from __future__ import annotations

import contextlib
import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmopt.csr import Csr, IntArray
from ssmopt.errors import InputError
from ssmopt.files.tile_instance import instance_document, instance_sha256, read_instance, write_instance
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, Instance

from .samples import array, sample_instance, schema

Change = Callable[[dict[str, Any]], None]


def empty_instance() -> Instance:
    none: IntArray = array()
    return Instance(
        "empty", (), none, (), none, none, (), none, none, (), Ids.of([]), none, none.astype(np.int8), Ids.of([]),
        np.zeros((0, 0), dtype=np.int64), Csr.empty(0), Csr.empty(0), Csr.empty(0),
    )  # fmt: skip


@pytest.mark.parametrize("instance", [sample_instance(), sample_instance(meta=False), empty_instance()])
def test_round_trip(tmp_path: Path, instance: Instance) -> None:
    write_instance(tmp_path / "a.json", instance)
    again = read_instance(tmp_path / "a.json")
    assert instance_document(again) == instance_document(instance)
    assert instance_sha256(again) == instance_sha256(instance)
    assert (again.problem, again.tiling) == (None, None)


def test_reading_restores_every_array(tmp_path: Path) -> None:
    instance = sample_instance()
    write_instance(tmp_path / "a.json", instance)
    again = read_instance(tmp_path / "a.json")
    for name in ("name", "memory_ids", "core_ids", "channel_ids", "channel_connects"):
        assert getattr(again, name) == getattr(instance, name)
    for name in (
        "memory_capacity", "core_memory", "core_kind", "channel_bandwidth", "channel_lanes", "tensor_bytes",
        "tensor_kind", "duration",
    ):  # fmt: skip
        assert np.array_equal(getattr(again, name), getattr(instance, name)), name
        assert getattr(again, name).dtype == getattr(instance, name).dtype
    assert again.tensor_ids.all == ["w", "x.0", "x.1", "y"]
    for name in ("inputs", "outputs", "accumulates"):
        assert getattr(again, name).lists() == getattr(instance, name).lists()
    assert again.meta is not None
    assert instance.meta is not None
    assert (again.meta.operators[again.meta.operator[0]], again.meta.dims) == ("scale", ("L", "E"))
    assert np.array_equal(again.meta.low, instance.meta.low)
    assert np.array_equal(again.meta.high, instance.meta.high)


def test_written_document_has_the_exact_names() -> None:
    document = instance_document(sample_instance())
    assert document["channels"][0] == {"id": "dma", "bandwidth": 4, "connects": ["dram", "left", "right"], "lanes": 1}
    assert document["tensors"][1] == {"id": "x.0", "bytes": 16, "kind": "input"}
    assert document["tiles"][0] == {
        "id": "first",
        "durations": {"a.0": 5, "a.1": 5},
        "inputs": ["x.0", "w"],
        "outputs": ["x.1"],
        "meta": {"operator": "scale", "ranges": {"L": [0, 1]}},
    }
    assert document["tiles"][1]["accumulates"] == ["y"]
    assert document["tiles"][1]["durations"] == {"a.0": 6, "a.1": 6, "b": 3}


def test_hash_is_that_of_the_canonical_document(tmp_path: Path) -> None:
    write_instance(tmp_path / "a.json", sample_instance())
    document = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert instance_sha256(sample_instance()) == hashlib.sha256(canonical).hexdigest()


@pytest.mark.parametrize("instance", [sample_instance(), sample_instance(meta=False), empty_instance()])
def test_schema_accepts_what_is_written(instance: Instance) -> None:
    jsonschema.validate(instance_document(instance), schema("tile-instance"))


def test_lanes_default_to_one_and_equal_cores_share_a_kind(tmp_path: Path) -> None:
    document = instance_document(sample_instance())
    del document["channels"][1]["lanes"]
    for tile in document["tiles"]:
        tile["durations"] = {"b": 4, "a.0": 4, "a.1": 5}
    again = read(tmp_path, document)
    assert again.channel_lanes.tolist() == [1, 1]
    assert again.channel_connects[0] == (DRAM, 0, 1)
    assert again.core_kind.tolist() == [0, 1, 0]
    assert again.duration.tolist() == [[4, 5]] * 3


def read(folder: Path, document: object) -> Instance:
    (folder / "a.json").write_text(json.dumps(document))
    return read_instance(folder / "a.json")


def put(*path: str | int, value: object) -> Change:
    def change(document: dict[str, Any]) -> None:
        target: Any = document
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value

    return change


def drop(*path: str | int) -> Change:
    def change(document: dict[str, Any]) -> None:
        target: Any = document
        for step in path[:-1]:
            target = target[step]
        del target[path[-1]]

    return change


BAD: list[tuple[Change, str]] = [
    (put("format", value="foreign"), "format: expected 'ssmopt-tile-instance', not 'foreign'"),
    (put("format", value=["x"]), "format: expected 'ssmopt-tile-instance', not a list"),
    (drop("format"), "format: this key is missing; expected 'ssmopt-tile-instance'"),
    (put("version", value=2), "version: this version of ssmopt reads version 1, not 2"),
    (put("version", value=True), "version: this version of ssmopt reads version 1, not true"),
    (drop("version"), "version: this version of ssmopt reads version 1, not null"),
    (put("tilez", value=[]), "tilez: unknown key; did you mean 'tiles'?"),
    (put("a\nb", value=[]), "'a\\nb': unknown key"),
    (drop("cores"), "cores: this key is missing"),
    (put("name", value=3), "name: expected text, not 3"),
    (put("name", value="a\nb"), "name: expected printable text on one line, not 'a\\nb'"),
    (put("cores", value={}), "cores: expected a list, not an object"),
    (put("cores", 0, value="pe"), "cores[0]: expected an object, not 'pe'"),
    (put("memories", 1, "id", value="left"), "memories[1].id: the id 'left' is used twice, first by memories[0]"),
    (put("memories", 1, "id", value="dram"), "memories[1].id: 'dram' always means off-chip memory"),
    (put("memories", 1, "capacity", value=0), "memories[1].capacity: 'right': expected a whole number of at least 1"),
    (put("memories", 0, "capacity", value="1MiB"), "memories[0].capacity: 'left': expected a whole number, not '1MiB'"),
    (put("cores", 2, "memory", value="righ"), "cores[2].memory: 'b': unknown memory 'righ'; did you mean 'right'?"),
    (put("cores", 2, "memory", value=1), "cores[2].memory: 'b': expected the id of a memory, not 1"),
    (put("channels", 0, "bandwidth", value=0), "channels[0].bandwidth: 'dma': expected a whole number of at least 1"),
    (put("channels", 0, "lanes", value=1.5), "channels[0].lanes: 'dma': expected a whole number, not 1.5"),
    (put("channels", 0, "connects", value=["dram"]), "channels[0].connects: expected at least two ends, all different"),
    (put("channels", 1, "connects", value=["left", "left"]), "channels[1].connects: expected at least two ends"),
    (
        put("channels", 0, "connects", value=["dram", "lefd"]),
        "channels[0].connects: 'dma': unknown memory 'lefd'; did you mean 'left'?",
    ),
    (put("tensors", 0, "bytes", value=-5), "tensors[0].bytes: 'w': expected a whole number of at least 0, not -5"),
    (put("tensors", 0, "bytes", value=2.0), "tensors[0].bytes: 'w': expected a whole number, not 2.0"),
    (put("tensors", 0, "bytes", value=False), "tensors[0].bytes: 'w': expected a whole number, not false"),
    (put("tensors", 0, "bytes", value=10**30), "tensors[0].bytes: 'w': expected a whole number of at most"),
    (put("tensors", 0, "byte", value=1), "tensors[0].byte: 'w': unknown key; did you mean 'bytes'?"),
    (drop("tensors", 0, "bytes"), "tensors[0].bytes: 'w': this key is missing"),
    (put("tensors", 0, "kind", value="wieght"), "tensors[0].kind: 'w': unknown kind 'wieght'; did you mean 'weight'?"),
    (put("tensors", 2, "id", value="x.0"), "tensors[2].id: the id 'x.0' is used twice, first by tensors[1]"),
    (put("tensors", 2, "id", value=""), "tensors[2].id: expected printable text on one line, not ''"),
    (put("tensors", 2, "id", value="\ud800"), "tensors[2].id: expected printable text on one line"),
    (put("tiles", 1, "id", value="first"), "tiles[1].id: the id 'first' is used twice, first by tiles[0]"),
    (put("tiles", 0, "inputs", value=["x.2"]), "tiles[0].inputs: 'first': unknown tensor 'x.2'; did you mean 'x.1'"),
    (put("tiles", 0, "inputs", value="w"), "tiles[0].inputs: 'first': expected a list of ids, not 'w'"),
    (put("tiles", 0, "inputs", value=[0]), "tiles[0].inputs: 'first': expected the id of a tensor, not 0"),
    (put("tiles", 0, "inputs", value=[[]]), "tiles[0].inputs: 'first': expected the id of a tensor, not a list"),
    (put("tiles", 0, "inputs", value=["w", "w"]), "tile 'first' lists tensor 'w' more than once"),
    (put("tiles", 1, "outputs", value=["x.1"]), "tensor 'x.1' is produced by more than one tile"),
    (put("tiles", 2, "outputs", value=["y"]), "tensor 'y' is both produced by one tile and accumulated by others"),
    (put("tiles", 0, "inputs", value=["y"]), "the tiles depend on each other in a cycle: "),
    (put("tiles", 0, "durations", value={}), "tiles[0].durations: tile 'first': expected an object with the cycles"),
    (put("tiles", 0, "durations", value=5), "tiles[0].durations: tile 'first': expected an object with the cycles"),
    (
        put("tiles", 0, "durations", value={"a.2": 5}),
        "tiles[0].durations: tile 'first': unknown core 'a.2'; did you mean 'a.1'",
    ),
    (put("tiles", 0, "durations", "b", value=0), "tiles[0].durations.b: tile 'first': expected a whole number of at"),
    (put("tiles", 0, "durations", "b", value="9"), "tiles[0].durations.b: tile 'first': expected a whole number, not"),
    (drop("tiles", 1, "meta"), "tiles[1].meta: tile 'second': has no meta although other tiles have"),
    (put("tiles", 1, "meta", value=3), "tiles[1].meta: expected an object, not 3"),
    (put("tiles", 1, "meta", "extra", value=3), "tiles[1].meta.extra: unknown key"),
    (put("tiles", 1, "meta", "ranges", value=[]), "tiles[1].meta.ranges: tile 'second': expected an object"),
    (put("tiles", 1, "meta", "ranges", "L", value=[0]), "tiles[1].meta.ranges.L: tile 'second': expected [low, high]"),
    (put("tiles", 1, "meta", "ranges", "L", value=[1, 1]), "tiles[1].meta.ranges.L: tile 'second': expected a whole"),
    (put("tiles", 1, "meta", "ranges", "L", value=["0", 1]), "tiles[1].meta.ranges.L: tile 'second': expected a whole"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[message[:60] for _, message in BAD])
def test_bad_documents(tmp_path: Path, change: Change, message: str) -> None:
    document = copy.deepcopy(instance_document(sample_instance()))
    change(document)
    with pytest.raises(InputError) as caught:
        read(tmp_path, document)
    assert str(caught.value).startswith(f"{tmp_path / 'a.json'}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.json:1: not valid JSON: the file ends too early, at column 1; is it truncated?"),
        ('{"format":\n "ssm', "a.json:2: not valid JSON: the file ends too early"),
        ('{"format": "ssmopt-tile-instance",\n', "a.json:2: not valid JSON: the file ends too early"),
        ('{"a": 1\n "b": 2}', "a.json:2: not valid JSON: Expecting ',' delimiter at column 2"),
        ("name: yaml\n", "a.json:1: not valid JSON: Expecting value at column 1"),
        ("[]", "a.json: expected a JSON object, not a list"),
        ("3", "a.json: expected a JSON object, not 3"),
        ('{"a": 1, "a": 2}', "a.json: a: this key is given twice"),
        ('{"x": {"id": "t.0", "a": 1, "a": 2}}', "a.json: a: this key is given twice in the entry 't.0'"),
        ('{"a": NaN}', "a.json: not valid JSON: NaN is not a JSON number"),
        ('{"a": -Infinity}', "a.json: not valid JSON: -Infinity is not a JSON number"),
        ('{"a": ' + "9" * 5000 + "}", "a.json: a number is larger than 9007199254740991"),
        ("[" * 100_000, "a.json: not valid JSON: nested too deeply"),
        ('{"a":' * 100_000, "a.json: not valid JSON: nested too deeply"),
    ],
)
def test_malformed_json(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_instance(tmp_path / "a.json")
    assert message in str(caught.value)


def test_every_truncation_is_an_input_error(tmp_path: Path) -> None:
    write_instance(tmp_path / "a.json", sample_instance())
    data = (tmp_path / "a.json").read_bytes()
    for length in range(len(data) - 3):
        (tmp_path / "cut.json").write_bytes(data[:length])
        with pytest.raises(InputError, match=r"cut\.json"):
            read_instance(tmp_path / "cut.json")


JSON_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just([]) | st.just({})


@given(st.data())
def test_any_value_anywhere_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    document: Any = instance_document(sample_instance())
    document = copy.deepcopy(document)
    target = document
    while True:
        key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
        if not target[key] or not isinstance(target[key], dict | list) or data.draw(st.booleans()):
            break
        target = target[key]
    target[key] = data.draw(JSON_VALUES)
    file = tmp_path_factory.getbasetemp() / "fuzz.json"
    file.write_text(json.dumps(document))
    with contextlib.suppress(InputError):
        read_instance(file)


def test_dangling_reference_among_many_ids_stays_in_the_operator(tmp_path: Path) -> None:
    document = instance_document(sample_instance(meta=False))
    document["tensors"] += [{"id": f"z.{i}", "bytes": 1, "kind": "input"} for i in range(20_000)]
    document["tiles"][0]["inputs"] = ["z.20000"]
    with pytest.raises(InputError, match=r"unknown tensor 'z\.20000'; did you mean 'z\."):
        read(tmp_path, document)
