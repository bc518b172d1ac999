"""Work that comes after a moment because loads and other cores do not allow it before, whatever the tiling."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ssmopt.bounds.shares import Key, is_even, needed_by_all, needed_by_any
from ssmopt.workload.operators import Operator, OperatorGraph

_STEPS = 240
"""Weights of two resources are tried in steps of one over this."""


@dataclass(frozen=True)
class Resource:
    """Something that has limited time before a moment: the channels to DRAM, or a class of cores.

    Attributes
    ----------
    cycles
        Cycles per element of each operator, or of each tensor from outside, that it takes at least.
    is_load
        Whether it moves tensors (otherwise it runs operators).
    """

    cycles: Mapping[str, Fraction]
    is_load: bool

    def of(self, key: Key) -> Fraction:
        """Cycles per element."""
        return self.cycles.get(key.name, Fraction(0)) if key.is_load == self.is_load else Fraction(0)


class Waiting:
    """What stands behind the operators of a class of cores: all of each, and any element of each."""

    def __init__(self, graph: OperatorGraph, operators: list[Operator], resources: list[Resource]):
        self.resources = resources
        self.whole = {o.name: self._relevant(needed_by_all(graph, o) if is_even(o) else {}) for o in operators}
        self.single = {o.name: self._relevant(needed_by_any(graph, o)) for o in operators}

    def _relevant(self, counts: Mapping[Key, int]) -> dict[Key, int]:
        return {key: count for key, count in counts.items() if any(r.of(key) for r in self.resources)}

    def least(self, work: Mapping[str, Fraction], released: list[str], release: Fraction, worth: Fraction) -> Fraction:
        """The least of: the first start of a released operator, plus all work of the class that is left by then.

        Where it cannot exceed what would be worth it, something less may be returned.

        Parameters
        ----------
        work
            Cycles of each operator of the class, spread over its cores.
        released
            Those of them none of which starts before the moment.
        release
            No released operator starts before this.
        worth
            What is known already.
        """
        early = [name for name in work if name not in released]
        owners: dict[Key, list[str]] = {}
        for name in early:
            for key in self.whole[name]:
                owners.setdefault(key, []).append(name)
        singles = [self.single[name] for name in released]
        constants = [Fraction(0) for _ in self.resources]
        shared = []
        for key in dict.fromkeys([*owners, *(key for single in singles for key in single)]):
            of_one = min(single.get(key, 0) for single in singles)
            of_all = min((self.whole[name][key] for name in owners.get(key, ())), default=0)
            for number, resource in enumerate(self.resources):
                constants[number] += resource.of(key) * (of_one if of_all <= 2 * of_one else 0)
            if of_all > 2 * of_one:
                shared.append((key, owners[key], [resource.of(key) * of_all for resource in self.resources]))
        shared.sort(key=lambda entry: (len(entry[1]), entry[0].name, entry[0].part))
        exact = _Moment(
            [*constants, Fraction(0), release],
            [(names, prices) for _, names, prices in shared],
            {name: work[name] for name in early},
        )
        certain = sum((work[name] for name in released), Fraction(0))
        if exact.most() + certain <= worth:
            return Fraction(max(exact.constants)) + certain
        rough = exact.rounded()
        best = max(((exact.constants[n], {n: Fraction(1)}) for n in range(len(exact.constants))), key=lambda v: v[0])[1]
        highest = rough.value(best)
        for first, second in itertools.combinations(range(len(exact.constants)), 2):
            step = _highest(rough, first, second)
            weights = {first: Fraction(step, _STEPS), second: Fraction(_STEPS - step, _STEPS)}
            if rough.value(weights) > highest:
                best, highest = weights, rough.value(weights)
        return Fraction(exact.value(best)) + certain


@dataclass(frozen=True)
class _Moment:
    """What delays a moment, and what work of the class may be done before it.

    Attributes
    ----------
    constants
        Per resource: cycles before the moment in any case. After the resources come the class itself, and the release.
    shared
        Operators, and the cycles per resource that all of any one of them takes.
    work
        Work of each operator that may come before.
    """

    constants: Sequence[Fraction | float]
    shared: Sequence[tuple[list[str], Sequence[Fraction | float]]]
    work: Mapping[str, Fraction | float]

    def most(self) -> Fraction | float:
        """No weights have a larger value."""
        prices = [sum(prices[n] for _, prices in self.shared) for n in range(len(self.constants) - 2)]
        whole = [constant + price for constant, price in zip(self.constants, prices, strict=False)]
        return max(*whole, sum(self.work.values()), self.constants[-1])

    def rounded(self) -> _Moment:
        """The same in floating point, to compare weights quickly."""
        return _Moment(
            [float(constant) for constant in self.constants],
            [(names, [float(price) for price in prices]) for names, prices in self.shared],
            {name: float(work) for name, work in self.work.items()},
        )

    def value(self, weights: Mapping[int, Fraction] | Mapping[int, float]) -> Fraction | float:
        """A bound for any weights of resources that add up to 1.

        What delays the moment pays for operators that come before it, each key for those that share it; what is paid
        for counts, as it either is left or delays the moment by as much.
        """
        own = weights.get(len(self.constants) - 2, Fraction(0))
        used = [(number, weight) for number, weight in weights.items() if number < len(self.constants) - 2]
        total: Fraction | float = sum(weight * self.constants[number] for number, weight in weights.items())
        left = {name: (1 - own) * work for name, work in self.work.items()}
        total += own * sum(self.work.values())
        for names, prices in self.shared:
            money = sum(weight * prices[number] for number, weight in used)
            for name in names:
                part = min(money, left[name])
                left[name] -= part
                money -= part
                total += part
        return total


def _highest(moment: _Moment, first: int, second: int) -> int:
    """Of the weights of two resources, those of about the largest value, which is concave but for who pays first."""

    def at(step: int) -> float:
        return float(moment.value({first: step / _STEPS, second: 1 - step / _STEPS}))

    low, high = 0, _STEPS
    while high - low > 2:
        left, right = low + (high - low) // 3, high - (high - low) // 3
        low, high = (left, high) if at(left) < at(right) else (low, right)
    return max(range(low, high + 1), key=at)
