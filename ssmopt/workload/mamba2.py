"""The operator graph of a Mamba-2 block (Dao and Gu, 2024), in its recurrent and in its chunked (SSD) form.

Dimensions: ``L`` tokens, ``D`` d_model, ``E`` d_inner = H * P, ``H`` heads, ``P`` channels per head, ``G`` groups of
heads, ``N`` d_state, ``W`` d_conv, ``X`` = E + 2*G*N convolved channels (x, then B, then C), ``K`` = E + X + H columns
of ``in_proj`` (z, x, B, C, dt), ``Q`` tokens per chunk. Channel ``e`` belongs to head ``e // P`` and to group
``e // (E / G)``; tensors of one number per head or group are read through an `Index` with that divisor.

Around the state update, in both forms:

============  ====================================================  ===================================================
operator      reads                                                 writes
============  ====================================================  ===================================================
rms_norm      x[L,D], g_norm[D]                                     u[L,D]
in_proj       u[L,D], W_in[D,K]                                     z[L,E], xBC[L,X], dt_raw[L,H]
conv1d        xBC[L,X] (and W - 1 tokens before), w_conv[X,W],      c[L,X]
              b_conv[X]
silu_xBC      c[L,X]                                                xc[L,E], B[L,G,N], C[L,G,N]
softplus      dt_raw[L,H], b_dt[H]                                  dt[L,H] = softplus(dt_raw + b_dt)
...           the state update                                      y[L,E], h
skip_D        y[L,E], xc[L,E], D_skip[H]                            y_skip[L,E] = y + D_skip * xc
silu_z        z[L,E]                                                sz[L,E]
gate          y_skip[L,E], sz[L,E]                                  gated[L,E]
norm_square   gated[L,E]                                            ss[L,G], each group's sum of gated ** 2
norm_scale    gated[L,E], ss[L,G], g_gate[E]                        normed = gated * rsqrt(ss * G / E + eps) * g_gate
out_proj      normed[L,E], W_out[E,D]                               o[L,D]
residual      o[L,D], x[L,D]                                        out[L,D]
============  ====================================================  ===================================================

The recurrent state update; ``scan`` stands for the last three, and keeps only the state between its tokens:

============  ====================================================  ===================================================
mul_dA        dt[L,H], A[H]                                         dA[L,H]
exp_dA        dA[L,H]                                               Abar[L,H]
mul_dtx       dt[L,H], xc[L,E]                                      dtx[L,E]
mul_dBx       dtx[L,E], B[L,G,N]                                    dBx[L,E,N]
mul_hA        Abar[L,H], h[L-1,E,N]                                 hA[L,E,N]
add_h         hA[L,E,N], dBx[L,E,N]                                 h[L,E,N]
mul_hC        h[L,E,N], C[L,G,N]                                    y[L,E], the sum over N
============  ====================================================  ===================================================

The chunked state update. ``J`` is the position of another token of the same chunk, counted from the prompt's
beginning like ``L``, so that only the blocks on the diagonal of [L,J] exist; ``h`` and ``S`` have one state per chunk
``c``, that before the prompt being chunk -1:

============  ====================================================  ===================================================
mul_dA        dt[L,H], A[H]                                         dA[L,H]
cumsum_dA     dA[L,H]                                               s[L,H], the sum of dA since the chunk's beginning
decay_start   s[L,H]                                                decay_start[L,H] = exp(s)
decay_end     s[L,H]                                                decay_end[L,H] = exp(s_last - s), last in the chunk
decay_mask    s[L,H]                                                M[L,H,J] = exp(s_L - s_J) for J <= L, otherwise 0
chunk_CB      C[L,G,N], B[J,G,N]                                    CB[L,G,J], the sum over N
mul_mask      CB[L,G,J], M[L,H,J]                                   CBM[L,H,J]
mul_dtx       dt[L,H], xc[L,E]                                      dtx[L,E]
chunk_diag    CBM[L,H,J], dtx[J,E]                                  y_diag[L,E], the sum over J
mul_decay     decay_end[L,H], dtx[L,E]                              dtx_end[L,E]
chunk_state   dtx_end[L,E], B[L,G,N]                                S[c,E,N], the sum over the chunk's tokens
pass_state    decay_start[last token,H], h[c-1,E,N], S[c,E,N]       h[c,E,N] = decay_start * h[c-1] + S
chunk_off     C[L,G,N], h[c-1,E,N]                                  y_off[L,E], the sum over N
add_off       y_diag[L,E], decay_start[L,H], y_off[L,E]             y[L,E] = y_diag + decay_start * y_off
============  ====================================================  ===================================================

Steps on pairs of tokens compute whole squares, also above the diagonal; a last chunk that is shorter counts with its
own length.
"""

from __future__ import annotations

from ssmopt.instance import INPUT, WEIGHT
from ssmopt.problem import Problem
from ssmopt.workload.mamba2_state import Shape, chunked, recurrent
from ssmopt.workload.operators import Access, Extent, Index, Operator, OperatorGraph, Step, Tensor, access, assemble


def mamba2_graph(problem: Problem, *, scan: bool) -> OperatorGraph:
    """Operator graph of one block, or of its state update alone.

    Parameters
    ----------
    problem
        Model, form, sequence length, scope, initial state and bytes per element.
    scan
        Whether ``mul_hA``, ``add_h`` and ``mul_hC`` of the recurrent form are one operator ``scan``.
    """
    shape = Shape(problem)
    operators = chunked(shape) if problem.form == "chunked" else recurrent(shape, scan)
    if problem.scope == "block":
        operators = (*_front(shape), *operators, *_back(shape))
    return assemble(operators, _tensors(shape), problem.batch)


def _tensors(shape: Shape) -> list[Tensor]:
    """All tensors of both forms."""
    problem, length, bytes_of = shape.problem, shape.length, shape.problem.dtype
    chunked = problem.form == "chunked"
    token, other, width = Extent("L", 0, length), Extent("J", 0, length), Extent("D", 0, shape.width)
    channel, head, group = Extent("E", 0, shape.inner), Extent("H", 0, shape.heads), Extent("G", 0, shape.groups)
    column, convolved = Extent("N", 0, shape.state), Extent("X", 0, shape.convolved)
    old = 1 if problem.initial_state == "load" else 0
    states = -(-length // shape.chunk) if chunked else length
    state_dim = "C" if chunked else "L"

    def weight(name: str, *extents: Extent) -> Tensor:
        return Tensor(name, extents, bytes_of.weights, WEIGHT)

    def activations(names: str, *extents: Extent) -> list[Tensor]:
        return [Tensor(name, extents, bytes_of.activations) for name in names.split()]

    return [
        Tensor("x", (token, width), bytes_of.activations, INPUT),
        weight("g_norm", width),
        *activations("u", token, width),
        weight("W_in", width, Extent("K", 0, shape.columns)),
        *activations("z", token, channel),
        # Tokens before 0 are the tail of the prompt so far; the last taps - 1 tokens are this prompt's tail.
        Tensor(
            "xBC",
            (Extent("L", old * (1 - shape.taps), length), convolved),
            bytes_of.activations,
            output_from=length - (shape.taps - 1),
            cuts=(0, length - (shape.taps - 1)),
        ),
        *activations("dt_raw", token, head),
        weight("w_conv", convolved, Extent("W", 0, shape.taps)),
        weight("b_conv", convolved),
        *activations("c", token, convolved),
        *activations("xc", token, channel),
        *activations("B C", token, group, column),
        weight("b_dt", head),
        *activations("dt", token, head),
        weight("A", head),
        *activations("dA Abar", token, head),
        *activations("dtx", token, channel),
        *activations("dBx hA", token, channel, column),
        *activations("s decay_start decay_end", token, head),
        *activations("M", token, head, other),
        *activations("CB", token, group, other),
        *activations("CBM", token, head, other),
        *activations("y_diag dtx_end", token, channel),
        *activations("S", Extent("C", 0, states), channel, column),
        Tensor(
            "h",
            (Extent(state_dim, -old, states), channel, column),
            bytes_of.state,
            output_from=states - 1,
            cuts=(0, states - 1),
        ),
        *activations("y_off", token, channel),
        Tensor("y", (token, channel), bytes_of.activations, output_from=0 if problem.scope == "state-update" else None),
        weight("D_skip", head),
        *activations("y_skip sz gated", token, channel),
        # The published implementations normalise every group on its own.
        *activations("ss", token, group),
        weight("g_gate", channel),
        *activations("normed", token, channel),
        weight("W_out", channel, width),
        *activations("o", token, width),
        Tensor("out", (token, width), bytes_of.activations, output_from=0),
    ]


def _front(shape: Shape) -> tuple[Operator, ...]:
    """From the block's input to the operands of the state update."""
    inner, state, both = shape.inner, shape.state, shape.groups * shape.state
    return (
        shape.operator(
            "rms_norm",
            "reduction",
            "L D",
            (access("x", "L", "D"), access("g_norm", "D")),
            (access("u", "L", "D"),),
            # Square, sum, scale and weigh every element; mean and reciprocal root per token.
            Step("multiply", ("L", "D"), 3),
            Step("add", ("L", "D")),
            Step("rsqrt", ("L",)),
            Step("multiply", ("L",)),
            pace="norm_tokens",
        ),
        shape.operator(
            "in_proj",
            "gemm",
            "L D K",
            (access("u", "L", "D"), access("W_in", "D", "K")),
            (
                access("z", "L", "K"),
                access("xBC", "L", Index.shifted("K", -inner)),
                access("dt_raw", "L", Index.shifted("K", -inner - shape.convolved)),
            ),
            Step("mac", ("L", "D", "K")),
            reduces=("D",),
        ),
        shape.operator(
            "conv1d",
            "depthwise",
            "L X W",
            (
                access("xBC", Index("L", shift_low=1 - shape.taps), "X"),
                access("w_conv", "X", "W"),
                access("b_conv", "X"),
            ),
            (access("c", "L", "X"),),
            Step("mac", ("L", "X", "W")),
            reduces=("W",),
        ),
        shape.operator(
            "silu_xBC",
            "elementwise",
            "L X",
            (access("c", "L", "X"),),
            (
                access("xc", "L", "X"),
                access("B", "L", Index.shifted("X", -inner, state), Index.whole("X")),
                access("C", "L", Index.shifted("X", -inner - both, state), Index.whole("X")),
            ),
            Step("silu", ("L", "X")),
        ),
        shape.operator(
            "softplus",
            "elementwise",
            "L H",
            (access("dt_raw", "L", "H"), access("b_dt", "H")),
            (access("dt", "L", "H"),),
            Step("add", ("L", "H")),
            Step("softplus", ("L", "H")),
        ),
    )


def _back(shape: Shape) -> tuple[Operator, ...]:
    """From the state update's result to the block's output."""
    rows = ("L", "E")

    def elementwise(name: str, reads: tuple[Access, ...], written: str, *steps: Step) -> Operator:
        return shape.operator(name, "elementwise", "L E", reads, (access(written, *rows),), *steps)

    return (
        elementwise(
            "skip_D",
            (access("y", *rows), access("xc", *rows), access("D_skip", shape.head)),
            "y_skip",
            Step("multiply", rows),
            Step("add", rows),
        ),
        elementwise("silu_z", (access("z", *rows),), "sz", Step("silu", rows)),
        elementwise("gate", (access("y_skip", *rows), access("sz", *rows)), "gated", Step("multiply", rows)),
        shape.operator(
            "norm_square",
            "reduction",
            "L E",
            (access("gated", *rows),),
            (access("ss", "L", shape.group),),
            Step("multiply", rows),
            Step("add", rows),
            reduces=("E",),
        ),
        elementwise(
            "norm_scale",
            (access("gated", *rows), access("ss", "L", shape.group), access("g_gate", "E")),
            "normed",
            # Scale and weigh every element; mean and reciprocal root per token, again for every piece of channels (not
            # for every group: there are few of them).
            Step("multiply", rows, 2),
            Step("rsqrt", ("L",)),
            Step("multiply", ("L",)),
        ),
        shape.operator(
            "out_proj",
            "gemm",
            "L E D",
            (access("normed", *rows), access("W_out", "E", "D")),
            (access("o", "L", "D"),),
            Step("mac", ("L", "E", "D")),
            reduces=("E",),
        ),
        shape.operator(
            "residual",
            "elementwise",
            "L D",
            (access("o", "L", "D"), access("x", "L", "D")),
            (access("out", "L", "D"),),
            Step("add", ("L", "D")),
            pace="norm_tokens",
        ),
    )
