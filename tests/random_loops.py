"""Small random loops with every feature, for comparing periods with exhaustive search."""

from __future__ import annotations

import random

import numpy as np

from ssmopt.csr import Csr
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, KINDS, Instance
from ssmopt.loop import Loop


def random_loop(seed: int, most_tiles: int = 6) -> Loop:
    """A loop of 1 to 6 tiles on one or two cores, with a tight memory and distances of up to 2 iterations.

    Parameters
    ----------
    seed
        The same seed gives the same loop on every machine.
    most_tiles
        Largest number of tiles.
    """
    rng = random.Random(seed)
    n_tiles = rng.randint(1, most_tiles)
    sizes: list[int] = []
    kinds: list[str] = []
    source: dict[int, tuple[int, int]] = {}
    shared: set[int] = set()
    inputs: list[set[int]] = []
    outputs: list[set[int]] = []

    def tensor(kind: str, size: int | None = None) -> int:
        sizes.append(rng.choice((0, 1, 1, 2, 2)) if size is None else size)
        kinds.append(kind)
        return len(sizes) - 1

    for tile in range(n_tiles):
        produced = [t for row in outputs for t in row]
        reads = set(rng.sample(produced, min(len(produced), rng.choice((0, 1, 1, 2)))))
        if rng.random() < 0.25:
            shared.add(one := tensor("weight", rng.choice((1, 2))))
            reads.add(one)
        elif shared and rng.random() < 0.3:
            reads.add(rng.choice(sorted(shared)))
        if rng.random() < (0.5 if tile == 0 else 0.15):
            reads.add(tensor("input", rng.choice((1, 2))))
        inputs.append(reads)
        outputs.append({tensor("intermediate")} if rng.random() < 0.9 else set())
    adds: list[set[int]] = [set() for _ in range(n_tiles)]
    if n_tiles > 2 and rng.random() < 0.2:
        total = tensor("output", rng.choice((1, 2)))
        for tile in rng.sample(range(n_tiles), 2):
            adds[tile].add(total)
    produced = [t for row in outputs for t in row]
    read = {t for row in inputs for t in row}
    drains = set()
    for _ in range(rng.choice((0, 1, 1, 2))):
        fresh = [t for t, kind in enumerate(kinds) if t not in shared and t not in source and kind != "output"]
        if not fresh:
            break
        origin, distance = rng.choice(fresh), rng.choice((1, 1, 2))
        again = sum(one == origin for one, _ in source.values())
        if (origin, distance) in source.values() or (again and rng.random() < 0.5):
            continue
        name = tensor("state", sizes[origin])
        source[name] = (origin, distance)
        inputs[rng.randrange(n_tiles)].add(name)
        read.add(origin)
        if origin in produced and rng.random() < 0.7:
            drains.add(origin)
    for t in produced:
        if t not in read and rng.random() < 0.7:
            kinds[t] = "output"
    return _loop(rng, seed, sizes, kinds, inputs, outputs, adds, shared, source, drains)


def _loop(
    rng: random.Random,
    seed: int,
    sizes: list[int],
    kinds: list[str],
    inputs: list[set[int]],
    outputs: list[set[int]],
    adds: list[set[int]],
    shared: set[int],
    source: dict[int, tuple[int, int]],
    drains: set[int],
) -> Loop:
    n_tiles, n = len(inputs), len(sizes)
    n_cores = rng.choice((1, 2, 2))
    n_kinds = n_cores if rng.random() < 0.4 else 1
    duration = np.array([[rng.randint(1, 3) for _ in range(n_kinds)] for _ in range(n_tiles)], dtype=np.int64)
    if n_kinds == 2:
        for row in duration:
            if rng.random() < 0.4:
                row[rng.randrange(2)] = -1
    least = max(sum(sizes[t] for t in inputs[i] | outputs[i] | adds[i]) for i in range(n_tiles))
    body = Instance(
        name=f"random-loop-{seed}",
        memory_ids=("sram",),
        memory_capacity=np.array([max(1, rng.randint(least, int(1.7 * least)))], dtype=np.int64),
        core_ids=tuple(f"core{i}" for i in range(n_cores)),
        core_memory=np.zeros(n_cores, dtype=np.int64),
        core_kind=np.arange(n_cores, dtype=np.int64) % n_kinds,
        channel_ids=("dma",),
        channel_bandwidth=np.array([rng.choice((1, 1, 2))], dtype=np.int64),
        channel_lanes=np.array([rng.choice((1, 1, 1, 2))], dtype=np.int64),
        channel_connects=((DRAM, 0),),
        tensor_ids=Ids.of([f"x{t}" for t in range(n)]),
        tensor_bytes=np.array(sizes, dtype=np.int64),
        tensor_kind=np.array([KINDS.index(kind) for kind in kinds], dtype=np.int8),
        tile_ids=Ids.of([f"t{tile}" for tile in range(n_tiles)]),
        duration=duration,
        inputs=Csr.from_lists([sorted(row) for row in inputs]),
        outputs=Csr.from_lists([sorted(row) for row in outputs]),
        accumulates=Csr.from_lists([sorted(row) for row in adds]),
    )
    return Loop(
        body,
        shared=np.array([t in shared for t in range(n)], dtype=np.bool_),
        source=np.array([source.get(t, (-1, 0))[0] for t in range(n)], dtype=np.int64),
        distance=np.array([source.get(t, (-1, 0))[1] for t in range(n)], dtype=np.int64),
        drains=np.array([t in drains for t in range(n)], dtype=np.bool_),
    )
