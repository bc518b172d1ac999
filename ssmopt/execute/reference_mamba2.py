"""A Mamba-2 block straight from its equations, in recurrent form; see `ssmopt.execute.reference`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssmopt.execute.blocks import Array
from ssmopt.execute.reference_mamba import causal_convolution, rms_norm, silu, softplus
from ssmopt.problem import Problem


def block(problem: Problem, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Normalisation, mixer and residual sum of one sequence."""
    x = arrays["x"]
    o, h, tail = mixer(problem, rms_norm(x, arrays["g_norm"]), arrays)
    return {"out": x + o, "h_final": h, "xBC_final": tail}


def state_update(problem: Problem, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The state update of one sequence alone."""
    xc, dt, a, b, c = (arrays[name] for name in ("xc", "dt", "A", "B", "C"))
    y, h = recurrence(problem, xc, dt, a, b, c, arrays.get("h_initial"))
    return {"y": y, "h_final": h}


def mixer(problem: Problem, u: Array, arrays: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """The block without normalisation and residual sum: output, last state, and the convolution's tail."""
    model = problem.model
    inner, groups, state = model.d_inner, model.n_groups, model.d_state
    projected = u @ arrays["W_in"]
    z, xbc, dt_raw = np.split(projected, [inner, 2 * inner + 2 * groups * state], axis=1)
    convolved, tail = causal_convolution(xbc, arrays["w_conv"], arrays["b_conv"], arrays.get("xBC_initial"))
    xc, b, c = np.split(silu(convolved), [inner, inner + groups * state], axis=1)
    b, c = b.reshape(-1, groups, state), c.reshape(-1, groups, state)
    dt = softplus(dt_raw + arrays["b_dt"])
    y, h = recurrence(problem, xc, dt, arrays["A"], b, c, arrays.get("h_initial"))
    gated = (y + np.repeat(arrays["D_skip"], model.head_dim) * xc) * silu(z)
    # Every group is normalised on its own.
    normed = rms_norm(gated.reshape(len(gated), groups, -1), arrays["g_gate"].reshape(groups, -1))
    return normed.reshape(gated.shape) @ arrays["W_out"], h, tail


def recurrence(
    problem: Problem, x: Array, dt: Array, a: Array, b: Array, c: Array, initial: Array | None
) -> tuple[Array, Array]:
    """``h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t^T`` and ``y_t = h_t C_t`` of every head; y, and the last h."""
    model = problem.model
    heads, per_group = model.n_heads, model.n_heads // model.n_groups
    h = np.zeros((heads, model.head_dim, model.d_state), dtype=x.dtype)
    if initial is not None:
        h = initial[0].reshape(h.shape)
    y = np.empty_like(x)
    for token in range(len(x)):
        of_heads = x[token].reshape(heads, -1)
        read = np.empty_like(of_heads)
        now = np.empty_like(h)
        for head in range(heads):
            step, group = dt[token, head], head // per_group
            now[head] = np.exp(step * a[head]) * h[head] + step * np.outer(of_heads[head], b[token, group])
            read[head] = now[head] @ c[token, group]
        h = now
        y[token] = read.reshape(-1)
    return y, h.reshape(1, -1, model.d_state)
