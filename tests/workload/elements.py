"""A Mamba-1 block element by element, and from that the pieces and dependences of any tiles.

`workload.elements2` has Mamba-2 in the same way. Written from the equations of the block alone: what each operator
reads and writes at one point of its iteration space. A tile touches what its points touch. Nothing here knows how the
package maps ranges to ranges.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from ssmopt.problem import Problem

Element = tuple[str, tuple[int, ...]]
Touched = Mapping[str, set[tuple[int, ...]]]

OPERATORS = {
    "rms_norm": "L D", "in_proj": "L D K", "conv1d": "L E W", "silu_x": "L E", "x_proj": "L E K", "dt_proj": "L R E",
    "softplus": "L E", "mul_dA": "L E N", "exp_dA": "L E N", "mul_dB": "L E N", "mul_dBx": "L E N", "mul_hA": "L E N",
    "add_h": "L E N", "mul_hC": "L E N", "skip_D": "L E", "silu_z": "L E", "gate": "L E", "out_proj": "L E D",
    "residual": "L D",
}  # fmt: skip
"""Operators of a block in order, with the dimensions of each."""

STATE_UPDATE = ("mul_dA", "exp_dA", "mul_dB", "mul_dBx", "mul_hA", "add_h", "mul_hC")

SUMMED = {"in_proj": "D", "conv1d": "W", "x_proj": "E", "dt_proj": "R", "mul_hC": "N", "out_proj": "E", "scan": "N"}
"""The dimension that an operator sums over."""

TENSORS = {
    "x": "L D", "g_norm": "D", "u": "L D", "W_in": "D K", "x_branch": "L E", "z": "L E", "w_conv": "E W", "b_conv": "E",
    "c": "L E", "xc": "L E", "W_x": "E K", "dt_r": "L R", "B": "L N", "C": "L N", "W_dt": "R E", "b_dt": "E",
    "dt_raw": "L E", "dt": "L E", "A": "E N", "dA": "L E N", "Abar": "L E N", "dB": "L E N", "dBx": "L E N",
    "hA": "L E N", "h": "L E N", "y": "L E", "D_skip": "E", "y_skip": "L E", "sz": "L E", "gated": "L E",
    "W_out": "E D", "o": "L D", "out": "L D",
}  # fmt: skip
WEIGHTS = ("g_norm", "W_in", "w_conv", "b_conv", "W_x", "W_dt", "b_dt", "A", "D_skip", "W_out")


@dataclass(frozen=True)
class Block:
    """The sizes of a block, and what is computed at each point; with several sequences, ``S`` is the first index."""

    problem: Problem

    state_update: ClassVar[Sequence[str]] = STATE_UPDATE
    summed: ClassVar[Mapping[str, str]] = SUMMED
    weights: ClassVar[Sequence[str]] = WEIGHTS
    convolved: ClassVar[str] = "x_branch"

    @property
    def spaces(self) -> Mapping[str, str]:
        """Operators in order, with the dimensions of each for one sequence."""
        return OPERATORS

    @property
    def shapes(self) -> Mapping[str, str]:
        """Tensors with the dimensions of each for one sequence."""
        return TENSORS

    @property
    def loads_state(self) -> bool:
        return self.problem.initial_state == "load"

    @property
    def batched(self) -> bool:
        return self.problem.batch > 1

    @property
    def tensors(self) -> dict[str, list[str]]:
        """Tensors with the dimensions of each."""
        return {
            name: ["S", *dims.split()] if self.batched and name not in self.weights else dims.split()
            for name, dims in self.shapes.items()
        }

    def operators(self, scan: bool) -> list[str]:
        names = [n for n in self.spaces if self.problem.scope == "block" or n in self.state_update]
        if not scan or "mul_hA" not in names:
            return names
        return [n if n != "mul_hA" else "scan" for n in names if n not in ("add_h", "mul_hC")]

    def dims(self, operator: str) -> dict[str, int]:
        """Sizes of an operator's iteration space."""
        names = ("L E N" if operator == "scan" else self.spaces[operator]).split()
        sequences = {"S": self.problem.batch} if self.batched else {}
        return sequences | {dim: self.columns(operator) if dim == "K" else self.sizes[dim] for dim in names}

    def extents(self, tensor: str) -> list[tuple[int, int]]:
        """The index range of each dimension of a tensor."""
        ranges = [self.extent(tensor, dim) for dim in self.shapes[tensor].split()]
        return [(0, self.problem.batch), *ranges] if self.tensors[tensor][0] == "S" else ranges

    def extent(self, tensor: str, dim: str) -> tuple[int, int]:
        """The index range of one dimension of a tensor."""
        low = 0
        if self.loads_state and dim in ("L", "C") and tensor in ("h", self.convolved):
            low = -1 if tensor == "h" else 1 - self.problem.model.d_conv
        return low, self.columns(tensor) if dim == "K" else self.sizes[dim]

    def at(self, operator: str, at: Mapping[str, int]) -> tuple[list[Element], list[Element]]:
        """The elements read and written at one point of an operator's iteration space, of its own sequence."""
        read, written = self.points(operator, at)
        if not self.batched:
            return read, written

        def of_sequence(elements: list[Element]) -> list[Element]:
            return [(n, index if n in self.weights else (at["S"], *index)) for n, index in elements]

        return of_sequence(read), of_sequence(written)

    def touched(self, operator: str, ranges: Mapping[str, tuple[int, int]]) -> tuple[Touched, Touched]:
        """Elements that a tile over the given ranges reads and writes, by tensor."""
        reads: set[Element] = set()
        writes: set[Element] = set()
        for point in itertools.product(*(range(*ends) for ends in ranges.values())):
            read, written = self.at(operator, dict(zip(ranges, point, strict=True)))
            reads.update(read)
            writes.update(written)
        if operator == "scan":
            # Only the state between tiles leaves the tile.
            reads = {element for element in reads if element not in writes}
            last = ranges["L"][1] - 1
            writes = {(name, index) for name, index in writes if name != "h" or index[self.batched] == last}
        return _by_tensor(reads), _by_tensor(writes)

    def element_bytes(self, tensor: str) -> int:
        dtype = self.problem.dtype
        return dtype.weights if tensor in self.weights else dtype.state if tensor == "h" else dtype.activations

    def kind(self, tensor: str, index: tuple[int, ...], produced: bool) -> str:
        """Kind of a piece whose first element has this index."""
        if tensor in self.weights:
            return "weight"
        if tensor == "out" or (tensor == "y" and self.problem.scope == "state-update"):
            return "output"
        first = index[self.batched]
        if tensor == "h" and first == self.extents("h")[self.batched][1] - 1:
            return "output"
        if tensor == self.convolved and first >= self.problem.seq_len - (self.problem.model.d_conv - 1):
            return "output"
        if tensor in ("h", self.convolved) and first < 0:
            return "state"
        return "intermediate" if produced else "input"

    @property
    def sizes(self) -> dict[str, int]:
        model = self.problem.model
        sizes = (self.problem.seq_len, model.d_model, model.d_inner, model.d_state, model.dt_rank, model.d_conv)
        return dict(zip("LDENRW", sizes, strict=True))

    def columns(self, name: str) -> int:
        """Columns of a projection or of its weight."""
        sizes = self.sizes
        return 2 * sizes["E"] if name in ("in_proj", "W_in") else sizes["R"] + 2 * sizes["N"]

    def points(self, operator: str, at: Mapping[str, int]) -> tuple[list[Element], list[Element]]:
        """The elements read and written at one point of an operator's iteration space."""
        e, n, d, k, r = (at.get(dim, 0) for dim in ("E", "N", "D", "K", "R"))
        t, w, inner = at["L"], at.get("W", 0), self.sizes["E"]
        rank, state = self.sizes["R"], self.sizes["N"]

        def a(name: str, *index: int) -> Element:
            return name, index

        state_before = [a("h", t - 1, e, n)] if t > 0 or self.loads_state else []
        tap = [a("x_branch", t - w, e)] if t - w >= 0 or self.loads_state else []
        if operator == "rms_norm":
            return [a("x", t, d), a("g_norm", d)], [a("u", t, d)]
        if operator == "in_proj":
            made = a("x_branch", t, k) if k < inner else a("z", t, k - inner)
            return [a("u", t, d), a("W_in", d, k)], [made]
        if operator == "conv1d":
            return [*tap, a("w_conv", e, w), a("b_conv", e)], [a("c", t, e)]
        if operator == "silu_x":
            return [a("c", t, e)], [a("xc", t, e)]
        if operator == "x_proj":
            if k < rank:
                made = a("dt_r", t, k)
            elif k < rank + state:
                made = a("B", t, k - rank)
            else:
                made = a("C", t, k - rank - state)
            return [a("xc", t, e), a("W_x", e, k)], [made]
        if operator == "dt_proj":
            bias = [a("b_dt", e)] if r == 0 else []
            return [a("dt_r", t, r), a("W_dt", r, e), *bias], [a("dt_raw", t, e)]
        if operator == "softplus":
            return [a("dt_raw", t, e)], [a("dt", t, e)]
        if operator == "mul_dA":
            return [a("dt", t, e), a("A", e, n)], [a("dA", t, e, n)]
        if operator == "exp_dA":
            return [a("dA", t, e, n)], [a("Abar", t, e, n)]
        if operator == "mul_dB":
            return [a("dt", t, e), a("B", t, n)], [a("dB", t, e, n)]
        if operator == "mul_dBx":
            return [a("dB", t, e, n), a("xc", t, e)], [a("dBx", t, e, n)]
        if operator == "mul_hA":
            return [a("Abar", t, e, n), *state_before], [a("hA", t, e, n)]
        if operator == "add_h":
            return [a("hA", t, e, n), a("dBx", t, e, n)], [a("h", t, e, n)]
        if operator == "mul_hC":
            return [a("h", t, e, n), a("C", t, n)], [a("y", t, e)]
        if operator == "scan":
            reads = [a("Abar", t, e, n), a("dBx", t, e, n), a("C", t, n), *state_before]
            return reads, [a("h", t, e, n), a("y", t, e)]
        if operator == "skip_D":
            return [a("y", t, e), a("xc", t, e), a("D_skip", e)], [a("y_skip", t, e)]
        if operator == "silu_z":
            return [a("z", t, e)], [a("sz", t, e)]
        if operator == "gate":
            return [a("y_skip", t, e), a("sz", t, e)], [a("gated", t, e)]
        if operator == "out_proj":
            return [a("gated", t, e), a("W_out", e, d)], [a("o", t, d)]
        assert operator == "residual"
        return [a("o", t, d), a("x", t, d)], [a("out", t, d)]


@dataclass(frozen=True)
class Pieces:
    """The common refinement of the boxes that tiles touch in each tensor."""

    block: Block
    cuts: Mapping[str, list[list[int]]]

    @staticmethod
    def of(block: Block, touched: Iterable[Touched]) -> Pieces:
        ends: dict[str, list[set[int]]] = {}
        for by_tensor in touched:
            for tensor, elements in by_tensor.items():
                axes = ends.setdefault(tensor, [{*extent} for extent in block.extents(tensor)])
                for axis, values in zip(axes, zip(*elements, strict=True), strict=True):
                    axis.update((min(values), max(values) + 1))
        if block.convolved in ends:  # The tail that the next prompt's convolution starts with.
            low, high = block.extents(block.convolved)[block.batched]
            tail = min(max(low, block.problem.seq_len - block.problem.model.d_conv + 1), high)
            ends[block.convolved][block.batched].add(tail)
        return Pieces(block, {tensor: [sorted(axis) for axis in axes] for tensor, axes in ends.items()})

    def where(self, tensor: str, element: tuple[int, ...]) -> tuple[int, ...]:
        """The piece that an element lies in, as a number along each dimension."""
        return tuple(bisect_right(cuts, i) - 1 for cuts, i in zip(self.cuts[tensor], element, strict=True))

    def name(self, tensor: str, piece: tuple[int, ...]) -> str:
        """Id of a piece: the numbers of tokens and channels, and of whatever else is cut."""
        dims = self.block.tensors[tensor]
        shown = [
            str(i)
            for i, dim, cuts in zip(piece, dims, self.cuts[tensor], strict=True)
            if dim in ("L", "C", "E", "H", "X") or len(cuts) > 2
        ]
        return ".".join([tensor, *shown])

    def elements(self, tensor: str, piece: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """All elements of a piece."""
        ranges = [list(pairwise(cuts))[i] for i, cuts in zip(piece, self.cuts[tensor], strict=True)]
        return itertools.product(*(range(*ends) for ends in ranges))


def _by_tensor(elements: set[Element]) -> Touched:
    by_tensor: dict[str, set[tuple[int, ...]]] = {}
    for name, index in elements:
        by_tensor.setdefault(name, set()).add(index)
    return by_tensor
