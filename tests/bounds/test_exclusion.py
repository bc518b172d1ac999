"""Tiles and transfers that have no room beside each other: below every schedule, and tight where that is plain."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from campaign import campaign
from exhaustive import exhaustive_makespan
from handmade import make_instance
from random_instances import random_instance
from random_orders import searched, tight

from ssmopt.bounds import best, instance_bounds
from ssmopt.instance import Instance

REASON = "have no room beside"


def weights(capacity: int, *, tiles: int = 4) -> Instance:
    """Tiles of 10 cycles with a weight each, which takes 100 cycles to load."""
    return make_instance(
        {f"t{k}": (10, f"w{k}", "", "sum") for k in range(tiles)},
        {"sum": (1, "output")} | {f"w{k}": (100, "weight") for k in range(tiles)},
        {"sram": capacity},
        {"pe": "sram"},
        {"dma": (1, 1, "dram sram")},
    )


def exclusions(instance: Instance) -> list[int]:
    return [bound.cycles for bound in instance_bounds(instance) if REASON in bound.reason]


def test_without_room_for_two_weights_nothing_is_loaded_while_a_tile_runs() -> None:
    narrow, wide = weights(150), weights(250)
    assert exclusions(narrow)[0] >= 4 * (10 + 100)
    assert exclusions(narrow)[0] == exhaustive_makespan(narrow)
    assert best(instance_bounds(wide)).cycles <= exhaustive_makespan(wide) < exclusions(narrow)[0]


def test_a_weight_that_fits_beside_does_not_count() -> None:
    assert exclusions(weights(201)) == []
    assert exclusions(weights(200)) != []


@pytest.mark.parametrize("block", campaign(4))
def test_no_bound_exceeds_the_optimum_where_memory_is_tight(block: int) -> None:
    met = 0
    for seed in searched(range(25 * block, 25 * block + 25)):
        instance = tight(random_instance(seed))
        found = max(exclusions(instance), default=0)
        optimal = exhaustive_makespan(instance)
        assert found <= optimal, seed
        met += found == optimal
    assert met > 0 or block >= 4


def test_with_several_cores_and_lanes_each_shares_its_own_work() -> None:
    instance = weights(150)
    one = exclusions(instance)[0]
    two = dataclasses.replace(instance, channel_lanes=np.array([2]))
    assert 4 * 10 + 2 * 100 <= exclusions(two)[0] < one
