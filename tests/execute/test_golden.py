"""Blocks computed by Hugging Face ``transformers``: the reference and executed schedules give the same.

``tests/golden/make_golden.py`` makes the files.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from small_problems import core_group, hardware

from ssmopt.decode import decode
from ssmopt.execute import execute, reference, reference_mamba, reference_mamba2, relative_error
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.tiles import build_tiles

FILES = sorted((Path(__file__).parent.parent / "golden").glob("*.npz"))
MIXERS = {"mamba": reference_mamba.mixer, "mamba2": reference_mamba2.mixer}
TILINGS = (
    Tiling(tokens=100),
    Tiling(tokens=2, state_tokens=3, scan=True, channel_splits=2),
    Tiling(
        tokens=4,
        norm_tokens=3,
        channel_splits=4,
        projections={"in_proj": ProjectionTiling(3, 2), "out_proj": ProjectionTiling(2, 3)},
    ),
)
TOLERANCE = 1e-5
Arrays = dict[str, np.ndarray]


def golden(path: Path, form: str = "recurrent") -> tuple[Problem, Arrays, Arrays, np.ndarray]:
    """Problem, arrays to start from, expected outputs, and what the mixer alone gives."""
    with np.load(path) as file:
        arrays = dict(file)
    sizes = json.loads(str(arrays.pop("model")))
    length, initial = sizes.pop("seq_len"), sizes.pop("initial_state")
    model = Model("golden", layers=1, **sizes)
    problem = Problem("golden", model, hardware(core_group()), length, initial_state=initial, form=form)
    given, expected = (
        {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        for prefix in ("in.", "out.")
    )
    return problem, given, expected, arrays["mixer"]


def errors(found: Arrays, expected: Arrays) -> list[str]:
    assert set(found) == set(expected)
    wrong = {name: relative_error(found[name], expected[name]) for name in expected}
    return [f"{name}: {error}" for name, error in wrong.items() if not error <= TOLERANCE]


def test_there_are_files_of_both_families() -> None:
    names = [path.stem for path in FILES]
    assert sum(name.startswith("mamba-") for name in names) >= 5
    assert sum(name.startswith("mamba2-") for name in names) >= 5


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_reference(path: Path) -> None:
    problem, arrays, expected, mixed = golden(path)
    found = reference(problem, arrays)
    assert all(array.dtype == np.float32 for array in found.values())
    assert errors(found, expected) == []
    normed = reference_mamba.rms_norm(arrays["x"], arrays["g_norm"])
    assert relative_error(MIXERS[problem.model.family](problem, normed, arrays)[0], mixed) <= TOLERANCE


@pytest.mark.parametrize("tiling", TILINGS, ids=Tiling.describe)
@pytest.mark.parametrize("form", ["recurrent", "chunked"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_executed_schedules(path: Path, form: str, tiling: Tiling) -> None:
    if form == "chunked" and not path.stem.startswith("mamba2"):
        pytest.skip("only Mamba-2 has a chunked form")
    problem, arrays, expected, _ = golden(path, form)
    # Mamba-2 has one step size per head, and no more pieces of that than heads.
    pieces = min(tiling.channel_splits, problem.model.n_heads or tiling.channel_splits)
    instance = build_tiles(problem, dataclasses.replace(tiling, channel_splits=pieces))
    schedule = decode(instance, instance.topological_order)
    execution = execute(instance, schedule, weights=arrays, dtype=np.float32)
    assert errors(dict(execution.outputs), expected) == []
