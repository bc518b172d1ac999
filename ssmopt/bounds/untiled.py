"""Bounds that hold for a model on a machine under any tiling: no tile overhead, nothing rounded up."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod

import networkx as nx

from ssmopt.bounds.demand import Demand, after, before, compulsory_bytes, region_cycles, whole_bytes
from ssmopt.bounds.forced import forced_traffic
from ssmopt.bounds.shares import is_even
from ssmopt.bounds.waiting import Resource, Waiting
from ssmopt.errors import InputError
from ssmopt.hardware import Hardware
from ssmopt.problem import Problem
from ssmopt.result import Bound
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.layers import STREAM
from ssmopt.workload.operators import Operator, OperatorGraph, operator_cycles_floor

_Class = tuple[tuple[int, ...], list[Operator]]
"""Groups of cores, and the operators that can run nowhere else."""


def lower_bounds(problem: Problem) -> list[Bound]:
    """Cycles below which no schedule of the problem exists under any tiling, with reasons.

    Work of each class of cores; compulsory traffic (weights, inputs and initial states in, outputs out), and with it
    what a small SRAM forces; release and tail, that is, work that can only begin after loads and ancestors, plus that
    work, plus what must follow it; and the longest path through the recurrence. Fractions are exact, and rounded up
    only at the end, which is safe because a makespan is a whole number.

    A tiling runs the sequential operators one by one or as scans, which may be other kernels on other cores: of the
    bounds for either, those with the smaller maximum hold for both.

    Raises
    ------
    InputError
        No channel leads to DRAM.
    """
    either = [_graph_bounds(problem, problem_graph(problem, scan=scan)) for scan in (False, True)]
    return min(either, key=lambda bounds: max(bound.cycles for bound in bounds))


def _graph_bounds(problem: Problem, graph: OperatorGraph) -> list[Bound]:
    """Bounds for every tiling of one operator graph."""
    layers = problem.layers
    loaded, stored = (layers * n for n in compulsory_bytes(graph))
    # What passes from one layer to the next need not leave the chip.
    loaded -= (layers - 1) * whole_bytes(graph.tensors[STREAM[0]]) if layers > 1 else 0
    stored -= (layers - 1) * whole_bytes(graph.tensors[STREAM[1]]) if layers > 1 else 0
    rate = dram_bytes_per_cycle(problem.hardware)
    needs = _needs(problem, graph, rate)
    names = " and ".join(channel.id for channel in problem.hardware.channels if "dram" in channel.connects)
    traffic = f"compulsory traffic of channel {names}"
    bounds = [Bound(ceil(Fraction(loaded + stored, rate)), traffic)]
    forced = forced_traffic(problem, graph)
    forced_bytes = layers * forced.n_bytes
    if forced_bytes > 0:
        capacity = problem.hardware.capacity_bytes
        reason = f"{traffic}, and {forced_bytes:,} bytes that {capacity:,} bytes of SRAM force"
        cycles = ceil(Fraction(loaded + stored + forced_bytes, rate))
        bounds.append(Bound(cycles, f"{reason}: {', '.join(forced.where)}"))
    classes = _classes(problem, graph)
    for groups, operators in classes:
        bounds += _class_bounds(problem, groups, operators, needs)
        others = [other for other in classes if not set(groups) & set(other[0])]
        bounds += _waiting_bounds(problem, graph, (groups, operators), others, needs, max(b.cycles for b in bounds))
    load_tail = min((need.tail for need in needs.values()), default=Fraction(0))
    bounds.append(Bound(ceil(Fraction(loaded, rate) + load_tail), "all loads, then what follows the last"))
    bounds.append(_recurrence(problem, graph, needs))
    return bounds


def dram_bytes_per_cycle(hardware: Hardware) -> int:
    """Bytes per cycle over all channels to DRAM together.

    Raises
    ------
    InputError
        No channel leads to DRAM.
    """
    rate = sum(channel.bandwidth * channel.lanes for channel in hardware.channels if "dram" in channel.connects)
    if rate == 0:
        raise InputError(f"no channel of {hardware.name!r} connects DRAM with a memory", key="channels")
    return rate


@dataclass(frozen=True)
class _Need:
    """Release (no tile of the operator starts earlier) and tail (this much always follows), in cycles.

    ``from_input`` says whether every tile needs some tile of the block's first operator, or is one; ``to_output``
    whether every tile is followed by some tile of its last operator, or is one.
    """

    head: Fraction
    tail: Fraction
    from_input: bool
    to_output: bool


def _needs(problem: Problem, graph: OperatorGraph, rate: int) -> dict[str, _Need]:
    """Release and tail of every operator.

    What an operator needs of an ancestor starts no earlier than the ancestor's own release and takes its share of
    work; mirrored for what follows. Shares of different operators are not added up along a chain, since parts of them
    may overlap in time.
    """
    first, last = graph.operators[0].name, graph.operators[-1].name
    heads: dict[str, Fraction] = {}
    from_input, to_output = set(), set()
    for operator in graph.operators:
        demand = before(graph, operator)
        if first in demand.counts:
            from_input.add(operator.name)
        parts = _parts(problem, graph, demand, operator)
        heads[operator.name] = max(
            [Fraction(demand.moved_bytes, rate), *(heads[name] + cycles for name, cycles in parts.items())]
        )
    tails: dict[str, Fraction] = {}
    for operator in reversed(graph.operators):
        demand = after(graph, operator)
        if last in demand.counts or operator.name == last:
            to_output.add(operator.name)
        parts = _parts(problem, graph, demand, operator)
        tails[operator.name] = max(
            [Fraction(demand.moved_bytes, rate), *(cycles + tails[name] for name, cycles in parts.items())]
        )
    return {name: _Need(heads[name], tails[name], name in from_input, name in to_output) for name in heads}


def _parts(problem: Problem, graph: OperatorGraph, demand: Demand, but: Operator) -> dict[str, Fraction]:
    """Cycles of the involved part of each operator except ``but``."""
    return {
        operator.name: region_cycles(problem, operator, demand.counts[operator.name])
        for operator in graph.operators
        if operator.name in demand.counts and operator is not but
    }


def _classes(problem: Problem, graph: OperatorGraph) -> list[_Class]:
    """Sets of core groups, each with the operators that can run nowhere else."""
    cores = problem.hardware.cores
    able = {o.name: {g for g, core in enumerate(cores) if o.kernel in core.runs} for o in graph.operators}
    classes = []
    for count in range(1, len(cores) + 1):
        for groups in itertools.combinations(range(len(cores)), count):
            inside = [o for o in graph.operators if able[o.name] <= set(groups)]
            if inside:
                classes.append((groups, inside))
    return classes


def _class_work(problem: Problem, groups: tuple[int, ...], operators: list[Operator]) -> dict[str, Fraction]:
    """Cycles of each operator that can only run on the groups, spread over all of their cores."""
    cores = [problem.hardware.cores[g] for g in groups]
    count = sum(core.count for core in cores)
    return {
        o.name: min(operator_cycles_floor(o, core) for core in cores if o.kernel in core.runs) / count
        for o in operators
    }


def _label(problem: Problem, groups: tuple[int, ...]) -> str:
    return " and ".join(problem.hardware.cores[g].id for g in groups)


def _waiting_bounds(
    problem: Problem,
    graph: OperatorGraph,
    of_class: _Class,
    others: list[_Class],
    needs: dict[str, _Need],
    known: int,
) -> list[Bound]:
    """Work of a class after its first tile of a released operator, with what loads and other cores keep until then."""
    groups, operators = of_class
    work, label = _class_work(problem, groups, operators), _label(problem, groups)
    made = {access.tensor for operator in graph.operators for access in operator.writes}
    rate = dram_bytes_per_cycle(problem.hardware)
    loads = {name: Fraction(t.element_bytes, rate) for name, t in graph.tensors.items() if name not in made}
    resources = [Resource(loads, is_load=True)]
    for other, inside in others:
        cycles = _class_work(problem, other, inside)
        each = {o.name: cycles[o.name] / prod(o.dims.values()) for o in inside if is_even(o)}
        resources.append(Resource(each, is_load=False))
    waiting = Waiting(graph, operators, resources)
    inputs = [name for name in work if needs[name].from_input]
    last = graph.operators[-1].name
    highest, reason = Fraction(0), ""
    for head in sorted({needs[name].head for name in work})[1:]:
        later = [name for name in work if needs[name].head >= head]
        follows = min(needs[name].tail for name in work)
        if last in later:
            # The layers after the first begin with what its last operator has made.
            follows += (problem.layers - 1) * sum(work[name] for name in inputs)
        value = waiting.least(work, later, head, max(highest, Fraction(known)) - follows) + follows
        if value > highest:
            first, highest = next(name for name in later if needs[name].head == head), value
            reason = f"release of {first}, then work of {label} and what cannot come before, then its tail"
    return [Bound(ceil(highest), reason)] if reason else []


def _class_bounds(
    problem: Problem, groups: tuple[int, ...], operators: list[Operator], needs: dict[str, _Need]
) -> list[Bound]:
    work, label = _class_work(problem, groups, operators), _label(problem, groups)
    bounds = [Bound(ceil(problem.layers * sum(work.values())), f"work of {label}")]
    other_layers = problem.layers - 1
    inputs = [o for o in work if needs[o].from_input]
    outputs = [o for o in work if needs[o].to_output]
    first, *_, last = needs
    best, reason = Fraction(0), ""
    for name in work:
        later = [o for o in work if needs[o].head >= needs[name].head]
        value = needs[name].head + sum(work[o] for o in later) + min(needs[o].tail for o in later)
        if other_layers and needs[last].head >= needs[name].head:
            # The layers after the first begin with what its last operator has made.
            after_first = other_layers * sum(work[o] for o in inputs)
            tail = min(needs[o].tail for o in {*later, *inputs})
            value = needs[name].head + sum(work[o] for o in later) + after_first + tail
        if value > best:
            best, reason = value, f"release of {name}, then work of {label}, then its tail"
        longer = [o for o in work if needs[o].tail >= needs[name].tail]
        value = min(needs[o].head for o in longer) + sum(work[o] for o in longer) + needs[name].tail
        if other_layers and needs[first].tail >= needs[name].tail:
            # What the layers before the last make, its first operator reads.
            before_last = other_layers * sum(work[o] for o in outputs)
            head = min(needs[o].head for o in {*longer, *outputs})
            value = head + sum(work[o] for o in longer) + before_last + needs[name].tail
        if value > best:
            best, reason = value, f"release, then work of {label} up to {name}, then its tail"
    bounds.append(Bound(ceil(best), reason))
    return bounds


def _recurrence(problem: Problem, graph: OperatorGraph, needs: dict[str, _Need]) -> Bound:
    """Every state needs the one before it, token by token or chunk by chunk: at least a cycle of each pass of each."""
    names = {name for cycle in nx.simple_cycles(graph.graph) for name in cycle}
    links = [operator for operator in graph.operators if operator.name in names]
    state = sum(
        min(
            sum(core.op_cycles[step.operation] for step in operator.steps)
            for core in problem.hardware.cores
            if operator.kernel in core.runs
        )
        for operator in links
    )
    states = graph.tensors["h"]
    chain = states.extents[states.axis].high * state
    return Bound(ceil(needs[links[0].name].head + chain), "release of the recurrence, then its longest path")
