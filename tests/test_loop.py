"""Loops: what is refused, and what they are when written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from periodic.test_search import scan
from random_loops import random_loop

from ssmopt.errors import InputError
from ssmopt.instance import KINDS, OUTPUT
from ssmopt.loop import Loop, expand_loop


@pytest.mark.parametrize("distance", [1, 2])
def test_names_and_readers_of_a_loop_written_out(distance: int) -> None:
    instance = expand_loop(scan(20, distance), 3)
    names = instance.tensor_ids.all
    read = [[names[t] for t in row] for row in instance.inputs.lists()]
    states = [*(f"h@{i}" for i in range(distance)), "g@0", "g@1"][:3]
    assert read == [["w", f"x@{i}", state] for i, state in enumerate(states)]
    assert instance.tile_ids.all == ["f@0", "f@1", "f@2"]
    assert instance.tensor_ids.lookup["g@2"] == len(names) - 1
    final = [name for name, kind in zip(names, instance.tensor_kind, strict=True) if name[0] == "g" and kind == OUTPUT]
    assert final == [f"g@{i}" for i in range(3 - distance, 3)]
    assert KINDS[instance.tensor_kind[names.index("h@0")]] == "state"


@pytest.mark.parametrize("seed", range(40))
def test_every_reader_reads_what_the_definition_says(seed: int) -> None:
    loop, repeats = random_loop(seed), 4
    body, instance = loop.body, expand_loop(random_loop(seed), 4)
    names, inputs = instance.tensor_ids.all, instance.inputs.lists()
    assert len(set(names)) == len(names)
    for iteration in range(repeats):
        for tile, row in enumerate(body.inputs.lists()):
            expected = []
            for tensor in row:
                name, origin, distance = body.tensor_ids[tensor], int(loop.source[tensor]), int(loop.distance[tensor])
                if loop.shared[tensor]:
                    expected.append(name)
                elif origin >= 0 and iteration >= distance:
                    expected.append(f"{body.tensor_ids[origin]}@{iteration - distance}")
                else:
                    expected.append(f"{name}@{iteration}")
            assert [names[t] for t in inputs[iteration * body.n_tiles + tile]] == expected


def changed(field: str, tensor: str, value: int) -> Loop:
    loop = scan(20)
    column = getattr(loop, field).copy()
    column[loop.body.tensor_ids.lookup[tensor]] = value
    return replace(loop, **{field: column})


@pytest.mark.parametrize(
    ("field", "tensor", "value", "message"),
    [
        ("shared", "y", 1, "tensor 'y' is shared by all iterations, but a tile writes it"),
        ("shared", "h", 1, "tensor 'h' is both shared and carried"),
        ("source", "h", 0, "tensor 'h' is carried, but its source is itself shared or carried"),
        ("source", "h", 3, "tensor 'h' is carried, but its source has another size"),
        ("source", "h", 9, "source: expected -1 or the index"),
        ("source", "y", 4, "tensor 'y' is carried from an earlier iteration, but a tile writes it"),
        ("distance", "h", 0, "tensor 'h' is carried over a distance of less than one iteration"),
        ("distance", "x", 1, "tensor 'x' has a distance, but no source"),
        ("drains", "y", 1, "tensor 'y' drains, but is not a written source"),
    ],
)
def test_contradictions_are_refused(field: str, tensor: str, value: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        changed(field, tensor, value)
    assert str(caught.value).startswith(message)


def test_columns_of_another_length_and_no_iterations_are_refused() -> None:
    with pytest.raises(InputError, match="drains: expected one value for each of the body's 5 tensors"):
        replace(scan(20), drains=np.zeros(3, dtype=np.bool_))
    with pytest.raises(InputError, match="at least one iteration, not 0"):
        expand_loop(scan(20), 0)
