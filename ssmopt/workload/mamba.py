"""The operator graph of a Mamba-1 block (Gu and Dao, 2023, section 3; the design's table of operators)."""

from __future__ import annotations

from ssmopt.instance import INPUT, WEIGHT
from ssmopt.problem import Problem
from ssmopt.workload.operators import (
    Access,
    Extent,
    Index,
    Operator,
    OperatorGraph,
    Step,
    Tensor,
    operator_graph,
)

STATE_UPDATE = ("mul_dA", "exp_dA", "mul_dB", "mul_dBx", "mul_hA", "add_h", "mul_hC")
"""Operators of the selective state update, in order."""

SEQUENTIAL = ("mul_hA", "add_h", "mul_hC")
"""Operators that need the token before; one ``scan`` tile may stand for all three."""


def mamba_graph(problem: Problem, *, scan: bool) -> OperatorGraph:
    """Operator graph of one block, or of its state update alone.

    Parameters
    ----------
    problem
        Model, sequence length, scope, initial state and bytes per element.
    scan
        Whether ``mul_hA``, ``add_h`` and ``mul_hC`` are one operator ``scan``, whose tiles keep only the state
        between their tokens.
    """
    operators = _state_operators(problem, scan)
    if problem.scope == "block":
        operators = (*_front_operators(problem), *operators, *_back_operators(problem))
    used = {access.tensor for operator in operators for access in (*operator.reads, *operator.writes)}
    written = {access.tensor for operator in operators for access in operator.writes}
    tensors = {}
    for tensor in _tensors(problem):
        if tensor.name in used:
            outside = tensor.kind not in (WEIGHT, INPUT) and tensor.name not in written
            tensors[tensor.name] = _as_input(tensor) if outside else tensor
    return operator_graph(operators, tensors)


def _as_input(tensor: Tensor) -> Tensor:
    return Tensor(tensor.name, tensor.extents, tensor.element_bytes, INPUT)


def _tensors(problem: Problem) -> list[Tensor]:
    model, length, bytes_of = problem.model, problem.seq_len, problem.dtype
    inner, state, rank, taps = model.d_inner, model.d_state, model.dt_rank, model.d_conv
    token, channel, column = Extent("L", 0, length), Extent("E", 0, inner), Extent("N", 0, state)
    width = Extent("D", 0, model.d_model)
    loads_state = problem.initial_state == "load"

    def weight(name: str, *extents: Extent) -> Tensor:
        return Tensor(name, extents, bytes_of.weights, WEIGHT)

    def activation(name: str, *extents: Extent) -> Tensor:
        return Tensor(name, extents, bytes_of.activations)

    return [
        Tensor("x", (token, width), bytes_of.activations, INPUT),
        weight("g_norm", width),
        activation("u", token, width),
        weight("W_in", width, Extent("K", 0, 2 * inner)),
        # Tokens before 0 are the tail of the prompt so far; the last taps - 1 tokens are this prompt's tail.
        Tensor(
            "x_branch",
            (Extent("L", 1 - taps if loads_state else 0, length), channel),
            bytes_of.activations,
            output_from=length - (taps - 1),
            cuts=(0, length - (taps - 1)),
        ),
        activation("z", token, channel),
        weight("w_conv", channel, Extent("W", 0, taps)),
        weight("b_conv", channel),
        activation("c", token, channel),
        activation("xc", token, channel),
        weight("W_x", channel, Extent("K", 0, rank + 2 * state)),
        activation("dt_r", token, Extent("R", 0, rank)),
        activation("B", token, column),
        activation("C", token, column),
        weight("W_dt", Extent("R", 0, rank), channel),
        weight("b_dt", channel),
        activation("dt_raw", token, channel),
        activation("dt", token, channel),
        weight("A", channel, column),
        activation("dA", token, channel, column),
        activation("Abar", token, channel, column),
        activation("dB", token, channel, column),
        activation("dBx", token, channel, column),
        activation("hA", token, channel, column),
        Tensor(
            "h",
            (Extent("L", -1 if loads_state else 0, length), channel, column),
            bytes_of.state,
            output_from=length - 1,
            cuts=(0, length - 1),
        ),
        Tensor(
            "y",
            (token, channel),
            bytes_of.activations,
            output_from=0 if problem.scope == "state-update" else None,
        ),
        weight("D_skip", channel),
        activation("y_skip", token, channel),
        activation("sz", token, channel),
        activation("gated", token, channel),
        weight("W_out", channel, width),
        activation("o", token, width),
        Tensor("out", (token, width), bytes_of.activations, output_from=0),
    ]


def _read(tensor: str, *dims: str | Index, only_first: str | None = None) -> Access:
    return Access(tensor, tuple(Index(dim) if isinstance(dim, str) else dim for dim in dims), only_first)


def _front_operators(problem: Problem) -> tuple[Operator, ...]:
    model, length = problem.model, problem.seq_len
    inner, state, rank, taps = model.d_inner, model.d_state, model.dt_rank, model.d_conv
    per_channel = {"L": length, "E": inner}
    columns = rank + 2 * state
    return (
        Operator(
            "rms_norm",
            {"L": length, "D": model.d_model},
            "reduction",
            (_read("x", "L", "D"), _read("g_norm", "D")),
            (_read("u", "L", "D"),),
            # Square, sum, scale and weigh every element; mean and reciprocal root per token.
            (
                Step("multiply", ("L", "D"), 3),
                Step("add", ("L", "D")),
                Step("rsqrt", ("L",)),
                Step("multiply", ("L",)),
            ),
        ),
        Operator(
            "in_proj",
            {"L": length, "D": model.d_model, "K": 2 * inner},
            "gemm",
            (_read("u", "L", "D"), _read("W_in", "D", "K")),
            (_read("x_branch", "L", "K"), _read("z", "L", Index.shifted("K", -inner))),
            (Step("mac", ("L", "D", "K")),),
            reduces=("D",),
        ),
        Operator(
            "conv1d",
            {"L": length, "E": inner, "W": taps},
            "depthwise",
            (
                _read("x_branch", Index("L", shift_low=1 - taps), "E"),
                _read("w_conv", "E", "W"),
                _read("b_conv", "E"),
            ),
            (_read("c", "L", "E"),),
            (Step("mac", ("L", "E", "W")),),
            reduces=("W",),
        ),
        Operator(
            "silu_x",
            per_channel,
            "elementwise",
            (_read("c", "L", "E"),),
            (_read("xc", "L", "E"),),
            (Step("silu", ("L", "E")),),
        ),
        Operator(
            "x_proj",
            {"L": length, "E": inner, "K": columns},
            "gemm",
            (_read("xc", "L", "E"), _read("W_x", "E", "K")),
            (
                _read("dt_r", "L", "K"),
                _read("B", "L", Index.shifted("K", -rank)),
                _read("C", "L", Index.shifted("K", -rank - state)),
            ),
            (Step("mac", ("L", "E", "K")),),
            reduces=("E",),
        ),
        Operator(
            "dt_proj",
            {"L": length, "R": rank, "E": inner},
            "gemm",
            (_read("dt_r", "L", "R"), _read("W_dt", "R", "E"), _read("b_dt", "E", only_first="R")),
            (_read("dt_raw", "L", "E"),),
            (Step("mac", ("L", "R", "E")), Step("add", ("L", "E"), only_first="R")),
            reduces=("R",),
        ),
        Operator(
            "softplus",
            per_channel,
            "elementwise",
            (_read("dt_raw", "L", "E"),),
            (_read("dt", "L", "E"),),
            (Step("softplus", ("L", "E")),),
        ),
    )


def _state_operators(problem: Problem, scan: bool) -> tuple[Operator, ...]:
    model = problem.model
    dims = {"L": problem.seq_len, "E": model.d_inner, "N": model.d_state}
    everything = ("L", "E", "N")

    def elementwise(name: str, operation: str, reads: tuple[Access, ...], written: str) -> Operator:
        return Operator(
            name, dims, "elementwise", reads, (_read(written, *everything),), (Step(operation, everything),)
        )

    parallel = (
        elementwise("mul_dA", "multiply", (_read("dt", "L", "E"), _read("A", "E", "N")), "dA"),
        elementwise("exp_dA", "exp", (_read("dA", *everything),), "Abar"),
        elementwise("mul_dB", "multiply", (_read("dt", "L", "E"), _read("B", "L", "N")), "dB"),
        elementwise("mul_dBx", "multiply", (_read("dB", *everything), _read("xc", "L", "E")), "dBx"),
    )
    previous = _read("h", Index.before("L"), "E", "N")
    latest = _read("h", Index.last("L"), "E", "N")
    multiply = Step("multiply", ("E", "N"), serial=("L",))
    add = Step("add", ("E", "N"), serial=("L",))
    contract = Step("mac", ("E", "N"), serial=("L",))
    if scan:
        return (
            *parallel,
            Operator(
                "scan",
                dims,
                "reduction",
                (_read("Abar", *everything), _read("dBx", *everything), previous, _read("C", "L", "N")),
                (_read("y", "L", "E"), latest),
                (multiply, add, contract),
                reduces=("N",),
            ),
        )
    return (
        *parallel,
        Operator(
            "mul_hA",
            dims,
            "elementwise",
            (_read("Abar", *everything), previous),
            (_read("hA", *everything),),
            (multiply,),
            group="sequential",
        ),
        Operator(
            "add_h",
            dims,
            "elementwise",
            (_read("hA", *everything), _read("dBx", *everything)),
            (latest,),
            (add,),
            group="sequential",
        ),
        Operator(
            "mul_hC",
            dims,
            "reduction",
            (latest, _read("C", "L", "N")),
            (_read("y", "L", "E"),),
            (contract,),
            reduces=("N",),
            group="sequential",
        ),
    )


def _back_operators(problem: Problem) -> tuple[Operator, ...]:
    model, length = problem.model, problem.seq_len
    per_channel = {"L": length, "E": model.d_inner}
    rows = ("L", "E")
    return (
        Operator(
            "skip_D",
            per_channel,
            "elementwise",
            (_read("y", *rows), _read("xc", *rows), _read("D_skip", "E")),
            (_read("y_skip", *rows),),
            (Step("multiply", rows), Step("add", rows)),
        ),
        Operator(
            "silu_z",
            per_channel,
            "elementwise",
            (_read("z", *rows),),
            (_read("sz", *rows),),
            (Step("silu", rows),),
        ),
        Operator(
            "gate",
            per_channel,
            "elementwise",
            (_read("y_skip", *rows), _read("sz", *rows)),
            (_read("gated", *rows),),
            (Step("multiply", rows),),
        ),
        Operator(
            "out_proj",
            {"L": length, "E": model.d_inner, "D": model.d_model},
            "gemm",
            (_read("gated", *rows), _read("W_out", "E", "D")),
            (_read("o", "L", "D"),),
            (Step("mac", ("L", "E", "D")),),
            reduces=("E",),
        ),
        Operator(
            "residual",
            {"L": length, "D": model.d_model},
            "elementwise",
            (_read("o", "L", "D"), _read("x", "L", "D")),
            (_read("out", "L", "D"),),
            (Step("add", ("L", "D")),),
        ),
    )
