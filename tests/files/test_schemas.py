from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from ssmopt import library
from ssmopt.hardware import KERNELS, OPERATIONS
from ssmopt.instance import KINDS
from ssmopt.model import FAMILIES
from ssmopt.problem import FORMS, INITIAL_STATES, SCOPES
from ssmopt.tiling import LOOP_ORDERS, PROJECTIONS

from .samples import schema
from .test_config import HARDWARE, INSTANCE, MODEL, MODEL2

SHIPPED = [
    (noun, file)
    for noun, kind in (("model", "models"), ("hardware", "hardware"), ("instance", "instances"))
    for file in sorted(library._folder(kind).glob("*.yaml"))
]


@pytest.mark.parametrize("name", ["tile-instance", "schedule", "model", "hardware", "instance"])
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize(("noun", "file"), SHIPPED, ids=[file.stem for _, file in SHIPPED])
def test_shipped_files_fit_their_schema(noun: str, file: Path) -> None:
    jsonschema.validate(yaml.safe_load(file.read_text()), schema(noun))


@pytest.mark.parametrize(("noun", "text"), [("model", MODEL), ("hardware", HARDWARE), ("instance", INSTANCE)])
def test_unknown_keys_are_refused(noun: str, text: str) -> None:
    document = yaml.safe_load(text)
    jsonschema.validate(document, schema(noun))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "unknown": 1}, schema(noun))


def test_a_model_has_the_fields_of_its_family() -> None:
    both = schema("model")
    one, two = yaml.safe_load(MODEL), yaml.safe_load(MODEL2)
    for document in (one, two, {**one, "dt_rank": 7}, {**two, "n_heads": 8, "n_groups": 2, "chunk_size": 64}):
        jsonschema.validate(document, both)
    lacking = {key: value for key, value in two.items() if key != "head_dim"}
    for document in ({**one, "head_dim": 25}, {**two, "dt_rank": 7}, lacking):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, both)


def test_choices_are_those_of_the_code() -> None:
    model, hardware, instance, tiles = (schema(n) for n in ("model", "hardware", "instance", "tile-instance"))
    assert tuple(model["properties"]["family"]["enum"]) == FAMILIES
    cores = hardware["properties"]["cores"]["items"]["properties"]
    assert tuple(cores["runs"]["oneOf"][1]["items"]["enum"]) == KERNELS
    assert tuple(hardware["$defs"]["op_cycles"]["properties"]) == OPERATIONS
    assert tuple(instance["properties"]["scope"]["enum"]) == SCOPES
    assert tuple(instance["properties"]["initial_state"]["enum"]) == INITIAL_STATES
    assert tuple(instance["properties"]["form"]["enum"]) == FORMS
    tiling = instance["properties"]["tiling"]["oneOf"][1]["properties"]
    assert tuple(tiling["loop_order"]["enum"]) == LOOP_ORDERS
    assert tuple(tiling["projections"]["properties"]) == PROJECTIONS
    assert tuple(tiles["properties"]["tensors"]["items"]["properties"]["kind"]["enum"]) == KINDS
