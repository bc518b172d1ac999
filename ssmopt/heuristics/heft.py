"""List scheduling by upward rank, for any tile instance."""

from __future__ import annotations

import numpy as np

from ssmopt.csr import Csr, IntArray
from ssmopt.heuristics.base import Heuristic, Plan, roomy_policies, topological
from ssmopt.instance import NOT_ADMISSIBLE, Instance


def upward_rank(instance: Instance) -> IntArray:
    """Longest path from the start of each tile to the end, with the mean duration over the cores that can run it.

    Durations are multiplied by the number of cores to stay whole. Transfers are left out: the decoder hides them.
    """
    kinds = instance.duration[:, instance.core_kind]
    able = kinds != NOT_ADMISSIBLE
    mean = np.where(able, kinds, 0).sum(axis=1) * instance.n_cores // np.maximum(able.sum(axis=1), 1)
    source, target = instance.edges
    successors = Csr.from_pairs(source, target, instance.n_tiles).lists()
    rank = mean.tolist()
    for tile in instance.topological_order[::-1].tolist():
        after = successors[tile]
        if after:
            rank[tile] += max(rank[s] for s in after)
    return np.array(rank, dtype=np.int64)


def _heft(instance: Instance) -> list[Plan]:
    rank = upward_rank(instance)
    place = np.empty(instance.n_tiles, dtype=np.int64)
    place[instance.topological_order] = np.arange(instance.n_tiles, dtype=np.int64)
    order = topological(instance, np.lexsort((place, -rank)))
    return [(order, policy) for policy in roomy_policies(instance)]


HEFT = Heuristic(
    name="heft",
    summary="list scheduling by longest remaining path, each tile on the core that ends it first",
    source="Topcuoglu, Hariri and Wu (2002), heterogeneous earliest finish time",
    plans=_heft,
    needs_meta=False,
)
