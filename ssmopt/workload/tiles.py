"""From an operator graph and a tiling to a tile instance, without a Python object per tile."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.csr import Csr, IntArray, expand_ranges
from ssmopt.hardware import CoreGroup
from ssmopt.ids import Ids
from ssmopt.instance import (
    INTERMEDIATE,
    NOT_ADMISSIBLE,
    OUTPUT,
    STATE,
    Instance,
    TensorMeta,
    TileMeta,
)
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.cuts import boundaries
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.layers import STREAM, stack
from ssmopt.workload.machine import cores_of, memory_indices
from ssmopt.workload.operators import Access, Operator, OperatorGraph, Tensor, chunk_lengths, step_cycles

DIMS = ("S", "L", "G", "H", "E", "X", "N", "D", "R", "K", "W")
"""Dimensions that tiles may have, in the order of `TileMeta`."""


def build_tiles(problem: Problem, tiling: Tiling) -> Instance:
    """Cut the operators of a problem into tiles.

    Tensors are cut at every boundary of every tile that reads or writes them; tiles are numbered layer by layer, the
    sequential operators alternating token by token, so that the numbering is a topological order. Several layers are
    the tiles of one block over and over; what passes between two of them is cut alike in all.
    """
    if problem.layers > 1:
        return dataclasses.replace(stack(_build_block(problem, tiling, STREAM), problem.layers), problem=problem)
    return _build_block(problem, tiling, ())


def one_layer(problem: Problem) -> Problem:
    """The problem for a single layer."""
    return problem if problem.layers == 1 else dataclasses.replace(problem, layers=1)


def _build_block(problem: Problem, tiling: Tiling, alike: tuple[str, ...]) -> Instance:
    """The tiles of one block; tensors that are called alike are cut at each other's boundaries as well."""
    graph = problem_graph(problem, scan=tiling.scan)
    grids = [_grid(operator, tiling) for operator in graph.operators]
    numbering = _number_tiles(grids)
    pieces = _cut_tensors(graph, grids, alike)
    reads, writes, adds = _accesses(graph, grids, pieces, numbering)
    n_tiles = sum(len(grid) for grid in grids)

    touched = np.zeros(pieces.total, dtype=np.bool_)
    for pairs in (reads, writes, adds):
        touched[pairs[1]] = True
    renumber = np.cumsum(touched, dtype=np.int64) - 1
    produced = np.zeros(pieces.total, dtype=np.bool_)
    produced[writes[1]] = True
    produced[adds[1]] = True
    kind = pieces.kinds(graph, produced)

    memories_of = memory_indices(problem.hardware)
    core_ids, core_memory, core_kind = cores_of(problem.hardware, memories_of)
    channels = problem.hardware.channels
    return Instance(
        name=problem.name,
        memory_ids=tuple(name for memory in problem.hardware.memories for name in memory.ids),
        memory_capacity=np.array(
            [memory.capacity for memory in problem.hardware.memories for _ in memory.ids], dtype=np.int64
        ),
        core_ids=core_ids,
        core_memory=core_memory,
        core_kind=core_kind,
        channel_ids=tuple(channel.id for channel in channels),
        channel_bandwidth=np.array([channel.bandwidth for channel in channels], dtype=np.int64),
        channel_lanes=np.array([channel.lanes for channel in channels], dtype=np.int64),
        channel_connects=tuple(
            tuple(memory for end in channel.connects for memory in memories_of[end]) for channel in channels
        ),
        tensor_ids=pieces.ids(touched),
        tensor_bytes=pieces.sizes[touched],
        tensor_kind=kind[touched],
        tile_ids=_tile_ids(grids, numbering),
        duration=_durations(grids, numbering, problem.hardware.cores),
        inputs=Csr.from_pairs(reads[0], renumber[reads[1]], n_tiles),
        outputs=Csr.from_pairs(writes[0], renumber[writes[1]], n_tiles),
        accumulates=Csr.from_pairs(adds[0], renumber[adds[1]], n_tiles),
        meta=_meta(grids, numbering),
        tensor_meta=pieces.meta(graph, touched),
        problem=problem,
        tiling=tiling,
    )


def count_tiles(problem: Problem, tiling: Tiling) -> int:
    """Number of tiles that `build_tiles` would make.

    Raises
    ------
    InputError
        The tiling asks for more pieces of a dimension than it has indices.
    """
    total = 0
    for operator in problem_graph(problem, scan=tiling.scan).operators:
        tiles = 1
        for dim in operator.dims:
            tiles *= len(boundaries(operator, dim, tiling)) - 1
        total += tiles
    return total * problem.layers


@dataclass(frozen=True, eq=False)
class _Grid:
    """The tiles of one operator: a product of ranges, in row-major order of ``dims``."""

    operator: Operator
    dims: tuple[str, ...]
    cuts: Mapping[str, IntArray]
    index: Mapping[str, IntArray]

    def __len__(self) -> int:
        return len(next(iter(self.index.values())))

    def low(self, dim: str) -> IntArray:
        return self.cuts[dim][self.index[dim]]

    def high(self, dim: str) -> IntArray:
        return self.cuts[dim][self.index[dim] + 1]

    def pieces(self, dim: str) -> int:
        return len(self.cuts[dim]) - 1

    @property
    def accumulates(self) -> bool:
        """Whether a reduction is cut, so that tiles add into their outputs."""
        return any(self.pieces(dim) > 1 for dim in self.operator.reduces)


def _grid(operator: Operator, tiling: Tiling) -> _Grid:
    """Tokens outermost, reductions innermost."""
    kept = [dim for dim in DIMS if dim in operator.dims and dim not in operator.reduces]
    dims = (*kept, *operator.reduces)
    cuts = {dim: boundaries(operator, dim, tiling) for dim in dims}
    shape = tuple(len(cuts[dim]) - 1 for dim in dims)
    index = np.unravel_index(np.arange(int(np.prod(shape)), dtype=np.int64), shape)
    return _Grid(operator, dims, cuts, {dim: i.astype(np.int64) for dim, i in zip(dims, index, strict=True)})


def _number_tiles(grids: list[_Grid]) -> list[IntArray]:
    """Number of each tile of each grid: operator after operator, those of one group alternating by token."""
    stage, token, step = [], [], []
    for position, grid in enumerate(grids):
        group = grid.operator.group
        leader = next(i for i, g in enumerate(grids) if g.operator.group == group) if group else position
        stage.append(np.full(len(grid), leader))
        token.append(grid.low("L") if group else np.zeros(len(grid), dtype=np.int64))
        step.append(np.full(len(grid), position))
    keys = (np.concatenate(step), np.concatenate(token), np.concatenate(stage))
    order = np.lexsort(keys)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order), dtype=np.int64)
    return np.split(number, np.cumsum([len(grid) for grid in grids])[:-1])


@dataclass(frozen=True, eq=False)
class _Pieces:
    """All pieces of all tensors, tensor after tensor, each a row-major grid of its cut dimensions."""

    names: tuple[str, ...]
    cuts: Mapping[str, tuple[IntArray, ...]]
    offset: Mapping[str, int]
    total: int
    sizes: IntArray
    owner: npt.NDArray[np.int32]
    index: npt.NDArray[np.int32]
    low: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]

    def kinds(self, graph: OperatorGraph, produced: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
        """Kind of each piece; a state that no tile of this instance writes is there from the start."""
        tensors = [graph.tensors[name] for name in self.names]
        kind = np.array([tensor.kind for tensor in tensors], dtype=np.int8)[self.owner]
        kind[(kind == INTERMEDIATE) & ~produced] = STATE
        never = np.iinfo(np.int64).max
        start = np.array([never if t.output_from is None else t.output_from for t in tensors], dtype=np.int64)
        axis = np.array([tensor.axis for tensor in tensors], dtype=np.int64)[self.owner]
        kind[self.low[np.arange(len(axis)), axis] >= start[self.owner]] = OUTPUT
        return kind

    def meta(self, graph: OperatorGraph, chosen: npt.NDArray[np.bool_]) -> TensorMeta:
        """Ranges of the chosen pieces."""
        dims = tuple(tuple(extent.dim for extent in graph.tensors[name].extents) for name in self.names)
        return TensorMeta(self.names, dims, self.owner[chosen], self.low[chosen], self.high[chosen])

    def ids(self, chosen: npt.NDArray[np.bool_]) -> Ids:
        """Names of the chosen pieces."""
        return Ids(self.names, self.owner[chosen], self.index[chosen])


def _cut_tensors(graph: OperatorGraph, grids: list[_Grid], alike: tuple[str, ...]) -> _Pieces:
    """The common refinement of all tiles that touch each tensor, dimension by dimension; ``alike`` share theirs."""
    ends: dict[str, list[list[IntArray]]] = {
        name: [[np.array([extent.low, extent.high])] for extent in tensor.extents]
        for name, tensor in graph.tensors.items()
    }
    for grid in grids:
        for access in (*grid.operator.reads, *grid.operator.writes):
            tensor = graph.tensors[access.tensor]
            for axis, (low, high) in enumerate(_axis_ranges(grid, access, tensor)):
                ends[access.tensor][axis] += [low, high]
    for first, second in itertools.pairwise(alike):
        shared = [one + two for one, two in zip(ends[first], ends[second], strict=True)]
        ends[first], ends[second] = shared, [list(axis) for axis in shared]
    cuts: dict[str, tuple[IntArray, ...]] = {}
    for name, tensor in graph.tensors.items():
        ends[name][tensor.axis].append(np.array(tensor.cuts, dtype=np.int64))
        cuts[name] = tuple(
            np.unique(np.clip(np.concatenate(axis_ends), extent.low, extent.high))
            for axis_ends, extent in zip(ends[name], tensor.extents, strict=True)
        )
    names = tuple(graph.tensors)
    offset, total, sizes, index, lows, highs = {}, 0, [], [], [], []
    most = max(len(tensor.extents) for tensor in graph.tensors.values())
    for name in names:
        shape = tuple(len(c) - 1 for c in cuts[name])
        count = int(np.prod(shape))
        offset[name] = total
        total += count
        where = np.unravel_index(np.arange(count), shape)
        size = np.full(count, graph.tensors[name].element_bytes, dtype=np.int64)
        shown = np.full((count, most), -1, dtype=np.int32)
        low, high = np.full_like(shown, -1), np.full_like(shown, -1)
        for axis, (i, c) in enumerate(zip(where, cuts[name], strict=True)):
            size *= np.diff(c)[i]
            low[:, axis], high[:, axis] = c[:-1][i], c[1:][i]
            if shape[axis] > 1 or graph.tensors[name].extents[axis].dim in ("L", "C", "E", "H", "X"):
                shown[:, axis] = i
        sizes.append(size)
        index.append(shown)
        lows.append(low)
        highs.append(high)
    owner = np.repeat(np.arange(len(names), dtype=np.int32), [len(s) for s in sizes])
    return _Pieces(
        names,
        cuts,
        offset,
        total,
        np.concatenate(sizes),
        owner,
        np.concatenate(index),
        np.concatenate(lows),
        np.concatenate(highs),
    )


def _axis_ranges(grid: _Grid, access: Access, tensor: Tensor) -> list[tuple[IntArray, IntArray]]:
    """Per dimension of the tensor: the range that each *piece* of the mapped dimension touches, cut to the extent."""
    ranges = []
    for index, extent in zip(access.indices, tensor.extents, strict=True):
        cuts = grid.cuts[index.dim]
        ranges.append(index.select(cuts[:-1], cuts[1:], extent))
    return ranges


Pairs = tuple[IntArray, IntArray]


def _accesses(
    graph: OperatorGraph, grids: list[_Grid], pieces: _Pieces, numbering: list[IntArray]
) -> tuple[Pairs, Pairs, Pairs]:
    """(tile, piece) pairs of all reads, of all writes, and of all additions."""
    reads: list[Pairs] = []
    writes: list[Pairs] = []
    adds: list[Pairs] = []
    for grid, number in zip(grids, numbering, strict=True):
        for access in grid.operator.reads:
            reads.append(_overlaps(grid, access, graph.tensors[access.tensor], pieces, number))
        for access in grid.operator.writes:
            (adds if grid.accumulates else writes).append(
                _overlaps(grid, access, graph.tensors[access.tensor], pieces, number)
            )
    return _joined(reads), _joined(writes), _joined(adds)


def _joined(pairs: list[Pairs]) -> Pairs:
    if not pairs:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def _overlaps(grid: _Grid, access: Access, tensor: Tensor, pieces: _Pieces, number: IntArray) -> Pairs:
    """Every piece that each tile's ranges overlap: ranges of piece numbers per dimension, then their product."""
    cuts = pieces.cuts[access.tensor]
    tile = np.arange(len(grid), dtype=np.int64)
    if access.only_first is not None:
        tile = tile[grid.index[access.only_first] == 0]
    piece = np.zeros(len(tile), dtype=np.int64)
    ranges = _axis_ranges(grid, access, tensor)
    for index, cut, (low, high) in zip(access.indices, cuts, ranges, strict=True):
        first, last = np.searchsorted(cut, low), np.searchsorted(cut, high)
        along = grid.index[index.dim][tile]
        values, owner = expand_ranges(first[along], last[along])
        tile, piece = tile[owner], piece[owner] * (len(cut) - 1) + values
    return number[tile], piece + pieces.offset[access.tensor]


def _durations(grids: list[_Grid], numbering: list[IntArray], groups: tuple[CoreGroup, ...]) -> IntArray:
    """Cycles of each tile on each group of cores; computed once per distinct combination of sizes."""
    n_tiles = sum(len(grid) for grid in grids)
    duration = np.full((n_tiles, len(groups)), NOT_ADMISSIBLE, dtype=np.int64)
    for grid, number in zip(grids, numbering, strict=True):
        widths = {dim: np.diff(cuts) for dim, cuts in grid.cuts.items()}
        along, dims = dict(grid.index), grid.dims
        if grid.operator.chunk:
            first = grid.cuts["L"][:-1] // grid.operator.chunk
            widths["Q"] = np.array(chunk_lengths(grid.operator), dtype=np.int64)[first]
            along["Q"], dims = grid.index["L"], (*grid.dims, "Q")
        choices = {dim: np.unique(width) for dim, width in widths.items()}
        firsts = sorted({step.only_first for step in grid.operator.steps if step.only_first is not None})
        code = np.zeros(len(grid), dtype=np.int64)
        for dim in dims:
            code = code * len(choices[dim]) + np.searchsorted(choices[dim], widths[dim])[along[dim]]
        for dim in firsts:
            code = code * 2 + (grid.index[dim] == 0)
        for column, group in enumerate(groups):
            if grid.operator.kernel not in group.runs:
                continue
            table = [
                _tile_cycles(grid.operator, dict(zip(dims, combo, strict=True)), group, flags)
                for combo in itertools.product(*(choices[dim].tolist() for dim in dims))
                for flags in _flag_choices(firsts)
            ]
            duration[number, column] = np.array(table, dtype=np.int64)[code]
    return duration


def _flag_choices(firsts: list[str]) -> list[dict[str, bool]]:
    return [dict(zip(firsts, flags, strict=True)) for flags in itertools.product((False, True), repeat=len(firsts))]


def _tile_cycles(operator: Operator, sizes: Mapping[str, int], group: CoreGroup, is_first: Mapping[str, bool]) -> int:
    work = sum(
        step_cycles(step, sizes, group)
        for step in operator.steps
        if step.only_first is None or is_first[step.only_first]
    )
    return group.tile_overhead_cycles + work


def _tile_ids(grids: list[_Grid], numbering: list[IntArray]) -> Ids:
    n_tiles = sum(len(grid) for grid in grids)
    stem = np.zeros(n_tiles, dtype=np.int32)
    index = np.full((n_tiles, max(len(grid.dims) for grid in grids)), -1, dtype=np.int32)
    for position, (grid, number) in enumerate(zip(grids, numbering, strict=True)):
        stem[number] = position
        column = 0
        for dim in grid.dims:
            named = dim == "L" or (dim in ("E", "H", "X", "K") and dim not in grid.operator.reduces)
            if named or grid.pieces(dim) > 1:
                index[number, column] = grid.index[dim]
                column += 1
    return Ids(tuple(grid.operator.name for grid in grids), stem, index)


def _meta(grids: list[_Grid], numbering: list[IntArray]) -> TileMeta:
    n_tiles = sum(len(grid) for grid in grids)
    operator = np.zeros(n_tiles, dtype=np.int32)
    low = np.full((n_tiles, len(DIMS)), -1, dtype=np.int32)
    high = np.full((n_tiles, len(DIMS)), -1, dtype=np.int32)
    for position, (grid, number) in enumerate(zip(grids, numbering, strict=True)):
        operator[number] = position
        for dim in grid.dims:
            low[number, DIMS.index(dim)] = grid.low(dim)
            high[number, DIMS.index(dim)] = grid.high(dim)
    return TileMeta(tuple(grid.operator.name for grid in grids), operator, DIMS, low, high)
