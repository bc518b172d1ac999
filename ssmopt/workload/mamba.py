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
    access,
    assemble,
)


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
    return assemble(operators, _tensors(problem), problem.batch)


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
        activation("dt_r_raw", token, Extent("R", 0, rank)),
        activation("B_raw", token, column),
        activation("C_raw", token, column),
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


def _front_operators(problem: Problem) -> tuple[Operator, ...]:
    model, length = problem.model, problem.seq_len
    inner, state, rank, taps = model.d_inner, model.d_state, model.dt_rank, model.d_conv
    per_channel = {"L": length, "E": inner}
    columns = rank + 2 * state
    suffix = "_raw" if model.norm_dt_b_c else ""
    return (
        Operator(
            "rms_norm",
            {"L": length, "D": model.d_model},
            "reduction",
            (access("x", "L", "D"), access("g_norm", "D")),
            (access("u", "L", "D"),),
            # Square, sum, scale and weigh every element; mean and reciprocal root per token.
            (
                Step("multiply", ("L", "D"), 3),
                Step("add", ("L", "D")),
                Step("rsqrt", ("L",)),
                Step("multiply", ("L",)),
            ),
            pace="norm_tokens",
        ),
        Operator(
            "in_proj",
            {"L": length, "D": model.d_model, "K": 2 * inner},
            "gemm",
            (access("u", "L", "D"), access("W_in", "D", "K")),
            (access("x_branch", "L", "K"), access("z", "L", Index.shifted("K", -inner))),
            (Step("mac", ("L", "D", "K")),),
            reduces=("D",),
        ),
        Operator(
            "conv1d",
            {"L": length, "E": inner, "W": taps},
            "depthwise",
            (
                access("x_branch", Index("L", shift_low=1 - taps), "E"),
                access("w_conv", "E", "W"),
                access("b_conv", "E"),
            ),
            (access("c", "L", "E"),),
            (Step("mac", ("L", "E", "W")),),
            reduces=("W",),
        ),
        Operator(
            "silu_x",
            per_channel,
            "elementwise",
            (access("c", "L", "E"),),
            (access("xc", "L", "E"),),
            (Step("silu", ("L", "E")),),
        ),
        Operator(
            "x_proj",
            {"L": length, "E": inner, "K": columns},
            "gemm",
            (access("xc", "L", "E"), access("W_x", "E", "K")),
            (
                access("dt_r" + suffix, "L", "K"),
                access("B" + suffix, "L", Index.shifted("K", -rank)),
                access("C" + suffix, "L", Index.shifted("K", -rank - state)),
            ),
            (Step("mac", ("L", "E", "K")),),
            reduces=("E",),
        ),
        *(_row_norms(problem) if model.norm_dt_b_c else ()),
        Operator(
            "dt_proj",
            {"L": length, "R": rank, "E": inner},
            "gemm",
            (access("dt_r", "L", "R"), access("W_dt", "R", "E"), access("b_dt", "E", only_first="R")),
            (access("dt_raw", "L", "E"),),
            (Step("mac", ("L", "R", "E")), Step("add", ("L", "E"), only_first="R")),
            reduces=("R",),
        ),
        Operator(
            "softplus",
            per_channel,
            "elementwise",
            (access("dt_raw", "L", "E"),),
            (access("dt", "L", "E"),),
            (Step("softplus", ("L", "E")),),
        ),
    )


def _row_norms(problem: Problem) -> tuple[Operator, ...]:
    """Falcon Mamba: each row of dt, B and C is divided by the root of its mean square, without weights."""
    length = problem.seq_len

    def norm(tensor: str, dim: str, size: int) -> Operator:
        rows = ("L", dim)
        return Operator(
            f"norm_{tensor}",
            {"L": length, dim: size},
            "reduction",
            (access(f"{tensor}_raw", *rows),),
            (access(tensor, *rows),),
            (Step("multiply", rows, 2), Step("add", rows), Step("rsqrt", ("L",)), Step("multiply", ("L",))),
        )

    model = problem.model
    return norm("dt_r", "R", model.dt_rank), norm("B", "N", model.d_state), norm("C", "N", model.d_state)


def _state_operators(problem: Problem, scan: bool) -> tuple[Operator, ...]:
    model = problem.model
    dims = {"L": problem.seq_len, "E": model.d_inner, "N": model.d_state}
    everything = ("L", "E", "N")

    def elementwise(name: str, operation: str, reads: tuple[Access, ...], written: str) -> Operator:
        return Operator(
            name,
            dims,
            "elementwise",
            reads,
            (access(written, *everything),),
            (Step(operation, everything),),
            pace="state_tokens",
        )

    parallel = (
        elementwise("mul_dA", "multiply", (access("dt", "L", "E"), access("A", "E", "N")), "dA"),
        elementwise("exp_dA", "exp", (access("dA", *everything),), "Abar"),
        elementwise("mul_dB", "multiply", (access("dt", "L", "E"), access("B", "L", "N")), "dB"),
        elementwise("mul_dBx", "multiply", (access("dB", *everything), access("xc", "L", "E")), "dBx"),
    )
    previous = access("h", Index.before("L"), "E", "N")
    latest = access("h", Index.last("L"), "E", "N")
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
                (access("Abar", *everything), access("dBx", *everything), previous, access("C", "L", "N")),
                (access("y", "L", "E"), latest),
                (multiply, add, contract),
                reduces=("N",),
                pace="state_tokens",
            ),
        )
    return (
        *parallel,
        Operator(
            "mul_hA",
            dims,
            "elementwise",
            (access("Abar", *everything), previous),
            (access("hA", *everything),),
            (multiply,),
            group="sequential",
            pace="single",
        ),
        Operator(
            "add_h",
            dims,
            "elementwise",
            (access("hA", *everything), access("dBx", *everything)),
            (latest,),
            (add,),
            group="sequential",
            pace="single",
        ),
        Operator(
            "mul_hC",
            dims,
            "reduction",
            (latest, access("C", "L", "N")),
            (access("y", "L", "E"),),
            (contract,),
            reduces=("N",),
            group="sequential",
            pace="single",
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
            (access("y", *rows), access("xc", *rows), access("D_skip", "E")),
            (access("y_skip", *rows),),
            (Step("multiply", rows), Step("add", rows)),
        ),
        Operator(
            "silu_z",
            per_channel,
            "elementwise",
            (access("z", *rows),),
            (access("sz", *rows),),
            (Step("silu", rows),),
        ),
        Operator(
            "gate",
            per_channel,
            "elementwise",
            (access("y_skip", *rows), access("sz", *rows)),
            (access("gated", *rows),),
            (Step("multiply", rows),),
        ),
        Operator(
            "out_proj",
            {"L": length, "E": model.d_inner, "D": model.d_model},
            "gemm",
            (access("gated", *rows), access("W_out", "E", "D")),
            (access("o", "L", "D"),),
            (Step("mac", ("L", "E", "D")),),
            reduces=("E",),
        ),
        Operator(
            "residual",
            {"L": length, "D": model.d_model},
            "elementwise",
            (access("o", "L", "D"), access("x", "L", "D")),
            (access("out", "L", "D"),),
            (Step("add", ("L", "D")),),
            pace="norm_tokens",
        ),
    )
