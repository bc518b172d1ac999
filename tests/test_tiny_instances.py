"""The library's tiny instances: solved to the optimum that their file states, which exhaustive search finds too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from exhaustive import exhaustive_makespan

import ssmopt
from ssmopt import library
from ssmopt.result import OPTIMAL
from ssmopt.workload.tiles import build_tiles

NAMES = [name for name in library.list_instances() if name.startswith("tiny-")]
FOLDER = Path(__file__).parent.parent / "instances"


def stated_optimum(name: str) -> int:
    """The cycles in the comment ``# Known optimum: ... cycles.`` of an instance file."""
    found = re.findall(r"^# Known optimum: (\d+) cycles\.$", (FOLDER / f"{name}.yaml").read_text(), re.MULTILINE)
    assert len(found) == 1, f"{name} must state one optimum"
    return int(found[0])


def test_there_are_enough() -> None:
    assert len(NAMES) >= 8
    hardware = {library.load_problem(name)[0].hardware.name for name in NAMES}
    assert hardware == {"tiny", "tiny-2core"}


@pytest.mark.parametrize("name", NAMES)
def test_solved_to_the_known_optimum(name: str) -> None:
    problem, tiling = library.load_problem(name)
    assert tiling is not None
    instance = build_tiles(problem, tiling)
    assert instance.n_tiles <= 12
    # Not everything fits, so that what stays on chip has to be decided.
    assert int(instance.tensor_bytes.sum()) > int(instance.memory_capacity[0])

    result = ssmopt.solve(problem, tiling=tiling, time_limit=120, workers=2)
    assert result.status == OPTIMAL
    assert result.makespan == result.instance_bound == stated_optimum(name)
    assert exhaustive_makespan(instance) == stated_optimum(name)


@pytest.mark.parametrize("name", NAMES)
def test_heuristics_leave_something_to_gain(name: str) -> None:
    """Otherwise the instance tests nothing but the heuristics."""
    problem, tiling = library.load_problem(name)
    assert tiling is not None
    instance = build_tiles(problem, tiling)
    for solver in ("fuse-block", "heft"):
        makespan = ssmopt.solve(instance, solver=solver).makespan
        assert makespan is not None
        assert makespan > stated_optimum(name)
