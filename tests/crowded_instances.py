"""Small random tile instances in which tensors outlive their neighbours, so that a small memory forces transfers."""

from __future__ import annotations

import random

import numpy as np

from ssmopt.csr import Csr
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, KINDS, Instance


def crowded_instance(seed: int) -> Instance:
    """A chain of 3 to 6 tiles, most of which pass something on to a much later one; little more room than one needs.

    Parameters
    ----------
    seed
        The same seed gives the same instance on every machine.
    """
    rng = random.Random(seed)
    n_tiles = rng.randint(3, 6)
    sizes: list[int] = []
    kinds: list[str] = []
    inputs: list[list[int]] = [[] for _ in range(n_tiles)]
    outputs: list[list[int]] = [[] for _ in range(n_tiles)]
    adds: list[list[int]] = [[] for _ in range(n_tiles)]

    def tensor(kind: str, largest: int) -> int:
        sizes.append(rng.randint(1, largest))
        kinds.append(kind)
        return len(sizes) - 1

    for tile in range(n_tiles - 1):
        passed = tensor("output" if rng.random() < 0.2 else "intermediate", 2)
        outputs[tile].append(passed)
        inputs[tile + 1].append(passed)
    for tile in range(n_tiles - 2):
        later = rng.randint(tile + 2, n_tiles - 1)
        choice = rng.random()
        if choice < 0.35:
            kept = tensor(rng.choice(("weight", "input", "state")), 3)
            inputs[tile].append(kept)
            inputs[later].append(kept)
        elif choice < 0.7:
            kept = tensor(rng.choice(("intermediate", "intermediate", "output")), 3)
            outputs[tile].append(kept)
            inputs[later].append(kept)
        elif choice < 0.85:
            total = tensor(rng.choice(("intermediate", "output")), 3)
            adds[tile].append(total)
            adds[later].append(total)
    if rng.random() < 0.7:
        inputs[rng.randrange(1, n_tiles)].append(tensor("weight", 5))
    if rng.random() < 0.5:
        outputs[-1].append(tensor("output", 2))
    rows = (inputs, outputs, adds)
    least = max(sum(sizes[t] for r in rows for t in r[tile]) for tile in range(n_tiles))
    n_cores = rng.choice((1, 1, 2))
    return Instance(
        name=f"crowded-{seed}",
        memory_ids=("sram",),
        memory_capacity=np.array([least + rng.choice((0, 0, 1, 2))], dtype=np.int64),
        core_ids=tuple(f"core{i}" for i in range(n_cores)),
        core_memory=np.zeros(n_cores, dtype=np.int64),
        core_kind=np.zeros(n_cores, dtype=np.int64),
        channel_ids=("dma",),
        channel_bandwidth=np.array([rng.choice((1, 1, 2))], dtype=np.int64),
        channel_lanes=np.array([rng.choice((1, 1, 1, 2))], dtype=np.int64),
        channel_connects=((DRAM, 0),),
        tensor_ids=Ids.of([f"x{t}" for t in range(len(sizes))]),
        tensor_bytes=np.array(sizes, dtype=np.int64),
        tensor_kind=np.array([KINDS.index(kind) for kind in kinds], dtype=np.int8),
        tile_ids=Ids.of([f"t{tile}" for tile in range(n_tiles)]),
        duration=np.array([[rng.randint(1, 3)] for _ in range(n_tiles)], dtype=np.int64),
        inputs=Csr.from_lists(inputs),
        outputs=Csr.from_lists(outputs),
        accumulates=Csr.from_lists(adds),
    )
