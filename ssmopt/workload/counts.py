"""How much each operator computes and touches, from the operator graph, and how long that takes at the very least."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.hardware import CoreGroup, Hardware
from ssmopt.instance import WEIGHT
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.cuts import boundaries
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.operators import (
    Access,
    Extent,
    Operator,
    OperatorGraph,
    Step,
    Tensor,
    operator_cycles_floor,
    step_points,
)


@dataclass(frozen=True)
class Counts:
    """Work of an operator, and the bytes that it touches.

    Attributes
    ----------
    macs, operations
        Multiply-accumulates; and everything else, one per element and elementary operation.
    weight_bytes, read_bytes, written_bytes
        Bytes of weights read, of other tensors read, and of tensors written.
    """

    macs: int
    operations: int
    weight_bytes: int
    read_bytes: int
    written_bytes: int

    @property
    def activation_bytes(self) -> int:
        """Bytes of everything but weights, read and written."""
        return self.read_bytes + self.written_bytes

    @property
    def intensity(self) -> float:
        """Operations per byte touched; a multiply-accumulate is two operations."""
        return (2 * self.macs + self.operations) / (self.weight_bytes + self.activation_bytes)


def operator_counts(problem: Problem, tiling: Tiling) -> dict[str, Counts]:
    """Counts of each operator as a whole: every element that it touches counts once, however many tiles do.

    Parameters
    ----------
    problem
        What is computed.
    tiling
        Which operators there are, and which states leave their tiles.
    """
    return graph_counts(problem_graph(problem, scan=tiling.scan), tiling)


def graph_counts(graph: OperatorGraph, tiling: Tiling) -> dict[str, Counts]:
    """The same for any operator graph."""
    return {operator.name: _counts(graph, operator, tiling) for operator in graph.operators}


def operations(problem: Problem, tiling: Tiling) -> dict[str, int]:
    """How often each elementary operation is done on one element, by all layers together.

    Parameters
    ----------
    problem
        What is computed.
    tiling
        Which operators there are, and which work is done again for every piece of a dimension.
    """
    counts: dict[str, int] = {}
    for operator in problem_graph(problem, scan=tiling.scan).operators:
        for step in operator.steps:
            done = step.count * step_points(operator, step) * _repeats(operator, step, tiling)
            counts[step.operation] = counts.get(step.operation, 0) + problem.layers * done
    return counts


def roofline_cycles(problem: Problem, tiling: Tiling) -> dict[str, int]:
    """Cycles below which each operator cannot run on its own, with operands from DRAM and results to DRAM.

    The larger of its work, shared by all cores that can do it, and its bytes over all channels of DRAM.
    """
    return graph_roofline_cycles(problem_graph(problem, scan=tiling.scan), problem.hardware, tiling)


def graph_roofline_cycles(graph: OperatorGraph, hardware: Hardware, tiling: Tiling) -> dict[str, int]:
    """The same for any operator graph."""
    counts = graph_counts(graph, tiling)
    bandwidth = sum(channel.bandwidth * channel.lanes for channel in hardware.channels if "dram" in channel.connects)
    floors = {}
    for operator in graph.operators:
        rates = [_rate(operator, core) for core in hardware.cores if operator.kernel in core.runs]
        traffic = Fraction(counts[operator.name].weight_bytes + counts[operator.name].activation_bytes, bandwidth)
        floors[operator.name] = math.ceil(max(1 / sum(rates, Fraction(0)), traffic))
    return floors


def _rate(operator: Operator, core: CoreGroup) -> Fraction:
    """Share of the operator that the cores of a group do per cycle."""
    return core.count / operator_cycles_floor(operator, core)


def _counts(graph: OperatorGraph, operator: Operator, tiling: Tiling) -> Counts:
    macs = operations = 0
    for step in operator.steps:
        done = step.count * step_points(operator, step) * _repeats(operator, step, tiling)
        if step.operation == "mac":
            macs += done
        else:
            operations += done
    weights = activations = 0
    for tensor, n_bytes in _touched(graph, operator, operator.reads, tiling).items():
        if graph.tensors[tensor].kind == WEIGHT:
            weights += n_bytes
        else:
            activations += n_bytes
    written = sum(_touched(graph, operator, operator.writes, tiling).values())
    return Counts(macs, operations, weights, activations, written)


def _repeats(operator: Operator, step: Step, tiling: Tiling) -> int:
    """How many tiles do a step on the same elements: one for each piece of a dimension that the step does not have."""
    own = (*step.dims, *step.serial, "S", "L", *((step.only_first,) if step.only_first else ()))
    return math.prod(len(boundaries(operator, dim, tiling)) - 1 for dim in operator.dims if dim not in own)


def _touched(
    graph: OperatorGraph, operator: Operator, accesses: tuple[Access, ...], tiling: Tiling
) -> Mapping[str, int]:
    """Bytes of each tensor that some tile accesses."""
    touched: dict[str, list[_Covered]] = {}
    for access in accesses:
        covered = _covered(operator, access, graph.tensors[access.tensor], tiling)
        touched.setdefault(access.tensor, []).append(covered)
    return {name: _size_of_union(every) * graph.tensors[name].element_bytes for name, every in touched.items()}


_Covered = dict[tuple[int, ...], npt.NDArray[np.bool_]]
"""What an access covers: for each set of axes of its tensor a mask; altogether, the product of these sets."""


def _covered(operator: Operator, access: Access, tensor: Tensor, tiling: Tiling) -> _Covered:
    """The part of a tensor that some tile accesses. Tiles are a grid, so each of their dimensions counts for itself.

    A dimension selects ranges along one axis, or along several: blocks on a diagonal.
    """
    axes: dict[str, list[int]] = {}
    for axis, index in enumerate(access.indices):
        axes.setdefault(index.dim, []).append(axis)
    covered = {}
    for dim, together in axes.items():
        cuts = boundaries(operator, dim, tiling)
        extents = [tensor.extents[axis] for axis in together]
        ends = [
            access.indices[axis].select(cuts[:-1], cuts[1:], extent)
            for axis, extent in zip(together, extents, strict=True)
        ]
        if len(together) == 1:
            covered[tuple(together)] = _covered_axis(*ends[0], extents[0])
            continue
        mask = np.zeros([len(extent) for extent in extents], dtype=np.bool_)
        for tile in range(len(cuts) - 1):
            mask[
                tuple(
                    slice(low[tile] - extent.low, high[tile] - extent.low)
                    for (low, high), extent in zip(ends, extents, strict=True)
                )
            ] = True
        covered[tuple(together)] = mask
    return covered


def _covered_axis(low: IntArray, high: IntArray, extent: Extent) -> npt.NDArray[np.bool_]:
    """Which positions of an axis lie in at least one of the ranges ``[low, high)``."""
    begun = np.zeros(len(extent) + 1, dtype=np.int64)
    some = high > low
    np.add.at(begun, low[some] - extent.low, 1)
    np.add.at(begun, high[some] - extent.low, -1)
    return np.cumsum(begun[:-1]) > 0


def _size_of_union(every: list[_Covered]) -> int:
    """Number of elements that at least one of several accesses to a tensor covers (inclusion and exclusion)."""
    size = 0
    for several in range(1, len(every) + 1):
        for chosen in itertools.combinations(every, several):
            shared = math.prod(
                int(np.logical_and.reduce([covered[axes] for covered in chosen]).sum()) for axes in chosen[0]
            )
            size -= (-1) ** several * shared
    return size
