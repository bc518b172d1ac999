"""What the tiles of an instance compute: their kernels, and which part of which tensor each piece is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.errors import ExecutionError, InputError
from ssmopt.execute.arithmetic import Arithmetic, Place
from ssmopt.execute.blocks import Array, Box, access_boxes, contains, cut_out, gather, whole_box
from ssmopt.execute.kernels import KERNELS
from ssmopt.instance import Instance, TileMeta
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.operators import Operator, OperatorGraph


class Program:
    """The computation behind an instance, tile by tile.

    Parameters
    ----------
    instance
        Tiles of a problem.
    dtype
        Type of all arrays.

    Attributes
    ----------
    operators, tensors
        What the numbers in the instance's ``meta`` and ``tensor_meta`` stand for.
    operator_of, tensor_of
        Number of each tile's operator, and of each piece's tensor.
    arithmetic
        Of each operator: what its tiles have computed so far.

    Raises
    ------
    InputError
        The instance does not say what its tiles compute.
    """

    def __init__(self, instance: Instance, dtype: npt.DTypeLike) -> None:
        meta, pieces, problem, tiling = instance.meta, instance.tensor_meta, instance.problem, instance.tiling
        if problem is not None and problem.layers > 1:
            raise InputError(
                f"{instance.name!r} has {problem.layers} layers; one at a time can be executed", key="layers"
            )
        if meta is None or pieces is None or problem is None or tiling is None:
            raise InputError(f"{instance.name!r} does not say which model its tiles compute, so it cannot be executed")
        self.instance = instance
        self.problem = problem
        self.dtype = np.dtype(dtype)
        graph = problem_graph(problem, scan=tiling.scan)
        kernels = KERNELS[problem.model.family]
        self.operators = [graph.operator(name) for name in meta.operators]
        self.operator_of: list[int] = meta.operator.tolist()
        self.arithmetic = [Arithmetic() for _ in meta.operators]
        self.tensors = [graph.tensors[name] for name in pieces.names]
        self.tensor_of: list[int] = pieces.name.tolist()
        self._kernels = [kernels[name] for name in meta.operators]
        self._by_sequence = {tensor.name: tensor.extents[0].dim == "S" for tensor in self.tensors}
        self._extents = {tensor.name: whole_box(tensor) for tensor in self.tensors}
        self._boxes = np.stack([pieces.low, pieces.high], axis=-1).astype(np.int64)
        self._writes = instance.writes.lists()
        self._accesses = [_Accesses(graph, operator, meta, number) for number, operator in enumerate(self.operators)]
        row = np.zeros(instance.n_tiles, dtype=np.int64)
        for number in range(len(meta.operators)):
            mine = np.flatnonzero(meta.operator == number)
            row[mine] = np.arange(len(mine))
        self._row = row.tolist()

    def box(self, piece: int) -> Box:
        """Index ranges of a piece within its tensor."""
        rank = len(self.tensors[self.tensor_of[piece]].extents)
        return _as_box(self._boxes[piece, :rank])

    def compute(self, tile: int, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """Run a tile.

        Parameters
        ----------
        tile
            Which one.
        inputs
            The pieces that it lists as inputs.

        Returns
        -------
        dict
            The pieces that it produces, and for those that it accumulates, what it adds.
        """
        number, row = self.operator_of[tile], self._row[tile]
        operator, accesses, do = self.operators[number], self._accesses[number], self.arithmetic[number]
        # Each tile works on one of several independent sequences, so that kernels need not know of them.
        blocks = [
            block[0] if block is not None and self._by_sequence[access.tensor] else block
            for access, block in zip(operator.reads, self._gather(tile, inputs), strict=True)
        ]
        results = self._kernels[number](do, Place(self.problem.model, accesses.place(row)), *blocks)
        made = [
            (access.tensor, _as_box(boxes[row]), block[None] if self._by_sequence[access.tensor] else block)
            for access, boxes, block in zip(operator.writes, accesses.writes, results, strict=True)
        ]
        written = {}
        for piece in self._writes[tile]:
            name, part = self.tensors[self.tensor_of[piece]].name, self.box(piece)
            box, block = next((box, block) for tensor, box, block in made if tensor == name and contains(box, part))
            written[piece] = cut_out(part, box, block)
        return written

    def _gather(self, tile: int, inputs: Mapping[int, Array]) -> list[Array | None]:
        """The block of each read of a tile; None for a read that only other tiles make."""
        number, row = self.operator_of[tile], self._row[tile]
        parts: dict[str, list[tuple[Box, Array]]] = {}
        for piece, array in inputs.items():
            parts.setdefault(self.tensors[self.tensor_of[piece]].name, []).append((self.box(piece), array))
        blocks: list[Array | None] = []
        for access, boxes, makes in zip(
            self.operators[number].reads, self._accesses[number].reads, self._accesses[number].makes, strict=True
        ):
            if not makes[row]:
                blocks.append(None)
                continue
            name = access.tensor
            block = gather(_as_box(boxes[row]), self._extents[name], parts.get(name, []), self.dtype)
            if block is None:
                tile_id = self.instance.tile_ids[tile]
                raise ExecutionError(f"tile {tile_id!r} does not list all of the {name!r} that it reads")
            blocks.append(block)
        return blocks


class _Accesses:
    """What each tile of an operator reads and writes.

    Attributes
    ----------
    reads, writes
        Boxes of each access, tile by tile.
    makes
        Of each read, whether the tile makes it.
    """

    def __init__(self, graph: OperatorGraph, operator: Operator, meta: TileMeta, number: int) -> None:
        mine = meta.operator == number
        low, high = meta.low[mine].astype(np.int64), meta.high[mine].astype(np.int64)
        ranges = {
            dim: (low[:, column], high[:, column]) for column, dim in enumerate(meta.dims) if dim in operator.dims
        }
        self._ranges = ranges
        self.reads = [access_boxes(access, graph.tensors[access.tensor], ranges) for access in operator.reads]
        self.writes = [access_boxes(access, graph.tensors[access.tensor], ranges) for access in operator.writes]
        every = np.ones(len(low), dtype=np.bool_)
        self.makes = [
            every if access.only_first is None else ranges[access.only_first][0] == 0 for access in operator.reads
        ]

    def place(self, row: int) -> dict[str, tuple[int, int]]:
        """Range of each dimension of a tile."""
        return {dim: (int(low[row]), int(high[row])) for dim, (low, high) in self._ranges.items()}


def _as_box(ends: IntArray) -> Box:
    return tuple((low, high) for low, high in ends.tolist())
