"""What an exploration finds: a row per machine, the best one, and what is proved about all the others."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ssmopt.exploration.space import Machine
from ssmopt.result import Result, relative_gap

SOLVED, PRUNED, BOUNDED, FAILED = "solved", "pruned", "bounded", "no schedule"
"""What happened to a machine: it has a valid schedule; its bound shows that it is no better than another one of at most
its area; only its bound is known; or no schedule fits it."""


@dataclass(frozen=True)
class Part:
    """One prompt length of the workload: how many tokens, and how many such prompts the mix has."""

    seq_len: int
    weight: int


@dataclass(frozen=True)
class Row:
    """One machine.

    Attributes
    ----------
    machine
        The machine.
    state
        What happened to it (see `SOLVED`).
    bound
        Cycles below which no schedule of the mix exists: the weighted sum of the bounds of its parts.
    results
        A validated result for each part of the mix, if it was solved.
    weights
        Weight of each part.
    """

    machine: Machine
    state: str
    bound: int
    results: tuple[Result, ...]
    weights: tuple[int, ...]

    @property
    def makespan(self) -> int | None:
        """Cycles of the whole mix, each prompt after the other; None unless every part has a schedule."""
        total = 0
        for result, weight in zip(self.results, self.weights, strict=False):
            if result.makespan is None:
                return None
            total += weight * result.makespan
        return total if self.results else None

    @property
    def gap(self) -> float | None:
        """Relative distance of the makespan to the machine's own bound."""
        return None if self.makespan is None else relative_gap(self.makespan, self.bound)

    @property
    def energy_uj(self) -> float | None:
        """Energy of the whole mix; None if any part's is not known."""
        energies = [result.as_dict()["energy_uj"] for result in self.results]
        if not energies or any(not isinstance(energy, float) for energy in energies):
            return None
        return sum(w * e for w, e in zip(self.weights, energies, strict=True) if isinstance(e, float))

    @property
    def is_optimal(self) -> bool:
        """Whether no tiling and no schedule is faster on this machine."""
        return self.makespan is not None and self.makespan <= self.bound

    def as_dict(self) -> dict[str, object]:
        """Fields as ``--json`` shows them, ``parts`` one entry per prompt of the mix; cycles, bytes, mm2, ms and uJ."""
        machine, makespan = self.machine, self.makespan
        rows, columns = machine.shape
        return {
            "hardware": machine.hardware.name,
            "area_mm2": float(machine.area_mm2),
            "area_fraction": float(machine.fraction),
            "memory_share": float(machine.memory_share),
            "sram_bytes": machine.sram_bytes,
            "rows": rows,
            "columns": columns,
            "processing_elements": machine.processing_elements,
            "bandwidth": machine.bandwidth,
            "state": self.state,
            "makespan": makespan,
            "lower_bound": self.bound,
            "gap": self.gap,
            "latency_ms": None if makespan is None else makespan / (machine.hardware.clock_ghz * 1e6),
            "energy_uj": self.energy_uj,
            "parts": [
                {
                    "makespan": result.makespan,
                    "lower_bound": result.lower_bound,
                    "bound_reason": result.bound.reason,
                    "gap": result.gap,
                    "tiling": None if result.instance.tiling is None else result.instance.tiling.describe(),
                }
                for result in self.results
            ],
            "valid": makespan is not None,
        }


@dataclass(frozen=True)
class Exploration:
    """The outcome of an exploration.

    Attributes
    ----------
    model
        Name of the model.
    parts
        The workload.
    rows
        Every machine of the space, by area, then in the order of the space.
    reference
        The hardware that the space was made from, with its own best schedule.
    baseline
        What the published heuristic takes on the reference for the whole mix, in cycles; None if it was not run.
    baseline_name
        Which heuristic that is.
    wall_seconds, interrupted
        How long it took, and the signal that ended it, or 0.
    """

    model: str
    parts: tuple[Part, ...]
    rows: tuple[Row, ...]
    reference: Row
    baseline: int | None
    baseline_name: str
    wall_seconds: float
    interrupted: int = 0

    def count(self, state: str) -> int:
        """How many machines ended in a state."""
        return sum(row.state == state for row in self.rows)

    @property
    def best(self) -> Row | None:
        """The fastest machine; of equally fast ones the smallest."""
        return min(self._solved(), key=_by_makespan, default=None)

    @property
    def bound(self) -> int:
        """Cycles below which no machine of the space runs the mix: the smallest bound of all of them."""
        return min(row.bound for row in self.rows)

    @property
    def gap(self) -> float | None:
        """By how much the fastest machine found may be slower than the fastest of the space, at most."""
        best = self.best
        return None if best is None or best.makespan is None else relative_gap(best.makespan, self.bound)

    @property
    def front(self) -> list[Row]:
        """The fastest machine of each area that is faster than all of smaller areas, the smallest first.

        Areas are those that machines were made for; what is on them may fall short by less than a row of an array.
        """
        found: list[Row] = []
        for fraction in sorted({row.machine.fraction for row in self.rows}):
            best = self.best_of(fraction)
            if best is not None and (not found or (best.makespan or 0) < (found[-1].makespan or 0)):
                found.append(best)
        return found

    def best_of(self, fraction: Fraction) -> Row | None:
        """The fastest machine of an area fraction."""
        return min((r for r in self._solved() if r.machine.fraction == fraction), key=_by_makespan, default=None)

    def bound_of(self, fraction: Fraction) -> int:
        """Cycles below which no machine of the space of this area runs the mix."""
        return min(row.bound for row in self.rows if row.machine.fraction == fraction)

    @property
    def speedup(self) -> float | None:
        """How many times faster the best machine is than the reference with its own best schedule."""
        return self._over(self.reference.makespan)

    @property
    def speedup_over_baseline(self) -> float | None:
        """How many times faster the best machine is than the reference with the published heuristic."""
        return self._over(self.baseline)

    def _over(self, makespan: int | None) -> float | None:
        best = self.best
        return None if best is None or not best.makespan or makespan is None else makespan / best.makespan

    def _solved(self) -> list[Row]:
        return [row for row in self.rows if row.makespan is not None]

    def as_dict(self) -> dict[str, object]:
        """Everything, as ``--json`` prints it."""
        best = self.best
        return {
            "model": self.model,
            "mix": [{"seq_len": part.seq_len, "weight": part.weight} for part in self.parts],
            "machines": len(self.rows),
            "solved": self.count(SOLVED),
            "pruned": self.count(PRUNED),
            "bounded": self.count(BOUNDED),
            "failed": self.count(FAILED),
            "best": None if best is None else best.as_dict(),
            "space_bound": self.bound,
            "space_gap": self.gap,
            "reference": self.reference.as_dict(),
            "baseline": self.baseline_name,
            "baseline_makespan": self.baseline,
            "speedup": self.speedup,
            "speedup_over_baseline": self.speedup_over_baseline,
            "front": [row.as_dict() for row in self.front],
            "rows": [row.as_dict() for row in self.rows],
            "wall_seconds": self.wall_seconds,
        }

    def __repr__(self) -> str:
        best = self.best
        if best is None:
            return f"Exploration({self.model}: {len(self.rows)} machines, no schedule)"
        return (
            f"Exploration({self.model}: {best.machine.hardware.name} takes {best.makespan:,} cycles; no machine of the "
            f"{len(self.rows)} takes fewer than {self.bound:,})"
        )


def _by_makespan(row: Row) -> tuple[int, Fraction]:
    return row.makespan or 0, row.machine.area_mm2
