"""Small instances to execute, and whether what they compute is what the model computes."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from small_problems import tiled_problems

from ssmopt.execute import Execution, execute, reference, relative_error
from ssmopt.heuristics.base import topological
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.workload.tiles import build_tiles, count_tiles

TOLERANCE = 1e-10
FAMILIES = ("mamba", "mamba2")


@st.composite
def instances(draw: st.DrawFn, family: str, most_tiles: int = 1_000) -> Instance:
    """Any tiling of a small problem, with a memory between just enough and far too large."""
    largest = draw(st.sampled_from((3, 5, 8)))
    problem, tiling = draw(tiled_problems(largest, 9, family=family, batches=(1, 1, 2)))
    assume(count_tiles(problem, tiling) <= most_tiles)
    return with_room(build_tiles(problem, tiling), draw(st.sampled_from((1.0, 1.0, 1.2, 2.0, 1e6))))


def with_room(instance: Instance, times: float) -> Instance:
    """The instance with so many times the smallest capacity in which each tile alone fits."""
    capacity = max(1, int(instance.minimum_capacity()[0] * times))
    return dataclasses.replace(instance, memory_capacity=np.full(instance.n_memories, capacity, dtype=np.int64))


def any_order(instance: Instance, rng: random.Random) -> np.ndarray:
    """A topological order near a random one."""
    return topological(instance, np.array(rng.sample(range(instance.n_tiles), instance.n_tiles), dtype=np.int64))


def differences(instance: Instance, schedule: Schedule, seed: int = 0) -> list[str]:
    """Outputs of the schedule that are not those of the model."""
    return differing(instance, execute(instance, schedule, seed=seed))


def differing(instance: Instance, execution: Execution) -> list[str]:
    assert instance.problem is not None
    expected = reference(instance.problem, execution.arrays)
    assert set(expected) == set(execution.outputs)
    errors = {name: relative_error(execution.outputs[name], expected[name]) for name in expected}
    return [f"{name}: {error:.2g}" for name, error in errors.items() if not error <= TOLERANCE]
