"""Bodies on identical machines, each with a head before and a tail after it."""

from __future__ import annotations

import numpy as np

from ssmopt.csr import IntArray


def machine_bound(heads: IntArray, bodies: IntArray, tails: IntArray, machines: int) -> int:
    """The best of: those released late, all of them, then the shortest tail; and its mirror image.

    For every threshold on the heads, the bodies with at least that head take their sum over the machines, after the
    threshold and before their smallest tail.
    """
    if not len(bodies):
        return 0
    return max(_released(heads, bodies, tails, machines), _released(tails, bodies, heads, machines))


def _released(heads: IntArray, bodies: IntArray, tails: IntArray, machines: int) -> int:
    order = np.argsort(-heads, kind="stable")
    work = -(-np.cumsum(bodies[order]) // machines)
    return int((heads[order] + work + np.minimum.accumulate(tails[order])).max())
