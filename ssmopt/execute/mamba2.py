"""What each operator of a Mamba-2 block computes; `ssmopt.execute.mamba` says how kernels work.

Tiles may begin and end within a head: a `Place` knows which head, or group of heads, each channel belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.execute import mamba
from ssmopt.execute.arithmetic import Arithmetic, Kernel, Place
from ssmopt.execute.blocks import Array
from ssmopt.execute.mamba import NORM_EPSILON, anywhere
from ssmopt.model import Model


def in_proj(do: Arithmetic, u: Array, w: Array) -> tuple[Array, ...]:
    """Columns of the gate, then of the convolution (x, B, C), then one step size per head."""
    columns = do.matmul(u, w)
    return columns, columns, columns


def silu_xBC(do: Arithmetic, at: Place, c: Array) -> tuple[Array, ...]:
    """The convolution's activation; a tile has either channels of x or whole groups of B and C."""
    xc = do.silu(c)
    if at.ranges["X"][0] < at.model.d_inner:
        return xc, xc, xc
    groups = xc.reshape(len(xc), -1, at.model.d_state)
    return xc, groups, groups


def softplus(do: Arithmetic, dt: Array, bias: Array) -> tuple[Array, ...]:
    """Positive step sizes."""
    return (do.softplus(do.add(dt, bias)),)


def mul_dA(do: Arithmetic, dt: Array, a: Array) -> tuple[Array, ...]:
    """Exponents of the decay, one per head."""
    return (do.multiply(dt, a),)


def mul_dtx(do: Arithmetic, at: Place, dt: Array, xc: Array) -> tuple[Array, ...]:
    """Input times step size."""
    return (do.multiply(dt[:, _heads(at)], xc),)


def mul_dBx(do: Arithmetic, at: Place, dtx: Array, b: Array) -> tuple[Array, ...]:
    """Input to the state."""
    return (do.multiply(dtx[:, :, None], b[:, at.owners("E", _group_channels(at.model))]),)


def mul_hA(do: Arithmetic, at: Place, decay: Array, before: Array) -> tuple[Array, ...]:
    """What is left of the state before."""
    return (do.multiply(decay[:, _heads(at), None], before),)


def mul_hC(do: Arithmetic, at: Place, h: Array, c: Array) -> tuple[Array, ...]:
    """The output of the state."""
    parts = at.parts("E", _group_channels(at.model))
    return (np.concatenate([do.read_out(h[:, part], c[:, group]) for group, part in enumerate(parts)], axis=1),)


def scan(do: Arithmetic, at: Place, decay: Array, new: Array, before: Array, c: Array) -> tuple[Array, ...]:
    """The three sequential operators over several tokens, with nothing but the state kept between them."""
    h = before
    y = np.empty(new.shape[:2], dtype=new.dtype)
    for token in range(len(new)):
        now = slice(token, token + 1)
        (left,) = mul_hA(do, at, decay[now], h)
        h = do.add(left, new[now])
        (y[now],) = mul_hC(do, at, h, c[now])
    return y, h


def cumsum_dA(do: Arithmetic, da: Array) -> tuple[Array, ...]:
    """Exponents from the chunk's beginning on."""
    return (do.running_sum(da),)


def decay_start(do: Arithmetic, s: Array) -> tuple[Array, ...]:
    """Decay since the chunk's beginning."""
    return (do.exp(s),)


def decay_end(do: Arithmetic, s: Array) -> tuple[Array, ...]:
    """Decay until the chunk's end."""
    return (do.exp(do.add(s[-1:], -s)),)


def decay_mask(do: Arithmetic, at: Place, s: Array) -> tuple[Array, ...]:
    """Decay from every token of the chunk to every token of the tile; none to those before it."""
    low, high = at.ranges["L"]
    start = low // at.model.chunk_size * at.model.chunk_size
    rows = np.arange(low - start, high - start)
    exponent = do.add(s[rows].T[:, :, None], -s.T[:, None, :])
    later = np.arange(len(s)) > rows[:, None]
    return (do.exp(np.where(later, -np.inf, exponent)).transpose(1, 0, 2),)


def chunk_CB(do: Arithmetic, c: Array, b: Array) -> tuple[Array, ...]:
    """How much every token of the tile reads of every token of its chunk, for each group."""
    return (np.stack([do.matmul(c[:, group], b[:, group].T) for group in range(c.shape[1])], axis=1),)


def mul_mask(do: Arithmetic, at: Place, cb: Array, mask: Array) -> tuple[Array, ...]:
    """The same with the decay in between, for each head."""
    return (do.multiply(cb[:, at.owners("H", at.model.n_heads // at.model.n_groups)], mask),)


def chunk_diag(do: Arithmetic, at: Place, cbm: Array, dtx: Array) -> tuple[Array, ...]:
    """What comes from the tokens of the same chunk."""
    parts = at.parts("E", at.model.head_dim)
    return (np.concatenate([do.matmul(cbm[:, head], dtx[:, part]) for head, part in enumerate(parts)], axis=1),)


def mul_decay(do: Arithmetic, at: Place, decay: Array, dtx: Array) -> tuple[Array, ...]:
    """What is left of the input at the chunk's end."""
    return (do.multiply(decay[:, _heads(at)], dtx),)


def chunk_state(do: Arithmetic, at: Place, dtx: Array, b: Array) -> tuple[Array, ...]:
    """What a chunk adds to the state."""
    parts = at.parts("E", _group_channels(at.model))
    return (np.concatenate([do.matmul(dtx[:, part].T, b[:, group]) for group, part in enumerate(parts)])[None],)


def pass_state(do: Arithmetic, at: Place, decay: Array, before: Array, new: Array) -> tuple[Array, ...]:
    """The state after a chunk."""
    return (do.add(do.multiply(decay[:, _heads(at), None], before), new),)


def chunk_off(do: Arithmetic, at: Place, c: Array, before: Array) -> tuple[Array, ...]:
    """What comes from the state before the chunk, as if it did not decay."""
    parts = at.parts("E", _group_channels(at.model))
    return (np.concatenate([do.matmul(c[:, g], before[0, part].T) for g, part in enumerate(parts)], axis=1),)


def add_off(do: Arithmetic, at: Place, diag: Array, decay: Array, off: Array) -> tuple[Array, ...]:
    """The output of the state update."""
    return (do.add(diag, do.multiply(decay[:, _heads(at)], off)),)


def skip_D(do: Arithmetic, at: Place, y: Array, xc: Array, d: Array) -> tuple[Array, ...]:
    """The path around the state."""
    return (do.add(y, do.multiply(xc, d[_heads(at)])),)


def norm_square(do: Arithmetic, at: Place, gated: Array) -> tuple[Array, ...]:
    """Sums of squares, for each group."""
    squares = do.multiply(gated, gated)
    return (np.concatenate([do.sum_rows(squares[:, p]) for p in at.parts("E", _group_channels(at.model))], axis=1),)


def norm_scale(do: Arithmetic, at: Place, gated: Array, squares: Array, g: Array) -> tuple[Array, ...]:
    """Each group scaled to mean square 1, weighted."""
    size = _group_channels(at.model)
    roots = do.rsqrt(do.multiply(squares, 1 / size), NORM_EPSILON)
    return (do.multiply(do.multiply(gated, roots[:, at.owners("E", size)]), g),)


def _heads(at: Place) -> IntArray:
    """Of each channel of a tile, its head, counted from the first."""
    return at.owners("E", at.model.head_dim)


def _group_channels(model: Model) -> int:
    return model.d_inner // model.n_groups


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        **{name: mamba.KERNELS[name] for name in ("rms_norm", "conv1d", "exp_dA", "add_h", "silu_z", "gate")},
        **{name: mamba.KERNELS[name] for name in ("out_proj", "residual")},
        "in_proj": anywhere(in_proj),
        "silu_xBC": silu_xBC,
        "softplus": anywhere(softplus),
        "mul_dA": anywhere(mul_dA),
        "mul_dtx": mul_dtx,
        "mul_dBx": mul_dBx,
        "mul_hA": mul_hA,
        "mul_hC": mul_hC,
        "scan": scan,
        "cumsum_dA": anywhere(cumsum_dA),
        "decay_start": anywhere(decay_start),
        "decay_end": anywhere(decay_end),
        "decay_mask": decay_mask,
        "chunk_CB": anywhere(chunk_CB),
        "mul_mask": mul_mask,
        "chunk_diag": chunk_diag,
        "mul_decay": mul_decay,
        "chunk_state": chunk_state,
        "pass_state": pass_state,
        "chunk_off": chunk_off,
        "add_off": add_off,
        "skip_D": skip_D,
        "norm_square": norm_square,
        "norm_scale": norm_scale,
    }
)
"""Kernel of each operator."""
