"""Operators and tensors of a block: iteration spaces, index maps, and what a step of work costs."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import networkx as nx
import numpy as np

from ssmopt.csr import IntArray
from ssmopt.hardware import CoreGroup
from ssmopt.instance import INPUT, INTERMEDIATE, WEIGHT


@dataclass(frozen=True)
class Extent:
    """Half-open index range of one dimension of a tensor."""

    dim: str
    low: int
    high: int

    def __len__(self) -> int:
        return self.high - self.low


@dataclass(frozen=True)
class Index:
    """How a tile's range ``[low, high)`` of a dimension selects a range along one dimension of a tensor.

    The range selected is ``[anchor_low + shift_low, anchor_high + shift_high)``, where each anchor is the tile's
    ``low`` or ``high``; then divided by ``divisor`` and rounded outwards, multiplied by ``multiplier``, and cut to the
    tensor's extent. ``Index("L")`` is the range itself, ``Index("L", shift_low=-3)`` a causal window of four,
    ``Index("E", divisor=64)`` the heads of 64 channels that the range touches.

    ``everything`` selects the whole extent, whatever the range.
    """

    dim: str
    shift_low: int = 0
    shift_high: int = 0
    anchor_low: str = "low"
    anchor_high: str = "high"
    divisor: int = 1
    multiplier: int = 1
    everything: bool = False

    @staticmethod
    def shifted(dim: str, shift: int, divisor: int = 1) -> Index:
        """The range moved by ``shift``, then in blocks of ``divisor``."""
        return Index(dim, shift, shift, divisor=divisor)

    @staticmethod
    def before(dim: str, divisor: int = 1) -> Index:
        """The one position (or block of ``divisor`` positions) before that of the range's beginning."""
        return Index(dim, -divisor, 1 - divisor, "low", "low", divisor)

    @staticmethod
    def last(dim: str) -> Index:
        """The last position of the range."""
        return Index(dim, -1, 0, "high", "high")

    @staticmethod
    def block(dim: str, size: int) -> Index:
        """All positions of the blocks of ``size`` that the range touches."""
        return Index(dim, divisor=size, multiplier=size)

    @staticmethod
    def whole(dim: str) -> Index:
        """The tensor's whole extent; ``dim`` says on whose account it is touched."""
        return Index(dim, everything=True)

    def select(self, low: IntArray, high: IntArray, extent: Extent) -> tuple[IntArray, IntArray]:
        """The ranges that tiles with the ranges ``[low, high)`` select, cut to the extent."""
        if self.everything:
            return np.full_like(low, extent.low), np.full_like(high, extent.high)
        anchors = {"low": low, "high": high}
        first, beyond = anchors[self.anchor_low] + self.shift_low, anchors[self.anchor_high] + self.shift_high
        if self.divisor != 1:
            first, beyond = first // self.divisor, -(-beyond // self.divisor)
        if self.multiplier != 1:
            first, beyond = first * self.multiplier, beyond * self.multiplier
        # Both limits by hand: `np.clip` takes several times as long for arrays as short as these.
        first = np.minimum(np.maximum(first, extent.low), extent.high)
        return first, np.minimum(np.maximum(beyond, extent.low), extent.high)


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
        Pieces whose first index along ``axis`` is at least this are of kind ``output``; None if there are none.
    cuts
        Positions along ``axis`` that are boundaries under any tiling.
    """

    name: str
    extents: tuple[Extent, ...]
    element_bytes: int
    kind: int = INTERMEDIATE
    output_from: int | None = None
    cuts: tuple[int, ...] = ()

    @property
    def axis(self) -> int:
        """The first dimension that is not that of sequences: tokens or chunks, for all but weights."""
        return 1 if self.extents[0].dim == "S" else 0


@dataclass(frozen=True)
class Step:
    """One elementary pass of a tile over some of its dimensions.

    Attributes
    ----------
    operation
        Key of ``op_cycles``; ``mac`` is mapped on rows and columns, all else is elementwise.
    dims
        Dimensions whose product is the number of elements (or of multiply-accumulates); ``Q`` is the length of the
        chunk that the tile lies in.
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
class Parts:
    """A dimension that consists of several parts side by side, such as the columns of a projection.

    Attributes
    ----------
    main
        Sizes of the first parts; a tiling cuts each of them into equally many pieces.
    rest
        Size of what follows: its pieces are as wide as the widest main piece, or the next smaller multiple of ``unit``.
    grain
        Cuts of the main parts are at multiples of this as long as there are enough of them.
    unit
        Cuts of the rest are always at multiples of this.
    """

    main: tuple[int, ...]
    rest: int = 0
    grain: int = 1
    unit: int = 1


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
    pace
        How tokens are cut: by the field ``tokens``, ``norm_tokens`` or ``state_tokens`` of a tiling, ``single`` for
        one token per tile, ``chunk`` for one chunk, ``rows`` for ``tokens`` that stay within a chunk.
    parts
        Dimensions that consist of parts, or that are not cut just anywhere.
    chunk
        Tokens per chunk, where every tile lies in one; 0 where chunks do not matter.
    """

    name: str
    dims: Mapping[str, int]
    kernel: str
    reads: tuple[Access, ...]
    writes: tuple[Access, ...]
    steps: tuple[Step, ...]
    reduces: tuple[str, ...] = ()
    group: str = ""
    pace: str = "tokens"
    parts: Mapping[str, Parts] = field(default_factory=dict)
    chunk: int = 0


@dataclass(frozen=True)
class OperatorGraph:
    """Operators in the order of the literature's table, their tensors, and the graph (networkx) between them."""

    operators: tuple[Operator, ...]
    tensors: Mapping[str, Tensor]
    graph: nx.DiGraph[str] = field(compare=False)

    def operator(self, name: str) -> Operator:
        """The operator of that name."""
        return next(operator for operator in self.operators if operator.name == name)


def access(tensor: str, *dims: str | Index, only_first: str | None = None) -> Access:
    """An access by indices, or by names of dimensions for plain ones."""
    return Access(tensor, tuple(Index(dim) if isinstance(dim, str) else dim for dim in dims), only_first)


def assemble(operators: tuple[Operator, ...], tensors: Iterable[Tensor], sequences: int = 1) -> OperatorGraph:
    """The graph of the operators and of those tensors that they use, for so many independent sequences.

    Where a tensor's producer is left out, the tensor is an input.
    """
    used = {access.tensor for operator in operators for access in (*operator.reads, *operator.writes)}
    written = {access.tensor for operator in operators for access in operator.writes}
    chosen = {}
    for tensor in tensors:
        if tensor.name in used:
            outside = tensor.kind not in (WEIGHT, INPUT) and tensor.name not in written
            chosen[tensor.name] = (
                Tensor(tensor.name, tensor.extents, tensor.element_bytes, INPUT) if outside else tensor
            )
    if sequences > 1:
        operators = tuple(_for_sequences(operator, chosen, sequences) for operator in operators)
        chosen = {name: _per_sequence(tensor, sequences) for name, tensor in chosen.items()}
    return operator_graph(operators, chosen)


def _for_sequences(operator: Operator, tensors: Mapping[str, Tensor], sequences: int) -> Operator:
    """The operator on several sequences, ``S``: a tile works on one, so that its steps do not change."""

    def extended(accesses: tuple[Access, ...]) -> tuple[Access, ...]:
        return tuple(
            a if tensors[a.tensor].kind == WEIGHT else dataclasses.replace(a, indices=(Index("S"), *a.indices))
            for a in accesses
        )

    return dataclasses.replace(
        operator,
        dims={"S": sequences, **operator.dims},
        reads=extended(operator.reads),
        writes=extended(operator.writes),
    )


def _per_sequence(tensor: Tensor, sequences: int) -> Tensor:
    """The tensor once per sequence; all sequences share the weights."""
    if tensor.kind == WEIGHT:
        return tensor
    return dataclasses.replace(tensor, extents=(Extent("S", 0, sequences), *tensor.extents))


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


def mac_cycles_floor(total: int, sizes: list[int], rows: int, columns: int) -> Fraction:
    """Cycles below which no tiling of ``total`` multiply-accumulates gets, exactly.

    A tile of ``t <= d`` along a dimension mapped on ``r`` elements takes ``ceil(t / r) / t >= max(1 / r, 1 / d)`` of a
    cycle per index, so each pair of dimensions, of sizes ``d`` at most, has a best possible rate, whatever the tiles.
    """
    options = [Fraction(total)]
    for first in sizes:
        options += [Fraction(total, min(first, rows)), Fraction(total, min(first, columns))]
    for first, second in itertools.permutations(range(len(sizes)), 2):
        options.append(Fraction(total, min(sizes[first], rows) * min(sizes[second], columns)))
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


def chunk_lengths(operator: Operator) -> list[int]:
    """Tokens of each chunk of an operator that works chunk by chunk; otherwise all tokens together."""
    length = operator.dims["L"]
    step = operator.chunk or length
    return [min(step, length - first) for first in range(0, length, step)]


def step_points(operator: Operator, step: Step) -> int:
    """Elements, or multiply-accumulates, of a step over the whole operator, ``count`` not included."""
    dims = (*step.dims, *step.serial)
    points = operator.dims.get("S", 1)
    for dim in dims:
        points *= 1 if dim in ("L", "Q") else operator.dims[dim]
    tokens = sum(dim in ("L", "Q") for dim in dims)
    return points * sum(math.prod([length] * tokens) for length in chunk_lengths(operator))


def step_cycles_floor(operator: Operator, step: Step, core: CoreGroup) -> Fraction:
    """Cycles of a step over the whole operator that no tiling can undercut (no rounding up)."""
    total = step_points(operator, step)
    if step.operation == "mac":
        longest = max(chunk_lengths(operator))
        sizes = [longest if dim in ("L", "Q") else operator.dims[dim] for dim in step.dims]
        work = mac_cycles_floor(total, sizes, core.rows, core.columns)
    else:
        work = Fraction(total, core.processing_elements)
    return step.count * core.op_cycles[step.operation] * work


def operator_cycles_floor(operator: Operator, core: CoreGroup) -> Fraction:
    """Cycles of a whole operator on one core that no tiling can undercut."""
    return sum((step_cycles_floor(operator, step, core) for step in operator.steps), Fraction(0))
