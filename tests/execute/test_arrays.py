"""What a block starts from: names, shapes, random values, and the states that one prompt hands to the next."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_problems import core_group, hardware

from ssmopt.decode import decode
from ssmopt.errors import InputError
from ssmopt.execute import execute, input_shapes, make_arrays, reference, relative_error
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import build_tiles

MODELS = {
    "mamba": Model("small", "mamba", 1, 6, 8, 3, 4, dt_rank=2),
    "mamba2": Model("small", "mamba2", 1, 6, 8, 3, 4, head_dim=2, n_groups=2, chunk_size=4),
}
PROBLEM = Problem("small", MODELS["mamba"], hardware(core_group()), 5)
TAILS = {"mamba": "x_branch", "mamba2": "xBC"}


def run(problem: Problem, **given: np.ndarray) -> dict[str, np.ndarray]:
    instance = build_tiles(problem, Tiling(tokens=2, channel_splits=2, state_tokens=3, scan=True))
    return dict(execute(instance, decode(instance, instance.topological_order), weights=given).outputs)


def test_names_and_shapes_of_mamba() -> None:
    weights = {
        "g_norm": (6,), "W_in": (6, 16), "w_conv": (8, 4), "b_conv": (8,), "W_x": (8, 8), "W_dt": (2, 8), "b_dt": (8,),
        "A": (8, 3), "D_skip": (8,), "W_out": (8, 6),
    }  # fmt: skip
    states = {"h_initial": (1, 8, 3), "x_branch_initial": (3, 8)}
    assert input_shapes(PROBLEM) == {"x": (5, 6), **weights, **states}
    assert input_shapes(dataclasses.replace(PROBLEM, initial_state="zero")) == {"x": (5, 6), **weights}
    batch = {name: (2, *shape) for name, shape in {"x": (5, 6), **states}.items()}
    assert input_shapes(dataclasses.replace(PROBLEM, batch=2)) == {**batch, **weights}
    assert input_shapes(dataclasses.replace(PROBLEM, scope="state-update")) == {
        "dt": (5, 8), "B": (5, 3), "C": (5, 3), "xc": (5, 8), "A": (8, 3), "h_initial": (1, 8, 3)
    }  # fmt: skip


def test_names_and_shapes_of_mamba2() -> None:
    problem = dataclasses.replace(PROBLEM, model=MODELS["mamba2"])
    expected = {
        "x": (5, 6), "g_norm": (6,), "W_in": (6, 8 + 20 + 4), "w_conv": (20, 4), "b_conv": (20,), "b_dt": (4,),
        "A": (4,), "D_skip": (4,), "g_gate": (8,), "W_out": (8, 6), "h_initial": (1, 8, 3), "xBC_initial": (3, 20),
    }  # fmt: skip
    assert input_shapes(problem) == expected
    assert input_shapes(dataclasses.replace(problem, form="chunked")) == expected


def test_random_arrays_depend_on_the_seed_alone() -> None:
    first, again, other = (make_arrays(PROBLEM, seed=seed) for seed in (0, 0, 1))
    for name, array in first.items():
        assert np.array_equal(array, again[name])
        assert not np.array_equal(array, other[name])
    fewer = make_arrays(dataclasses.replace(PROBLEM, initial_state="zero"))
    assert all(np.array_equal(array, first[name]) for name, array in fewer.items())
    assert (first["A"] < 0).all()


@pytest.mark.parametrize("family", MODELS)
def test_random_values_stay_moderate_in_large_models(family: str) -> None:
    model = dataclasses.replace(
        MODELS[family], d_model=256, d_inner=512, d_state=32, head_dim=64 if family == "mamba2" else 0
    )
    problem = dataclasses.replace(PROBLEM, model=model, seq_len=32)
    for array in reference(problem, make_arrays(problem)).values():
        assert 0.05 < np.abs(array).mean() < 5


def test_given_arrays_are_used() -> None:
    x = np.zeros((5, 6))
    out = run(PROBLEM, x=x, h_initial=np.zeros((1, 8, 3)), x_branch_initial=np.zeros((3, 8)), b_conv=np.zeros(8))["out"]
    assert not out.any()


def test_arrays_that_cannot_be_used() -> None:
    with pytest.raises(InputError, match=r"w_con: no array of this instance .*did you mean 'w_conv'"):
        make_arrays(PROBLEM, {"w_con": np.zeros(4)})
    with pytest.raises(InputError, match=r"A: expected an array of shape \(8, 3\), not \(3, 8\)"):
        make_arrays(PROBLEM, {"A": np.full((3, 8), -1.0)})
    with pytest.raises(InputError, match="A: decay rates must be negative"):
        make_arrays(PROBLEM, {"A": np.zeros((8, 3))})
    with pytest.raises(InputError, match="x: expected finite numbers only"):
        make_arrays(PROBLEM, {"x": np.full((5, 6), np.nan)})
    with pytest.raises(InputError, match="x: expected numbers"):
        make_arrays(PROBLEM, {"x": np.full((5, 6), "1")})


@pytest.mark.parametrize("first", [1, 2, 3, 6])
@pytest.mark.parametrize("form", ["recurrent", "chunked"])
@pytest.mark.parametrize("family", MODELS)
def test_a_prompt_in_two_parts_is_the_prompt(family: str, form: str, first: int) -> None:
    """Also where the first part is shorter than what the convolution looks back on."""
    if (family, form) == ("mamba", "chunked"):
        pytest.skip("only Mamba-2 has a chunked form")
    whole = dataclasses.replace(PROBLEM, model=MODELS[family], form=form, seq_len=9, initial_state="zero")
    x, tail = make_arrays(whole)["x"], TAILS[family]
    expected = run(whole, x=x)
    begun = run(dataclasses.replace(whole, seq_len=first), x=x[:first])
    states = {"h_initial": begun["h_final"], f"{tail}_initial": begun[f"{tail}_final"]}
    rest = dataclasses.replace(whole, seq_len=9 - first, initial_state="load")
    ended = run(rest, x=x[first:], **states)
    assert relative_error(np.concatenate([begun["out"], ended["out"]]), expected["out"]) < 1e-12
    for name in ("h_final", f"{tail}_final"):
        assert relative_error(ended[name], expected[name]) < 1e-12


def test_sequences_of_a_batch_are_independent() -> None:
    problem = dataclasses.replace(PROBLEM, batch=2)
    arrays = make_arrays(problem)
    together = run(problem, **arrays)
    for number in range(2):
        own = {name: arrays[name][number] for name in ("x", "h_initial", "x_branch_initial")}
        alone = run(PROBLEM, **{**arrays, **own})
        for name, array in alone.items():
            assert relative_error(together[name][number], array) < 1e-12


def test_relative_errors() -> None:
    assert relative_error(np.array([1.0, 2.5]), np.array([1.0, 2.0])) == 0.25
    assert relative_error(np.zeros(2), np.zeros(2)) == 0
    assert relative_error(np.ones(2), np.zeros(2)) == 1
    assert relative_error(np.zeros((0, 3)), np.zeros((0, 3))) == 0
    assert relative_error(np.zeros(2), np.zeros(3)) == np.inf
    assert not relative_error(np.array([np.nan]), np.array([1.0])) <= 1
