"""Small random tile instances with every feature, for comparing solvers with exhaustive search."""

from __future__ import annotations

import random

import numpy as np

from ssmopt.csr import Csr
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, KINDS, NOT_ADMISSIBLE, Instance


class _Draft:
    """Tensors and tiles under construction."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.sizes: list[int] = []
        self.kinds: list[str] = []
        self.inputs: list[list[int]] = []
        self.outputs: list[list[int]] = []
        self.accumulates: list[list[int]] = []

    def tensor(self, kind: str) -> int:
        self.sizes.append(self.rng.choice((0, 1, 1, 2, 2, 3, 4)))
        self.kinds.append(kind)
        return len(self.sizes) - 1


def random_instance(seed: int) -> Instance:
    """A small instance: 1 to 7 tiles, one or two cores in one memory, one channel, tight capacity.

    Parameters
    ----------
    seed
        The same seed gives the same instance on every machine.
    """
    rng = random.Random(seed)
    draft = _Draft(rng)
    n_tiles = rng.randint(1, 7)
    adding = _adding_tiles(rng, n_tiles)
    for tile in range(n_tiles):
        _add_tile(draft, tile, adding)
    _choose_outputs(draft)
    return _build(draft, seed)


def large_instance(seed: int, n_tiles: int) -> Instance:
    """A larger instance of the same kind, in half of the cases with up to eight tiles that add into one tensor."""
    rng = random.Random(seed)
    draft = _Draft(rng)
    adding = set(rng.sample(range(n_tiles), min(n_tiles, rng.choice((0, 0, 3, 5, 8)))))
    for tile in range(n_tiles):
        _add_tile(draft, tile, adding)
    _choose_outputs(draft)
    return _build(draft, seed)


def _adding_tiles(rng: random.Random, n_tiles: int) -> set[int]:
    """In about a third of the instances (of enough tiles) two or three tiles that add into one tensor."""
    if n_tiles < 2 or rng.random() < 0.55:
        return set()
    return set(rng.sample(range(n_tiles), min(n_tiles, rng.choice((2, 2, 3)))))


def _add_tile(draft: _Draft, tile: int, adding: set[int]) -> None:
    """One more tile, which reads what is complete by now and at times something new from DRAM."""
    rng = draft.rng
    done_adding = not adding or tile > max(adding)
    sums = {t for row in draft.accumulates for t in row}
    produced = [t for row in draft.outputs for t in row] + (sorted(sums) if done_adding else [])
    loaded = [t for t, kind in enumerate(draft.kinds) if t not in produced and t not in sums]
    reads = set(rng.sample(produced, min(len(produced), rng.choice((0, 1, 1, 2)))))
    if loaded and rng.random() < 0.4:
        reads.add(rng.choice(loaded))
    if len(loaded) < 4 and (rng.random() < 0.45 or not reads):
        reads.add(draft.tensor(rng.choice(("weight", "input", "state"))))
    draft.inputs.append(sorted(reads))
    if tile in adding:
        draft.accumulates.append(sorted(sums) or [draft.tensor("intermediate")])
    else:
        draft.accumulates.append([])
    n_new = rng.choice((1, 1, 1, 2)) if tile not in adding else rng.choice((0, 0, 1))
    draft.outputs.append([draft.tensor("intermediate") for _ in range(n_new)])


def _choose_outputs(draft: _Draft) -> None:
    """What nobody reads is nearly always an output; at times something that is read is one, too, or a state."""
    read = {t for row in draft.inputs for t in row}
    for tensor, kind in enumerate(draft.kinds):
        if kind == "intermediate":
            chance = draft.rng.random()
            if chance < 0.15 or (tensor not in read and chance < 0.9):
                draft.kinds[tensor] = "output"
            elif chance > 0.95:
                draft.kinds[tensor] = "state"


def _build(draft: _Draft, seed: int) -> Instance:
    """The finished instance: tiles in shuffled order, cores, channel and capacity drawn."""
    rng = draft.rng
    n_tiles = len(draft.inputs)
    order = list(range(n_tiles))
    if rng.random() < 0.5:
        rng.shuffle(order)
    n_cores = rng.choice((1, 1, 2))
    n_kinds = n_cores if rng.random() < 0.6 else 1
    duration = np.array([[rng.randint(1, 4) for _ in range(n_kinds)] for _ in range(n_tiles)], dtype=np.int64)
    if n_kinds == 2:
        for row in duration:
            if rng.random() < 0.4:
                row[rng.randrange(2)] = NOT_ADMISSIBLE
    sizes = np.array(draft.sizes, dtype=np.int64)
    rows = (draft.inputs, draft.outputs, draft.accumulates)
    least = max((sum(draft.sizes[t] for r in rows for t in r[tile]) for tile in range(n_tiles)), default=0)
    capacity = max(1, rng.randint(least, max(least, int(1.6 * least))))
    return Instance(
        name=f"random-{seed}",
        memory_ids=("sram",),
        memory_capacity=np.array([capacity], dtype=np.int64),
        core_ids=tuple(f"core{i}" for i in range(n_cores)),
        core_memory=np.zeros(n_cores, dtype=np.int64),
        core_kind=np.arange(n_cores, dtype=np.int64) % n_kinds,
        channel_ids=("dma",),
        channel_bandwidth=np.array([rng.randint(1, 2)], dtype=np.int64),
        channel_lanes=np.array([rng.choice((1, 1, 1, 2))], dtype=np.int64),
        channel_connects=((DRAM, 0),),
        tensor_ids=Ids.of([f"x{t}" for t in range(len(sizes))]),
        tensor_bytes=sizes,
        tensor_kind=np.array([KINDS.index(kind) for kind in draft.kinds], dtype=np.int8),
        tile_ids=Ids.of([f"t{tile}" for tile in order]),
        duration=duration[order],
        inputs=Csr.from_lists([draft.inputs[tile] for tile in order]),
        outputs=Csr.from_lists([draft.outputs[tile] for tile in order]),
        accumulates=Csr.from_lists([draft.accumulates[tile] for tile in order]),
    )
