"""Operator after operator, the way a framework without fusion runs a block."""

from __future__ import annotations

import numpy as np

from ssmopt.decode import Policy
from ssmopt.heuristics.base import Heuristic, Plan, layer_after_layer, one_token_tiling, roomy_policies, tile_meta
from ssmopt.instance import Instance


def _unfused(instance: Instance) -> list[Plan]:
    """Tiles are numbered layer by layer already; whatever crosses from one operator to another goes through DRAM."""
    order = np.arange(instance.n_tiles, dtype=np.int64)
    groups = tile_meta(instance).operator.astype(np.int64)
    return [(order, Policy(groups=groups)), (order, Policy(groups=groups, reserve_bytes=_half(instance)))]


def _reuse(instance: Instance) -> list[Plan]:
    order = np.arange(instance.n_tiles, dtype=np.int64)
    return [(order, policy) for policy in roomy_policies(instance)]


def _half(instance: Instance) -> int:
    return int(instance.memory_capacity.max()) // 2


LAYER_BY_LAYER = Heuristic(
    name="layer-by-layer",
    summary="operator after operator; every intermediate is stored, and loaded by each operator that reads it",
    source="the literature's unfused schedule (UF)",
    plans=layer_after_layer(_unfused),
    prescribe=one_token_tiling,
)

LAYER_BY_LAYER_REUSE = Heuristic(
    name="layer-by-layer-reuse",
    summary="operator after operator, but whatever fits stays on chip (furthest next use leaves first)",
    source="the unfused order with the replacement rule of Belady (1966)",
    plans=layer_after_layer(_reuse),
    prescribe=one_token_tiling,
)
