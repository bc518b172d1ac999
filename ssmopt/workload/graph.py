"""The operator graph of a problem, whatever its model family."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ssmopt.problem import Problem
from ssmopt.tiling import PROJECTIONS
from ssmopt.workload.mamba import mamba_graph
from ssmopt.workload.mamba2 import mamba2_graph
from ssmopt.workload.operators import OperatorGraph

_GRAPHS = {"mamba": mamba_graph, "mamba2": mamba2_graph}

SEQUENTIAL = ("mul_hA", "add_h", "mul_hC", "scan")
"""Operators that work token after token."""

STATE_UPDATE = (
    "mul_dA", "exp_dA", "mul_dB", "mul_dtx", "mul_dBx", *SEQUENTIAL,
    "cumsum_dA", "decay_start", "decay_end", "decay_mask", "chunk_CB", "mul_mask", "chunk_diag", "mul_decay",
    "chunk_state", "pass_state", "chunk_off", "add_off",
)  # fmt: skip
"""Operators of the state update, in any family and form."""


def problem_graph(problem: Problem, *, scan: bool = False) -> OperatorGraph:
    """Operator graph of one block (or its state update) of the problem's model."""
    return _GRAPHS[problem.model.family](problem, scan=scan)


@dataclass(frozen=True)
class ProjectionShape:
    """Size of a projection: the length of its sum, and its output columns that can be cut anywhere."""

    rows: int
    columns: int


def projection_shapes(problem: Problem) -> dict[str, ProjectionShape]:
    """The projections of the problem's block, whatever its scope, in order."""
    shapes = {}
    for operator in problem_graph(replace(problem, scope="block")).operators:
        if operator.name in PROJECTIONS:
            (rows,) = operator.reduces
            (column,) = set(operator.dims) - {"S", "L", rows}
            cut = sum(operator.parts[column].main) if column in operator.parts else operator.dims[column]
            shapes[operator.name] = ProjectionShape(operator.dims[rows], cut)
    return shapes
