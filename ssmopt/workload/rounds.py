"""Rounds of a prompt: which tiles and tensors belong to which stretch of so many tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.instance import Instance

SHARED = -2
"""Round of a tensor that has no tokens, such as a weight."""

GIVEN = -1
"""Round of what comes before the prompt: the initial state, and the tokens that the convolution still sees."""


@dataclass(frozen=True, eq=False)
class Rounds:
    """Rounds of things numbered from 0; equal rounds hold their things in the same order.

    Attributes
    ----------
    number
        Shape (things,): the round of each.
    """

    number: IntArray

    @cached_property
    def order(self) -> IntArray:
        """Things by round, then by number."""
        return np.argsort(self.number, kind="stable")

    @cached_property
    def first(self) -> IntArray:
        """Where in ``order`` each round begins, from `SHARED` on, and where the last one ends."""
        most = int(self.number.max(initial=SHARED))
        first: IntArray = np.searchsorted(self.number[self.order], np.arange(SHARED, most + 2))
        return first

    @cached_property
    def rank(self) -> IntArray:
        """Place of each thing within its round."""
        rank = np.empty(len(self.number), dtype=np.int64)
        rank[self.order] = np.arange(len(self.number)) - self.first[self.number[self.order] - SHARED]
        return rank

    def members(self, number: int) -> IntArray:
        """What belongs to a round, in order."""
        return self.order[self.first[number - SHARED] : self.first[number - SHARED + 1]]

    def find(self, number: IntArray, rank: IntArray) -> IntArray:
        """The things at these places of these rounds."""
        found: IntArray = self.order[self.first[number - SHARED] + rank]
        return found


def rounds_of(instance: Instance, tokens: int) -> tuple[Rounds, Rounds]:
    """Rounds of so many tokens of the tiles, and of the tensors.

    Tiles are numbered operator by operator and then by token, tensors by name and then by token. So rounds that are
    cut alike have the same order within.

    Parameters
    ----------
    instance
        Tiles that were built from a problem.
    tokens
        A whole number of token tiles (and of chunks).
    """
    meta, tensors, problem = instance.meta, instance.tensor_meta, instance.problem
    assert meta is not None
    assert tensors is not None
    assert problem is not None
    tile = meta.low[:, meta.dims.index("L")].astype(np.int64) // tokens
    per = {"L": tokens}
    if problem.form == "chunked":
        per["C"] = tokens // problem.model.chunk_size
    tensor = np.full(instance.n_tensors, SHARED, dtype=np.int64)
    for name, dims in enumerate(tensors.dims):
        axis = next((i for i, dim in enumerate(dims) if dim in per), None)
        if axis is not None:
            mine = tensors.name == name
            low = tensors.low[mine, axis].astype(np.int64)
            tensor[mine] = np.where(low < 0, GIVEN, low // per[dims[axis]])
    return Rounds(tile), Rounds(tensor)
