"""What tiles need resident, known without making them; and what some tile needs under every tiling."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import core_group, hardware, problems, tiled_problems, tilings

import ssmopt
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.needs import count_pieces, finest_tiling, largest_need, least_capacity, least_need
from ssmopt.workload.tiles import build_tiles

FAMILIES = pytest.mark.parametrize("family", ["mamba", "mamba2"])


@FAMILIES
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_needs_are_those_of_the_tiles(family: str, data: st.DataObject) -> None:
    problem, tiling = data.draw(tiled_problems(family=family, batches=(1, 2)))
    instance, graph = build_tiles(problem, tiling), problem_graph(problem, scan=tiling.scan)
    assert instance.meta is not None
    for number, operator in enumerate(graph.operators):
        tiles = instance.meta.operator == number
        need = largest_need(graph, operator, tiling)
        assert need.n_bytes == instance.tile_need_bytes[tiles].max() == sum(need.parts.values())
        assert count_pieces(operator, tiling) == tiles.sum()


@FAMILIES
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_tiling_needs_less_than_the_least(family: str, data: st.DataObject) -> None:
    problem = data.draw(problems(family=family))
    tiling = data.draw(tilings(problem))
    graph = problem_graph(problem, scan=tiling.scan)
    for operator in graph.operators:
        least = least_need(graph, operator, finest_tiling(problem, scan=tiling.scan))
        assert least.n_bytes <= largest_need(graph, operator, tiling).n_bytes
    assert least_capacity(problem).n_bytes <= build_tiles(problem, tiling).minimum_capacity()[0]


@pytest.mark.parametrize("initial_state", ["load", "zero"])
@pytest.mark.parametrize("scope", ["block", "state-update"])
def test_the_least_is_reached_by_the_best_of_all_tilings(initial_state: str, scope: str) -> None:
    model = Model("small", "mamba", 1, 2, 2, 2, 2, 1)
    problem = Problem("small", model, hardware(core_group()), 2, scope=scope, initial_state=initial_state)
    projections = {
        "in_proj": ProjectionTiling(4, 2), "x_proj": ProjectionTiling(5, 2),
        "dt_proj": ProjectionTiling(2, 1), "out_proj": ProjectionTiling(2, 2),
    }  # fmt: skip
    pieces = (1, 2)
    needs = [
        build_tiles(
            problem,
            Tiling(tokens, state_tokens, scan, channels, states, projections, norm_tokens=norm_tokens),
        ).minimum_capacity()[0]
        for tokens, state_tokens, norm_tokens, channels, states, scan in itertools.product(
            pieces, pieces, pieces, pieces, pieces, (False, True)
        )
    ]
    assert least_capacity(problem).n_bytes == min(needs)


@pytest.mark.parametrize(
    ("model", "form", "length", "operator", "elements"),
    [
        # A row of x, the weights and a row of u.
        ("mamba1-2.7b-n64", "recurrent", 1, "rms_norm", 3 * 2560),
        ("mamba1-2.7b-n64", "recurrent", 1024, "rms_norm", 3 * 2560),
        ("mamba2-2.7b", "recurrent", 64, "rms_norm", 3 * 2560),
        ("mamba2-2.7b", "chunked", 64, "rms_norm", 3 * 2560),
        # One token's row of the mask, the head's inputs of all 256 tokens of the chunk, the head's result.
        ("mamba2-2.7b", "chunked", 1024, "chunk_diag", 256 + 256 * 64 + 64),
    ],
)
def test_least_capacities_of_published_models(model: str, form: str, length: int, operator: str, elements: int) -> None:
    machine = ssmopt.load_hardware("marca")
    least = least_capacity(Problem("p", ssmopt.load_model(model), machine, length, form=form))
    assert (least.operator, least.n_bytes) == (operator, 4 * elements)
