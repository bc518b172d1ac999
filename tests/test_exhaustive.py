"""The exhaustive search against optima worked out by hand, and its witnesses against the validator."""

from __future__ import annotations

import numpy as np
import pytest
from campaign import campaign
from exhaustive import exhaustive_makespan, exhaustive_schedule
from handmade import make_instance
from random_instances import random_instance

from ssmopt.instance import DRAM, OUTPUT, Instance
from ssmopt.validate import validate


def small(
    capacity: int,
    tiles: dict[str, tuple[int | dict[str, int], str, str, str]],
    tensors: dict[str, tuple[int, str]],
    cores: int = 1,
    lanes: int = 1,
) -> Instance:
    """An instance with one memory, and a channel of one byte per cycle."""
    return make_instance(
        tiles, tensors, {"m": capacity}, {f"c{i}": "m" for i in range(cores)}, {"dma": (1, lanes, "dram m")}
    )


TWO_LOADS = (
    {"p": (4, "u", "", ""), "q": (4, "v", "", "")},
    {"u": (3, "weight"), "v": (3, "weight")},
)
SPILL = (
    # s is made first and read last; b needs the whole memory in between.
    {"a": (1, "", "s k", ""), "b": (2, "k w", "j", ""), "c": (1, "s j", "o", "")},
    {
        "s": (2, "intermediate"),
        "k": (1, "intermediate"),
        "w": (3, "weight"),
        "j": (1, "intermediate"),
        "o": (1, "output"),
    },
)
SUM = (
    # Two tiles add into s; each needs its own weight, and a reader stores the result.
    {"x": (2, "u", "", "s"), "y": (2, "v", "", "s"), "r": (1, "s", "o", "")},
    {"u": (1, "weight"), "v": (5, "weight"), "s": (1, "intermediate"), "o": (1, "output")},
)

HAND_COMPUTED: list[tuple[str, Instance, int]] = [
    # Load u [0,3), p [3,7), and meanwhile load v [3,6), q [7,11).
    ("loads overlap work", small(6, *TWO_LOADS), 11),
    # v has no room until p has ended: load u [0,3), p [3,7), load v [7,10), q [10,14).
    ("room for one load only", small(3, *TWO_LOADS), 14),
    # Two cores: both loads in a row on the channel, q [6,10).
    ("two cores", small(6, *TWO_LOADS, cores=2), 10),
    # Two lanes: both loads [0,3); one core runs p and q in a row.
    ("two lanes", small(6, *TWO_LOADS, lanes=2), 11),
    ("two lanes and two cores", small(6, *TWO_LOADS, cores=2, lanes=2), 7),
    # All of w (3), s (2), k, j (1 each) fit in 7: load w [0,3) before or while a runs, b [3,5), c [5,6), store [6,7).
    ("no spill with room", small(7, *SPILL), 7),
    # With 6, b needs s out: a [0,1), store s [1,3), load w [1..] waits for the channel: load w [3,6), b [6,8),
    # load s [8,10), c [10,11), store o [11,12). Loading w first: w [0,3), a [0,1) both fit in 6, then s must be
    # stored [3,5), b [5,7) in 5 bytes, load s [7,9), c [9,10), store o [10,11).
    ("a forced spill", small(6, *SPILL), 11),
    # x is first, as its weight comes sooner: u [0,1), v [1,6), x [1,3), y [6,8), r [8,9), store o [9,10).
    ("additions in the better order", small(7, *SUM), 10),
    # Two cores do not help: additions do not overlap, and y waits for v.
    ("additions one after another", small(7, *SUM, cores=2), 10),
    # v fits beside s alone: u leaves when x ends at 3, then v [3,8), y [8,10), r [10,11), store o [11,12).
    ("additions with room for one weight", small(6, *SUM), 12),
    # A tile reads an output while it is stored: make o [0,2), store o [2,6), read it [2,3), store e [6,7).
    (
        "an output that is read",
        small(5, {"a": (2, "", "o", ""), "b": (1, "o", "e", "")}, {"o": (4, "output"), "e": (1, "output")}),
        7,
    ),
    # Zero bytes: b waits for a, on its own core, and nothing is moved.
    (
        "plain precedences",
        small(1, {"a": (3, "", "z", ""), "b": (2, "z", "e", "")}, {"z": (0, "intermediate"), "e": (0, "output")}, 2),
        5,
    ),
    # Zero-byte sums exclude each other like one machine.
    (
        "a zero-byte sum",
        small(1, {"a": (3, "", "", "z"), "b": (2, "", "", "z")}, {"z": (0, "intermediate")}, 2),
        5,
    ),
    # The slow core for the short tile: a on c0 [0,4), b on c1 [0,3); not both on c0.
    (
        "unlike cores",
        small(1, {"a": ({"c0": 4, "c1": 9}, "", "", ""), "b": ({"c0": 1, "c1": 3}, "", "", "")}, {}, 2),
        4,
    ),
    ("nothing", small(1, {}, {}), 0),
]


@pytest.mark.parametrize(
    ("name", "instance", "makespan"), HAND_COMPUTED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_optimum_worked_out_by_hand(name: str, instance: Instance, makespan: int) -> None:
    assert exhaustive_makespan(instance) == makespan
    assert validate(instance, exhaustive_schedule(instance)) == []


def test_the_load_that_feeds_a_tile_sooner_is_not_always_first() -> None:
    """Load v [0,3), u [3,5), q [3,12), p [12,13); with u first q ends at 14."""
    tiles = {"p": (1, "u", "", ""), "q": (9, "v", "", "")}
    assert exhaustive_makespan(small(9, tiles, {"u": (2, "weight"), "v": (3, "weight")})) == 13


def test_a_core_may_wait_though_a_tile_could_run() -> None:
    """Load u [0,1), q [1,2), store o [2,12), p [2,12); with p at 0, o is stored only at 21."""
    tiles = {"p": (10, "", "", ""), "q": (1, "u", "o", "")}
    assert exhaustive_makespan(small(11, tiles, {"u": (1, "weight"), "o": (10, "output")})) == 12


@pytest.mark.parametrize("seed", campaign(50))
def test_a_witness_is_feasible_and_as_long_as_the_optimum(seed: int) -> None:
    instance = random_instance(seed)
    schedule = exhaustive_schedule(instance)
    assert validate(instance, schedule) == []
    assert schedule.makespan == exhaustive_makespan(instance)


def test_random_instances_have_every_feature() -> None:
    """Each feature appears, and the same seed gives the same instance."""
    instances = [random_instance(seed) for seed in range(200)]
    assert {i.n_tiles for i in instances} == set(range(1, 8))
    assert {i.n_cores for i in instances} == {1, 2}
    assert {len(set(i.core_kind.tolist())) for i in instances} == {1, 2}
    assert {int(i.channel_lanes[0]) for i in instances} == {1, 2}
    assert all(set(i.channel_connects[0]) == {DRAM, 0} for i in instances)
    assert set(np.concatenate([i.tensor_kind for i in instances]).tolist()) == set(range(5))
    assert set(np.concatenate([i.tensor_bytes for i in instances]).tolist()) == set(range(5))
    assert any((i.duration[:, np.unique(i.core_kind)] < 0).any() for i in instances)
    assert 40 <= sum(len(i.accumulates.indices) > 0 for i in instances) <= 100
    assert any((np.bincount(i.inputs.indices, minlength=1) > 1).any() for i in instances)
    assert any(np.isin(i.inputs.indices, np.flatnonzero(i.tensor_kind == OUTPUT)).any() for i in instances)
    for instance in instances:
        least = instance.minimum_capacity()[0]
        assert least <= instance.memory_capacity[0] <= max(1, int(1.6 * least))
    assert (random_instance(3).duration == instances[3].duration).all()
