"""The whole block depth first, in pieces of ``d_inner``, with weights loaded ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode import Policy
from ssmopt.heuristics.base import Heuristic, Plan, sort_by, tile_meta, topological
from ssmopt.instance import Instance, TileMeta
from ssmopt.tiling import Tiling

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


def block_order(instance: Instance, *, gate_early: bool = False, out_late: bool = False) -> IntArray:
    """Depth-first order of a block.

    ``x_proj`` sums over all channels, so a token tile has two phases: per piece of ``d_inner`` the x half of
    ``in_proj``, the convolution and the piece's share of ``x_proj``; then, per piece, ``dt_proj``, the state update
    token by token, the z half of ``in_proj``, the gate and the piece's share of ``out_proj``.

    Parameters
    ----------
    instance
        Tiles of a block, with the operators that they belong to.
    gate_early
        The z half belongs to the first phase: then the normalised input need not stay for the second.
    out_late
        ``out_proj`` is a phase of its own, column by column: then its sums need not stay during the second.
    """
    meta = tile_meta(instance)
    names = np.array(meta.operators)[meta.operator]
    tiling = instance.tiling or Tiling(tokens=int(_range(meta, "L")[1].max(initial=1)))
    d_inner = _d_inner(instance, meta)
    token = _range(meta, "L")[0]
    column = _range(meta, "K")[0]
    operator = meta.operator.astype(np.int64)

    phase = np.array([_PHASE[name] for name in meta.operators], dtype=np.int64)[meta.operator]
    step = np.array([_STEP.get(name, 0) for name in meta.operators], dtype=np.int64)[meta.operator]
    phase[(names == "in_proj") & (column >= d_inner)] = 1 if gate_early else 2
    phase[np.isin(names, ("out_proj", "residual")) & out_late] = 3
    step[phase == 1] = 0
    channel = _channel(meta, names, d_inner)
    piece = np.where((phase == 0) | (phase == 3), 0, channel * tiling.channel_splits // d_inner)
    # Pieces that run side by side on several cores advance together.
    side_by_side = _cores_of_state(instance)
    team, member = piece // side_by_side, piece % side_by_side

    is_state = np.isin(names, _STATE)
    is_sequential = np.isin(names, ("mul_hA", "add_h", "mul_hC", "scan"))
    state = (
        np.where(is_state, token // tiling.state_tokens, 0),
        np.where(is_state & is_sequential, 1, 0),
        np.where(is_sequential, token, 0),
    )
    number = np.arange(instance.n_tiles, dtype=np.int64)
    is_out = (names == "out_proj") | (names == "residual")
    kind = np.where(is_out, 0, operator)
    out_column = np.where(is_out, _range(meta, "D")[0], 0)
    # A reduction's pieces go round the columns of one piece of channels, so that each operand is read once for all.
    summed = np.where(names == "in_proj", _range(meta, "D")[0], 0)
    share = np.where(names == "out_proj", channel, np.where(names == "residual", d_inner, 0))
    token_tile = token // tiling.tokens
    if tiling.loop_order == "channels":
        # A piece of a weight serves all token tiles before the next piece is loaded.
        if not out_late:
            out_column, share = share, out_column
        keys: tuple[IntArray, ...] = (
            phase,
            team,
            step,
            *state,
            kind,
            out_column,
            summed,
            member,
            column,
            share,
            token_tile,
        )
    else:
        keys = (token_tile, phase, team, step, *state, kind, out_column, summed, member, column, share)
    return topological(instance, sort_by(*keys, operator, number))


def _d_inner(instance: Instance, meta: TileMeta) -> int:
    if instance.problem is not None:
        return instance.problem.model.d_inner
    return max(1, int(_range(meta, "E")[1].max(initial=1)))


def _cores_of_state(instance: Instance) -> int:
    """How many cores can run the elementwise operators of the state update at once."""
    if instance.problem is None:
        return 1
    return max(core.count for core in instance.problem.hardware.cores if "elementwise" in core.runs)


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


@dataclass(frozen=True)
class BlockVariant:
    """One depth-first order and policy; shares are sixteenths of the memory."""

    gate_early: bool
    out_late: bool
    reserve: int
    deferred: int

    def plan(self, instance: Instance) -> Plan:
        """The order and the policy for an instance."""
        share = int(instance.memory_capacity.max()) // 16
        order = block_order(instance, gate_early=self.gate_early, out_late=self.out_late)
        return order, Policy(reserve_bytes=share * self.reserve, deferred_store_bytes=share * self.deferred)


def block_variants(instance: Instance, rooms: tuple[tuple[int, int], ...] = ((0, 2), (2, 2))) -> list[BlockVariant]:
    """Variants worth trying: each choice of order where it makes a difference, with each pair of shares."""
    orders: list[IntArray] = []
    variants = []
    for early, late in ((False, False), (True, False), (True, True)):
        order = block_order(instance, gate_early=early, out_late=late)
        if not any(np.array_equal(order, known) for known in orders):
            orders.append(order)
            variants += [BlockVariant(early, late, reserve, deferred) for reserve, deferred in rooms]
    return variants


_ROOMS = ((0, 0), (0, 2), (1, 1), (2, 2), (4, 2), (4, 6), (8, 6))
"""Shares of the memory (sixteenths) held back for loads that run ahead, and for stores that wait."""


def _fuse_block(instance: Instance) -> list[Plan]:
    return [variant.plan(instance) for variant in block_variants(instance, _ROOMS)]


FUSE_BLOCK = Heuristic(
    name="fuse-block",
    summary="the whole block depth first in pieces of d_inner, weights loaded ahead",
    source="this project; depth-first fusion as in Stream, over the whole block",
    plans=_fuse_block,
)
