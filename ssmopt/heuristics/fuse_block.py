"""The whole block depth first, in pieces of ``d_inner``, with weights loaded ahead."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode import Policy
from ssmopt.heuristics.base import Heuristic, Plan, block_of, sort_by, stacked, tile_meta, topological
from ssmopt.heuristics.overlap import lay_evenly, overlap_token_tiles
from ssmopt.heuristics.passing import let_ready_pass
from ssmopt.heuristics.places import (
    GATE_AHEAD,
    LATE,
    SECOND,
    WHOLE,
    BlockOrder,
    chunk_stage,
    chunk_tokens,
    inner_channels,
    places,
    tile_range,
)
from ssmopt.instance import Instance
from ssmopt.tiling import Tiling
from ssmopt.workload.cuts import part_cuts
from ssmopt.workload.graph import SEQUENTIAL, STATE_UPDATE
from ssmopt.workload.operators import Parts


def block_order(instance: Instance, choices: BlockOrder | None = None) -> IntArray:
    """Depth-first order of a block.

    A token tile has phases (`ssmopt.heuristics.places`) that sums over all channels set apart; within one, piece after
    piece of ``d_inner`` is taken from its projection through the state update, token by token or chunk by chunk, to its
    share of the next sum.

    Parameters
    ----------
    instance
        Tiles of a block, with the operators that they belong to.
    choices
        See `ssmopt.heuristics.places.BlockOrder`; None takes its defaults.
    """
    choices = choices or BlockOrder()
    meta = tile_meta(instance)
    tiling = instance.tiling or Tiling(tokens=int(tile_range(meta, "L")[1].max(initial=1)))
    d_inner = inner_channels(instance, meta)
    token = tile_range(meta, "L")[0]
    column = tile_range(meta, "K")[0]
    operator = meta.operator.astype(np.int64)
    place = places(instance, meta, choices)
    phase, step, channel, names = place.phase, place.step, place.channel, place.names
    pieces = np.searchsorted(_channel_cuts(instance, d_inner, tiling.channel_splits), channel, side="right") - 1
    piece = np.where((phase == WHOLE) | (phase == LATE), 0, pieces)
    # Pieces that run side by side on several cores advance together.
    side_by_side = _cores_of_state(instance)
    team, member = piece // side_by_side, piece % side_by_side

    is_state = np.isin(names, STATE_UPDATE)
    is_sequential = np.isin(names, SEQUENTIAL)
    sequence = np.maximum(tile_range(meta, "S")[0], 0)
    chunk = chunk_tokens(instance)
    if chunk:
        stage = chunk_stage(instance, names)
        steps = (token // chunk, stage, np.where(stage == 1, token, 0))
    else:
        steps = (token // tiling.state_tokens, np.where(is_sequential, 1, 0), np.where(is_sequential, token, 0))
    state = tuple(np.where(is_state, key, 0) for key in (sequence, *steps))
    number = np.arange(instance.n_tiles, dtype=np.int64)
    is_out = (names == "out_proj") | (names == "residual")
    kind = np.where(is_out, 0, operator)
    out_column = np.where(is_out, tile_range(meta, "D")[0], 0)
    # Column after column, so that only the sums of one have to stay.
    summed = np.where(names == "in_proj", tile_range(meta, "D")[0], 0)
    share = np.where(names == "out_proj", channel, np.where(names == "residual", d_inner, 0))
    token_tile = token // block_tokens(instance, tiling.tokens)
    if tiling.loop_order == "channels":
        # A piece of a weight serves all token tiles before the next piece is loaded.
        along = phase != LATE
        out_column, share = np.where(along, share, out_column), np.where(along, out_column, share)
        keys: tuple[IntArray, ...] = (
            phase,
            team,
            step,
            *state,
            kind,
            out_column,
            member,
            column,
            summed,
            share,
            token_tile,
        )
    else:
        keys = (token_tile, phase, team, step, *state, kind, out_column, member, column, summed, share)
    # A piece of a weight serves all sequences.
    order = sort_by(*keys, sequence, operator, number)
    if choices.mixed:
        is_beside = (phase == SECOND) & (is_out | ((names == "in_proj") & (step == GATE_AHEAD)))
        block = np.zeros_like(token_tile) if tiling.loop_order == "channels" else token_tile
        slot = team + (is_beside & is_out)
        order = lay_evenly(instance, order, (block, phase, slot), is_beside.astype(np.int64))
    if choices.overlap and tiling.loop_order == "tokens":
        order = topological(instance, overlap_token_tiles(instance, order, token_tile, phase))
        order = let_ready_pass(instance, order)
    return topological(instance, order)


def _channel_cuts(instance: Instance, d_inner: int, pieces: int) -> IntArray:
    grain = 1 if instance.problem is None else max(1, instance.problem.model.head_dim)
    return part_cuts(Parts((d_inner,), grain=grain), pieces)


def block_tokens(instance: Instance, tokens: int) -> int:
    """Tokens that go through the block together: a token tile, or as many chunks as it takes."""
    chunk = chunk_tokens(instance)
    return -(-tokens // chunk) * chunk if chunk else tokens


def _cores_of_state(instance: Instance) -> int:
    """How many cores can run the elementwise operators of the state update at once."""
    if instance.problem is None:
        return 1
    return max(core.count for core in instance.problem.hardware.cores if "elementwise" in core.runs)


@dataclass(frozen=True)
class BlockVariant:
    """One depth-first order and policy; shares are sixteenths of the memory."""

    order: BlockOrder
    reserve: int
    deferred: int

    def immediate(self) -> BlockVariant:
        """The same without stores that wait for the very end."""
        return dataclasses.replace(self, deferred=0)

    def describe(self) -> str:
        """In a few words."""
        order = self.order
        parts = [f"gate {order.gate}", f"out_proj {order.out}", *(n for n in ("mixed", "overlap") if getattr(order, n))]
        parts += ["x_proj last"] if order.sums == "last" else []
        return "depth first with " + ", ".join(parts)

    def plan(self, instance: Instance) -> Plan:
        """The order and the policy for an instance, layer after layer."""
        share = int(instance.memory_capacity.max()) // 16
        order = block_order(block_of(instance), self.order)
        policy = Policy(reserve_bytes=share * self.reserve, deferred_store_bytes=share * self.deferred)
        return stacked((order, policy), instance)


ROOMS = ((0, 0), (0, 2), (1, 1), (2, 2), (3, 1), (4, 2), (4, 6), (8, 6))
"""Shares of the memory (sixteenths) held back for loads that run ahead, and for stores that wait."""


def _fuse_block(instance: Instance) -> list[Plan]:
    plans = [BlockVariant(BlockOrder(), reserve, deferred).plan(instance) for reserve, deferred in ROOMS]
    return [*plans, BlockVariant(BlockOrder(sums="last"), *ROOMS[0]).plan(instance)]


FUSE_BLOCK = Heuristic(
    name="fuse-block",
    summary="the whole block depth first in pieces of d_inner, weights loaded ahead",
    source="this project; depth-first fusion as in Stream, over the whole block",
    plans=_fuse_block,
)
