"""One exploration as it goes: what is known of every machine, and who is searched next."""

from __future__ import annotations

import math
from fractions import Fraction

from ssmopt.autotile.candidates import Candidate
from ssmopt.exploration.baselines import baseline_results
from ssmopt.exploration.contender import LONGEST, Contender
from ssmopt.exploration.result import BOUNDED, FAILED, PRUNED, SOLVED, Exploration, Part
from ssmopt.exploration.space import Machine, machine_of
from ssmopt.hardware import Hardware
from ssmopt.model import Model
from ssmopt.result import Progress, ProgressListener
from ssmopt.search import EXACT_TILES
from ssmopt.stopping import Stop

BASELINE = "fuse-all"
"""The published heuristic that the reference is also run with."""

_FIRST_SHARE, _LAST_SHARE = 0.25, 0.85
"""Share of the budget that the first searches are planned to take together, and after which the last one begins."""

_REFERENCE_SHARE = 0.08
"""Share of the budget that the first search on the reference gets at least: gains are relative to it."""

_LEAST_WORK = 0.2
"""Units of work that a search gets at least."""

_LONGER = 3
"""How many times longer than before those are searched on that are among the fastest."""

_NEIGHBOURS = 3
"""From so many machines nearby a search takes over what it begins with."""


class Campaign:
    """The machines of a space, and what has been found for each.

    Parameters
    ----------
    model, base, space, parts
        What runs, what the machines were made from, the machines, and the prompts.
    stop
        When to end.
    on_progress
        Told whenever something has changed.
    shapes
        How many shapes of each area, share and bandwidth are left in the space, those of the smallest bounds; None
        leaves all.
    prune
        Whether machines that cannot be the fastest are left out.
    """

    def __init__(
        self,
        model: Model,
        base: Hardware,
        space: list[Machine],
        parts: tuple[Part, ...],
        stop: Stop,
        on_progress: ProgressListener | None,
        *,
        shapes: int | None = None,
        prune: bool = True,
    ):
        self.model = model
        self.prune = prune
        self.parts = parts
        self.stop = stop
        self.on_progress = on_progress
        self.reference = Contender(machine_of(base), model, parts, stop)
        self.contenders: list[Contender] = []
        for number, machine in enumerate(space):
            if number % 10 == 0:
                self._say(f"bounds of {number:,} of {len(space):,} machines")
            self.contenders.append(Contender(machine, model, parts, stop))
        self.contenders = _of_most_promising_shapes(self.contenders, shapes)
        self.baseline: int | None = None

    def run(self, budget: float, workers: int, seed: int) -> None:
        """Search machine after machine until the budget (in units of work) is used up or nothing is left to gain.

        Raises
        ------
        CapacityError
            The model fits none of the machines.
        """
        # The first of each area and share by bound: one good makespan prunes many of the others.
        groups: dict[tuple[Fraction, Fraction], list[Contender]] = {}
        for contender in sorted(self.contenders, key=lambda c: c.bound):
            groups.setdefault((contender.machine.fraction, contender.machine.memory_share), []).append(contender)
        first = max(_LEAST_WORK, budget * _FIRST_SHARE / (len(groups) + 1))
        self._search(self.reference, max(2 * first, _REFERENCE_SHARE * budget))
        for leader in _by_turns([leader for leader, *_ in groups.values()]):
            self._search(leader, first)
        self._run_baseline()
        # Then other shapes, those first whose area and share have proved to be fast.
        solved = [group for group in groups.values() if group[0].makespan is not None]
        solved.sort(key=lambda group: (group[0].makespan or 0, group[0].bound))
        for contender in (c for _, *rest in solved for c in rest):
            self._search(contender, first / 2)
        if all(contender.error is not None for contender in self.contenders):
            error = self.contenders[0].error
            assert error is not None
            raise error
        self._go_on(first * _LONGER)
        self._finish(workers, seed)

    def _go_on(self, work: float) -> None:
        """Search on the reference and the fastest half of what is left, again and again, for longer each time."""
        until = self.stop.after(_LAST_SHARE)
        left = [c for c in self.contenders if c.makespan is not None]
        while left and not until():
            left = [c for c in left if not self.is_pruned(c) or c.makespan == self.best_for(c)]
            left.sort(key=lambda c: (c.makespan or 0, c.bound))
            left = left[: max(1, len(left) // 2)]
            before = self.stop.work
            for contender in (self.reference, *left):
                if until():
                    return
                self._search(contender, work)
            if self.stop.work == before:  # Nobody has anything left to try.
                return
            work *= _LONGER

    def _search(self, contender: Contender, work: float) -> None:
        is_reference = contender is self.reference
        anything = any(c.makespan is not None for c in self.contenders)
        if (self.stop() and anything) or (
            not is_reference and contender.makespan is None and self.is_pruned(contender)
        ):
            return
        if contender.exhausted or contender.error is not None:
            return
        rows, columns = contender.machine.shape
        share = "" if is_reference else f", {float(100 * contender.machine.memory_share):g} % SRAM"
        self._say(f"{self._counts()}: {rows}x{columns}{share}")
        contender.search(work, lambda length: self._seeds(contender, length))
        self._say(self._counts())

    def _seeds(self, contender: Contender, seq_len: int) -> list[Candidate]:
        """What was best on the machines that are most like this one."""
        machine = contender.machine

        def distance(other: Contender) -> tuple[float, float, float]:
            return (
                abs(other.machine.sram_bytes / machine.sram_bytes - 1),
                abs(other.machine.processing_elements / machine.processing_elements - 1),
                abs(other.machine.shape[0] - machine.shape[0]),
            )

        known = [c for c in (self.reference, *self.contenders) if c is not contender and c.candidate(seq_len)]
        found = [c.candidate(seq_len) for c in sorted(known, key=distance)[:_NEIGHBOURS]]
        return list(dict.fromkeys(candidate for candidate in found if candidate is not None))

    def _run_baseline(self) -> None:
        """Run the published heuristic on the reference, unless everything has to end."""
        total = 0
        reference = self.reference
        for part, problem, bound in zip(self.parts, reference.problems, reference.bounds, strict=True):
            self._say(f"{BASELINE} on the reference")
            if part.seq_len > LONGEST:
                return
            result = baseline_results(problem, [BASELINE], bound, self.stop)[BASELINE]
            if result is None or result.makespan is None:
                return
            total += part.weight * result.makespan
        self.baseline = total

    def _finish(self, workers: int, seed: int) -> None:
        """Improve the schedules of the fastest machine by whatever the ordinary solver has beyond tilings.

        Then search on the reference, so that the gain over it is not overstated.
        """
        found = [c for c in self.contenders if c.makespan is not None]
        if not found:
            return
        fastest = min(found, key=lambda c: (c.makespan or 0, c.machine.area_mm2))
        for length in [part.seq_len for part in self.parts]:
            if not self.stop() and fastest.results[length].instance.n_tiles <= EXACT_TILES:
                self._say(f"{self._counts()}: the fastest once more")
                fastest.improve(length, workers, seed)
        # Whatever is left goes to the machine that the gain is measured against.
        self._search(self.reference, math.inf)

    def best_for(self, contender: Contender) -> int | None:
        """The shortest makespan of any machine that is no larger."""
        fraction = contender.machine.fraction
        known = [c.makespan for c in self.contenders if c.makespan is not None and c.machine.fraction <= fraction]
        return min(known, default=None)

    def is_pruned(self, contender: Contender) -> bool:
        """Whether a machine is left out because it cannot be faster than one that is no larger."""
        if not self.prune:
            return False
        best_known = self.best_for(contender)
        return best_known is not None and contender.bound >= best_known

    def outcome(self) -> Exploration:
        """What is known now."""
        rows = []
        for contender in self.contenders:
            state = BOUNDED
            if contender.makespan is not None:
                state = SOLVED
            elif contender.error is not None:
                state = FAILED
            elif self.is_pruned(contender):
                state = PRUNED
            rows.append(contender.row(state))
        return Exploration(
            model=self.model.name,
            parts=self.parts,
            rows=tuple(rows),
            reference=self.reference.row(BOUNDED if self.reference.makespan is None else SOLVED),
            baseline=self.baseline,
            baseline_name=BASELINE,
            wall_seconds=self.stop.elapsed,
            interrupted=self.stop.signal,
        )

    def _counts(self) -> str:
        solved = sum(c.makespan is not None for c in self.contenders)
        pruned = sum(c.makespan is None and self.is_pruned(c) for c in self.contenders)
        return f"{len(self.contenders)} machines, {solved} solved, {pruned} pruned"

    def _say(self, phase: str) -> None:
        if self.on_progress is not None:
            known = [c.makespan for c in self.contenders if c.makespan is not None]
            bound = min((c.bound for c in self.contenders), default=0)
            self.on_progress(Progress(self.stop.elapsed, phase, min(known, default=None), bound))


def _of_most_promising_shapes(contenders: list[Contender], shapes: int | None) -> list[Contender]:
    """For each area, share and bandwidth so many contenders of the smallest bounds, in the given order."""
    if shapes is None:
        return contenders
    kept: list[Contender] = []
    counts: dict[tuple[Fraction, Fraction, int], int] = {}
    for contender in sorted(contenders, key=lambda c: c.bound):
        machine = contender.machine
        key = (machine.fraction, machine.memory_share, machine.bandwidth)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= shapes:
            kept.append(contender)
    return [contender for contender in contenders if contender in kept]


def _by_turns(leaders: list[Contender]) -> list[Contender]:
    """The first of each area, then the second of each, and so on: every area has an answer early."""
    rank: dict[Fraction, int] = {}
    turns: list[tuple[int, int, int, Contender]] = []
    for leader in leaders:
        turn = rank[leader.machine.fraction] = rank.get(leader.machine.fraction, 0) + 1
        turns.append((turn, leader.bound, len(turns), leader))
    return [leader for *_, leader in sorted(turns, key=lambda entry: entry[:3])]
