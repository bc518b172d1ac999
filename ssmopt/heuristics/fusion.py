"""Fusion schemes of the state update: groups of operators run token by token, the rest layer by layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.heuristics.base import (
    Heuristic,
    Plan,
    layer_after_layer,
    one_token_tiling,
    roomy_policies,
    sort_by,
    tile_meta,
    topological,
)
from ssmopt.heuristics.places import first_channels, state_step, tile_range
from ssmopt.instance import Instance
from ssmopt.problem import FORMS
from ssmopt.workload.graph import STATE_UPDATE

_A = ("mul_dA", "exp_dA")
_B = ("mul_dB", "mul_dtx", "mul_dBx")
_S = ("mul_hA", "add_h", "mul_hC")

SCHEMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "A": (_A,),
    "B": (_B,),
    "A-B": (_A, _B),
    "AS": (_A + _S,),
    "BS": (_B + _S,),
    "AS-B": (_A + _S, _B),
    "A-BS": (_A, _B + _S),
    "fuse-all": (STATE_UPDATE,),
}
"""The fused groups of each scheme; without any it is layer-by-layer."""


def fused_order(instance: Instance, fused: tuple[tuple[str, ...], ...]) -> tuple[IntArray, IntArray]:
    """Order and groups when the tiles of each ``fused`` group run token by token.

    Where ``d_inner`` is cut because a token does not fit, nothing is kept between operators, and each is a group of
    its own (the published 'blocking' mode).
    """
    meta = tile_meta(instance)
    operator = meta.operator.astype(np.int64)
    stage = np.array([_stage(name, meta.operators, fused) for name in meta.operators], dtype=np.int64)[operator]
    inside = np.isin(
        operator, [meta.operators.index(name) for group in fused for name in group if name in meta.operators]
    )
    # Sequential operators that are not fused still alternate token by token.
    alternate = np.isin(operator, [meta.operators.index(name) for name in _S if name in meta.operators])
    together = inside | alternate
    sequence = np.where(together, tile_range(meta, "S")[0], 0)
    token = np.where(together, state_step(instance, tile_range(meta, "L")[0]), 0)
    channel = np.where(together, first_channels(instance, meta), 0)
    number = np.arange(instance.n_tiles, dtype=np.int64)
    blocked = instance.tiling is not None and instance.tiling.channel_splits > 1
    groups = operator if blocked else np.where(inside, stage, operator)
    return topological(instance, sort_by(stage, sequence, token, operator, channel, number)), groups


def _stage(name: str, operators: tuple[str, ...], fused: tuple[tuple[str, ...], ...]) -> int:
    """When an operator runs: a group with its sequential operators if it has any, otherwise with its first one."""
    group = next((group for group in fused if name in group), _S if name in _S else (name,))
    members = [operators.index(member) for member in group if member in operators]
    sequential = [operators.index(member) for member in group if member in operators and member in _S]
    return min(sequential or members)


def _plans(fused: tuple[tuple[str, ...], ...]) -> Callable[[Instance], list[Plan]]:
    def plans(instance: Instance) -> list[Plan]:
        order, groups = fused_order(instance, fused)
        return [(order, policy) for policy in roomy_policies(instance, groups)]

    return plans


def _scheme(name: str, summary: str) -> Heuristic:
    return Heuristic(
        name=name,
        summary=summary,
        source="the published study of fusion schemes for the state update",
        plans=layer_after_layer(_plans(SCHEMES[name])),
        prescribe=one_token_tiling,
        # The groups are made of the operators that work token by token.
        forms=FORMS if name == "fuse-all" else ("recurrent",),
    )


FUSION_SCHEMES = (
    _scheme("A", "fuses mul_dA and exp_dA"),
    _scheme("B", "fuses mul_dB and mul_dBx"),
    _scheme("A-B", "fuses A and B, each for itself"),
    _scheme("AS", "fuses A with the sequential operators mul_hA, add_h and mul_hC"),
    _scheme("BS", "fuses B with the sequential operators"),
    _scheme("AS-B", "fuses A with the sequential operators, and B for itself"),
    _scheme("A-BS", "fuses B with the sequential operators, and A for itself"),
)

FUSE_ALL = _scheme(
    "fuse-all", "the whole state update fused token by token; the other operators layer by layer through DRAM"
)
