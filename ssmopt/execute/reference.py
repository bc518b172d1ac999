"""Models straight from their equations, on whole arrays, token after token: what executed schedules are compared with.

Names of arrays are those of `ssmopt.execute.arrays`. Nothing here knows operators, tiles or kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ssmopt.execute import reference_mamba, reference_mamba2
from ssmopt.execute.blocks import Array
from ssmopt.problem import Problem

Function = Callable[[Problem, Mapping[str, Array]], dict[str, Array]]

_SHARED = ("g_norm", "W_in", "w_conv", "b_conv", "W_x", "W_dt", "b_dt", "A", "D_skip", "g_gate", "W_out")
"""Weights, which all sequences of a batch share."""

_FUNCTIONS: Mapping[tuple[str, str], Function] = {
    ("mamba", "block"): reference_mamba.block,
    ("mamba", "state-update"): reference_mamba.state_update,
    ("mamba2", "block"): reference_mamba2.block,
    ("mamba2", "state-update"): reference_mamba2.state_update,
}


def reference(problem: Problem, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """What a problem computes.

    Parameters
    ----------
    problem
        A block of a model, or its state update; in whatever form, it is computed token after token.
    arrays
        Weights, inputs and initial states by name; without initial states everything before the first token is zero.

    Returns
    -------
    dict
        ``out`` (or ``y``, for the state update alone), ``h_final``, and for a block the convolution's tail,
        ``x_branch_final`` or ``xBC_final``.
    """
    compute = _FUNCTIONS[problem.model.family, problem.scope]
    if problem.batch == 1:
        return compute(problem, arrays)
    sequences = []
    for number in range(problem.batch):
        own = {name: array if name in _SHARED else array[number] for name, array in arrays.items()}
        sequences.append(compute(problem, own))
    return {name: np.stack([outputs[name] for outputs in sequences]) for name in sequences[0]}
