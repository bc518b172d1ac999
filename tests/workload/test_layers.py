"""Blocks back to back: what each layer is, and what passes between two."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from small_problems import core_group, hardware, mamba2_models, models, problems, tilings

from ssmopt.errors import InputError
from ssmopt.instance import INPUT, INTERMEDIATE, OUTPUT, Instance
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.layers import LAYER, stacked_order
from ssmopt.workload.tiles import build_tiles, count_tiles, one_layer


def layered(problem: Problem, layers: int) -> Problem:
    """The block of the problem, so many times."""
    model = dataclasses.replace(problem.model, layers=layers)
    return dataclasses.replace(problem, model=model, layers=layers, scope="block")


def whole_name(instance: Instance, tensor: int) -> str:
    return instance.tensor_ids[tensor].split(".")[1]


@settings(max_examples=60, deadline=None, suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much))
@given(st.data())
def test_every_layer_is_the_block_and_reads_what_the_one_before_wrote(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(("mamba", "mamba2")))
    problem = layered(data.draw(problems(5, 5, family=family, batches=(1, 1, 2))), data.draw(st.integers(2, 4)))
    tiling = data.draw(tilings(problem))
    assume(count_tiles(problem, tiling) <= 1500)
    stack, block = build_tiles(problem, tiling), build_tiles(one_layer(problem), tiling)
    layers, n = problem.layers, block.n_tiles
    assert stack.n_tiles == layers * n == count_tiles(problem, tiling)
    assert len(set(stack.tile_ids.all)) == stack.n_tiles
    assert len(set(stack.tensor_ids.all)) == stack.n_tensors
    assert stack.meta is not None
    assert stack.meta.dims[-1] == LAYER
    for layer in range(layers):
        mine = slice(layer * n, (layer + 1) * n)
        assert np.array_equal(stack.duration[mine], block.duration)
        assert (stack.meta.low[mine, -1] == layer).all()
        assert [i.removeprefix(f"layer{layer}.") for i in stack.tile_ids.all[mine]] == block.tile_ids.all
    assert (stack.tensor_bytes.sum() - stack.tensor_bytes[between(stack)].sum()) == layers * bytes_of(
        block, "x", "out", other=True
    ) + bytes_of(block, "x") + bytes_of(block, "out")
    source, target = stack.edges
    crossing = source // n != target // n
    assert (target[crossing] // n == source[crossing] // n + 1).all()
    # Every layer but the first reads all of its input from tiles of the one before, and each of them is read.
    for tensor in between(stack):
        written = stack.writers[tensor] // n
        assert len(set(written.tolist())) == 1
        assert set((stack.readers[tensor] // n).tolist()) == {written[0] + 1}
    assert len(between(stack)) == (layers - 1) * sum(whole_name(stack, t) == "x" for t in range(stack.n_tensors))


def between(stack: Instance) -> list[int]:
    """Tensors that one layer writes and the next one reads."""
    names = [whole_name(stack, t) for t in range(stack.n_tensors)]
    return [t for t, name in enumerate(names) if name == "out" and stack.tensor_kind[t] == INTERMEDIATE]


def bytes_of(block: Instance, *names: str, other: bool = False) -> int:
    inside = np.array([(name.split(".")[0] in names) != other for name in block.tensor_ids.all])
    return int(block.tensor_bytes[inside].sum())


def test_only_the_ends_of_the_stack_are_in_dram_and_each_layer_has_a_state() -> None:
    problem = Problem("p", Model("m", "mamba", 3, 4, 8, 2, 3, 1), hardware(core_group()), 4, layers=3)
    stack = build_tiles(problem, Tiling(tokens=2, norm_tokens=1))
    kinds = dict(zip(stack.tensor_ids.all, stack.tensor_kind.tolist(), strict=True))
    assert {name.split(".")[0] for name, kind in kinds.items() if name.split(".")[1] == "x"} == {"layer0"}
    assert all(kind == INPUT for name, kind in kinds.items() if name.split(".")[1] == "x")
    outputs = {name.split(".")[0] for name, kind in kinds.items() if name.split(".")[1] == "out" and kind == OUTPUT}
    assert outputs == {"layer2"}
    assert {name.split(".")[0] for name, kind in kinds.items() if name.split(".")[1] == "h" and kind == OUTPUT} == {
        "layer0", "layer1", "layer2",
    }  # fmt: skip


def test_an_order_of_a_block_runs_layer_after_layer() -> None:
    assert stacked_order(np.array([1, 0, 2]), 2).tolist() == [1, 0, 2, 4, 3, 5]


@settings(max_examples=20, deadline=None)
@given(st.one_of(models(4), mamba2_models(4)))
def test_a_model_has_no_more_layers_than_it_has(model: Model) -> None:
    with pytest.raises(InputError, match=r"layers: .* has 1 layers, not 2"):
        Problem("p", model, hardware(core_group()), 2, layers=2)


def test_several_layers_need_whole_blocks() -> None:
    model = Model("m", "mamba", 2, 4, 8, 2, 3, 1)
    with pytest.raises(InputError, match="several layers need whole blocks; the scope is 'state-update'"):
        Problem("p", model, hardware(core_group()), 2, layers=2, scope="state-update")


@pytest.mark.parametrize(("asked", "count"), [("all", 3), ("2", 2), (1, 1)])
def test_layers_are_a_number_or_all(asked: int | str, count: int) -> None:
    assert Model("m", "mamba", 3, 4, 8, 2, 3, 1).layer_count(asked) == count


@pytest.mark.parametrize("asked", ["some", "0", 4, "-1", "1.5", ""])
def test_anything_else_is_refused(asked: int | str) -> None:
    with pytest.raises(InputError, match="layers"):
        Model("m", "mamba", 3, 4, 8, 2, 3, 1).layer_count(asked)
