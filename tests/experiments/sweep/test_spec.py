"""Sweeps from YAML and from Python: the product of the axes, and errors that say where and what."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ssmopt
from ssmopt.errors import InputError
from ssmopt.experiments.sweep import make_sweep, points_of, read_sweep
from ssmopt.experiments.sweep.parameters import PARAMETERS, check_parameter

from .small import FIXED, without

GOOD = """\
axes:
  model: [mamba-130m, mamba-370m]
  sram: [1MiB, 2MiB, 4194304]
  array: [[64, 128], [32, 32]]
fixed:
  hardware: marca
  seq_len: 64
  tiling: {tokens: 16, projections: {in_proj: {columns: 4}}}
  solver: fuse-block
  work_limit: 2
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def test_the_product_of_the_axes_with_the_last_one_fastest(tmp_path: Path) -> None:
    points = points_of(read_sweep(written(tmp_path, GOOD)))
    labels = [tuple(point.axes.values()) for point in points]
    sizes = (1 << 20, 2 << 20, 4 << 20)
    assert labels == list(itertools.product(("mamba-130m", "mamba-370m"), sizes, ("64x128", "32x32")))
    for point in points:
        assert point.problem.model.name == point.axes["model"]
        assert point.capacities == (point.axes["sram"],)
        core = point.problem.hardware.cores[0]
        assert f"{core.rows}x{core.columns}" == point.axes["array"]
        assert point.tiling is not None
        assert point.tiling.projections["in_proj"].columns == 4
        assert (point.solving.solver, point.solving.work_limit, point.solving.solver_workers) == ("fuse-block", 2, 1)
    names = [point.problem.name for point in points]
    assert names[0] == "mamba-130m-marca-L64-sram-1MiB-array-64x128"
    assert len(set(names)) == len(names)


def test_python_values_and_objects_make_the_same_points(tmp_path: Path) -> None:
    from_file = points_of(read_sweep(written(tmp_path, GOOD)))
    axes = {
        "model": [ssmopt.load_model("mamba-130m"), "mamba-370m"],
        "sram": ["1MiB", np.int64(2 << 20), 4 << 20],
        "array": [(64, 128), [32, 32]],
    }
    fixed: dict[str, Any] = {
        "hardware": ssmopt.load_hardware("marca"),
        "seq_len": 64,
        "tiling": ssmopt.Tiling(tokens=16, projections={"in_proj": ssmopt.ProjectionTiling(columns=4)}),
        "solver": "fuse-block",
        "work_limit": 2,
        "time_limit": None,
    }
    assert [point.key for point in points_of(make_sweep(axes, fixed))] == [point.key for point in from_file]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("axes:", "axis:", ":1: axis: unknown key; did you mean 'axes'?"),
        ("  sram:", "  srm:", ":3: axes.srm: unknown key; did you mean 'sram'?"),
        ("  seq_len:", "  seqlen:", ":7: fixed.seqlen: unknown key; did you mean 'seq_len'"),
        ("2MiB", "2Mib", ":3: axes.sram[1]: unknown unit 'Mib'; did you mean 'MiB'"),
        ("mamba-370m", "mamba-371m", ":2: axes.model[1]: unknown model 'mamba-371m'; did you mean 'mamba-370m'"),
        ("hardware: marca", "hardware: mraca", ":6: fixed.hardware: unknown hardware 'mraca'; did you mean 'marca'"),
        ("fuse-block", "fuse-blok", ":9: fixed.solver: unknown value 'fuse-blok'; did you mean 'fuse-block'"),
        ("[1MiB, 2MiB, 4194304]", "1MiB", ":3: axes.sram: expected a list, not '1MiB'"),
        ("[1MiB, 2MiB, 4194304]", "[]", "axes.sram: expected at least one value"),
        ("4194304", "1024KiB", ":3: axes.sram[2]: 1048576 is given twice"),
        ("[64, 128]", "[64]", ":4: axes.array[0]: expected [rows, columns]"),
        ("seq_len: 64", "seq_len: 0", ":7: fixed.seq_len: expected a whole number from 1 on, not 0"),
        ("work_limit: 2", "work_limit: no", ":10: fixed.work_limit: expected a number, not"),
        ("work_limit: 2", "work_limit: 0", ":10: fixed.work_limit: expected a number above 0, not 0"),
        ("columns: 4", "columns: 40000", ":8: fixed.tiling.projections.in_proj.columns: expected at most"),
        ("tokens: 16", "token: 16", ":8: fixed.tiling.token: unknown key; did you mean 'tokens'"),
        ("work_limit: 2", "layers: 30", ":10: fixed.layers: expected 1 to 24 layers of 'mamba-130m'"),
        ("work_limit: 2", "form: chunked", ":10: fixed.form: models of family 'mamba' have no chunked form"),
        ("work_limit: 2", "sram: 1MiB", ":10: fixed.sram: this key is also an axis"),
        ("work_limit: 2", "channels.x.lanes: 2", ":10: fixed.channels.x.lanes: 'channels.x.lanes': no channels entry"),
        ("work_limit: 2", "instance: mamba-130m", ":10: fixed.instance: unknown instance 'mamba-130m'; did you mean"),
        ("  hardware: marca\n", "", "hardware missing: expected model, hardware, seq_len, or instance"),
    ],
)
def test_errors_name_the_place_and_the_nearest_choice(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    file = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(InputError) as caught:
        points_of(read_sweep(file))
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("axes", "fixed", "said"),
    [
        ({"srm": [1]}, FIXED, "axes.srm: unknown key; did you mean 'sram'?"),
        ({"sram": ["1Mi"]}, FIXED, "axes.sram[0]: unknown unit 'Mi'"),
        ({"sram": "1MiB"}, FIXED, "axes.sram: expected a list of values, not '1MiB'"),
        ({"sram": [object()]}, FIXED, "axes.sram[0]: expected a number or text, not <object"),
        ({"sram": [1 << 20]}, {**FIXED, "sede": 1}, "fixed.sede: unknown key; did you mean 'seed'?"),
        ({"tiling": [{"token": 1}]}, without("tiling"), "axes.tiling[0].token: unknown key"),
        ({"tiling": [{"channel_splits": 99}]}, without("tiling"), "axes.tiling[0].channel_splits: expected at most 16"),
        ({"hardware": [ssmopt.load_model("mamba-tiny")]}, without("hardware"), "axes.hardware[0]: expected a number"),
        ({"seed": range(0)}, FIXED, "axes.seed: expected at least one value"),
        ({"seed": range(1_001), "batch": range(1, 1_001)}, FIXED, "axes: 1,001,000 points are more than 1,000,000"),
        ({}, FIXED, "axes: expected at least one parameter"),
    ],
)
def test_errors_in_python_name_the_key_alone(axes: Any, fixed: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        points_of(make_sweep(axes, fixed))
    assert str(caught.value).startswith(said)


def test_different_machines_of_one_name_have_to_be_told_apart() -> None:
    tiny = ssmopt.load_hardware("tiny")
    with pytest.raises(InputError, match="two different values are both called 'tiny'"):
        make_sweep({"hardware": [tiny, tiny.override("sram", 4096)]}, without("hardware"))


def test_an_instance_and_changes_to_it() -> None:
    spec = make_sweep({"instance": ["tiny-state-L1", "tiny-state-L4-scan"], "sram": [4096, 8192]}, {"seed": 3})
    points = points_of(spec)
    original, tiling = ssmopt.load_problem("tiny-state-L4-scan")
    assert [point.problem.seq_len for point in points] == [1, 1, 4, 4]
    assert points[3].capacities == (8192,)
    assert points[3].tiling == tiling
    assert points[3].problem.scope == original.scope
    assert points[3].problem.name == "tiny-state-L4-scan-sram-8KiB"
    assert points[3].solving.seed == 3


def test_all_layers_are_those_of_each_model(tmp_path: Path) -> None:
    text = GOOD.replace("work_limit: 2", "layers: all").replace("array: [[64, 128], [32, 32]]", "seed: [0]")
    points = points_of(read_sweep(written(tmp_path, text)))
    assert {(point.problem.model.name, point.problem.layers) for point in points} == {
        ("mamba-130m", 24),
        ("mamba-370m", 48),
    }


def test_a_file_beside_the_sweep_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    machine = (Path(ssmopt.__file__).parents[1] / "hardware" / "tiny.yaml").read_text()
    (tmp_path / "parts" / "mine.yaml").write_text(machine.replace("name: tiny", "name: mine"))
    text = "axes:\n  seq_len: [1, 2]\nfixed:\n  model: mamba-tiny\n  hardware: parts/mine.yaml\n"
    points = points_of(read_sweep(written(tmp_path, text)))
    assert {point.problem.hardware.name for point in points} == {"mine"}


def test_every_parameter_is_known() -> None:
    for name in PARAMETERS:
        check_parameter(name.replace("<id>", "sram"))
