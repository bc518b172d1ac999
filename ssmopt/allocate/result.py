"""The last step of `ssmopt.solve`: addresses for the schedule that was found."""

from __future__ import annotations

from dataclasses import replace

from ssmopt.allocate.addresses import AllocationError, allocation_of
from ssmopt.allocate.fit import allocate_or_refit
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
            result.instance, schedule, time_limit=stop.remaining, should_stop=stop.late, on_progress=say
        )
    except AllocationError as error:
        note = f"residencies have no addresses: {error}"
        return replace(result, note=_joined(result.note, note), wall_seconds=stop.elapsed, interrupted=stop.signal)
    lost = placed.makespan - schedule.makespan
    allocation = allocation_of(result.instance, placed, lost)
    assert allocation is not None
    if lost < 0:
        cost = f"no cycles lost, {-lost:,} gained by another residency policy"
    else:
        cost = f"{lost:,} cycles ({lost / schedule.makespan:.2%}) lost" if lost else "no cycles lost"
    note = (
        f"addresses up to {allocation.height_bytes:,} bytes: {cost}, fragmentation "
        f"{allocation.fragmentation_bytes:,} bytes ({allocation.fragmentation:.1%})"
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
