"""The last step of `ssmopt.solve`: addresses for the schedule that was found."""

from __future__ import annotations

from dataclasses import replace

from ssmopt.allocate.addresses import AllocationError, allocation_of
from ssmopt.allocate.fit import allocate_or_refit
from ssmopt.export.units import percent, size, whole
from ssmopt.result import FEASIBLE, OPTIMAL, Progress, ProgressListener, Result
from ssmopt.stopping import Stop


def with_addresses(result: Result, stop: Stop, on_progress: ProgressListener | None) -> Result:
    """The result with an address for every residency, and a note on what that cost.

    Where no addresses are found in time, the schedule stays as it is, and the note says so.
    """
    schedule = result.schedule
    if schedule is None:
        return result

    def say(phase: str) -> None:
        if on_progress is not None:
            on_progress(Progress(stop.elapsed, phase, result.makespan, result.lower_bound))

    try:
        placed = allocate_or_refit(
            result.instance, schedule, time_limit=stop.remaining, should_stop=stop, on_progress=say
        )
    except AllocationError as error:
        note = f"residencies have no addresses: {error}"
        return replace(result, note=_joined(result.note, note), wall_seconds=stop.elapsed, interrupted=stop.signal)
    lost = placed.makespan - schedule.makespan
    allocation = allocation_of(result.instance, placed, lost)
    assert allocation is not None
    cost = "no cycles lost" if lost <= 0 else f"{whole(lost)} cycles ({percent(lost / schedule.makespan)}) lost"
    gained = f", {whole(-lost)} cycles gained by another residency policy" if lost < 0 else ""
    note = (
        f"addresses use {size(allocation.height_bytes)}: {cost}{gained}, fragmentation "
        f"{whole(allocation.fragmentation_bytes)} bytes ({percent(allocation.fragmentation)})"
    )
    return replace(
        result,
        schedule=placed,
        status=OPTIMAL if placed.makespan <= result.instance_bound else FEASIBLE,
        note=_joined(result.note, note),
        wall_seconds=stop.elapsed,
        interrupted=stop.signal,
        allocation=allocation,
    )


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
