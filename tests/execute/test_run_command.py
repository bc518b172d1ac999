"""``ssmopt run``."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Run

from ssmopt.execute import input_shapes, make_arrays
from ssmopt.execute.reference_mamba import block
from ssmopt.files.schedule import schedule_document
from ssmopt.library import load_hardware, load_model
from ssmopt.problem import Problem
from ssmopt.solve import solve

INSTANCE = """\
model: mamba-tiny
hardware: tiny
seq_len: 5
"""
EXECUTION = importlib.import_module("ssmopt.execute.execution")
OUTPUTS = {"out": (5, 8), "h_final": (1, 16, 4), "x_branch_final": (3, 16)}


PROBLEM = Problem("own", load_model("mamba-tiny"), load_hardware("tiny"), 5)


@pytest.fixture(scope="module")
def schedule() -> str:
    """A schedule on a tiling that was found by search, and that only its file tells."""
    result = solve(PROBLEM, solver="fuse-block")
    assert result.schedule is not None
    document = schedule_document(result.instance, result.schedule, status=result.status, bound=result.bound)
    return json.dumps(document)


@pytest.fixture
def run(run: Run, schedule: str) -> Run:
    """Runs a command in a folder with an instance and a schedule of it."""
    Path("own.yaml").write_text(INSTANCE)
    Path("own.json").write_text(schedule)
    return run


def test_outputs_agree_with_the_model(run: Run) -> None:
    code, out, err = run("run", "own.yaml", "own.json")
    assert code == 0
    assert err == ""
    for part in ("fuse-block", "out", "h_final", "x_branch_final", "agrees", "MACs"):
        assert part in out
    assert "differs" not in out


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
def test_as_json(run: Run, dtype: str, tolerance: float) -> None:
    code, out, _ = run("run", "own.yaml", "own.json", "--json", "--dtype", dtype, "--seed", "3")
    found = json.loads(out)
    assert code == 0
    assert found["agrees"] is True
    assert found["tolerance"] == tolerance
    assert (found["dtype"], found["seed"], found["given"]) == (dtype, 3, [])
    assert set(found["relative_errors"]) == set(OUTPUTS)
    assert all(0 <= error <= tolerance for error in found["relative_errors"].values())
    assert found["macs"] > 0


def test_given_arrays_and_written_outputs(run: Run) -> None:
    arrays = make_arrays(PROBLEM, seed=7)
    given = {name: arrays[name] for name in ("x", "W_in", "A")}
    np.savez("given.npz", **given)
    code, out, _ = run("run", "own.yaml", "own.json", "--weights", "given.npz", "--save-outputs", "outputs.npz")
    assert code == 0
    assert f"3 of {len(input_shapes(PROBLEM))} from given.npz" in out
    expected = block(PROBLEM, make_arrays(PROBLEM, given))
    with np.load("outputs.npz") as written:
        assert {name: array.shape for name, array in written.items()} == OUTPUTS
        assert all(np.allclose(array, expected[name]) for name, array in written.items())


def test_outputs_that_differ(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = EXECUTION._output
    monkeypatch.setattr(EXECUTION, "_output", lambda *args: whole(*args) + 1e-3)
    code, out, _ = run("run", "own.yaml", "own.json")
    assert code == 1
    assert "differs" in out
    code, out, _ = run("run", "own.yaml", "own.json", "--json")
    assert code == 1
    assert json.loads(out)["agrees"] is False
    monkeypatch.setattr(EXECUTION, "_output", lambda *args: whole(*args) + np.nan)
    code, out, _ = run("run", "own.yaml", "own.json", "--json")
    assert code == 1
    assert json.loads(out)["relative_errors"]["out"] is None


def test_an_invalid_schedule_is_not_run(run: Run) -> None:
    document = json.loads(Path("own.json").read_text())
    document["tiles"][3]["start"] += 1
    Path("wrong.json").write_text(json.dumps(document))
    code, out, err = run("run", "own.yaml", "wrong.json")
    assert code == 1
    assert out == ""
    assert "not feasible" in err


def test_bad_input(run: Run) -> None:
    def refused(*args: str) -> str:
        code, out, err = run("run", *args)
        assert code == 2
        assert out == ""
        assert err.count("\n") == 1
        return err

    assert "no such file" in refused("own.yaml", "nowhere.json")
    assert "no such file" in refused("own.yaml", "own.json", "--weights", "nowhere.npz")
    assert "expected arrays with names" in refused("own.yaml", "own.json", "--weights", "own.json")
    np.save("single.npy", np.zeros(3))
    assert "expected arrays with names" in refused("own.yaml", "own.json", "--weights", "single.npy")
    np.savez("object.npz", x=np.array([{}], dtype=object))
    assert "plain arrays" in refused("own.yaml", "own.json", "--weights", "object.npz")
    np.savez("odd.npz", x=np.zeros((2, 2)))
    assert refused("own.yaml", "own.json", "--weights", "odd.npz").startswith("error: odd.npz: x: expected an array of")
    assert "cannot be written" in refused("own.yaml", "own.json", "--save-outputs", "no/folder.npz")
    run("show", "own.yaml", "--export", "tiles.json")
    assert run("solve", "tiles.json", "--solver", "layer-by-layer", "--no-plot", "-o", "tiles.schedule.json")[0] in (
        0,
        2,
    )
    assert run("solve", "tiles.json", "--solver", "cpsat", "--time-limit", "1", "--no-plot", "-o", "t.json")[0] == 0
    assert "does not say which model" in refused("tiles.json", "t.json")
    assert run("run", "own.yaml", "own.json", "--dtype", "float16")[0] == 2


def test_a_long_run_says_how_far_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    command = importlib.import_module("ssmopt.commands.run")
    monkeypatch.setattr(command, "_SECONDS_BETWEEN_LINES", 0)
    code, _, err = run("run", "own.yaml", "own.json")
    assert code == 0
    assert err.startswith("running: 0 of ")
