"""Numbers of pieces worth trying along a dimension."""

from __future__ import annotations

from functools import lru_cache

_LEAST_RATIO, _MOST_RATIO = 1.25, 1.9
_MOST_WASTE = 1.1


@lru_cache(maxsize=256)
def ladder(size: int, unit: int) -> tuple[int, ...]:
    """Numbers of pieces, ascending, whose pieces are whole multiples of a unit as far as possible.

    Parameters
    ----------
    size
        Indices of the dimension.
    unit
        How many of them the hardware takes at a time: anything in between costs as much as the next multiple.

    Returns
    -------
    tuple
        First numbers of pieces of whole units, at least a quarter more from one to the next and less than twice as
        many, those without any waste before others; then halves, quarters and so on of a unit; at last single indices.
    """
    units = -(-size // max(unit, 1))
    steps = [p for p in range(1, units + 1) if units % p == 0]
    kept: list[int] = []
    for p in steps:
        if not kept or p >= _LEAST_RATIO * kept[-1] or p == units:
            kept.append(p)
    for p in range(2, units):
        waste = -(-units // p) * p / units
        near = any(p < _LEAST_RATIO * k and k < _LEAST_RATIO * p for k in kept)
        if waste <= _MOST_WASTE and not near:
            kept.append(p)
    kept.sort()
    filled = kept[:1]
    for high in kept[1:]:
        # A wide gap is bridged whatever that wastes: where transfers take longest, it does not matter.
        while high >= _MOST_RATIO * filled[-1] and max(filled[-1] + 1, round(1.35 * filled[-1])) < high:
            filled.append(max(filled[-1] + 1, round(1.35 * filled[-1])))
        filled.append(high)
    kept = filled
    while kept[-1] * 2 < size:
        kept.append(kept[-1] * 2)
    if kept[-1] < size:
        kept.append(size)
    return tuple(kept)


def at_least(steps: tuple[int, ...], pieces: int) -> int:
    """The smallest number of pieces on the ladder that is not below the given one; failing that, the largest."""
    return next((p for p in steps if p >= pieces), steps[-1])


def nearest_step(steps: tuple[int, ...], pieces: int) -> int:
    """Where on the ladder the nearest number stands."""
    return min(range(len(steps)), key=lambda i: abs(steps[i] - pieces))


def around(steps: tuple[int, ...], pieces: int) -> list[int]:
    """Up to two numbers on either side of the nearest one, nearest first."""
    near = nearest_step(steps, pieces)
    order = sorted(range(len(steps)), key=lambda i: (abs(i - near), i))
    return [steps[i] for i in order if abs(i - near) <= 2 and steps[i] != pieces]
