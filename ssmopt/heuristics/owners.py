"""Each memory owns pieces of ``d_inner``: orders and places of tiles for machines whose cores have private memories."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.decode import Policy
from ssmopt.heuristics.base import Heuristic, Plan, block_of, sort_by, stacked, tile_meta, topological
from ssmopt.heuristics.fuse_block import block_tokens
from ssmopt.heuristics.places import Names, chunk_stage, chunk_tokens, first_channels, inner_channels, tile_range
from ssmopt.instance import NOT_ADMISSIBLE, Instance, TileMeta
from ssmopt.tiling import Tiling
from ssmopt.workload.graph import SEQUENTIAL, STATE_UPDATE

BoolArray = npt.NDArray[np.bool_]

_NORM, _FRONT, _RING, _BETWEEN, _STATE, _BACK, _SQUARE, _SCALE, _OUT = range(9)
"""Stages of a token tile, each over all memories before the next."""

_STAGE = {
    "rms_norm": _NORM,
    "in_proj": _FRONT,
    "conv1d": _FRONT,
    "silu_x": _FRONT,
    "silu_xBC": _FRONT,
    "x_proj": _RING,
    **dict.fromkeys(STATE_UPDATE, _STATE),
    "skip_D": _BACK,
    "silu_z": _BACK,
    "gate": _BACK,
    "norm_square": _SQUARE,
    "norm_scale": _SCALE,
    "out_proj": _OUT,
    "residual": _OUT,
}
"""Stage of each operator; `_BETWEEN` for what is not named."""

_SUMS = ("x_proj", "norm_square", "out_proj")
"""Sums over ``d_inner``, to which every memory adds its share in turn."""

_DISTINCT = 1 << 20
"""The gate's half of ``in_proj`` is laid among the stages from `_RING` to `_STATE` in so many steps."""


@dataclass(frozen=True)
class OwnersVariant:
    """One way to lay out a block on private memories.

    Attributes
    ----------
    early
        Sixteenths of the gate's half of ``in_proj`` among which the state update and what comes before are spread.
    reserve, deferred
        Sixteenths of each memory held back for loads that run ahead, and for stores that wait for the end.
    """

    early: int = 16
    reserve: int = 0
    deferred: int = 1

    def plan(self, instance: Instance) -> Plan:
        """The order, and the policy with the places, for an instance, layer after layer."""
        block = block_of(instance)
        order, memories = owners_order(block, self.early)
        share = int(instance.memory_capacity.min()) // 16
        policy = Policy(reserve_bytes=share * self.reserve, deferred_store_bytes=share * self.deferred)
        order, policy = stacked((order, policy), instance)
        layers = instance.n_tiles // max(block.n_tiles, 1)
        return order, dataclasses.replace(policy, memories=np.tile(memories, layers))

    def immediate(self) -> OwnersVariant:
        """The same without stores that wait for the very end."""
        return dataclasses.replace(self, deferred=0)

    def describe(self) -> str:
        """In a few words."""
        return "each memory with its own channels"


def owners_order(instance: Instance, early: int) -> tuple[IntArray, IntArray]:
    """An order of a block's tiles, and the memory that each runs in.

    Memories advance side by side, stage by stage. Each does all that concerns its own channels, so that weights are
    loaded once, into the memory of their owner. To sums over all channels memories add in turn, each to another piece
    of columns at a time, so that the pieces go round like in a ring.

    Parameters
    ----------
    instance
        Tiles of a block, with the operators that they belong to.
    early
        See `OwnersVariant`.
    """
    meta = tile_meta(instance)
    names = np.array(meta.operators)[meta.operator]
    operator = meta.operator.astype(np.int64)
    owner, turn = _owners(instance, meta, names)
    stage = np.array([_STAGE.get(name, _BETWEEN) for name in meta.operators], dtype=np.int64)[meta.operator]
    if "x_proj" not in meta.operators:
        stage[(stage == _BETWEEN)] = _RING
    gate = _is_gate(instance, meta, names)

    tiling = instance.tiling or Tiling(tokens=int(tile_range(meta, "L")[1].max(initial=1)))
    token = tile_range(meta, "L")[0]
    token_tile = token // block_tokens(instance, tiling.tokens)
    sequence = np.maximum(tile_range(meta, "S")[0], 0)
    is_state, is_sum = np.isin(names, STATE_UPDATE), np.isin(names, _SUMS)
    column = tile_range(meta, "K")[0]
    is_ring = is_sum | (names == "residual")
    summed = np.where(names == "in_proj", tile_range(meta, "D")[0], 0)
    steps = _state_steps(instance, names, token, tiling.state_tokens)
    channel = np.where(is_ring, 0, first_channels(instance, meta))
    number = np.arange(instance.n_tiles, dtype=np.int64)
    keys = (
        token_tile,
        np.where(gate, _DISTINCT, stage),
        _rank_within(owner, first_channels(instance, meta), is_state),
        *(np.where(is_state, key, 0) for key in steps),
        np.where(is_ring, turn, 0),
        np.where(is_ring, 0, operator),
        summed,
        _rank_within(owner, column, names == "in_proj"),
        channel // max(1, _width(instance, meta)),
        owner,
    )
    order = sort_by(*keys, sequence, operator, number)
    main = np.flatnonzero((stage >= _RING) & (stage <= _STATE) & ~gate)
    order = _lay_among(instance, order, token_tile, stage, gate, main, early)
    return topological(instance, order), owner


def _lay_among(
    instance: Instance,
    order: IntArray,
    token_tile: IntArray,
    stage: IntArray,
    gate: BoolArray,
    main: IntArray,
    early: int,
) -> IntArray:
    """The gate's half laid among the main stream, which gets by with so many sixteenths of it, by their durations."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order), dtype=np.int64)
    cycles = np.where(instance.duration == NOT_ADMISSIBLE, np.iinfo(np.int64).max, instance.duration).min(axis=1)
    fraction = np.zeros(len(order), dtype=np.int64)
    phase = np.where(gate, _RING, stage)
    for chosen, share in ((main, early), (np.flatnonzero(gate), 16)):
        chosen = chosen[np.argsort(place[chosen], kind="stable")]
        tiles, inverse = np.unique(token_tile[chosen], return_inverse=True)
        before = np.cumsum(cycles[chosen]) - cycles[chosen]
        first = np.searchsorted(inverse, np.arange(len(tiles)))
        total = np.bincount(inverse, weights=cycles[chosen]).astype(np.int64)
        done = before - before[first][inverse] if len(chosen) else before
        fraction[chosen] = done * _DISTINCT // np.maximum(total, 1)[inverse] * share // 16
        phase[chosen] = _RING
    return np.lexsort((place, fraction, phase, token_tile))


def _state_steps(instance: Instance, names: Names, token: IntArray, state_tokens: int) -> tuple[IntArray, ...]:
    """Keys by which the state is updated: step by step of some tokens, or chunk by chunk."""
    chunk = chunk_tokens(instance)
    if chunk:
        stage = chunk_stage(instance, names)
        return token // chunk, stage, np.where(stage == 1, token, 0)
    sequential = np.isin(names, SEQUENTIAL)
    return token // state_tokens, sequential.astype(np.int64), np.where(sequential, token, 0)


def _is_gate(instance: Instance, meta: TileMeta, names: Names) -> BoolArray:
    """Which tiles are the half of ``in_proj`` that nothing needs before the state is updated."""
    d_inner = inner_channels(instance, meta)
    column = tile_range(meta, "K")[0]
    last = instance.problem is not None and instance.problem.model.family == "mamba2"
    gate: BoolArray = (names == "in_proj") & ((column < d_inner) if last else (column >= d_inner))
    return gate


def _width(instance: Instance, meta: TileMeta) -> int:
    """Channels per memory."""
    return -(-inner_channels(instance, meta) // instance.n_memories)


def _owners(instance: Instance, meta: TileMeta, names: Names) -> tuple[IntArray, IntArray]:
    """The memory of each tile, and for sums over channels the turn at which it adds."""
    d_inner = inner_channels(instance, meta)
    memories = _memories(instance)
    n = len(memories)
    column, low = tile_range(meta, "K")[0], first_channels(instance, meta)
    share = low
    projected = names == "in_proj"
    share = np.where(projected, column % d_inner, share)
    x = tile_range(meta, "X")[0]
    beyond = np.where(
        projected, column - 2 * d_inner, np.where(np.isin(names, ("conv1d", "silu_xBC")), x - d_inner, -1)
    )
    shared = beyond >= 0
    most = int(beyond.max(initial=0)) + 1
    spread = np.where(shared, beyond * n // max(most, 1), share * n // d_inner)
    rows = np.isin(names, ("rms_norm", "norm_dt_r", "norm_B", "norm_C"))
    spread[rows] = _evenly(tile_range(meta, "L")[0][rows], n)
    owner = np.minimum(spread, n - 1)
    turn = np.zeros(instance.n_tiles, dtype=np.int64)
    for name in _SUMS:
        mine = np.flatnonzero(names == name)
        if len(mine):
            piece = _rank(tile_range(meta, "D" if name == "out_proj" else "K")[0][mine])
            pieces = int(piece.max()) + 1
            begin = piece * n // pieces if pieces < n else piece % n
            turn[mine] = (owner[mine] - begin) % n + (piece // n if pieces > n else 0) * n
            if name == "out_proj":
                _residuals(meta, names, mine, begin, turn, owner, n)
    return _where_they_fit(instance, memories[owner]), turn


def _where_they_fit(instance: Instance, place: IntArray) -> IntArray:
    """The places themselves; for tiles that cannot run or do not fit there, the largest memory in which they do."""
    capacity = instance.memory_capacity
    able = instance.tile_memories & (instance.tile_need_bytes[:, None] <= capacity[None, :])
    best = np.where(able, capacity[None, :], -1).argmax(axis=1)
    return np.where(able[np.arange(len(place)), place], place, best)


def _residuals(
    meta: TileMeta, names: Names, sums: IntArray, begin: IntArray, turn: IntArray, owner: IntArray, n: int
) -> None:
    """The residual of a piece of columns follows the last addition to it, in that memory."""
    low = tile_range(meta, "D")[0]
    starts, where = np.unique(low[sums], return_index=True)
    residual = np.flatnonzero(names == "residual")
    at = np.searchsorted(starts, low[residual], side="right") - 1
    last = np.zeros(len(starts), dtype=np.int64)
    np.maximum.at(last, np.searchsorted(starts, low[sums]), turn[sums])
    owner[residual] = (begin[where][at] - 1) % n
    turn[residual] = last[at] + 1


def _memories(instance: Instance) -> IntArray:
    """The memories that share the work: those whose cores can run every tile, or all that run any."""
    every = np.flatnonzero(instance.tile_memories.all(axis=0))
    return every if len(every) else np.flatnonzero(instance.tile_memories.any(axis=0))


def _rank(values: IntArray) -> IntArray:
    """Rank of each value among the distinct ones."""
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _evenly(values: IntArray, n: int) -> IntArray:
    """Distinct values spread over so many numbers."""
    rank = _rank(values)
    return rank * n // max(1, int(rank.max(initial=0)) + 1)


def _rank_within(owner: IntArray, value: IntArray, chosen: BoolArray) -> IntArray:
    """Of the chosen, the rank of the value among those of the same owner; 0 for others."""
    rank = np.zeros(len(owner), dtype=np.int64)
    if chosen.any():
        span = int(value.max(initial=0)) + 1
        keys = np.unique(owner[chosen] * span + value[chosen])
        first = np.searchsorted(keys, owner[chosen] * span)
        rank[chosen] = np.searchsorted(keys, owner[chosen] * span + value[chosen]) - first
    return rank


EARLY = (16, 8, 12)
ROOMS = ((0, 1), (0, 0), (1, 1), (2, 2), (0, 3))
"""Choices of `OwnersVariant`, best first as a rule."""

_VARIANTS = (*(OwnersVariant(early, 0, 1) for early in EARLY), *(OwnersVariant(16, *room) for room in ROOMS[1:]))


def _owners_plans(instance: Instance) -> Iterator[Plan]:
    for variant in _VARIANTS:
        yield variant.plan(instance)


OWNERS = Heuristic(
    name="owners",
    summary="each memory computes its own channels, sums go round; for machines with private memories",
    source="this project; the ring is that of ring all-reduce",
    plans=_owners_plans,
    several_memories=True,
)
