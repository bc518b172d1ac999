"""What solving an instance gives: a validated schedule, bounds with reasons, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ssmopt.area import area_mm2
from ssmopt.energy import energy_of, folded_sram_bytes_accessed, sram_bytes_accessed
from ssmopt.errors import InputError
from ssmopt.folded import FoldedSchedule
from ssmopt.folding.expand import peak_memory_bytes
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OPTIMAL, FEASIBLE, INFEASIBLE, UNKNOWN = "OPTIMAL", "FEASIBLE", "INFEASIBLE", "UNKNOWN"


@dataclass(frozen=True)
class Bound:
    """A number of cycles below which no schedule exists, and why.

    Attributes
    ----------
    cycles
        The bound.
    reason
        One line for people, such as ``compulsory traffic of channel dma``.
    """

    cycles: int
    reason: str


@dataclass(frozen=True)
class Progress:
    """State of a running solver, for progress lines.

    Attributes
    ----------
    elapsed_seconds
        Wall time since the call.
    phase
        What is going on, in a word or two.
    makespan
        Best valid schedule so far, in cycles; None before the first.
    lower_bound
        Tiling-independent bound, in cycles.
    """

    elapsed_seconds: float
    phase: str
    makespan: int | None
    lower_bound: int

    @property
    def gap(self) -> float | None:
        """``(makespan - lower_bound) / lower_bound``; None before the first schedule."""
        return None if self.makespan is None else relative_gap(self.makespan, self.lower_bound)


class ProgressListener(Protocol):
    """Called now and then by a running solver."""

    def __call__(self, progress: Progress, /) -> None: ...


def relative_gap(makespan: int, lower_bound: int) -> float:
    """``(makespan - lower_bound) / lower_bound``; 0 for an empty instance."""
    return (makespan - lower_bound) / lower_bound if lower_bound else 0.0


@dataclass(frozen=True)
class Allocation:
    """What addresses cost.

    Attributes
    ----------
    height_bytes
        Bytes up to the highest address in use, over all memories.
    peak_bytes
        Most bytes resident at once, over all memories.
    lost_cycles
        By how much the makespan grew to make addresses possible.
    """

    height_bytes: int
    peak_bytes: int
    lost_cycles: int = 0

    @property
    def fragmentation_bytes(self) -> int:
        """Bytes that are never in use at the busiest moment although they lie below the highest address."""
        return self.height_bytes - self.peak_bytes

    @property
    def fragmentation(self) -> float:
        """The same as a share of the height."""
        return self.fragmentation_bytes / self.height_bytes if self.height_bytes else 0.0

    def as_dict(self) -> dict[str, object]:
        """Fields of a result whose residencies have addresses."""
        return {
            "allocated_bytes": self.height_bytes,
            "fragmentation_bytes": self.fragmentation_bytes,
            "fragmentation": self.fragmentation,
            "allocation_lost_cycles": self.lost_cycles,
        }


@dataclass(frozen=True)
class SecondStage:
    """What was minimised after the makespan.

    Attributes
    ----------
    objective
        ``dram`` (bytes moved to and from DRAM) or ``sram`` (most bytes resident at once).
    before_bytes, bytes
        Of the schedule that the first stage found, and of the one that takes its place.
    bound_bytes
        Bytes below which no schedule of this tile instance that is as short exists.
    """

    objective: str
    before_bytes: int
    bytes: int
    bound_bytes: int

    @property
    def proved(self) -> bool:
        """Whether fewer bytes would make the schedule longer."""
        return self.bytes <= self.bound_bytes

    def as_dict(self) -> dict[str, object]:
        """Fields of a result with a second objective."""
        return {
            "then": self.objective,
            "then_before_bytes": self.before_bytes,
            "then_bytes": self.bytes,
            "then_bound_bytes": self.bound_bytes,
            "then_proved": self.proved,
        }


@dataclass(frozen=True)
class Result:
    """Outcome of `ssmopt.solve`.

    Attributes
    ----------
    instance, schedule
        What was solved, and the best schedule, validated; None when none was found.
    solver
        Name of the solver that was asked for.
    status
        ``OPTIMAL`` (the makespan equals the instance bound), ``FEASIBLE``, ``INFEASIBLE`` (proved) or ``UNKNOWN``.
    bound, tile_bound
        The tiling-independent bound, and the bound for this tile instance.
    wall_seconds
        Wall time of building, tiling, heuristics and solving together.
    note
        Anything that the reader of a table should know, such as a cut that a capacity forced; may be empty.
    allocation
        What addresses cost, if residencies were given any.
    second
        What was minimised after the makespan, if anything was.
    interrupted
        Signal number that ended the search early; 0 if none did.
    folded
        The schedule in closed form, if that is what was found: then ``schedule`` is None, and ``instance`` holds the
        tiles of the short prompt that it repeats.
    """

    instance: Instance
    schedule: Schedule | None
    solver: str
    status: str
    bound: Bound
    tile_bound: Bound
    wall_seconds: float
    note: str = ""
    interrupted: int = 0
    allocation: Allocation | None = None
    folded: FoldedSchedule | None = None
    second: SecondStage | None = None

    @property
    def found(self) -> bool:
        """Whether there is a schedule, in whatever form."""
        return self.schedule is not None or self.folded is not None

    @property
    def problem(self) -> Problem | None:
        """What was solved, if it is more than tiles."""
        return self.instance.problem if self.folded is None else self.folded.problem

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return self.instance.n_tiles if self.folded is None else self.folded.n_tiles

    @property
    def objective(self) -> int | None:
        """Makespan in cycles."""
        if self.folded is not None:
            return self.folded.makespan
        return None if self.schedule is None else self.schedule.makespan

    @property
    def makespan(self) -> int | None:
        """Makespan in cycles."""
        return self.objective

    @property
    def lower_bound(self) -> int:
        """Cycles below which no schedule of this model on this hardware exists under any tiling."""
        return self.bound.cycles

    @property
    def instance_bound(self) -> int:
        """Cycles below which no schedule of this tile instance exists."""
        return self.tile_bound.cycles

    @property
    def gap(self) -> float | None:
        """Relative distance to ``lower_bound``."""
        return None if self.makespan is None else relative_gap(self.makespan, self.lower_bound)

    @property
    def instance_gap(self) -> float | None:
        """Relative distance to ``instance_bound``."""
        return None if self.makespan is None else relative_gap(self.makespan, self.instance_bound)

    @property
    def runtime(self) -> float:
        """Wall time in seconds."""
        return self.wall_seconds

    def as_dict(self) -> dict[str, object]:
        """The fields that every ``--json`` and table shows, in their order; times in cycles, sizes in bytes."""
        instance, schedule, folded, problem = self.instance, self.schedule, self.folded, self.problem
        latency_ms = model_latency_ms = ms_per_token = None
        if problem is not None and self.makespan is not None:
            latency_ms = self.makespan / (problem.hardware.clock_ghz * 1e6)
            model_latency_ms = latency_ms * problem.model.layers / problem.layers
            ms_per_token = model_latency_ms / problem.seq_len
        area = None if problem is None else area_mm2(problem.hardware)
        peak = transfers = dram_bytes = sram_bytes = None
        if folded is not None:
            sram_bytes = folded_sram_bytes_accessed(folded)
            peak, transfers, dram_bytes = peak_memory_bytes(folded), folded.n_transfers, folded.dram_bytes
        if schedule is not None:
            sram_bytes = sram_bytes_accessed(instance, schedule)
            transfers, dram_bytes = len(schedule.transfers), schedule.dram_bytes(instance.tensor_bytes)
            peak = sum(schedule.peak_memory_bytes(instance.tensor_bytes, m) for m in range(instance.n_memories))
        return {
            "instance": instance.name,
            "solver": self.solver,
            "status": self.status,
            "makespan": self.makespan,
            "lower_bound": self.lower_bound,
            "bound_reason": self.bound.reason,
            "gap": self.gap,
            "instance_bound": self.instance_bound,
            "instance_bound_reason": self.tile_bound.reason,
            "instance_gap": self.instance_gap,
            "tiling": None if instance.tiling is None else instance.tiling.describe(),
            "latency_ms": latency_ms,
            "model_latency_ms": model_latency_ms,
            "ms_per_token": ms_per_token,
            "tiles": self.n_tiles,
            "transfers": transfers,
            "dram_bytes": dram_bytes,
            "peak_memory_bytes": peak,
            "area_mm2": None if area is None else float(area),
            **energy_of(problem, instance.tiling, sram_bytes, dram_bytes).as_dict(),
            "wall_seconds": self.wall_seconds,
            "valid": self.found,
            "note": self.note,
            **({} if self.allocation is None else self.allocation.as_dict()),
            **({} if self.second is None else self.second.as_dict()),
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw cores and channels over time into axes (new ones by default), and return them.

        Raises
        ------
        InputError
            There is no schedule.
        """
        instance, schedule = self._shown()
        return schedule.plot(instance, ax=ax, lower_bound=None if self.folded is not None else self.lower_bound)

    def plot_memory(self, memory: int | str = 0, ax: Axes | None = None) -> Axes:
        """Draw the bytes in a memory (number or id) over time into axes (new ones by default), and return them.

        Raises
        ------
        InputError
            There is no schedule, or no such memory.
        """
        instance, schedule = self._shown()
        return schedule.plot_memory(instance, memory, ax=ax)

    def _shown(self) -> tuple[Instance, Schedule]:
        """What pictures show: of a periodic schedule the first and the last rounds."""
        if self.folded is not None:
            return self.folded.short, self.folded.schedule
        if self.schedule is None:
            raise InputError(f"there is no schedule of {self.instance.name!r} to draw: {self.status}")
        return self.instance, self.schedule

    def _repr_html_(self) -> str:
        from ssmopt.export.notebook import result_html

        return result_html(self)

    def __repr__(self) -> str:
        if self.makespan is None:
            return f"Result({self.instance.name}: {self.status} by {self.solver}, no schedule)"
        return (
            f"Result({self.instance.name}: {self.status} by {self.solver}, makespan {self.makespan:,} cycles, "
            f"lower bound {self.lower_bound:,} ({self.bound.reason}), gap {self.gap:.3%}, {self.wall_seconds:.1f} s)"
        )
