"""The steady state of a loop: what every iteration does, in times of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from ssmopt.periodic.uses import Use


@dataclass(frozen=True)
class Move:
    """A load or store: when it starts, its cycles, and its channel (index into the body's)."""

    start: int
    cycles: int
    channel: int

    @property
    def end(self) -> int:
        """When it ends."""
        return self.start + self.cycles


@dataclass(frozen=True)
class Stay:
    """One residency of one iteration's copy of a tensor, or of a shared tensor in one period.

    The latter may serve tiles of earlier iterations, too: distances of its uses are 0 or less.
    """

    tensor: int
    start: int
    end: int
    uses: tuple[Use, ...]
    load: Move | None = None
    store: Move | None = None


@dataclass(frozen=True)
class Pattern:
    """What iteration 0 does, if iterations before and after it do the same ``period`` cycles earlier and later.

    Attributes
    ----------
    period
        Cycles from an iteration to the next.
    start, end, core
        Per tile of the body.
    stays
        Residencies of the copies of iteration 0; those of one tensor in order of time.
    kept
        Shared tensors that are resident all the time.
    """

    period: int
    start: tuple[int, ...]
    end: tuple[int, ...]
    core: tuple[int, ...]
    stays: tuple[Stay, ...] = field(default=())
    kept: tuple[int, ...] = field(default=())
