"""The operator graphs of Mamba-2 against its equations."""

from __future__ import annotations

import dataclasses

import networkx as nx
import pytest

from ssmopt.errors import InputError
from ssmopt.instance import INPUT, INTERMEDIATE, WEIGHT
from ssmopt.library import load_hardware, load_model
from ssmopt.problem import FORMS, Problem
from ssmopt.workload.graph import STATE_UPDATE, problem_graph, projection_shapes
from ssmopt.workload.operators import OperatorGraph

from .elements2 import BACK, CHUNKED, FRONT, RECURRENT, SUMMED, WEIGHTS, Block2

FRONT_EDGES = {
    ("rms_norm", "in_proj"): "u",
    ("in_proj", "conv1d"): "xBC",
    ("in_proj", "silu_z"): "z",
    ("in_proj", "softplus"): "dt_raw",
    ("conv1d", "silu_xBC"): "c",
    ("silu_xBC", "mul_dtx"): "xc",
    ("silu_xBC", "skip_D"): "xc",
    ("softplus", "mul_dA"): "dt",
    ("softplus", "mul_dtx"): "dt",
}
BACK_EDGES = {
    ("skip_D", "gate"): "y_skip",
    ("silu_z", "gate"): "sz",
    ("gate", "norm_square"): "gated",
    ("gate", "norm_scale"): "gated",
    ("norm_square", "norm_scale"): "ss",
    ("norm_scale", "out_proj"): "normed",
    ("out_proj", "residual"): "o",
}
RECURRENT_EDGES = {
    ("mul_dA", "exp_dA"): "dA",
    ("exp_dA", "mul_hA"): "Abar",
    ("mul_dtx", "mul_dBx"): "dtx",
    ("silu_xBC", "mul_dBx"): "B",
    ("silu_xBC", "mul_hC"): "C",
    ("mul_dBx", "add_h"): "dBx",
    ("mul_hA", "add_h"): "hA",
    ("add_h", "mul_hA"): "h",
    ("add_h", "mul_hC"): "h",
    ("mul_hC", "skip_D"): "y",
}
CHUNKED_EDGES = {
    ("mul_dA", "cumsum_dA"): "dA",
    ("cumsum_dA", "decay_start"): "s",
    ("cumsum_dA", "decay_end"): "s",
    ("cumsum_dA", "decay_mask"): "s",
    ("decay_mask", "mul_mask"): "M",
    ("chunk_CB", "mul_mask"): "CB",
    ("mul_mask", "chunk_diag"): "CBM",
    ("mul_dtx", "chunk_diag"): "dtx",
    ("mul_dtx", "mul_decay"): "dtx",
    ("decay_end", "mul_decay"): "decay_end",
    ("mul_decay", "chunk_state"): "dtx_end",
    ("silu_xBC", "chunk_state"): "B",
    ("chunk_state", "pass_state"): "S",
    ("decay_start", "pass_state"): "decay_start",
    ("pass_state", "pass_state"): "h",
    ("pass_state", "chunk_off"): "h",
    ("silu_xBC", "chunk_off"): "C",
    ("chunk_diag", "add_off"): "y_diag",
    ("chunk_off", "add_off"): "y_off",
    ("decay_start", "add_off"): "decay_start",
    ("add_off", "skip_D"): "y",
}
PROBLEM = Problem("p", load_model("mamba2-tiny"), load_hardware("tiny"), 10)


def graph_of(*, scan: bool = False, **changes: str) -> OperatorGraph:
    return problem_graph(dataclasses.replace(PROBLEM, **changes), scan=scan)  # type: ignore[arg-type]


def edges_of(graph: OperatorGraph) -> dict[tuple[str, str], str]:
    return {(a, b): data["tensor"] for a, b, data in graph.graph.edges(data=True)}


def test_the_recurrent_form() -> None:
    graph = graph_of()
    assert [operator.name for operator in graph.operators] == [*FRONT, *RECURRENT, *BACK]
    assert edges_of(graph) == FRONT_EDGES | RECURRENT_EDGES | BACK_EDGES
    assert [sorted(cycle) for cycle in nx.simple_cycles(graph.graph)] == [["add_h", "mul_hA"]]


def test_the_chunked_form() -> None:
    graph = graph_of(form="chunked")
    assert [operator.name for operator in graph.operators] == [*FRONT, *CHUNKED, *BACK]
    # chunk_CB reads both B and C of the same operator, of which the graph shows one.
    both = edges_of(graph)
    assert both.pop(("silu_xBC", "chunk_CB")) in ("B", "C")
    assert {a.tensor for a in graph.operator("chunk_CB").reads} == {"B", "C"}
    assert both == FRONT_EDGES | CHUNKED_EDGES | BACK_EDGES
    assert [sorted(cycle) for cycle in nx.simple_cycles(graph.graph)] == [["pass_state"]]
    assert [o.name for o in graph_of(form="chunked", scan=True).operators] == [o.name for o in graph.operators]  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
def test_shapes_and_kinds(form: str) -> None:
    graph, block = graph_of(form=form), Block2(dataclasses.replace(PROBLEM, form=form))
    assert set(graph.tensors) == set(block.tensors)
    for name, tensor in graph.tensors.items():
        assert [(e.low, e.high) for e in tensor.extents] == block.extents(name), name
        assert tensor.kind == (WEIGHT if name in WEIGHTS else INPUT if name == "x" else INTERMEDIATE)
    assert [n for n, t in graph.tensors.items() if t.output_from is not None] == ["xBC", "h", "out"]
    for operator in graph.operators:
        assert dict(operator.dims) == block.dims(operator.name)
        assert operator.reduces == ((SUMMED[operator.name],) if operator.name in SUMMED else ())


@pytest.mark.parametrize("form", FORMS)
def test_matrix_products_run_where_matrix_products_do(form: str) -> None:
    kernels = {operator.name: operator.kernel for operator in graph_of(form=form).operators}
    gemm = [name for name, kernel in kernels.items() if kernel == "gemm"]
    within = ["chunk_CB", "chunk_diag", "chunk_state", "chunk_off"] if form == "chunked" else []
    assert gemm == ["in_proj", *within, "out_proj"]
    assert kernels["conv1d"] == "depthwise"


@pytest.mark.parametrize("form", FORMS)
def test_the_state_update_alone(form: str) -> None:
    graph = graph_of(scope="state-update", form=form)
    names = list(CHUNKED if form == "chunked" else RECURRENT)
    assert [operator.name for operator in graph.operators] == names
    assert set(names) <= set(STATE_UPDATE)
    inputs = {name for name, tensor in graph.tensors.items() if tensor.kind == INPUT}
    assert inputs == {"xc", "B", "C", "dt"}
    assert graph.tensors["y"].output_from == 0


def test_states_are_counted_in_tokens_or_in_chunks() -> None:
    """Ten tokens are two chunks of four and one of two."""
    for form, states in (("recurrent", 10), ("chunked", 3)):
        for initial_state, first in (("load", -1), ("zero", 0)):
            h = graph_of(form=form, initial_state=initial_state).tensors["h"]
            assert (h.extents[0].low, h.extents[0].high, h.output_from) == (first, states, states - 1)


def test_several_sequences_share_the_weights() -> None:
    batch = problem_graph(dataclasses.replace(PROBLEM, batch=3))
    for name, tensor in graph_of().tensors.items():
        extents = [len(extent) for extent in tensor.extents]
        assert [len(e) for e in batch.tensors[name].extents] == (extents if name in WEIGHTS else [3, *extents])


def test_projections_have_the_columns_that_can_be_cut() -> None:
    """z and x; B, C and dt follow."""
    shapes = {name: (shape.rows, shape.columns) for name, shape in projection_shapes(PROBLEM).items()}
    assert shapes == {"in_proj": (8, 32), "out_proj": (16, 8)}
    one = dataclasses.replace(PROBLEM, model=load_model("mamba-tiny"))
    shapes = {name: (shape.rows, shape.columns) for name, shape in projection_shapes(one).items()}
    assert shapes == {"in_proj": (8, 32), "x_proj": (16, 9), "dt_proj": (1, 16), "out_proj": (16, 8)}


def test_mamba1_has_no_chunked_form() -> None:
    with pytest.raises(InputError, match="form: models of family 'mamba' have no chunked form"):
        dataclasses.replace(PROBLEM, model=load_model("mamba-tiny"), form="chunked")
