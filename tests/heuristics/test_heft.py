"""List scheduling by upward rank."""

from __future__ import annotations

import pytest
from campaign import campaign
from handmade import make_instance
from random_instances import random_instance

from ssmopt.heuristics.base import schedules_of
from ssmopt.heuristics.heft import HEFT, upward_rank
from ssmopt.validate import validate


@pytest.mark.parametrize("block", campaign(2))
def test_heft_on_random_instances(block: int) -> None:
    for seed in range(50 * block, 50 * block + 50):
        instance = random_instance(seed)
        for schedule in schedules_of(HEFT, instance):
            assert [str(v) for v in validate(instance, schedule)] == []


def test_the_upward_rank_is_the_longest_path_with_mean_durations() -> None:
    """Two cores: a takes 2 or 4, b only 3, c 1 on both; times two cores, a 6, b 6, c 2."""
    tiles = {
        "a": ({"c0": 2, "c1": 4}, "", "x", ""),
        "b": ({"c1": 3}, "x", "y", ""),
        "c": (1, "x", "", ""),
    }
    tensors = {"x": (0, "intermediate"), "y": (0, "output")}
    cores = {"c0": "m", "c1": "m"}
    instance = make_instance(tiles, tensors, {"m": 1}, cores, {"dma": (1, 1, "dram m")})
    assert upward_rank(instance).tolist() == [12, 6, 2]
    order, _ = next(iter(HEFT.plans(instance)))
    assert order.tolist() == [0, 1, 2]
