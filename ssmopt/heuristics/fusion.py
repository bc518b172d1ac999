"""The state update fused token by token; the rest layer by layer."""

from __future__ import annotations

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.heuristics.base import (
    Heuristic,
    Plan,
    one_token_tiling,
    roomy_policies,
    sort_by,
    tile_meta,
    topological,
)
from ssmopt.instance import Instance
from ssmopt.workload.mamba import STATE_UPDATE


def fused_order(instance: Instance, fused: tuple[str, ...]) -> tuple[IntArray, IntArray]:
    """Order and groups when the tiles of the ``fused`` operators run token by token.

    Where ``d_inner`` is cut because a token does not fit, nothing is kept between operators, and each is a group of
    its own (the published 'blocking' mode).
    """
    meta = tile_meta(instance)
    names = list(meta.operators)
    inside = np.isin(meta.operator, [names.index(name) for name in fused if name in names])
    token = np.where(inside, meta.low[:, meta.dims.index("L")], 0).astype(np.int64)
    stage = np.where(inside, int(meta.operator[inside].min(initial=0)), meta.operator).astype(np.int64)
    number = np.arange(instance.n_tiles, dtype=np.int64)
    channel = np.where(inside, meta.low[:, meta.dims.index("E")], 0).astype(np.int64)
    blocked = instance.tiling is not None and instance.tiling.channel_splits > 1
    groups = meta.operator.astype(np.int64) if blocked else stage
    order = sort_by(stage, token, meta.operator.astype(np.int64), channel, number) if inside.any() else number
    return topological(instance, order), groups


def _fuse_all(instance: Instance) -> list[Plan]:
    order, groups = fused_order(instance, STATE_UPDATE)
    return [(order, policy) for policy in roomy_policies(instance, groups)]


FUSE_ALL = Heuristic(
    name="fuse-all",
    summary="the whole state update fused token by token; the other operators layer by layer through DRAM",
    source="the fusion study's best scheme",
    plans=_fuse_all,
    prescribe=one_token_tiling,
)
