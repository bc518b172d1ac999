"""The operator graph of a transformer's block, to count its operations beside those of a state space model.

Only counted, never tiled or scheduled: attention reads every earlier token.
"""

from __future__ import annotations

from dataclasses import dataclass

from ssmopt.errors import InputError
from ssmopt.instance import INPUT, WEIGHT
from ssmopt.workload.operators import (
    Access,
    Extent,
    Index,
    Operator,
    OperatorGraph,
    Step,
    Tensor,
    access,
    assemble,
)


@dataclass(frozen=True)
class Transformer:
    """Dimensions of a decoder-only transformer with a plain feed-forward network (OPT, GPT-2), in elements.

    Attributes
    ----------
    name
        Name, as in tables.
    layers
        Number of identical blocks.
    d_model, heads, d_ff
        Width of the residual stream, heads that it is divided among, and width of the feed-forward network.
    """

    name: str
    layers: int
    d_model: int
    heads: int
    d_ff: int

    def __post_init__(self) -> None:
        for name in ("layers", "d_model", "heads", "d_ff"):
            if getattr(self, name) <= 0:
                raise InputError(f"expected a positive whole number, not {getattr(self, name)}", key=name)
        if self.d_model % self.heads:
            raise InputError(f"expected a divisor of d_model = {self.d_model}, not {self.heads}", key="heads")


OPT_2_7B = Transformer("opt-2.7b", layers=32, d_model=2560, heads=32, d_ff=10240)
"""The published configuration of OPT-2.7B (Zhang et al., 2022), a transformer of the size of mamba-2.8b."""


def transformer_graph(model: Transformer, tokens: int, context: int, element_bytes: int = 4) -> OperatorGraph:
    """Operator graph of one block, layer by layer: the scores are computed in full, written, and read again.

    Parameters
    ----------
    model
        Dimensions.
    tokens
        Tokens that are computed: the whole prompt in prefill, one in decode.
    context
        Tokens that they attend to, themselves included; keys and values of the others are in the cache.
    element_bytes
        Bytes of every element.

    Raises
    ------
    InputError
        The context is shorter than the tokens.
    """
    if not 1 <= tokens <= context:
        raise InputError(f"expected 1 to {context} tokens, the length of the context, not {tokens}")
    width, heads = model.d_model, model.heads
    rows, columns = Extent("L", 0, tokens), Extent("D", 0, width)
    cached, hidden = Extent("T", 0, context), Extent("F", 0, model.d_ff)

    def tensor(name: str, *extents: Extent, kind: int | None = None) -> Tensor:
        return Tensor(name, extents, element_bytes) if kind is None else Tensor(name, extents, element_bytes, kind)

    scores = (Extent("H", 0, heads), rows, cached)
    tensors = [
        tensor("x", rows, columns, kind=INPUT),
        *(tensor(name, rows, columns) for name in ("a", "q", "heads_out", "o", "x_mid", "b", "down", "out")),
        *(tensor(name, cached, columns) for name in ("k", "v")),
        *(tensor(name, *scores) for name in ("scores", "weights")),
        *(tensor(name, rows, hidden) for name in ("up", "up_relu")),
        *(tensor(f"{part}_{norm}", columns, kind=WEIGHT) for norm in ("norm_1", "norm_2") for part in ("g", "b")),
        tensor("W_qkv", columns, Extent("K", 0, 3 * width), kind=WEIGHT),
        tensor("b_qkv", Extent("K", 0, 3 * width), kind=WEIGHT),
        tensor("W_o", columns, Extent("J", 0, width), kind=WEIGHT),
        tensor("b_o", Extent("J", 0, width), kind=WEIGHT),
        tensor("W_up", columns, hidden, kind=WEIGHT),
        tensor("b_up", hidden, kind=WEIGHT),
        tensor("W_down", hidden, columns, kind=WEIGHT),
        tensor("b_down", columns, kind=WEIGHT),
    ]
    return assemble(_operators(model, tokens, context), tensors)


def _operators(model: Transformer, tokens: int, context: int) -> tuple[Operator, ...]:
    width, heads, past = model.d_model, model.heads, context - tokens
    attention = {"H": heads, "L": tokens, "T": context, "P": width // heads}
    every_score = ("H", "L", "T")
    new = Index.shifted("L", past)
    return (
        _layer_norm("norm_1", "x", "a", tokens, width),
        _linear(
            "qkv_projection", "W_qkv", "b_qkv", access("a", "L", "D"),
            (
                access("q", "L", "K"),
                access("k", new, Index.shifted("K", -width)),
                access("v", new, Index.shifted("K", -2 * width)),
            ),
            {"L": tokens, "D": width, "K": 3 * width},
        ),
        Operator(
            "attention_scores",
            attention,
            "gemm",
            (access("q", "L", Index.whole("H")), access("k", "T", Index.whole("H"))),
            (access("scores", *every_score),),
            (Step("mac", (*every_score, "P")), Step("multiply", ("H", "L", "P"))),
            reduces=("P",),
        ),
        Operator(
            "softmax",
            {name: attention[name] for name in every_score},
            "reduction",
            (access("scores", *every_score),),
            (access("weights", *every_score),),
            # Largest, difference and sum of every row; exponential and quotient of every score.
            (Step("add", every_score, 3), Step("exp", every_score), Step("multiply", every_score)),
        ),
        Operator(
            "attention_values",
            attention,
            "gemm",
            (access("weights", *every_score), access("v", "T", Index.whole("H"))),
            (access("heads_out", "L", Index.whole("H")),),
            (Step("mac", (*every_score, "P")),),
            reduces=("T",),
        ),
        _linear(
            "attention_projection", "W_o", "b_o", access("heads_out", "L", "D"), (access("o", "L", "J"),),
            {"L": tokens, "D": width, "J": width},
        ),
        _residual("residual_1", "o", "x", "x_mid", tokens, width),
        _layer_norm("norm_2", "x_mid", "b", tokens, width),
        _linear(
            "up_projection", "W_up", "b_up", access("b", "L", "D"), (access("up", "L", "F"),),
            {"L": tokens, "D": width, "F": model.d_ff},
        ),
        Operator(
            "relu",
            {"L": tokens, "F": model.d_ff},
            "elementwise",
            (access("up", "L", "F"),),
            (access("up_relu", "L", "F"),),
            (Step("add", ("L", "F")),),
        ),
        _linear(
            "down_projection", "W_down", "b_down", access("up_relu", "L", "F"), (access("down", "L", "D"),),
            {"L": tokens, "F": model.d_ff, "D": width},
        ),
        _residual("residual_2", "down", "x_mid", "out", tokens, width),
    )  # fmt: skip


def _linear(
    name: str, weight: str, bias: str, read: Access, writes: tuple[Access, ...], dims: dict[str, int]
) -> Operator:
    """A matrix product with a bias; ``dims`` are rows, the length of the sum, and columns."""
    _, reduced, column = dims
    return Operator(
        name,
        dims,
        "gemm",
        (read, access(weight, reduced, column), access(bias, column)),
        writes,
        (Step("mac", ("L", reduced, column)), Step("add", ("L", column))),
        reduces=(reduced,),
    )


def _layer_norm(name: str, read: str, written: str, tokens: int, width: int) -> Operator:
    """Two sums, a difference and a shift of every element; its square, scale and weight; and four steps per token."""
    rows = ("L", "D")
    return Operator(
        name,
        {"L": tokens, "D": width},
        "reduction",
        (access(read, *rows), access(f"g_{name}", "D"), access(f"b_{name}", "D")),
        (access(written, *rows),),
        (Step("add", rows, 4), Step("multiply", rows, 3), Step("multiply", ("L",), 2), Step("rsqrt", ("L",))),
    )


def _residual(name: str, read: str, other: str, written: str, tokens: int, width: int) -> Operator:
    rows = ("L", "D")
    return Operator(
        name,
        {"L": tokens, "D": width},
        "elementwise",
        (access(read, *rows), access(other, *rows)),
        (access(written, *rows),),
        (Step("add", rows),),
    )
