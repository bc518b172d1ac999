"""How many bytes the tiles of an operator need resident at once under a tiling, without making any tiles.

The ends of what a tile selects of a tensor are cuts of that tensor. So the pieces that the tile overlaps are exactly
what it selects, and its need is the sum, over the tensors that it accesses, of the product of the lengths that it
selects along each dimension. Each of these lengths depends on the tile's range of one dimension only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.problem import Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.cuts import boundaries
from ssmopt.workload.graph import problem_graph, projection_shapes
from ssmopt.workload.operators import Access, Operator, OperatorGraph


@dataclass(frozen=True)
class Need:
    """What the most demanding tile of an operator needs resident at once.

    Attributes
    ----------
    operator
        Name of the operator.
    n_bytes
        Bytes of everything that the tile reads, writes and adds to.
    parts
        These bytes by tensor.
    """

    operator: str
    n_bytes: int
    parts: Mapping[str, int]


def largest_need(graph: OperatorGraph, operator: Operator, tiling: Tiling) -> Need:
    """The need of the operator's most demanding tile under a tiling.

    Raises
    ------
    InputError
        The tiling asks for more pieces of a dimension than it has indices.
    """
    return _largest(graph, operator, tiling, certain=False)


def least_need(graph: OperatorGraph, operator: Operator, finest: Tiling) -> Need:
    """A need that some tile of the operator has under *every* tiling.

    Take the most demanding tile of the finest tiling: any other tiling has a tile that covers at least its range, so
    that it selects at least as much of every tensor. The exception is what comes *before* a tile, which a longer tile
    may contain; it counts only where each tile has it.

    Parameters
    ----------
    graph, operator
        The operator, and the tensors that it accesses.
    finest
        See `finest_tiling`.
    """
    return _largest(graph, operator, finest, certain=True)


def finest_tiling(problem: Problem, *, scan: bool) -> Tiling:
    """The tiling with the smallest tiles that there are: one token, and one channel (or head) and state each."""
    model = problem.model
    return Tiling(
        tokens=1,
        norm_tokens=1,
        state_tokens=1,
        scan=scan,
        channel_splits=model.n_heads or model.d_inner,
        state_splits=model.d_state,
        projections={
            name: ProjectionTiling(columns=shape.columns, reduction=shape.rows)
            for name, shape in projection_shapes(problem).items()
        },
    )


def least_capacity(problem: Problem) -> Need:
    """The need that some tile has under every tiling: no schedule exists with less capacity.

    Tilings run the sequential operators one by one or as scans; whichever needs less counts.
    """
    return min((_least_of_graph(problem, scan) for scan in (False, True)), key=lambda need: need.n_bytes)


def _least_of_graph(problem: Problem, scan: bool) -> Need:
    graph, finest = problem_graph(problem, scan=scan), finest_tiling(problem, scan=scan)
    return max((least_need(graph, o, finest) for o in graph.operators), key=lambda need: need.n_bytes)


def _largest(graph: OperatorGraph, operator: Operator, tiling: Tiling, *, certain: bool) -> Need:
    accesses = (*operator.reads, *operator.writes)
    size = np.array([graph.tensors[access.tensor].element_bytes for access in accesses], dtype=np.int64)
    profiles = [_profiles(graph, operator, dim, accesses, tiling, certain) for dim in operator.dims]
    best = np.zeros(len(accesses), dtype=np.int64)
    for combination in itertools.product(*profiles):
        parts = size * np.prod(np.array(combination), axis=0)
        if parts.sum() > best.sum():
            best = parts
    parts_of: dict[str, int] = {}
    for access, n_bytes in zip(accesses, best.tolist(), strict=True):
        if n_bytes:  # A state is read at one position and written at another.
            parts_of[access.tensor] = parts_of.get(access.tensor, 0) + n_bytes
    return Need(operator.name, sum(parts_of.values()), parts_of)


def _profiles(
    graph: OperatorGraph,
    operator: Operator,
    dim: str,
    accesses: tuple[Access, ...],
    tiling: Tiling,
    certain: bool,
) -> IntArray:
    """The different rows, one per access, of how many indices the pieces of a dimension select."""
    cuts = boundaries(operator, dim, tiling)
    table = np.ones((len(cuts) - 1, len(accesses)), dtype=np.int64)
    for column, access in enumerate(accesses):
        for index, extent in zip(access.indices, graph.tensors[access.tensor].extents, strict=True):
            if index.dim == dim:
                low, high = index.select(cuts[:-1], cuts[1:], extent)
                length = np.maximum(high - low, 0)
                before = index.anchor_high == "low" and operator.pace not in ("single", "chunk", "rows")
                table[:, column] *= length.min() if certain and before else length
        if access.only_first == dim:
            table[1:, column] = 0
    # Most neighbours are equal, and sorting what is left is quick.
    changes = np.append(True, (table[1:] != table[:-1]).any(axis=1))
    return np.unique(table[changes], axis=0)


def count_pieces(operator: Operator, tiling: Tiling) -> int:
    """Number of tiles of an operator under a tiling."""
    return math.prod(len(boundaries(operator, dim, tiling)) - 1 for dim in operator.dims)
