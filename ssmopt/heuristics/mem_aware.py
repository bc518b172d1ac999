"""Fuse-all in pieces of the channels, so that a piece's whole state update fits on chip."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np

from ssmopt.heuristics.base import (
    Heuristic,
    Plan,
    even_cuts,
    fewest_pieces,
    layer_after_layer,
    roomy_policies,
    sort_by,
    tile_meta,
    token_by_token,
    topological,
)
from ssmopt.heuristics.places import first_channels, state_step, tile_range
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.graph import STATE_UPDATE


def chunks(problem: Problem) -> int:
    """Into how many pieces ``d_inner`` is cut.

    The smallest number ``k`` of equal pieces with ``k >= (5 + 2/64) * d_inner * d_state * bytes * 1.01 / capacity``:
    five tensors of a piece and some slack fit at once.
    """
    model = problem.model
    capacity = max(memory.capacity for memory in problem.hardware.memories)
    n_bytes = model.d_inner * model.d_state * problem.dtype.activations
    least = (5 + Fraction(2, 64)) * n_bytes * Fraction(101, 100) / capacity
    cuts = even_cuts(problem)
    return next((k for k in cuts if k >= least), cuts[-1])


def _prescribe(problem: Problem, tiling: Tiling) -> tuple[Tiling, str]:
    wanted, base = chunks(problem), token_by_token(tiling)
    pieces = fewest_pieces(problem, base, wanted) or wanted
    note = "" if pieces == 1 else f"d_inner in {pieces} chunks" + ("" if pieces == wanted else " to fit the memory")
    return dataclasses.replace(base, channel_splits=pieces), note


def _plans(instance: Instance) -> list[Plan]:
    """Chunk after chunk, each over all its tokens; outside the state update layer by layer."""
    meta = tile_meta(instance)
    operator = meta.operator.astype(np.int64)
    inside = np.isin(operator, [meta.operators.index(name) for name in STATE_UPDATE if name in meta.operators])
    first = int(operator[inside].min(initial=0))
    stage = np.where(inside, first, operator)
    channel = np.where(inside, first_channels(instance, meta), 0)
    sequence = np.where(inside, tile_range(meta, "S")[0], 0)
    token = np.where(inside, state_step(instance, tile_range(meta, "L")[0]), 0)
    number = np.arange(instance.n_tiles, dtype=np.int64)
    order = topological(instance, sort_by(stage, channel, sequence, token, operator, number))
    return [(order, policy) for policy in roomy_policies(instance, stage)]


MEM_AWARE = Heuristic(
    name="mem-aware",
    summary="fuse-all with the channels in as few chunks as fit on chip, each over all its tokens before the next",
    source="the published study of fusion schemes, its memory-aware variant",
    plans=layer_after_layer(_plans),
    prescribe=_prescribe,
)
