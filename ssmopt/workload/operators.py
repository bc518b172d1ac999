"""Operators and tensors of a block: iteration spaces, index maps, and what a step of work costs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import networkx as nx

from ssmopt.hardware import CoreGroup
from ssmopt.instance import INTERMEDIATE


@dataclass(frozen=True)
class Index:
    """How a tile's range ``[low, high)`` of a dimension selects a range along one dimension of a tensor.

    The range selected is ``[anchor_low + shift_low, anchor_high + shift_high)``, cut to the tensor's extent, where
    each anchor is the tile's ``low`` or ``high``. ``Index("L")`` is the range itself, ``Index("L", shift_low=-3)``
    a causal window of four.
    """

    dim: str
    shift_low: int = 0
    shift_high: int = 0
    anchor_low: str = "low"
    anchor_high: str = "high"

    @staticmethod
    def shifted(dim: str, shift: int) -> Index:
        """The range moved by ``shift``."""
        return Index(dim, shift, shift)

    @staticmethod
    def before(dim: str) -> Index:
        """The one position before the range."""
        return Index(dim, -1, 0, "low", "low")

    @staticmethod
    def last(dim: str) -> Index:
        """The last position of the range."""
        return Index(dim, -1, 0, "high", "high")


@dataclass(frozen=True)
class Access:
    """A read or write of a tensor: one `Index` per dimension of the tensor.

    ``only_first`` names a dimension of the operator: only tiles at its beginning make the access (a bias is added
    once, not once per piece of a split reduction).
    """

    tensor: str
    indices: tuple[Index, ...]
    only_first: str | None = None


@dataclass(frozen=True)
class Extent:
    """Half-open index range of one dimension of a tensor."""

    dim: str
    low: int
    high: int

    def __len__(self) -> int:
        return self.high - self.low


@dataclass(frozen=True)
class Tensor:
    """A whole tensor of a block.

    Attributes
    ----------
    name, extents
        Name, and the index range of each dimension.
    element_bytes
        Bytes per element.
    kind
        Kind (code of ``KINDS``) of its pieces unless the next two say otherwise.
    output_from
        Pieces whose first index is at least this are of kind ``output``; None if there are none.
    cuts
        Positions of the first dimension that are boundaries under any tiling.
    """

    name: str
    extents: tuple[Extent, ...]
    element_bytes: int
    kind: int = INTERMEDIATE
    output_from: int | None = None
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Step:
    """One elementary pass of a tile over some of its dimensions.

    Attributes
    ----------
    operation
        Key of ``op_cycles``; ``mac`` is mapped on rows and columns, all else is elementwise.
    dims
        Dimensions whose product is the number of elements (or of multiply-accumulates).
    count
        How many such passes.
    serial
        Dimensions walked one index after another, each walk paying its own rounding.
    only_first
        Only tiles at the beginning of this dimension do the step.
    """

    operation: str
    dims: tuple[str, ...]
    count: int = 1
    serial: tuple[str, ...] = ()
    only_first: str | None = None


@dataclass(frozen=True)
class Operator:
    """One einsum or elementwise step of a block.

    Attributes
    ----------
    name
        Name, as in the tables of the literature.
    dims
        Size of each dimension of the iteration space.
    kernel
        Class of operator that cores say they run (`ssmopt.hardware.KERNELS`).
    reads, writes, steps
        Tensors and work.
    reduces
        Dimensions that no output has: cutting one makes its tiles accumulate.
    group
        Operators of one ``group`` alternate token by token when run layer by layer.
    """

    name: str
    dims: Mapping[str, int]
    kernel: str
    reads: tuple[Access, ...]
    writes: tuple[Access, ...]
    steps: tuple[Step, ...]
    reduces: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class OperatorGraph:
    """Operators in the order of the literature's table, their tensors, and the graph (networkx) between them."""

    operators: tuple[Operator, ...]
    tensors: Mapping[str, Tensor]
    graph: nx.DiGraph[str] = field(compare=False)

    def operator(self, name: str) -> Operator:
        """The operator of that name."""
        return next(operator for operator in self.operators if operator.name == name)


def operator_graph(operators: tuple[Operator, ...], tensors: Mapping[str, Tensor]) -> OperatorGraph:
    """Connect operators through the tensors that they write and read."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    producer: dict[str, str] = {}
    for operator in operators:
        graph.add_node(operator.name, operator=operator)
        for access in operator.writes:
            producer[access.tensor] = operator.name
    for operator in operators:
        for access in operator.reads:
            if access.tensor in producer:
                graph.add_edge(producer[access.tensor], operator.name, tensor=access.tensor)
    return OperatorGraph(operators, tensors, graph)


def mac_cycles(sizes: list[int], rows: int, columns: int) -> int:
    """Cycles of ``prod(sizes)`` multiply-accumulates on an array of ``rows x columns``.

    The smallest over ordered pairs of dimensions, one of which may be absent, of
    ``ceil(d1 / rows) * ceil(d2 / columns) * (product of the others)``.
    """
    total = 1
    for size in sizes:
        total *= size
    best = total
    for i, first in enumerate(sizes):
        by_row = total // first * -(-first // rows)
        best = min(best, by_row, total // first * -(-first // columns))
        for j, second in enumerate(sizes):
            if i != j:
                best = min(best, total // (first * second) * -(-first // rows) * -(-second // columns))
    return best


def mac_cycles_floor(sizes: list[int], rows: int, columns: int) -> Fraction:
    """Cycles below which no tiling of the multiply-accumulates gets, exactly.

    A tile of ``t <= d`` along a dimension mapped on ``r`` elements takes ``ceil(t / r) / t >= max(1 / r, 1 / d)`` of a
    cycle per index, so each pair of dimensions has a best possible rate, whatever the tiles.
    """
    total = Fraction(1)
    for size in sizes:
        total *= size
    options = [total]
    for first in sizes:
        options += [total / min(first, rows), total / min(first, columns)]
    for first, second in itertools.permutations(range(len(sizes)), 2):
        options.append(total / (min(sizes[first], rows) * min(sizes[second], columns)))
    return min(options)


def step_cycles(step: Step, sizes: Mapping[str, int], core: CoreGroup) -> int:
    """Cycles of a step of a tile with the given sizes, without the tile's overhead."""
    extents = [sizes[dim] for dim in step.dims]
    if step.operation == "mac":
        work = mac_cycles(extents, core.rows, core.columns)
    else:
        elements = 1
        for size in extents:
            elements *= size
        work = -(-elements // core.processing_elements)
    for dim in step.serial:
        work *= sizes[dim]
    return step.count * core.op_cycles[step.operation] * work


def step_cycles_floor(step: Step, sizes: Mapping[str, int], core: CoreGroup) -> Fraction:
    """Cycles of a step over whole dimensions that no tiling can undercut (no rounding up)."""
    extents = [sizes[dim] for dim in step.dims]
    if step.operation == "mac":
        work = mac_cycles_floor(extents, core.rows, core.columns)
    else:
        work = Fraction(1, core.processing_elements)
        for size in extents:
            work *= size
    for dim in step.serial:
        work *= sizes[dim]
    return step.count * core.op_cycles[step.operation] * work


def operator_cycles_floor(operator: Operator, core: CoreGroup) -> Fraction:
    """Cycles of a whole operator on one core that no tiling can undercut."""
    return sum((step_cycles_floor(step, operator.dims, core) for step in operator.steps), Fraction(0))
