"""Where each dimension of each operator is cut."""

from __future__ import annotations

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.errors import InputError
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.mamba import SEQUENTIAL, STATE_UPDATE
from ssmopt.workload.operators import Operator


def boundaries(operator: Operator, dim: str, tiling: Tiling) -> IntArray:
    """Cut positions of a dimension of an operator, both ends included.

    Raises
    ------
    InputError
        More pieces are asked for than the dimension has indices.
    """
    size = operator.dims[dim]
    if dim == "L":
        step = min(_tokens(operator, tiling), size)
        return np.append(np.arange(0, size, step, dtype=np.int64), size)
    pieces = _pieces(operator, dim, tiling)
    if pieces > size:
        raise InputError(
            f"cannot cut dimension {dim} of {operator.name}, {size} long, into {pieces} pieces", key="tiling"
        )
    return equal_cuts(size, pieces)


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


def _tokens(operator: Operator, tiling: Tiling) -> int:
    if operator.name in SEQUENTIAL:
        return 1
    if operator.name in STATE_UPDATE or operator.name == "scan":
        return tiling.state_tokens
    if operator.name in ("rms_norm", "residual") and tiling.norm_tokens is not None:
        return tiling.norm_tokens
    return tiling.tokens


def _pieces(operator: Operator, dim: str, tiling: Tiling) -> int:
    name = operator.name
    if name in ("in_proj", "x_proj", "dt_proj", "out_proj"):
        cut = projection_tiling(tiling, name)
        return cut.reduction if dim in operator.reduces else cut.columns
    if name == "residual" and dim == "D":
        return projection_tiling(tiling, "out_proj").columns
    if dim == "E":
        return tiling.channel_splits
    if dim == "N":
        return tiling.state_splits
    return 1
