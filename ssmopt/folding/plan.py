"""The order and the policy with which a schedule becomes periodic: nothing large stays from one round to the next."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.decode import decode
from ssmopt.folded import FoldedSchedule
from ssmopt.folding.fold import fold
from ssmopt.heuristics.fuse_block import BlockVariant, block_tokens
from ssmopt.instance import OUTPUT, Instance
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.rounds import SHARED, Rounds, rounds_of
from ssmopt.workload.tiles import build_tiles

ROUNDS = 6
"""Rounds of the prompt that is decoded: enough for a schedule to settle, and to end."""

MORE_ROUNDS = 12
"""As many where it takes longer to settle."""


@dataclass(frozen=True)
class PeriodicVariant:
    """How a schedule with a period is made.

    Attributes
    ----------
    block
        Depth-first order, and room held back.
    kept
        Sixteenths of the memory for weights that stay from one round to the next, the smallest ones first.
    """

    block: BlockVariant
    kept: int = 2


def short_tokens(problem: Problem, round_tokens: int, rounds: int) -> int:
    """Tokens of a prompt of so many rounds that ends like the whole one."""
    return rounds * round_tokens + problem.seq_len % round_tokens


def fold_short(problem: Problem, tiling: Tiling, short: Instance, variant: PeriodicVariant) -> FoldedSchedule | None:
    """Decode a shorter prompt so that its rounds are alike, and fold the schedule; None if they turn out not to be."""
    round_tokens = block_tokens(short, tiling.tokens)
    tiles, tensors = rounds_of(short, round_tokens)
    order, policy = variant.block.plan(short)
    policy = dataclasses.replace(
        policy,
        groups=tiles.number,
        window=len(tiles.members(1)),
        kept=_kept(short, tensors, int(short.memory_capacity.max()) * variant.kept // 16),
        # Only the last round is to end in another way than those that repeat.
        deferred_store_bytes=min(policy.deferred_store_bytes, _stored_bytes(short, tensors)),
    )
    return fold(problem, short, decode(short, order, policy, solver="periodic"), round_tokens)


def periodic_schedule(problem: Problem, tiling: Tiling, variant: PeriodicVariant) -> FoldedSchedule | None:
    """A schedule of the whole prompt in closed form; None if it does not settle, or the prompt is too short."""
    for rounds in (ROUNDS, MORE_ROUNDS):
        round_tokens = tiling.tokens
        if problem.form == "chunked":
            round_tokens = -(-tiling.tokens // problem.model.chunk_size) * problem.model.chunk_size
        tokens = short_tokens(problem, round_tokens, rounds)
        if tokens > problem.seq_len:
            return None
        short = build_tiles(dataclasses.replace(problem, seq_len=tokens), tiling)
        found = fold_short(problem, tiling, short, variant)
        if found is not None:
            return found
    return None


def _stored_bytes(instance: Instance, tensors: Rounds) -> int:
    """Bytes of the outputs of a round that is not the last."""
    of_a_round = (tensors.number == 1) & (instance.tensor_kind == OUTPUT)
    return int(instance.tensor_bytes[of_a_round].sum())


def _kept(instance: Instance, tensors: Rounds, room: int) -> npt.NDArray[np.bool_]:
    """Per tensor: whether it may stay from one round to the next."""
    kept: npt.NDArray[np.bool_] = tensors.number != SHARED
    assert instance.tensor_meta is not None
    name = instance.tensor_meta.name.astype(np.int64)
    shared = np.flatnonzero(~kept)
    total = np.bincount(name[shared], weights=instance.tensor_bytes[shared]).astype(np.int64)
    order: IntArray = shared[np.lexsort((shared, name[shared], total[name[shared]]))]
    kept[order[np.cumsum(instance.tensor_bytes[order]) <= room]] = True
    return kept
