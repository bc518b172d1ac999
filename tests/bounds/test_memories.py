"""Bounds of instances with private memories: below the optimum of an exhaustive search, and below every schedule."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from exhaustive import exhaustive_makespan
from exhaustive_memories import optimal_makespan
from random_instances import random_instance
from random_orders import random_memories, random_order, random_policy, searched, tight_memories, with_private_memories

from ssmopt.bounds import best, instance_bounds
from ssmopt.decode import decode
from ssmopt.instance import Instance

_MOST_TILES, _MOST_STATES = 3, 1_000


def small(seed: int) -> Instance | None:
    """An instance of few tiles on two memories, now and then with hardly any room; None for more tiles."""
    rng = random.Random(seed)
    instance = random_instance(seed)
    if instance.n_tiles > _MOST_TILES:
        return None
    private = with_private_memories(instance, rng, n_memories=2)
    return tight_memories(private, rng) if rng.random() < 0.6 else private


@pytest.mark.parametrize("block", range(4))
def test_no_bound_and_no_schedule_beats_the_optimum_on_two_memories(block: int) -> None:
    """And often enough both meet it."""
    met = reached = count = 0
    for seed in range(40 * block, 40 * block + 40):
        instance = small(seed)
        optimum = None if instance is None else optimal_makespan(instance, _MOST_STATES)
        if instance is None or optimum is None:
            continue
        bounds = instance_bounds(instance)
        assert [(b.cycles, b.reason) for b in bounds if b.cycles > optimum] == [], seed
        rng = random.Random(seed)
        makespans = []
        for _ in range(8):
            policy = replace(random_policy(instance, rng), memories=random_memories(instance, rng))
            makespans.append(decode(instance, random_order(instance, rng), policy).makespan)
        assert min(makespans) >= optimum, seed
        met += best(bounds).cycles == optimum
        reached += min(makespans) == optimum
        count += 1
    assert count >= 8
    assert met >= count // 3
    assert reached >= count // 2


def test_the_search_agrees_with_that_for_one_memory() -> None:
    found = 0
    for seed in searched(range(60)):
        instance = random_instance(seed)
        if instance.n_tiles <= _MOST_TILES:
            optimum = optimal_makespan(instance, _MOST_STATES)
            assert optimum is None or optimum == exhaustive_makespan(instance), seed
            found += optimum is not None
    assert found >= 15


@pytest.mark.parametrize("block", range(4))
def test_no_bound_exceeds_a_schedule_on_several_memories(block: int) -> None:
    for seed in range(60 * block, 60 * block + 60):
        rng = random.Random(seed)
        private = with_private_memories(random_instance(seed), rng)
        for instance in (private, tight_memories(private, rng)):
            bounds = instance_bounds(instance)
            policy = replace(random_policy(instance, rng), memories=random_memories(instance, rng))
            makespan = decode(instance, random_order(instance, rng), policy).makespan
            assert [(b.cycles, b.reason) for b in bounds if b.cycles > makespan] == [], seed
