"""How much a matrix product moves at least, beyond loading its weights once, when an SRAM is small; any tiling.

The proofs are in ``docs/bounds.md``. The product may be part of a graph: its left operand may be made on chip, and its
result used there, for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

_SEGMENTS_TRIED = (Fraction(1, 2), Fraction(3, 4), Fraction(1), Fraction(5, 4))
"""Shares of the ideal number of segments; every number gives a bound."""


@dataclass(frozen=True)
class Product:
    """``[rows, summed]`` activations times ``[summed, columns]`` weights.

    Attributes
    ----------
    rows, summed, columns
        Sizes; rows are the tokens of all sequences together.
    activation_bytes, weight_bytes
        Bytes per element of both activations, and of the weights.
    """

    rows: int
    summed: int
    columns: int
    activation_bytes: int
    weight_bytes: int

    @property
    def multiplications(self) -> int:
        """Multiplications of a row's element with a weight."""
        return self.rows * self.summed * self.columns

    @property
    def weights(self) -> int:
        """Number of weights."""
        return self.summed * self.columns

    @property
    def free_words(self) -> int:
        """Activations that may appear on chip without being loaded, each once: made there, or begun as a sum."""
        return self.rows * (self.summed + self.columns)


def forced_bytes(product: Product, capacity: int, weight_price: Fraction = Fraction(1)) -> Fraction:
    """Bytes that every schedule loads on account of a product beyond its weights once; at least 0.

    Counted are loads of complete left operands, loads of partial sums, and loads of weights beyond the first of each.

    Parameters
    ----------
    product
        What is computed.
    capacity
        Bytes of all memories together.
    weight_price
        How much of each byte of the repeated weights counts, from 0 to 1. The rest is left for other bounds.
    """
    found = [Fraction(0), weight_price * _balanced(product, capacity)]
    for segments, root in _attempts(product, capacity):
        found.append(_skinny(product, capacity, weight_price, segments, root))
    return max(found)


def _balanced(product: Product, capacity: int) -> int:
    """Segments of twice the capacity do at most so many multiplications (Loomis and Whitney)."""
    words = product.activation_bytes**2 * product.weight_bytes
    squared = -(-(product.multiplications**2) * words // capacity**3)
    segments = isqrt(squared - 1) + 1
    largest = max(product.activation_bytes, product.weight_bytes)
    moved = (segments - 1) * (2 * capacity - largest)
    free = product.activation_bytes * product.free_words + product.weight_bytes * product.weights
    return moved - free


def _attempts(product: Product, capacity: int) -> Iterator[tuple[int, int]]:
    """Numbers of segments, and estimates of the root of the weights in one, that may give good bounds."""
    ideal = Fraction(product.rows**2 * product.weights * product.activation_bytes**2, capacity**2)
    for share in _SEGMENTS_TRIED:
        segments = max(1, int(share * ideal))
        yield segments, max(1, isqrt(product.weights // segments))
        yield segments, max(1, isqrt(5 * capacity // (2 * product.weight_bytes)))


def _skinny(product: Product, capacity: int, weight_price: Fraction, segments: int, root: int) -> Fraction:
    """Few rows: segments of equally many activations, in each of which a row does at most one step per weight.

    With ``root`` as m: the words T that a segment has are at least ``weight / activation bytes * m * m``, or ``4 *
    multiplications / (w / m + segments * m)`` for w weights loaded. The first costs the same for every w; the second
    is convex in w, which is at least the number of weights.
    """
    width, weight = product.activation_bytes, product.weight_bytes
    standing = Fraction(capacity, width)
    enough = width * segments * (Fraction(weight, width) * root * root - standing)
    work = 4 * product.multiplications
    divisor = Fraction(product.weights, root) + segments * root
    if weight_price * weight * divisor * divisor * root >= width * segments * work:  # w pays off never
        short = width * segments * (work / divisor - standing)
    else:
        middle = 2 * isqrt(int(weight_price * weight * root * width * segments * work))
        short = middle - weight_price * weight * (segments * root * root + product.weights) - capacity * segments
    return min(enough, short) - width * (product.free_words + segments - 1)
