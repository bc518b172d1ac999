"""The periodic solver: search a tiling whose schedule repeats itself, check it, and say how good it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from ssmopt.bounds import best, lower_bounds
from ssmopt.errors import CapacityError, InputError
from ssmopt.folded import FoldedSchedule
from ssmopt.folding.check import check_folded
from ssmopt.folding.plan import PeriodicVariant, periodic_schedule
from ssmopt.folding.search import search_periodic
from ssmopt.heuristics.fuse_block import BlockVariant
from ssmopt.heuristics.pipelined import FIRST_ORDERS, FIRST_ROOM, MORE_ROOM
from ssmopt.instance import DRAM, NOT_ADMISSIBLE, OUTPUT
from ssmopt.problem import Problem
from ssmopt.result import FEASIBLE, OPTIMAL, Bound, Progress, ProgressListener, Result
from ssmopt.stopping import Stop
from ssmopt.tiling import Tiling
from ssmopt.workload.rounds import rounds_of

_SEARCH_SHARE = 0.7
"""Share of the time limit that the search for a tiling may take."""

_KEPT = (0, 4, 8, 12)
"""Sixteenths of the memory for weights that stay, which are tried at the end."""


def solve_periodic(problem: Problem, tiling: Tiling | None, stop: Stop, on_progress: ProgressListener | None) -> Result:
    """The best schedule in closed form that is found; what it takes does not depend on the prompt's length.

    Raises
    ------
    InputError
        The prompt is too short to repeat anything, or no schedule that was tried repeats itself.
    """
    bound = best(lower_bounds(problem))

    def report(phase: str, makespan: int | None) -> None:
        if on_progress is not None:
            on_progress(Progress(stop.elapsed, phase, makespan, bound.cycles))

    note = ""
    if tiling is None:
        late = stop.after(_SEARCH_SHARE)
        try:
            choice = search_periodic(
                problem,
                bound.cycles,
                should_stop=lambda _: late(),
                # Candidates are decoded, but not validated: their makespans are no incumbents.
                on_candidate=lambda tried, makespan: report(f"tiling {tried}: {makespan:,}", None),
            )
        except CapacityError as error:
            raise InputError(
                f"no schedule of {problem.name!r} that was tried repeats itself: its {problem.seq_len:,} tokens may be "
                "too few, or its memory too small; another solver may find one"
            ) from error
        tiling, first = choice.tiling, choice.variant
        variants: Iterable[PeriodicVariant] = (first, *(dataclasses.replace(first, kept=kept) for kept in _KEPT))
        note = f"tiling: shortest of {choice.candidates:,} candidates"
    else:
        variants = _variants()
    found: FoldedSchedule | None = None
    for variant in variants:
        other = periodic_schedule(problem, tiling, variant)
        if other is not None and (found is None or other.makespan < found.makespan):
            check_folded(other)
            found = other
            report("periodic", found.makespan)
        if found is not None and stop():
            break
    if found is None:
        raise InputError(f"no schedule of {problem.name!r} with this tiling that was tried repeats itself")
    return result_of_folded(found, stop, "; ".join(part for part in (note, _describe(found)) if part))


def result_of_folded(found: FoldedSchedule, stop: Stop, note: str) -> Result:
    """What a valid schedule in closed form comes to, with its bounds."""
    bound = best(lower_bounds(found.problem))
    tile_bound = _tile_bound(found, bound)
    return Result(
        instance=found.short,
        schedule=None,
        solver="periodic",
        status=OPTIMAL if found.makespan <= tile_bound.cycles else FEASIBLE,
        bound=bound,
        tile_bound=tile_bound,
        wall_seconds=stop.elapsed,
        note=note,
        interrupted=stop.signal,
        folded=found,
    )


def _variants() -> Iterator[PeriodicVariant]:
    for order in FIRST_ORDERS:
        for room in (FIRST_ROOM, MORE_ROOM):
            for kept in (2, *_KEPT):
                yield PeriodicVariant(BlockVariant(order, *room), kept)


def _describe(found: FoldedSchedule) -> str:
    return f"periodic: {found.repeats:,} times the same {found.round_tokens:,} tokens, every {found.period:,} cycles"


def _tile_bound(folded: FoldedSchedule, bound: Bound) -> Bound:
    """Work of each kind of core, and traffic that every schedule of these tiles has, from sums over the rounds."""
    short, more = folded.short, folded.copies
    tiles, tensors = rounds_of(short, folded.round_tokens)
    times = np.where(tiles.number == folded.repeated, 1 + more, 1)
    bounds = [bound]
    kinds = np.unique(short.core_kind)
    able = short.duration[:, kinds] != NOT_ADMISSIBLE
    never = np.iinfo(np.int64).max
    shortest = np.where(able, short.duration[:, kinds], never).min(axis=1)
    for pattern in (*np.unique(able, axis=0), np.ones(len(kinds), dtype=np.bool_)):
        inside = ~(able & ~pattern).any(axis=1)
        cores = int(np.isin(short.core_kind, kinds[pattern]).sum())
        work = int((shortest * times)[inside].sum())
        bounds.append(Bound(-(-work // cores), "work of the tiles"))
    channels = [c for c, ends in enumerate(short.channel_connects) if DRAM in ends]
    if channels:
        fastest = max(channels, key=lambda c: int(short.channel_bandwidth[c]))
        cycles = short.transfer_cycles(short.tensor_bytes, fastest)
        loaded = ~short.produced & (short.readers.counts() > 0)
        stored = short.produced & (short.tensor_kind == OUTPUT)
        moved = cycles * (loaded | stored) * np.where(tensors.number == folded.repeated, 1 + more, 1)
        lanes = int(short.channel_lanes[channels].sum())
        bounds.append(Bound(-(-int(moved.sum()) // lanes), "compulsory traffic of the tiles"))
    return best(bounds)
