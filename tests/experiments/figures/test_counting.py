"""The numbers behind ``roofline`` and ``operations``."""

from __future__ import annotations

import pandas as pd
import pytest

from ssmopt.experiments.figures import counting
from ssmopt.experiments.figures.base import FigureOptions
from ssmopt.experiments.figures.counting import count_types, operator_type, peak_operations_per_cycle
from ssmopt.library import load_hardware, load_model
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.counts import operator_counts, roofline_cycles
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.transformer import OPT_2_7B, transformer_graph


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return count_types(FigureOptions(quick=True))


def row_of(frame: pd.DataFrame, **values: object) -> pd.Series:
    for name, value in values.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_one_row_per_model_phase_length_and_type(frame: pd.DataFrame) -> None:
    assert not frame.duplicated(["model", "phase", "seq_len", "operator_type", "fusion"]).any()
    assert set(frame["seq_len"]) == {64, 1024, 16384}
    mamba = {"projections", "state update", "convolution", "elementwise", "normalisation"}
    transformer = {"projections", "attention", "softmax", "elementwise", "normalisation"}
    for (model, _, _), rows in frame.groupby(["model", "phase", "seq_len"]):
        assert set(rows["operator_type"]) == (transformer if model == "opt-2.7b" else mamba)


def test_types_add_up_to_the_operators(frame: pd.DataFrame) -> None:
    model, hardware = load_model("mamba1-2.7b-n64"), load_hardware("marca")
    for tokens, phase, seq_len in ((1024, "prefill", 1024), (1, "decode", 16384)):
        problem = Problem("p", model, hardware, tokens)
        counts = operator_counts(problem, Tiling())
        mine = frame[(frame["model"] == model.name) & (frame["phase"] == phase) & (frame["seq_len"] == seq_len)]
        unfused = mine[mine["fusion"] == "unfused"]
        expected = sum(2 * count.macs + count.operations for count in counts.values())
        assert unfused["operations"].sum() == model.layers * expected
        n_bytes = sum(count.weight_bytes + count.activation_bytes for count in counts.values())
        assert unfused["memory_bytes"].sum() == model.layers * n_bytes
        cycles = sum(roofline_cycles(problem, Tiling()).values())
        assert unfused["roofline_cycles"].sum() == model.layers * cycles


def test_the_state_update_by_hand(frame: pd.DataFrame) -> None:
    tokens, inner, state, layers = 1024, 5120, 64, 64
    unfused, fused = (
        row_of(frame, model="mamba1-2.7b-n64", phase="prefill", seq_len=tokens, operator_type="state update", fusion=f)
        for f in ("unfused", "fused")
    )
    elements = tokens * inner * state
    assert unfused["operations"] == fused["operations"] == layers * 8 * elements
    # Seven operators write six tensors of that size and read seven; then A, and dt twice, xc, y, B and C.
    large, once = 4 * elements * (6 + 7), 4 * inner * state
    vectors = 4 * tokens * (4 * inner + 2 * state)
    assert unfused["memory_bytes"] == layers * (large + once + vectors)
    # dt, xc, y, B and C; A, the first state and the last.
    through = 4 * (tokens * (3 * inner + 2 * state) + 3 * inner * state)
    assert fused["memory_bytes"] == layers * through
    assert fused["roofline_ms"] < unfused["roofline_ms"] / 20


def test_decode_does_not_depend_on_the_length_but_for_attention(frame: pd.DataFrame) -> None:
    decode = frame[frame["phase"] == "decode"]
    for (_, kind, _), rows in decode.groupby(["model", "operator_type", "fusion"]):
        same = rows["operations"].nunique() == 1
        assert same == (kind not in ("attention", "softmax"))


def test_intensity_and_latency_are_consistent(frame: pd.DataFrame) -> None:
    peak = peak_operations_per_cycle(load_hardware("marca"))
    assert peak == 2 * 8192
    assert (frame["intensity"] == frame["operations"] / frame["memory_bytes"]).all()
    rate = frame["operations"] / frame["roofline_cycles"]
    assert (rate <= peak).all()
    assert (rate <= 256 * frame["intensity"] * (1 + 1e-9)).all()
    assert (frame["roofline_ms"] == frame["roofline_cycles"] / 1e6).all()


def test_every_operator_of_every_family_has_a_type() -> None:
    hardware = load_hardware("marca")
    for name, form in (("mamba-tiny", "recurrent"), ("mamba2-tiny", "recurrent"), ("mamba2-tiny", "chunked")):
        graph = problem_graph(Problem("p", load_model(name), hardware, 8, form=form))
        types = {operator.name: operator_type(operator.name) for operator in graph.operators}
        assert set(types.values()) <= set(counting.TYPES)
        assert types["in_proj"] == types["out_proj"] == "projections"
        assert types["rms_norm"] == "normalisation"
        assert types["residual"] == types["gate" if "gate" in types else "silu_z"] == "elementwise"
        assert "state update" in types.values()
    types = {operator.name: operator_type(operator.name) for operator in transformer_graph(OPT_2_7B, 2, 4).operators}
    assert types["relu"] == "elementwise"
    assert types["attention_projection"] == "projections"
