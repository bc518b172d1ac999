"""`explore`: bounds of all machines first, then short searches in the order of the bounds, then longer ones."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from fractions import Fraction

from ssmopt.errors import InputError
from ssmopt.exploration.campaign import Campaign
from ssmopt.exploration.result import Exploration, Part
from ssmopt.exploration.space import DEFAULT_SHARES, machines
from ssmopt.hardware import Hardware
from ssmopt.library import load_hardware, load_model
from ssmopt.model import Model
from ssmopt.result import ProgressListener
from ssmopt.silicon import exact
from ssmopt.solve import check_arguments
from ssmopt.stopping import Stop

TIME_LIMIT = 300.0
"""Wall seconds for everything together unless something else is said."""

_SECONDS_PER_UNIT = 4
"""About what a unit of work takes: how the first searches are spread over a time limit."""


def explore(
    model: Model | str,
    seq_len: int | Sequence[int],
    *,
    weights: Sequence[int] | None = None,
    hardware: Hardware | str = "marca",
    area_mm2: float | Sequence[float] | None = None,
    shares: Sequence[float] | None = None,
    rows: Sequence[int] | None = None,
    bandwidths: Sequence[int] | None = None,
    shapes: int | None = None,
    prune: bool = True,
    time_limit: float | None = None,
    work_limit: float | None = None,
    workers: int | None = None,
    seed: int = 0,
    on_progress: ProgressListener | None = None,
) -> Exploration:
    """The memory share, array shape and bandwidth with which chips of an area are the fastest.

    Machines are searched in the order of their bounds, shortly at first; one whose bound is no better than the makespan
    of another one of at most its area is never searched, and the fastest ones are searched on for longer.

    Parameters
    ----------
    model
        Object, name in the library, or path of a YAML file.
    seq_len, weights
        Tokens of the prompt; or of several, and how many of each the mix has (None: one each). The makespan of a mix is
        that of all its prompts one after another.
    hardware
        What all machines have in common, with an area model and one kind of cores; also what the best is compared with.
    area_mm2
        One or several areas; None takes that of the area model.
    shares
        Memory shares between 0 and 1; None takes 5 %, 10 %, ..., 95 %.
    rows
        Rows of the arrays (their columns are as many as fit); None takes several (`ssmopt.exploration.space`).
    bandwidths
        Bytes per cycle to DRAM; None takes what the area model says.
    shapes
        How many array shapes of each area, share and bandwidth there are in the space: those of the smallest bounds;
        None leaves all.
    prune
        Whether machines that cannot be the fastest are never searched; otherwise all are, for a curve over the shares.
    time_limit
        Wall seconds; None is `TIME_LIMIT`, or no limit where work is limited. A first schedule is always found.
    work_limit
        Units of work (see `ssmopt.stopping.Stop`). With it, equal calls give equal results, unless the time limit ends
        them first.
    workers, seed
        As for `ssmopt.solve`, for the last improvements of the fastest machine.
    on_progress
        Called with the state of the exploration when it changes.

    Raises
    ------
    InputError
        The hardware has no area model or several kinds of parts, or an argument is impossible.
    CapacityError
        The model fits none of the machines.
    """
    if time_limit is None:
        time_limit = TIME_LIMIT if work_limit is None else math.inf
    check_arguments([], time_limit, workers, work_limit)
    if shapes is not None and shapes <= 0:
        raise InputError(f"expected a positive number of shapes, not {shapes}", key="shapes")
    parts = _parts(seq_len, weights)
    model = load_model(model) if isinstance(model, str) else model
    base = load_hardware(hardware) if isinstance(hardware, str) else hardware
    space = machines(base, _areas(base, area_mm2), _shares(shares), rows, bandwidths)
    if workers is None:
        workers = 1 if work_limit is not None else os.cpu_count() or 1
    with Stop(time_limit, work_limit) as stop:
        campaign = Campaign(model, base, space, parts, stop, on_progress, shapes=shapes, prune=prune)
        campaign.run(time_limit / _SECONDS_PER_UNIT if work_limit is None else work_limit, workers, seed)
        return campaign.outcome()


def _parts(seq_len: int | Sequence[int], weights: Sequence[int] | None) -> tuple[Part, ...]:
    lengths = [seq_len] if isinstance(seq_len, int) else list(seq_len)
    each = [1] * len(lengths) if weights is None else list(weights)
    if not lengths:
        raise InputError("give at least one number of tokens", key="seq_len")
    if len(each) != len(lengths):
        raise InputError(f"expected one weight for each of the {len(lengths)} prompts, not {len(each)}", key="weights")
    for name, numbers in (("seq_len", lengths), ("weights", each)):
        for number in numbers:
            if number <= 0:
                raise InputError(f"expected a positive whole number, not {number}", key=name)
    if len(set(lengths)) < len(lengths):
        raise InputError("a number of tokens is given twice; give it a weight instead", key="seq_len")
    return tuple(Part(length, weight) for length, weight in zip(lengths, each, strict=True))


def _areas(base: Hardware, area_mm2: float | Sequence[float] | None) -> list[Fraction]:
    if area_mm2 is None:
        if base.area_model is None:
            raise InputError(f"hardware {base.name!r} has no area_model, so that no other split of its area is known")
        return [exact(base.area_model.reference_mm2)]
    areas = [area_mm2] if isinstance(area_mm2, int | float) else list(area_mm2)
    for area in areas:
        if not (math.isfinite(area) and area > 0):
            raise InputError(f"expected a positive number, not {area:g}", key="area_mm2")
    if not areas:
        raise InputError("give at least one area", key="area_mm2")
    return sorted({exact(area) for area in areas})


def _shares(shares: Sequence[float] | None) -> list[Fraction]:
    if shares is None:
        return list(DEFAULT_SHARES)
    if not shares:
        raise InputError("give at least one memory share", key="shares")
    return sorted({exact(share) for share in shares})
