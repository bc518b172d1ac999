"""Blocks of whole tensors: put together from tensor pieces for a tile to read, and cut into pieces for it to write."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.workload.operators import Access, Extent, Tensor

Array = npt.NDArray[np.floating[Any]]
Box = tuple[tuple[int, int], ...]
"""Half-open index range along each dimension of a tensor."""

ANYWHERE = 2**30
"""Beyond every index; blocks that tiles access are not cut to their tensors."""


def access_boxes(access: Access, tensor: Tensor, ranges: Mapping[str, tuple[IntArray, IntArray]]) -> IntArray:
    """The part of a tensor that each of several tiles accesses, not cut to the tensor's extent.

    Only chunks end where the tensor does, since a last one that is shorter is computed as such.

    Parameters
    ----------
    access, tensor
        How an operator accesses what.
    ranges
        Low and high ends of the tiles, by dimension.

    Returns
    -------
    array
        Shape (tiles, dimensions of the tensor, 2).
    """
    ends = []
    for index, extent in zip(access.indices, tensor.extents, strict=True):
        limits = extent if index.everything or index.multiplier > 1 else Extent(extent.dim, -ANYWHERE, ANYWHERE)
        ends.append(np.stack(index.select(*ranges[index.dim], limits), axis=-1))
    return np.stack(ends, axis=1)


def whole_box(tensor: Tensor) -> Box:
    """The index ranges of a whole tensor."""
    return tuple((extent.low, extent.high) for extent in tensor.extents)


def shape(box: Box) -> tuple[int, ...]:
    """Shape of the array that holds a box."""
    return tuple(high - low for low, high in box)


def common(a: Box, b: Box) -> Box:
    """The part that two boxes share; a range is empty where they do not meet."""
    return tuple(
        (max(low, other_low), max(low, other_low, min(high, other_high)))
        for (low, high), (other_low, other_high) in zip(a, b, strict=True)
    )


def inside(part: Box, box: Box) -> tuple[slice, ...]:
    """Where a part of a box lies in the array that holds the box."""
    return tuple(slice(low - start, high - start) for (low, high), (start, _) in zip(part, box, strict=True))


def gather(box: Box, extent: Box, parts: Sequence[tuple[Box, Array]], dtype: npt.DTypeLike) -> Array | None:
    """The array of a box, from disjoint parts that cover it; what lies outside the tensor is zero.

    Zero is what a causal convolution finds before the first token, and a state before its first update.

    Parameters
    ----------
    box, extent
        What is wanted, and all that the tensor has.
    parts
        Pieces of the tensor, with their arrays. The one array that is just the box is returned as it is.
    dtype
        Type of a new array.

    Returns
    -------
    array or None
        None when the parts leave a gap.
    """
    if len(parts) == 1 and parts[0][0] == box:
        return parts[0][1]
    block = np.zeros(shape(box), dtype=dtype)
    covered = 0
    for part, array in parts:
        shared = common(box, part)
        block[inside(shared, box)] = array[inside(shared, part)]
        covered += math.prod(shape(shared))
    return block if covered == math.prod(shape(common(box, extent))) else None


def cut_out(part: Box, box: Box, block: Array) -> Array:
    """The piece of a block that a box inside it is; a copy unless it is all of the block."""
    return block if part == box else block[inside(part, box)].copy()


def contains(box: Box, part: Box) -> bool:
    """Whether all of a part lies in a box."""
    return all(low <= start and end <= high for (low, high), (start, end) in zip(box, part, strict=True))
