"""Where each dimension of each operator is cut."""

from __future__ import annotations

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.errors import InputError
from ssmopt.tiling import PROJECTIONS, ProjectionTiling, Tiling
from ssmopt.workload.operators import Operator, Parts


def boundaries(operator: Operator, dim: str, tiling: Tiling) -> IntArray:
    """Cut positions of a dimension of an operator, both ends included.

    Raises
    ------
    InputError
        More pieces are asked for than the dimension has indices.
    """
    size = operator.dims[dim]
    if dim == "S":
        return np.arange(size + 1, dtype=np.int64)
    if dim == "L":
        return _token_cuts(operator, size, tiling)
    pieces = _pieces(operator, dim, tiling)
    parts = operator.parts.get(dim, Parts((size,)))
    most = sum(parts.main)
    if pieces > most:
        raise InputError(
            f"cannot cut dimension {dim} of {operator.name}, {most} long, into {pieces} pieces", key="tiling"
        )
    return part_cuts(parts, pieces)


def part_cuts(parts: Parts, pieces: int) -> IntArray:
    """Ends of pieces of a dimension of several parts, of which the main ones get so many pieces together."""
    ends = [np.zeros(1, dtype=np.int64)]
    each = max(1, pieces // len(parts.main))
    for size in parts.main:
        grain = parts.grain if each <= size // parts.grain else 1
        ends.append(ends[-1][-1] + equal_cuts(size // grain, each)[1:] * grain)
    cuts = np.concatenate(ends)
    step = max(1, int(np.diff(cuts).max()) // parts.unit) * parts.unit
    end = int(cuts[-1]) + parts.rest
    return np.concatenate([cuts[:-1], np.arange(cuts[-1], end, step), [end]]).astype(np.int64)


def equal_cuts(size: int, pieces: int) -> IntArray:
    """Ends of ``pieces`` nearly equal pieces of ``size`` indices."""
    return np.arange(pieces + 1, dtype=np.int64) * size // pieces


def projection_tiling(tiling: Tiling, name: str) -> ProjectionTiling:
    """The cuts of a projection, given or by default: once per channel piece along ``d_inner``."""
    given = tiling.projections.get(name)
    if given is not None:
        return given
    return {
        "in_proj": ProjectionTiling(columns=2 * tiling.channel_splits),
        "x_proj": ProjectionTiling(reduction=tiling.channel_splits),
        "dt_proj": ProjectionTiling(columns=tiling.channel_splits),
        "out_proj": ProjectionTiling(reduction=tiling.channel_splits),
    }[name]


def _token_cuts(operator: Operator, size: int, tiling: Tiling) -> IntArray:
    steps = {
        "tokens": tiling.tokens,
        "norm_tokens": tiling.tokens if tiling.norm_tokens is None else tiling.norm_tokens,
        "state_tokens": tiling.state_tokens,
        "single": 1,
        "chunk": operator.chunk,
        "rows": tiling.tokens,
    }
    cuts = np.arange(0, size, min(steps[operator.pace], size), dtype=np.int64)
    if operator.pace == "rows":
        cuts = np.union1d(cuts, np.arange(0, size, operator.chunk, dtype=np.int64))
    return np.append(cuts, size)


def _pieces(operator: Operator, dim: str, tiling: Tiling) -> int:
    name = operator.name
    if name in PROJECTIONS:
        cut = projection_tiling(tiling, name)
        return cut.reduction if dim in operator.reduces else cut.columns
    if name == "residual" and dim == "D":
        return projection_tiling(tiling, "out_proj").columns
    if dim in ("E", "H", "X"):
        return tiling.channel_splits
    if dim == "G":
        return min(tiling.channel_splits, operator.dims[dim])
    if dim == "N" and name not in ("norm_B", "norm_C"):
        return tiling.state_splits
    return 1
