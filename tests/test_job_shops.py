"""Problems without bytes, job shops and task graphs on identical cores: published optima, and exhaustive search."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, refused
from exhaustive import exhaustive_makespan

from ssmopt.csr import Csr
from ssmopt.files.job_shop import read_job_shop
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, INTERMEDIATE, Instance
from ssmopt.solve import solve
from ssmopt.validate import validate

EXAMPLES = Path(__file__).parent.parent / "examples" / "job_shop"
OPTIMA = {"ft06.txt": 55, "la01.txt": 666, "la05.txt": 593, "ft10.txt": 930, "mk01.fjs": 40}
"""Published optima."""


@pytest.mark.parametrize("name", OPTIMA)
def test_published_optima_are_found_and_proved(name: str) -> None:
    instance = read_job_shop(EXAMPLES / name)
    result = solve(instance, time_limit=120, workers=2)
    assert (result.status, result.makespan, result.lower_bound) == ("OPTIMAL", OPTIMA[name], OPTIMA[name])
    assert result.schedule is not None
    assert validate(instance, result.schedule) == []


@pytest.mark.parametrize("name", OPTIMA)
def test_no_bound_exceeds_a_published_optimum(name: str) -> None:
    result = solve(read_job_shop(EXAMPLES / name), solver="heft", time_limit=5)
    assert result.makespan is not None
    assert result.instance_bound <= OPTIMA[name] <= result.makespan


def _task_graph(seed: int) -> Instance:
    """Up to 9 tasks with random precedences on 2 or 3 identical cores."""
    rng = random.Random(seed)
    n, n_cores = rng.randint(5, 9), rng.choice((2, 3))
    inputs = [[j for j in range(i) if rng.random() < 0.3] for i in range(n)]
    return Instance(
        name=f"tasks-{seed}",
        memory_ids=("none",),
        memory_capacity=np.ones(1, dtype=np.int64),
        core_ids=tuple(f"core{i}" for i in range(n_cores)),
        core_memory=np.zeros(n_cores, dtype=np.int64),
        core_kind=np.zeros(n_cores, dtype=np.int64),
        channel_ids=("dma",),
        channel_bandwidth=np.ones(1, dtype=np.int64),
        channel_lanes=np.ones(1, dtype=np.int64),
        channel_connects=((DRAM, 0),),
        tensor_ids=Ids.of([f"x{i}" for i in range(n)]),
        tensor_bytes=np.zeros(n, dtype=np.int64),
        tensor_kind=np.full(n, INTERMEDIATE, dtype=np.int8),
        tile_ids=Ids.of([f"t{i}" for i in range(n)]),
        duration=np.array([[rng.randint(1, 7)] for _ in range(n)], dtype=np.int64),
        inputs=Csr.from_lists(inputs),
        outputs=Csr.from_lists([[i] for i in range(n)]),
        accumulates=Csr.empty(n),
    )


@pytest.mark.parametrize("seed", range(30))
def test_task_graphs_on_identical_cores_reach_the_optimum_of_exhaustive_search(seed: int) -> None:
    instance = _task_graph(seed)
    result = solve(instance, time_limit=30, workers=1)
    assert result.status == "OPTIMAL"
    assert result.makespan == result.lower_bound == exhaustive_makespan(instance)


class TestImport:
    def test_what_is_written_can_be_solved(self, run: Run) -> None:
        outcome = run("import-job-shop", str(EXAMPLES / "ft06.txt"))
        assert outcome.code == 0
        assert "wrote ft06.json: 36 tiles on 6 cores" in outcome.out
        found = json.loads(run("solve", "ft06.json", "--json", "--quiet").out)
        assert (found["status"], found["makespan"], found["dram_bytes"]) == ("OPTIMAL", 55, 0)

    def test_a_name_for_the_file_and_the_format_can_be_given(self, run: Run) -> None:
        Path("shop").write_text("1 2\n1 1 0 9\n")
        assert run("import-job-shop", "shop", "--format", "flexible", "-o", "one.json").code == 0
        assert len(json.loads(Path("one.json").read_text())["tiles"]) == 1

    def test_bad_input_is_one_line(self, run: Run) -> None:
        Path("shop").write_text("1 2\n1 1 0 9\n")
        refused(run("import-job-shop", "shop"), "shop: this file makes sense in both formats")
        refused(run("import-job-shop", "shop", "--format", "flexibel"), "did you mean 'flexible'?")
        refused(run("import-job-shop", "shops"), "no such file; did you mean 'shop'?")
        assert not list(Path().glob("*.json"))
