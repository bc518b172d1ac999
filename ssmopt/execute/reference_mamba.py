"""A Mamba-1 block straight from its equations; see `ssmopt.execute.reference`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssmopt.execute.blocks import Array
from ssmopt.problem import Problem


def block(problem: Problem, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Normalisation, mixer and residual sum of one sequence."""
    x = arrays["x"]
    o, h, tail = mixer(problem, rms_norm(x, arrays["g_norm"]), arrays)
    return {"out": x + o, "h_final": h, "x_branch_final": tail}


def state_update(_problem: Problem, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The state update of one sequence alone."""
    xc, dt, a, b, c = (arrays[name] for name in ("xc", "dt", "A", "B", "C"))
    y, h = selective_scan(xc, dt, a, b, c, arrays.get("h_initial"))
    return {"y": y, "h_final": h}


def mixer(problem: Problem, u: Array, arrays: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """The block without normalisation and residual sum: output, last state, and the convolution's tail."""
    inner, state, rank = problem.model.d_inner, problem.model.d_state, problem.model.dt_rank
    xz = u @ arrays["W_in"]
    x, z = xz[:, :inner], xz[:, inner:]
    convolved, tail = causal_convolution(x, arrays["w_conv"], arrays["b_conv"], arrays.get("x_branch_initial"))
    xc = silu(convolved)
    projected = xc @ arrays["W_x"]
    dt_r, b, c = projected[:, :rank], projected[:, rank : rank + state], projected[:, rank + state :]
    if problem.model.norm_dt_b_c:
        dt_r, b, c = (
            rms_norm(part, np.ones(part.shape[1], dtype=part.dtype), 1e-6).astype(part.dtype) for part in (dt_r, b, c)
        )
    dt = softplus(dt_r @ arrays["W_dt"] + arrays["b_dt"])
    y, h = selective_scan(xc, dt, arrays["A"], b, c, arrays.get("h_initial"))
    gated = (y + arrays["D_skip"] * xc) * silu(z)
    return gated @ arrays["W_out"], h, tail


def selective_scan(x: Array, dt: Array, a: Array, b: Array, c: Array, initial: Array | None) -> tuple[Array, Array]:
    """``h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t^T`` and ``y_t = h_t C_t``, token after token; y, and the last h."""
    h = np.zeros_like(a) if initial is None else initial[0]
    y = np.empty_like(x)
    for token in range(len(x)):
        h = np.exp(dt[token][:, None] * a) * h + np.outer(dt[token] * x[token], b[token])
        y[token] = h @ c[token]
    return y, h[None]


def causal_convolution(x: Array, taps: Array, bias: Array, initial: Array | None) -> tuple[Array, Array]:
    """Each channel's own convolution over its last tokens; and the tokens that the next prompt looks back on."""
    back = taps.shape[1] - 1
    before = np.zeros((back, x.shape[1]), dtype=x.dtype) if initial is None else initial
    padded = np.concatenate([before, x])
    convolved = np.stack([(padded[token : token + back + 1].T * taps).sum(axis=1) for token in range(len(x))]) + bias
    return convolved, padded[len(x) :]


def rms_norm(x: Array, weights: Array, epsilon: float = 1e-5) -> Array:
    """Each row divided by the root of its mean square."""
    result: Array = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon) * weights
    return result


def silu(x: Array) -> Array:
    """``x / (1 + exp(-x))``."""
    small = np.exp(-np.abs(x))
    result: Array = x * np.where(x >= 0, 1, small) / (1 + small)
    return result


def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``."""
    result: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return result
