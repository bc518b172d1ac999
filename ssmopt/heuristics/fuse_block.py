"""The whole block depth first, in pieces of ``d_inner``, with weights loaded ahead."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.heuristics.base import Heuristic, Plan, roomy_policies, sort_by, tile_meta, topological
from ssmopt.instance import Instance, TileMeta
from ssmopt.tiling import PROJECTIONS

_FRONT = ("in_proj", "conv1d", "silu_x", "x_proj")
_STATE = ("mul_dA", "exp_dA", "mul_dB", "mul_dBx", "mul_hA", "add_h", "mul_hC", "scan")
_BACK = ("skip_D", "silu_z", "gate", "out_proj", "residual")

_PHASE: Mapping[str, int] = {
    "rms_norm": 0,
    **dict.fromkeys(_FRONT, 1),
    **dict.fromkeys(("dt_proj", "softplus", *_STATE, *_BACK), 2),
}
_STEP: Mapping[str, int] = {
    "dt_proj": 0,
    "softplus": 1,
    **dict.fromkeys(_STATE, 2),
    "in_proj": 3,
    "silu_z": 4,
    "skip_D": 5,
    "gate": 6,
    "out_proj": 7,
    "residual": 8,
}


def block_order(instance: Instance, *, gate_early: bool = False) -> IntArray:
    """Depth-first order of a block.

    ``x_proj`` sums over all channels, so a token tile has two phases: per piece of ``d_inner`` the x half of
    ``in_proj``, the convolution and the piece's share of ``x_proj``; then, per piece, ``dt_proj``, the state update
    token by token, the z half of ``in_proj``, the gate and the piece's share of ``out_proj``. With ``gate_early`` the
    z half belongs to the first phase: then the normalised input need not stay for the second.
    """
    meta = tile_meta(instance)
    names = np.array(meta.operators)[meta.operator]
    problem = instance.problem
    d_inner = problem.model.d_inner if problem is not None else int(_range(meta, "E")[1].max(initial=1))
    tiling = instance.tiling
    pieces = tiling.channel_splits if tiling is not None else 1
    tokens = tiling.tokens if tiling is not None else int(_range(meta, "L")[1].max(initial=1))

    token_low = _range(meta, "L")[0]
    token_tile = token_low // tokens
    phase = np.array([_PHASE[name] for name in meta.operators], dtype=np.int64)[meta.operator]
    channel = _channel(meta, names, d_inner)
    is_z_half = (names == "in_proj") & (_range(meta, "K")[0] >= d_inner)
    phase[is_z_half] = 1 if gate_early else 2
    piece = channel * pieces // d_inner
    piece[phase == 0] = 0
    step = np.array([_STEP.get(name, 0) for name in meta.operators], dtype=np.int64)[meta.operator]
    step[phase == 1] = 0
    in_state = np.isin(names, _STATE)
    group = np.where(in_state, token_low // (tiling.state_tokens if tiling is not None else 1), 0)
    sequential = np.isin(names, ("mul_hA", "add_h", "mul_hC", "scan"))
    stage = np.where(in_state & sequential, 1, 0)
    walk = np.where(sequential, token_low, 0)
    operator = meta.operator.astype(np.int64)
    number = np.arange(instance.n_tiles, dtype=np.int64)
    state = (group, stage, walk)
    is_projection = np.isin(names, PROJECTIONS) | (names == "residual")
    column = np.where(is_projection, np.maximum(_range(meta, "K")[0], _range(meta, "D")[0]), 0)
    last_tile = (names == "out_proj") | (names == "residual")
    kind = np.where(last_tile, 0, operator)
    if tiling is not None and tiling.loop_order == "channels":
        # A piece of a weight serves all token tiles before the next piece is loaded.
        summed = np.where(is_projection, channel, 0)
        keys: tuple[IntArray, ...] = (phase, piece, step, *state, kind, summed, column, token_tile, operator, number)
    else:
        keys = (token_tile, phase, piece, step, *state, kind, column, operator, number)
    return topological(instance, sort_by(*keys))


def _range(meta: TileMeta, dim: str) -> tuple[IntArray, IntArray]:
    if dim not in meta.dims:
        zero = np.zeros(len(meta.operator), dtype=np.int64)
        return zero, zero
    column = meta.dims.index(dim)
    return meta.low[:, column].astype(np.int64), meta.high[:, column].astype(np.int64)


def _channel(meta: TileMeta, names: np.ndarray[tuple[int], np.dtype[np.str_]], d_inner: int) -> IntArray:
    """The channel by which a tile is filed: its first, or for sums over channels its last."""
    low, high = _range(meta, "E")
    channel = low.copy()
    sums = np.isin(names, ("x_proj", "out_proj"))
    channel[sums] = high[sums] - 1
    projected = names == "in_proj"
    channel[projected] = _range(meta, "K")[0][projected] % d_inner
    channel[names == "residual"] = d_inner - 1
    return np.maximum(channel, 0)


def _fuse_block(instance: Instance) -> list[Plan]:
    orders = [block_order(instance, gate_early=early) for early in (False, True)]
    return [(order, policy) for order in orders for policy in roomy_policies(instance)]


FUSE_BLOCK = Heuristic(
    name="fuse-block",
    summary="the whole block depth first in pieces of d_inner, weights loaded ahead",
    source="this project; depth-first fusion as in Stream, over the whole block",
    plans=_fuse_block,
)
