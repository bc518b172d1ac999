"""Lower bounds on the makespan, each with its reason.

`lower_bounds` holds for a model on a machine under any tiling; `instance_bounds` for one tile instance.
"""

from ssmopt.bounds.tiled import instance_bounds
from ssmopt.bounds.untiled import lower_bounds
from ssmopt.instance import Instance
from ssmopt.result import Bound

__all__ = ["best", "bounds_of", "instance_bounds", "lower_bounds"]


def best(bounds: list[Bound]) -> Bound:
    """The largest bound; of equal ones the first."""
    return max(bounds, key=lambda bound: bound.cycles, default=Bound(0, "nothing to do"))


def bounds_of(instance: Instance) -> tuple[Bound, Bound]:
    """The bound under any tiling, and the bound for this tile instance.

    For an instance without a known problem (one read from a file) the two coincide.
    """
    tiled = instance_bounds(instance)
    if instance.problem is None:
        return best(tiled), best(tiled)
    untiled = lower_bounds(instance.problem)
    return best(untiled), best([*untiled, *tiled])
