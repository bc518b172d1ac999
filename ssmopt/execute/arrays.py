"""The arrays that a model's block starts from: what they are called, what shape they have, and random ones.

Whole tensors go by the names of the operator graph, with the dimensions in its order. What one prompt hands to the
next has a name for either end: ``h_initial`` and ``h_final``, ``x_branch_initial`` and ``x_branch_final`` (the tokens
that the convolution still looks back on), tokens always first. The final ones of a prompt are the initial ones of the
prompt that continues it.

=============  =====================  ==========================================================================
name           shape                  meaning (Mamba-1)
=============  =====================  ==========================================================================
x              L, d_model             input of the block
g_norm         d_model                weights of the normalisation
W_in           d_model, 2 d_inner     input projection; first the columns of the convolution's branch, then the gate's
w_conv         d_inner, d_conv        taps of the convolution; the last one meets the newest token
b_conv         d_inner                bias of the convolution
W_x            d_inner, R + 2 N       projection to step size (R = dt_rank columns), B and C (N = d_state columns each)
W_dt, b_dt     R, d_inner; d_inner    projection of the step size, and its bias
A              d_inner, N             decay rates, all negative: ``-exp(A_log)``
D_skip         d_inner                weights of the path around the state
W_out          d_inner, d_model       output projection
h_initial      1, d_inner, N          state before the first token, if the prompt continues another
x_branch_...   d_conv - 1, d_inner    tokens of the convolution's branch before the first one, likewise (``_initial``)
=============  =====================  ==========================================================================

Mamba-2 has ``w_conv`` and ``b_conv`` for all channels of the convolution, ``X = d_inner + 2 n_groups N`` (x, B, C), and
``xBC_initial`` for its tail; ``W_in`` with columns for the gate, the convolution and the step sizes, one per head; one
``b_dt``, ``A`` and ``D_skip`` per head; ``g_gate`` (d_inner), the weights of the gated normalisation; and neither
``W_x`` nor ``W_dt``.

The state update alone starts from ``dt``, ``B``, ``C``, ``xc``, ``A`` and ``h_initial``. With a batch all arrays but
weights have the sequences as their first dimension.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.errors import InputError, nearest
from ssmopt.execute.blocks import Array, Box, shape, whole_box
from ssmopt.instance import WEIGHT
from ssmopt.problem import Problem
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.operators import OperatorGraph, Tensor


@dataclass(frozen=True)
class Part:
    """A part of a tensor that has a name of its own.

    Attributes
    ----------
    tensor, box
        Which part of what. It may begin before the tensor does, with zeros.
    """

    tensor: Tensor
    box: Box


def input_parts(graph: OperatorGraph) -> dict[str, Part]:
    """By name: what DRAM holds before the first tile."""
    written = {access.tensor for operator in graph.operators for access in operator.writes}
    parts = {}
    for name, tensor in graph.tensors.items():
        box, axis = whole_box(tensor), tensor.axis
        if name not in written:
            parts[name] = Part(tensor, box)
        elif box[axis][0] < 0:
            parts[f"{name}_initial"] = Part(tensor, _along(box, axis, (box[axis][0], 0)))
    return parts


def output_parts(graph: OperatorGraph) -> dict[str, Part]:
    """By name: what DRAM holds at the end."""
    parts = {}
    for name, tensor in graph.tensors.items():
        if tensor.output_from is None:
            continue
        box, axis = whole_box(tensor), tensor.axis
        # Forced cuts mark what goes from one prompt to the next; anything else that comes out does so as a whole.
        label = f"{name}_final" if tensor.cuts else name
        parts[label] = Part(tensor, _along(box, axis, (tensor.output_from, box[axis][1])))
    return parts


def _along(box: Box, axis: int, ends: tuple[int, int]) -> Box:
    return (*box[:axis], ends, *box[axis + 1 :])


def input_shapes(problem: Problem) -> dict[str, tuple[int, ...]]:
    """Name and shape of every array that a problem starts from."""
    return {name: shape(part.box) for name, part in input_parts(problem_graph(problem)).items()}


def make_arrays(
    problem: Problem, given: Mapping[str, Array] | None = None, *, seed: int = 0, dtype: npt.DTypeLike = np.float64
) -> dict[str, Array]:
    """Every array that a problem starts from.

    Parameters
    ----------
    problem
        What is computed.
    given
        Arrays by name; the others are random.
    seed
        Seed of the random ones. They are scaled so that no value inside the block grows with the model.
    dtype
        Type of all of them.

    Raises
    ------
    InputError
        A given array has an unknown name, another shape than its tensor, or values that cannot be used.
    """
    shapes, given = input_shapes(problem), given or {}
    for name in given:
        if name not in shapes:
            raise InputError(f"no array of this instance is called {name!r}{nearest(name, shapes)}", key=name)
    weights = {name for name, part in input_parts(problem_graph(problem)).items() if part.tensor.kind == WEIGHT}
    return {
        name: _checked(name, given[name], size, dtype)
        if name in given
        else _random(name, size, seed, is_weight=name in weights).astype(dtype, copy=False)
        for name, size in shapes.items()
    }


def _checked(name: str, array: Array, size: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    if array.shape != size:
        raise InputError(f"expected an array of shape {size}, not {array.shape}", key=name)
    if array.dtype.kind not in "fiu":
        raise InputError(f"expected numbers, not an array of {array.dtype}", key=name)
    if not np.isfinite(array).all():
        raise InputError("expected finite numbers only", key=name)
    if name == "A" and (array >= 0).any():
        raise InputError("decay rates must be negative: A holds -exp(A_log), not A_log", key=name)
    return array.astype(dtype, copy=False)


def _random(name: str, size: tuple[int, ...], seed: int, *, is_weight: bool) -> Array:
    """A random array; its values depend on seed, name and shape alone."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values: Array = rng.standard_normal(size)
    if name == "A":
        values = -np.exp(0.5 * values)
    elif name in ("dt", "b_dt"):
        # Step sizes of a trained model, from a hundredth to a half; as a bias, what softplus turns into them.
        values = np.exp(rng.uniform(np.log(0.01), np.log(0.5), size))
        if name == "b_dt":
            values = values + np.log(-np.expm1(-values))
    elif name.startswith("W_"):
        values /= np.sqrt(size[0])
    elif name.startswith("w_"):
        values /= np.sqrt(size[-1])
    elif is_weight:
        values *= 0.1
        values += 0 if name.startswith("b_") else 1
    return values
