"""`explain`: why a schedule is as long as it is, and what would make it shorter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from ssmopt.explain.causes import Causes, find_causes
from ssmopt.explain.chain import Chain, Stretch, critical_chain, stretches
from ssmopt.explain.gains import Gain
from ssmopt.explain.gains import gains as find_gains
from ssmopt.explain.idle import Idle, idle_times
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.validate import check


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a schedule is as long as it is.

    Attributes
    ----------
    instance, schedule
        What is explained.
    causes
        What each tile and transfer waited for.
    chain, stretches
        The critical chain, step by step and with steps of one core or channel together.
    idle
        Where the time of every core and channel goes.
    gains
        What larger machines could gain; empty if that was not asked for.
    """

    instance: Instance
    schedule: Schedule
    causes: Causes
    chain: Chain
    stretches: tuple[Stretch, ...]
    idle: tuple[Idle, ...]
    gains: tuple[Gain, ...]

    @property
    def chain_cycles(self) -> dict[str, int]:
        """Cycles of the critical chain on each core and channel, the most first; together with ``chain_wait`` all."""
        spent: defaultdict[str, int] = defaultdict(int)
        for stretch in self.stretches:
            spent[stretch.resource] += stretch.cycles
        return dict(sorted(spent.items(), key=lambda item: -item[1]))

    @property
    def chain_wait(self) -> int:
        """Cycles of the critical chain that nothing is known to have filled: steps that were held back."""
        return int(self.chain.wait.sum())

    def as_dict(self) -> dict[str, object]:
        """What ``ssmopt explain --json`` prints; times in cycles."""
        return {
            "instance": self.instance.name,
            "solver": self.schedule.solver,
            "makespan": self.schedule.makespan,
            "chain_cycles": self.chain_cycles,
            "chain_wait": self.chain_wait,
            "chain_steps": len(self.chain),
            "chain": [stretch.as_dict() for stretch in self.stretches],
            "idle": [idle.as_dict() for idle in self.idle],
            "gains": [gain.as_dict() for gain in self.gains],
        }

    def chain_shares(self, most: int = 6) -> list[tuple[str, float]]:
        """Cores and channels of the critical chain with their shares of the makespan, ``most`` of them by name."""
        makespan = max(self.schedule.makespan, 1)
        spent = [(name, cycles / makespan) for name, cycles in self.chain_cycles.items()]
        if len(spent) > most:
            spent = [*spent[:most], (f"{len(spent) - most} others", sum(share for _, share in spent[most:]))]
        return [*spent, ("held back", self.chain_wait / makespan)] if self.chain_wait else spent

    def _repr_html_(self) -> str:
        from ssmopt.export.notebook import explanation_html

        return explanation_html(self)

    def __repr__(self) -> str:
        spent = [f"{name} {share:.1%}" for name, share in self.chain_shares()]
        lines = [f"{self.instance.name}: {self.schedule.makespan:,} cycles, of the critical chain {', '.join(spent)}"]
        lines += [
            f"  {gain.change:22} at best {gain.bound.cycles:>14,} cycles (gain at most {gain.most:.1%}: "
            f"{gain.bound.reason})"
            for gain in self.gains
        ]
        return "\n".join(lines)


def explain(
    instance: Instance,
    schedule: Schedule,
    *,
    gains: bool = True,
    on_change: Callable[[str], None] | None = None,
) -> Explanation:
    """Explain a schedule: its critical chain, its idle times by cause, and what larger machines could gain.

    Parameters
    ----------
    instance, schedule
        A tile instance and a feasible schedule of it.
    gains
        Whether to bound larger machines, too.
    on_change
        Called with each change of the machine before it is tried.

    Returns
    -------
    Explanation
        Its ``repr`` is a summary; ``as_dict`` has all of it.

    Raises
    ------
    InvalidScheduleError
        The schedule breaks a rule.
    """
    check(instance, schedule)
    causes = find_causes(instance, schedule)
    chain = critical_chain(causes)
    return Explanation(
        instance,
        schedule,
        causes,
        chain,
        tuple(stretches(instance, schedule, causes, chain)),
        tuple(idle_times(instance, schedule, causes)),
        tuple(find_gains(instance, schedule, on_change)) if gains else (),
    )
