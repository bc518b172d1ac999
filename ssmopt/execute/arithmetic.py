"""The elementary operations that kernels are made of; each counts the work that it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.execute.blocks import Array
from ssmopt.model import Model


@dataclass(frozen=True)
class Place:
    """Which part of which model a tile computes.

    Attributes
    ----------
    model
        The model.
    ranges
        Half-open range of each dimension of the tile.
    """

    model: Model
    ranges: Mapping[str, tuple[int, int]]

    def owners(self, dim: str, size: int) -> IntArray:
        """Of each index in the tile's range, the block of so many indices that it lies in, counted from the first."""
        low, high = self.ranges[dim]
        return np.arange(low, high) // size - low // size

    def parts(self, dim: str, size: int) -> list[slice]:
        """Where the blocks of so many indices, as far as the tile has them, lie in the tile's range."""
        low, high = self.ranges[dim]
        starts = range(low // size * size, high, size)
        return [slice(max(low, start) - low, min(high, start + size) - low) for start in starts]


Kernel = Callable[..., tuple[Array, ...]]
"""What an operator computes: `Arithmetic`, `Place` and the blocks of its reads in, the blocks of its writes out."""


class Arithmetic:
    """Operations on arrays, and how many of them have been done.

    Attributes
    ----------
    macs
        Multiply-accumulates.
    operations
        Everything else: one per element of the result (of the operand, for a sum) and elementary operation.
    """

    def __init__(self) -> None:
        self.macs = 0
        self.operations = 0

    def matmul(self, a: Array, b: Array) -> Array:
        """Matrix product."""
        self.macs += a.shape[0] * a.shape[1] * b.shape[1]
        return a @ b

    def read_out(self, state: Array, weights: Array) -> Array:
        """Sum over the last dimension of a state, weighted alike for all channels (the last but one)."""
        self.macs += state.size
        return self._like(state, np.einsum("...en,...n->...e", state, weights))

    def convolve(self, window: Array, taps: Array, bias: Array) -> Array:
        """Depthwise convolution over tokens, each channel with its own taps; the last tap meets the newest token.

        The sums begin with the bias, which therefore costs nothing.
        """
        n_taps = taps.shape[1]
        length = window.shape[0] - n_taps + 1
        self.macs += length * taps.size
        result = np.repeat(bias[None, :], length, axis=0)
        for tap in range(n_taps):
            result += window[tap : tap + length] * taps[:, tap]
        return result

    def multiply(self, a: Array, b: Array | float) -> Array:
        """Elementwise product."""
        return self._counted(a * b)

    def add(self, a: Array, b: Array) -> Array:
        """Elementwise sum."""
        return self._counted(a + b)

    def sum_rows(self, a: Array) -> Array:
        """Sums over the last dimension, which stays, of length 1."""
        self.operations += a.size
        return self._like(a, a.sum(axis=-1, keepdims=True))

    def running_sum(self, a: Array) -> Array:
        """Sums over the first dimension up to each place."""
        return self._counted(np.cumsum(a, axis=0))

    def exp(self, a: Array) -> Array:
        """Exponential."""
        return self._counted(np.exp(a))

    def rsqrt(self, a: Array, epsilon: float) -> Array:
        """Reciprocal square root of what is at least ``epsilon`` above zero once that is added."""
        return self._counted(1 / np.sqrt(a + epsilon))

    def silu(self, a: Array) -> Array:
        """``a`` times its logistic function, in a form in which nothing overflows."""
        return self._counted(a * np.exp(-np.logaddexp(0, -a)))

    def softplus(self, a: Array) -> Array:
        """``log(1 + exp(a))``, in a form in which nothing overflows."""
        return self._counted(np.logaddexp(0, a))

    def _counted(self, result: Array) -> Array:
        self.operations += result.size
        return result

    @staticmethod
    def _like(operand: Array, result: Any) -> Array:
        """A result of numpy's that its type hints do not know the type of."""
        return np.asarray(result, dtype=operand.dtype)
