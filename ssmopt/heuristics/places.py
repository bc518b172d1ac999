"""Where each tile belongs in a depth-first order of a block: its phase, its step within one, and its channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.errors import InputError, nearest
from ssmopt.instance import Instance, TileMeta
from ssmopt.model import Model
from ssmopt.workload.graph import STATE_UPDATE

Names = npt.NDArray[np.str_]
BoolArray = npt.NDArray[np.bool_]

WHOLE, FIRST, SUMS, SECOND, THIRD, LATE = range(6)
"""Phases; in the first and in the last one, pieces of channels do not matter."""

_FRONT = ("in_proj", "conv1d", "silu_x", "silu_xBC", "x_proj")

_PHASE: Mapping[str, Mapping[str, int]] = {
    "mamba": {"rms_norm": WHOLE, **dict.fromkeys(_FRONT, FIRST)},
    "mamba2": {"rms_norm": WHOLE, **dict.fromkeys(("norm_scale", "out_proj", "residual"), THIRD)},
}
"""Phases of a block; the second for everything else."""

_STEP: Mapping[str, int] = {
    "dt_proj": 0,
    "softplus": 1,
    **dict.fromkeys(STATE_UPDATE, 2),
    "silu_z": 4,
    "skip_D": 5,
    "gate": 6,
    "norm_square": 7,
    "out_proj": 7,
    "residual": 8,
}
_GATE, GATE_AHEAD = 3, 0
"""Step of the z half of ``in_proj``, and its step when it runs ahead of the channels that it belongs to."""

GATES = ("late", "early", "ahead")
OUTS = ("along", "split", "late")
SUMS_AT = ("along", "last")


@dataclass(frozen=True)
class BlockOrder:
    """Choices of a depth-first order.

    Attributes
    ----------
    gate
        When the z half of ``in_proj`` (in Mamba-2 the x half, too) runs. ``late``: with the channels that need it, so
        that nothing of it has to wait. ``early``: in the first phase, so that the normalised input need not stay for
        the second. ``ahead``: spread over the channels before those that need it, so that its weights are loaded while
        states are updated.
    out
        When ``out_proj`` runs. ``along``: channel by channel with the rest, so that nothing but its sums stays.
        ``late``: as a phase of its own, column by column, so that sums need not stay while channels are walked.
        ``split``: the first piece of its columns along with the channels, the others late.
    mixed
        Whether, while the states of a piece of channels are updated, the projections around them go on tile by tile:
        the z half of ``in_proj`` spread over the channels that it belongs to, and ``out_proj`` for the piece before.
    sums
        When Mamba-1's ``x_proj`` runs, which all second phase waits for. ``along``: piece by piece with the first
        phase. ``last``: after it. A piece of the first phase computes longer after its loads than ``x_proj`` does, and
        what has least to do after its loads comes last (Johnson's rule for two machines, 1954).
    overlap
        Whether, while the states of a token tile are updated, the first phase of the next one goes on, and the late
        part of ``out_proj`` of the one before: for machines with cores of several kinds.
    """

    gate: str = "late"
    out: str = "along"
    mixed: bool = False
    overlap: bool = False
    sums: str = "along"

    def __post_init__(self) -> None:
        choice = (("gate", self.gate, GATES), ("out", self.out, OUTS), ("sums", self.sums, SUMS_AT))
        for name, value, choices in choice:
            if value not in choices:
                raise InputError(f"unknown value {value!r}{nearest(value, choices)}", key=name)


_OF_ROWS = ("decay_mask", "chunk_CB", "mul_mask", "chunk_diag")
_OF_CHUNK = ("pass_state", "add_off")


@dataclass(frozen=True, eq=False)
class Places:
    """Where each tile belongs.

    Attributes
    ----------
    phase, step
        Phase of the block, and step within a piece of channels.
    channel
        The channel by which a tile is filed: its first, or for sums over channels its last.
    names
        Operators.
    """

    phase: IntArray
    step: IntArray
    channel: IntArray
    names: Names


def places(instance: Instance, meta: TileMeta, order: BlockOrder) -> Places:
    """Places of all tiles.

    Mamba-1: ``x_proj`` sums over all channels, so that a token tile has two phases, before and after it. Mamba-2: B, C
    and the step sizes come from ``in_proj`` and make up the first phase; the second goes from the x half to the sum of
    squares, over all channels, that the third begins with.

    Parameters
    ----------
    instance, meta
        Tiles of a block, and the operators that they belong to.
    order
        The choices that are left.
    """
    family = "mamba" if instance.problem is None else instance.problem.model.family
    names = np.array(meta.operators)[meta.operator]
    phase = np.array([_PHASE[family].get(name, SECOND) for name in meta.operators], dtype=np.int64)[meta.operator]
    step = np.array([_STEP.get(name, 0) for name in meta.operators], dtype=np.int64)[meta.operator]
    d_inner = inner_channels(instance, meta)
    channel = _channel(instance, meta, names, d_inner)
    column = tile_range(meta, "K")[0]
    early = order.gate == "early"
    projected = names == "in_proj"
    if family == "mamba":
        is_gate = projected & (column >= d_inner)
        phase[is_gate] = FIRST if early else SECOND
    else:
        is_gate = projected & (column < d_inner)
        convolved = np.isin(names, ("conv1d", "silu_xBC"))
        shared = (projected & (column >= 2 * d_inner)) | (convolved & (tile_range(meta, "X")[0] >= d_inner))
        phase[shared | ((projected | convolved) & early)] = FIRST
    step[is_gate] = _GATE
    if not early and is_gate.any() and (order.mixed or order.gate == "ahead"):
        channel[is_gate] = _spread(meta, channel, is_gate, d_inner, int(order.gate == "ahead"))[is_gate]
        step[is_gate] = GATE_AHEAD
    step[phase == FIRST] = 0
    if order.sums == "last":
        phase[names == "x_proj"] = SUMS
    late = np.isin(names, ("out_proj", "residual") if family == "mamba" else ("norm_scale", "out_proj", "residual"))
    if order.out == "late":
        phase[late] = LATE
    elif order.out == "split":
        phase[late & (tile_range(meta, "D")[0] > 0)] = LATE
    return Places(phase, step, channel, names)


def _spread(meta: TileMeta, channel: IntArray, chosen: BoolArray, d_inner: int, ahead: int) -> IntArray:
    """Per tile: the channel beside which it runs when the chosen tiles are spread over channels.

    The pieces of a sum over ``D`` are spread evenly over the channels of their own columns, or over those of the
    columns before (``ahead`` = 1; the first piece of columns then all goes to the first channel).
    """
    starts = np.unique(channel[chosen])
    bounds = np.concatenate([starts, np.array([d_inner], dtype=np.int64)])
    group = np.searchsorted(starts, channel, side="right") - 1
    beside = np.maximum(group - ahead, 0)
    low, high = tile_range(meta, "D")
    width = np.where(group >= ahead, bounds[beside + 1] - bounds[beside], 0)
    moved: IntArray = bounds[beside] + width * low // max(1, int(high[chosen].max(initial=1)))
    return moved


def chunk_stage(instance: Instance, names: Names) -> IntArray:
    """The order of stages within a chunk: what is small, then row by row what has squares of tokens, then the rest.

    Then matrix products come before what waits for them, but not right before, so that cores for them and cores for the
    rest work at the same time. Where all cores are alike there is one stage.
    """
    if len(set(instance.core_kind.tolist())) == 1:
        return np.zeros(len(names), dtype=np.int64)
    return np.where(np.isin(names, _OF_ROWS), 1, np.where(np.isin(names, _OF_CHUNK), 2, 0)).astype(np.int64)


def inner_channels(instance: Instance, meta: TileMeta) -> int:
    """``d_inner``, from the tiles themselves if need be."""
    if instance.problem is not None:
        return instance.problem.model.d_inner
    return max(1, int(tile_range(meta, "E")[1].max(initial=1)))


def tile_range(meta: TileMeta, dim: str) -> tuple[IntArray, IntArray]:
    """Beginning and end of each tile along a dimension."""
    if dim not in meta.dims:
        zero = np.zeros(len(meta.operator), dtype=np.int64)
        return zero, zero
    column = meta.dims.index(dim)
    return meta.low[:, column].astype(np.int64), meta.high[:, column].astype(np.int64)


def state_step(instance: Instance, token: IntArray) -> IntArray:
    """Which step of the state update a token belongs to: its own, or that of its chunk."""
    return token // max(1, chunk_tokens(instance))


def chunk_tokens(instance: Instance) -> int:
    """Tokens per chunk if the state is updated chunk by chunk, otherwise 0."""
    problem = instance.problem
    return problem.model.chunk_size if problem is not None and problem.form == "chunked" else 0


def first_channels(instance: Instance, meta: TileMeta) -> IntArray:
    """First channel of each tile, also of tiles of heads or groups; 0 for others."""
    channel = tile_range(meta, "E")[0]
    if instance.problem is not None and instance.problem.model.family == "mamba2":
        channel = np.maximum(channel, _head_channel(instance.problem.model, meta))
    return np.maximum(channel, 0)


def _channel(instance: Instance, meta: TileMeta, names: Names, d_inner: int) -> IntArray:
    channel = first_channels(instance, meta)
    sums = np.isin(names, ("x_proj", "out_proj"))
    channel[sums] = tile_range(meta, "E")[1][sums] - 1
    column = tile_range(meta, "K")[0]
    projected = names == "in_proj"
    channel[projected] = np.where(column < 2 * d_inner, column % d_inner, 0)[projected]
    channel[names == "residual"] = d_inner - 1
    return channel


def _head_channel(model: Model, meta: TileMeta) -> IntArray:
    """First channel of tiles of heads, of groups, or of convolved channels; negative for others."""
    of_heads = tile_range(meta, "H")[0] * model.head_dim
    of_groups = tile_range(meta, "G")[0] * (model.d_inner // model.n_groups)
    convolved = tile_range(meta, "X")[0]
    of_conv = np.where(convolved < model.d_inner, convolved, 0)
    channel: IntArray = np.maximum(np.maximum(of_heads, of_groups), of_conv)
    return channel
