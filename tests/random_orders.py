"""Random orders and policies to decode, and variants of random instances with more resources."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import numpy as np
from exhaustive import exhaustive_makespan
from random_instances import random_instance

from ssmopt.csr import IntArray
from ssmopt.decode import Policy
from ssmopt.instance import DRAM, NOT_ADMISSIBLE, Instance


@cache
def optimum(seed: int) -> int:
    """Optimal makespan of ``random_instance(seed)``, searched once for all tests."""
    return exhaustive_makespan(random_instance(seed))


def searched(seeds: Iterable[int]) -> list[int]:
    """The seeds without the few whose optimum takes seconds to search."""
    return [seed for seed in seeds if seed not in (6, 188, 194, 275, 311)]


def random_order(instance: Instance, rng: random.Random) -> IntArray:
    """A topological order, every choice left to chance."""
    source, target = instance.edges
    waiting: list[set[int]] = [set() for _ in range(instance.n_tiles)]
    for before, after in zip(source.tolist(), target.tolist(), strict=True):
        waiting[after].add(before)
    order: list[int] = []
    left = set(range(instance.n_tiles))
    while left:
        tile = rng.choice([t for t in sorted(left) if not waiting[t] & left])
        order.append(tile)
        left.remove(tile)
    return np.array(order, dtype=np.int64)


def random_policy(instance: Instance, rng: random.Random) -> Policy:
    """A policy with any of its fields set."""
    capacity = int(instance.memory_capacity[0])
    groups = np.array([rng.randrange(3) for _ in range(instance.n_tiles)], dtype=np.int64)
    return Policy(
        groups=groups if rng.random() < 0.5 else None,
        reserve_bytes=rng.choice((0, rng.randint(0, 2 * capacity))),
        deferred_store_bytes=rng.choice((0, rng.randint(0, 2 * capacity))),
        prefetch=rng.random() < 0.8,
    )


def tight(instance: Instance) -> Instance:
    """The instance with the smallest capacity in which each tile alone fits."""
    return replace(instance, memory_capacity=np.array([max(1, instance.minimum_capacity()[0])], dtype=np.int64))


def with_private_memories(instance: Instance, rng: random.Random, *, n_memories: int | None = None) -> Instance:
    """The instance on two or three memories with a core or two each, and mostly with channels between them."""
    n = n_memories or rng.choice((2, 2, 3))
    home = [m for m in range(n) for _ in range(rng.choice((1, 1, 1, 2)))]
    kind = [rng.randrange(2) for _ in home]
    duration = np.array([[rng.randint(1, 4), rng.randint(1, 4)] for _ in range(instance.n_tiles)], dtype=np.int64)
    for row in duration:
        if len(set(kind)) == 2 and rng.random() < 0.3:
            row[rng.randrange(2)] = NOT_ADMISSIBLE
    channels = [("dma", rng.randint(1, 2), rng.choice((1, 1, 2)), (DRAM, *range(n)))]
    if rng.random() < 0.3:
        channels = [(f"dma{m}", rng.randint(1, 2), 1, (DRAM, m)) for m in range(n)]
    if rng.random() < 0.8:
        joined = tuple(sorted(rng.sample(range(n), rng.randint(2, n))))
        channels.append(("noc", rng.randint(1, 4), rng.randint(1, 2), joined))
    return replace(
        instance,
        memory_ids=tuple(f"m{m}" for m in range(n)),
        memory_capacity=np.array([2 * instance.memory_capacity[0]] * n, dtype=np.int64),
        core_ids=tuple(f"core{i}" for i in range(len(home))),
        core_memory=np.array(home, dtype=np.int64),
        core_kind=np.array(kind, dtype=np.int64),
        duration=duration,
        channel_ids=tuple(c[0] for c in channels),
        channel_bandwidth=np.array([c[1] for c in channels], dtype=np.int64),
        channel_lanes=np.array([c[2] for c in channels], dtype=np.int64),
        channel_connects=tuple(c[3] for c in channels),
    )


def tight_memories(instance: Instance, rng: random.Random) -> Instance:
    """The instance with the smallest capacities in which each tile fits one of its memories; one at random."""
    capacity = np.ones(instance.n_memories, dtype=np.int64)
    for tile, need in enumerate(instance.tile_need_bytes.tolist()):
        able = np.flatnonzero(instance.tile_memories[tile]).tolist()
        chosen = able if rng.random() < 0.3 else [rng.choice(able)]
        capacity[chosen] = np.maximum(capacity[chosen], need)
    return replace(instance, memory_capacity=capacity)


def random_memories(instance: Instance, rng: random.Random) -> IntArray:
    """A memory for each tile, in which it can run and fits."""
    able = instance.tile_memories & (instance.tile_need_bytes[:, None] <= instance.memory_capacity[None, :])
    return np.array([rng.choice(np.flatnonzero(row).tolist()) for row in able], dtype=np.int64)


def with_more(instance: Instance, rng: random.Random) -> Instance:
    """The instance with three cores of two kinds, and two unlike channels of up to three lanes."""
    duration = np.array([[rng.randint(1, 5), rng.randint(1, 5)] for _ in range(instance.n_tiles)], dtype=np.int64)
    for row in duration:
        if rng.random() < 0.5:
            row[rng.randrange(2)] = NOT_ADMISSIBLE
    return replace(
        instance,
        core_ids=("a.0", "a.1", "b"),
        core_memory=np.zeros(3, dtype=np.int64),
        core_kind=np.array([0, 0, 1]),
        duration=duration,
        channel_ids=("one", "two"),
        channel_bandwidth=np.array([rng.randint(1, 2), rng.randint(1, 3)]),
        channel_lanes=np.array([rng.randint(1, 3), rng.randint(1, 2)]),
        channel_connects=((DRAM, 0), (0, DRAM)),
    )
