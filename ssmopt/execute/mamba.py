"""What each operator of a Mamba-1 block computes.

A kernel gets the blocks that a tile reads, in the order of the operator's reads, and returns those that it writes, in
the order of its writes. Blocks are not cut to their tensors' extents: what lies outside is zero when read, and ignored
when written. So one product serves the two or three tensors that its columns belong to.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from ssmopt.execute.arithmetic import Arithmetic, Kernel, Place
from ssmopt.execute.blocks import Array

NORM_EPSILON = 1e-5
"""What the mean square is raised by before its root is taken."""


def rms_norm(do: Arithmetic, x: Array, g: Array) -> tuple[Array, ...]:
    """Rows of mean square 1, weighted."""
    mean_square = do.multiply(do.sum_rows(do.multiply(x, x)), 1 / x.shape[1])
    return (do.multiply(do.multiply(x, do.rsqrt(mean_square, NORM_EPSILON)), g),)


ROW_NORM_EPSILON = 1e-6
"""The same where rows of dt, B and C are normalised."""


def norm_rows(do: Arithmetic, x: Array) -> tuple[Array, ...]:
    """Rows of mean square 1, without weights."""
    mean_square = do.multiply(do.sum_rows(do.multiply(x, x)), 1 / x.shape[1])
    return (do.multiply(x, do.rsqrt(mean_square, ROW_NORM_EPSILON)),)


def in_proj(do: Arithmetic, u: Array, w: Array) -> tuple[Array, ...]:
    """Columns of the convolution's branch, then of the gate."""
    xz = do.matmul(u, w)
    return xz, xz


def conv1d(do: Arithmetic, window: Array, taps: Array, bias: Array) -> tuple[Array, ...]:
    """Causal convolution; the window begins as many tokens early as the taps look back."""
    return (do.convolve(window, taps, bias),)


def silu(do: Arithmetic, a: Array) -> tuple[Array, ...]:
    """The activation of either branch."""
    return (do.silu(a),)


def x_proj(do: Arithmetic, xc: Array, w: Array) -> tuple[Array, ...]:
    """Columns of the step size's low-rank form, then of B, then of C."""
    columns = do.matmul(xc, w)
    return columns, columns, columns


def dt_proj(do: Arithmetic, dt_r: Array, w: Array, bias: Array | None) -> tuple[Array, ...]:
    """Step sizes before softplus; the first share of a split sum brings the bias."""
    dt = do.matmul(dt_r, w)
    return (dt if bias is None else do.add(dt, bias),)


def softplus(do: Arithmetic, dt: Array) -> tuple[Array, ...]:
    """Positive step sizes."""
    return (do.softplus(dt),)


def mul_dA(do: Arithmetic, dt: Array, a: Array) -> tuple[Array, ...]:
    """Exponents of the decay."""
    return (do.multiply(dt[:, :, None], a),)


def exp_dA(do: Arithmetic, exponent: Array) -> tuple[Array, ...]:
    """Decay of the state."""
    return (do.exp(exponent),)


def mul_dB(do: Arithmetic, dt: Array, b: Array) -> tuple[Array, ...]:
    """Weights of the input."""
    return (do.multiply(dt[:, :, None], b[:, None, :]),)


def mul_dBx(do: Arithmetic, weights: Array, xc: Array) -> tuple[Array, ...]:
    """Weighted input to the state."""
    return (do.multiply(weights, xc[:, :, None]),)


def mul_hA(do: Arithmetic, decay: Array, before: Array) -> tuple[Array, ...]:
    """What is left of the state before."""
    return (do.multiply(decay, before),)


def add_h(do: Arithmetic, left: Array, new: Array) -> tuple[Array, ...]:
    """The state."""
    return (do.add(left, new),)


def mul_hC(do: Arithmetic, h: Array, c: Array) -> tuple[Array, ...]:
    """The output of the state."""
    return (do.read_out(h, c),)


def scan(do: Arithmetic, decay: Array, new: Array, before: Array, c: Array) -> tuple[Array, ...]:
    """The three sequential operators over several tokens, with nothing but the state kept between them."""
    h = before[0]
    y = np.empty(decay.shape[:2], dtype=decay.dtype)
    for token in range(len(decay)):
        h = do.add(do.multiply(decay[token], h), new[token])
        y[token] = do.read_out(h, c[token])
    return y, h[None]


def skip_D(do: Arithmetic, y: Array, xc: Array, d: Array) -> tuple[Array, ...]:
    """The path around the state."""
    return (do.add(y, do.multiply(xc, d)),)


def gate(do: Arithmetic, y: Array, sz: Array) -> tuple[Array, ...]:
    """The gated output."""
    return (do.multiply(y, sz),)


def out_proj(do: Arithmetic, gated: Array, w: Array) -> tuple[Array, ...]:
    """Back to the width of the model."""
    return (do.matmul(gated, w),)


def residual(do: Arithmetic, o: Array, x: Array) -> tuple[Array, ...]:
    """The path around the block."""
    return (do.add(o, x),)


def anywhere(kernel: Kernel) -> Kernel:
    """A kernel that computes the same in every place."""

    def placed(do: Arithmetic, _at: Place, *blocks: Array | None) -> tuple[Array, ...]:
        return kernel(do, *blocks)

    return placed


_ANYWHERE: Mapping[str, Kernel] = MappingProxyType(
    {
        "rms_norm": rms_norm,
        "in_proj": in_proj,
        "conv1d": conv1d,
        "silu_x": silu,
        "x_proj": x_proj,
        "norm_dt_r": norm_rows,
        "norm_B": norm_rows,
        "norm_C": norm_rows,
        "dt_proj": dt_proj,
        "softplus": softplus,
        "mul_dA": mul_dA,
        "exp_dA": exp_dA,
        "mul_dB": mul_dB,
        "mul_dBx": mul_dBx,
        "mul_hA": mul_hA,
        "add_h": add_h,
        "mul_hC": mul_hC,
        "scan": scan,
        "skip_D": skip_D,
        "silu_z": silu,
        "gate": gate,
        "out_proj": out_proj,
        "residual": residual,
    }
)

KERNELS: Mapping[str, Kernel] = MappingProxyType({name: anywhere(kernel) for name, kernel in _ANYWHERE.items()})
"""Kernel of each operator."""
