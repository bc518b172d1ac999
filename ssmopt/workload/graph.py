"""The operator graph of a problem, whatever its model family."""

from __future__ import annotations

from ssmopt.problem import Problem
from ssmopt.workload.mamba import mamba_graph
from ssmopt.workload.operators import OperatorGraph


def problem_graph(problem: Problem, *, scan: bool = False) -> OperatorGraph:
    """Operator graph of one block (or its state update) of the problem's model."""
    return mamba_graph(problem, scan=scan)
