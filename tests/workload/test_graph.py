"""The operator graph against the table of the block's operators."""

from __future__ import annotations

import dataclasses

import networkx as nx
import pytest

from ssmopt.instance import INPUT, INTERMEDIATE, WEIGHT
from ssmopt.library import load_hardware, load_model
from ssmopt.problem import Problem
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.operators import OperatorGraph

from .elements import OPERATORS, STATE_UPDATE, SUMMED, TENSORS, WEIGHTS

EDGES = {
    ("rms_norm", "in_proj"): "u",
    ("in_proj", "conv1d"): "x_branch",
    ("in_proj", "silu_z"): "z",
    ("conv1d", "silu_x"): "c",
    ("silu_x", "x_proj"): "xc",
    ("silu_x", "mul_dBx"): "xc",
    ("silu_x", "skip_D"): "xc",
    ("x_proj", "dt_proj"): "dt_r",
    ("x_proj", "mul_dB"): "B",
    ("x_proj", "mul_hC"): "C",
    ("dt_proj", "softplus"): "dt_raw",
    ("softplus", "mul_dA"): "dt",
    ("softplus", "mul_dB"): "dt",
    ("mul_dA", "exp_dA"): "dA",
    ("exp_dA", "mul_hA"): "Abar",
    ("mul_dB", "mul_dBx"): "dB",
    ("mul_dBx", "add_h"): "dBx",
    ("mul_hA", "add_h"): "hA",
    ("add_h", "mul_hA"): "h",
    ("add_h", "mul_hC"): "h",
    ("mul_hC", "skip_D"): "y",
    ("skip_D", "gate"): "y_skip",
    ("silu_z", "gate"): "sz",
    ("gate", "out_proj"): "gated",
    ("out_proj", "residual"): "o",
}
PROBLEM = Problem("p", load_model("mamba-tiny"), load_hardware("tiny"), 5)
SIZES = {"L": 5, "D": 8, "E": 16, "N": 4, "R": 1, "W": 4}


def graph_of(*, scan: bool = False, **changes: str) -> OperatorGraph:
    return problem_graph(dataclasses.replace(PROBLEM, **changes), scan=scan)


def edges_of(graph: OperatorGraph) -> dict[tuple[str, str], str]:
    return {(a, b): data["tensor"] for a, b, data in graph.graph.edges(data=True)}


def test_a_block_has_the_19_operators_of_the_table() -> None:
    graph = graph_of()
    assert isinstance(graph.graph, nx.DiGraph)
    assert list(graph.graph) == [operator.name for operator in graph.operators] == list(OPERATORS)
    assert len(graph.operators) == 19
    assert edges_of(graph) == EDGES
    for name in OPERATORS:
        assert graph.graph.nodes[name]["operator"] is graph.operator(name)


def test_only_the_state_goes_round_in_a_circle() -> None:
    assert [sorted(cycle) for cycle in nx.simple_cycles(graph_of().graph)] == [["add_h", "mul_hA"]]


@pytest.mark.parametrize("name", OPERATORS)
def test_iteration_spaces_are_those_of_the_table(name: str) -> None:
    operator = graph_of().operator(name)
    columns = {"in_proj": 32, "x_proj": 9}
    assert dict(operator.dims) == {d: columns[name] if d == "K" else SIZES[d] for d in OPERATORS[name].split()}
    assert operator.reduces == ((SUMMED[name],) if name in SUMMED else ())


def test_kernels_are_what_array_vector_needs() -> None:
    """Matrix products on one kind of core, the convolution and the sum over the state with the rest."""
    kernels = {operator.name: operator.kernel for operator in graph_of().operators}
    assert [n for n, kernel in kernels.items() if kernel == "gemm"] == ["in_proj", "x_proj", "dt_proj", "out_proj"]
    assert kernels["conv1d"] == "depthwise"
    assert kernels["mul_hC"] == "reduction"
    assert set(kernels.values()) == {"gemm", "depthwise", "reduction", "elementwise"}


def test_tensors_have_the_shapes_and_kinds_of_the_table() -> None:
    graph = graph_of()
    assert set(graph.tensors) == set(TENSORS)
    columns = {"W_in": 32, "W_x": 9}
    for name, tensor in graph.tensors.items():
        sizes = [columns[name] if d == "K" else SIZES[d] for d in TENSORS[name].split()]
        sizes[0] += {"h": 1, "x_branch": 3}.get(name, 0)
        assert [len(extent) for extent in tensor.extents] == sizes, name
        assert tensor.kind == (WEIGHT if name in WEIGHTS else INPUT if name == "x" else INTERMEDIATE)
    assert [n for n, tensor in graph.tensors.items() if tensor.output_from is not None] == ["x_branch", "h", "out"]


def test_the_state_update_alone_takes_what_comes_before_as_inputs() -> None:
    graph = graph_of(scope="state-update")
    assert [operator.name for operator in graph.operators] == list(STATE_UPDATE)
    assert edges_of(graph) == {ends: t for ends, t in EDGES.items() if set(ends) <= set(STATE_UPDATE)}
    kinds = {name: tensor.kind for name, tensor in graph.tensors.items() if tensor.kind != INTERMEDIATE}
    assert kinds == {"xc": INPUT, "B": INPUT, "C": INPUT, "dt": INPUT, "A": WEIGHT}
    assert graph.tensors["y"].output_from == 0
    assert graph.tensors["h"].output_from == 4


def test_a_zero_initial_state_leaves_nothing_from_before() -> None:
    for state, first in (("load", (-1, -3)), ("zero", (0, 0))):
        tensors = graph_of(initial_state=state).tensors
        assert (tensors["h"].extents[0].low, tensors["x_branch"].extents[0].low) == first


def test_a_scan_stands_for_the_three_sequential_operators() -> None:
    graph = graph_of(scan=True)
    names = [n for n in OPERATORS if n not in ("mul_hA", "add_h", "mul_hC")]
    names.insert(11, "scan")
    assert [operator.name for operator in graph.operators] == names
    edges = edges_of(graph)
    into = {a: tensor for (a, b), tensor in edges.items() if b == "scan" and a != "scan"}
    assert into == {"exp_dA": "Abar", "mul_dBx": "dBx", "x_proj": "C"}
    assert edges["scan", "skip_D"] == "y"
    assert edges["scan", "scan"] == "h"
    assert "hA" not in graph.tensors
