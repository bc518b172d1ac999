"""A transformer's operators against the counts that one writes down by hand."""

from __future__ import annotations

import pytest

from ssmopt.errors import InputError
from ssmopt.tiling import Tiling
from ssmopt.workload.counts import Counts, graph_counts
from ssmopt.workload.transformer import OPT_2_7B, Transformer, transformer_graph

D, H, F = 8, 2, 32
SMALL = Transformer("small", layers=3, d_model=D, heads=H, d_ff=F)
WHOLE = Tiling(tokens=2**31)


@pytest.mark.parametrize(("tokens", "context"), [(5, 5), (1, 5), (3, 7)])
def test_counts_of_every_operator(tokens: int, context: int) -> None:
    counts = graph_counts(transformer_graph(SMALL, tokens, context, element_bytes=2), WHOLE)
    rows, scores = tokens * D, H * tokens * context
    per_token = tokens * 3
    norm = Counts(0, 7 * rows + per_token, 2 * 2 * D, 2 * rows, 2 * rows)
    residual = Counts(0, rows, 0, 4 * rows, 2 * rows)
    assert counts == {
        "norm_1": norm,
        "qkv_projection": Counts(3 * rows * D, 3 * rows, 2 * (3 * D * D + 3 * D), 2 * rows, 2 * 3 * rows),
        # Each head multiplies D / H channels; the scale is put on the queries.
        "attention_scores": Counts(scores * D // H, rows, 0, 2 * (rows + context * D), 2 * scores),
        "softmax": Counts(0, 5 * scores, 0, 2 * scores, 2 * scores),
        "attention_values": Counts(scores * D // H, 0, 0, 2 * (scores + context * D), 2 * rows),
        "attention_projection": Counts(rows * D, rows, 2 * (D * D + D), 2 * rows, 2 * rows),
        "residual_1": residual,
        "norm_2": norm,
        "up_projection": Counts(rows * F, tokens * F, 2 * (D * F + F), 2 * rows, 2 * tokens * F),
        "relu": Counts(0, tokens * F, 0, 2 * tokens * F, 2 * tokens * F),
        "down_projection": Counts(rows * F, rows, 2 * (D * F + D), 2 * tokens * F, 2 * rows),
        "residual_2": residual,
    }


def test_the_published_size_of_opt() -> None:
    """2.65 billion parameters (Zhang et al., 2022) are blocks, 50,272 words and 2,050 positions; the last norm."""
    counts = graph_counts(transformer_graph(OPT_2_7B, 1, 1), WHOLE)
    blocks = OPT_2_7B.layers * sum(count.weight_bytes for count in counts.values()) // 4
    assert blocks + (50_272 + 2_050) * OPT_2_7B.d_model + 2 * OPT_2_7B.d_model == 2_651_596_800


def test_what_cannot_be() -> None:
    with pytest.raises(InputError, match="divisor of d_model"):
        Transformer("odd", layers=1, d_model=10, heads=3, d_ff=4)
    with pytest.raises(InputError, match="positive"):
        Transformer("none", layers=0, d_model=8, heads=2, d_ff=4)
    with pytest.raises(InputError, match="1 to 4 tokens"):
        transformer_graph(SMALL, 5, 4)
