"""More memory never gives a worse answer: a schedule that fits a small memory fits every larger one.

A solver may do worse with more memory, by chance or because its time ended. So each point takes over the best schedule
of those points that differ from it in nothing but smaller memories, where that schedule is shorter than its own. Only
schedules that the points found themselves are taken, which makes the outcome independent of any order.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ssmopt.errors import InputError
from ssmopt.experiments.sweep.packing import Packed, pack, unpack
from ssmopt.files.problem_hash import problem_document
from ssmopt.folding.check import check_folded
from ssmopt.folding.solver import result_of_folded
from ssmopt.problem import Problem
from ssmopt.result import Bound, Result, relative_gap
from ssmopt.search import Search
from ssmopt.stopping import Stop


@dataclass(frozen=True)
class Contender:
    """What the pass needs to know of a point.

    Attributes
    ----------
    family
        Equal for points that differ in capacities only.
    capacities
        Bytes of each memory.
    makespan
        Of the schedule that the point found itself; None if it found none.
    """

    family: Hashable
    capacities: tuple[int, ...]
    makespan: int | None


def best_smaller(contenders: Sequence[Contender]) -> list[int | None]:
    """Per point the index of the one whose schedule it takes, with no more of any memory; None where its own is best.

    Of equally good ones it is that with the least memory, and of those the first.
    """
    families: dict[Hashable, list[int]] = defaultdict(list)
    for index, contender in enumerate(contenders):
        families[contender.family].append(index)
    chosen: list[int | None] = [None] * len(contenders)
    for members in families.values():
        found = [i for i in members if contenders[i].makespan is not None]
        found.sort(key=lambda i: (contenders[i].makespan, contenders[i].capacities, i))
        for index in members:
            own = contenders[index].makespan
            for other in found:
                makespan = contenders[other].makespan
                assert makespan is not None
                if own is not None and makespan >= own:
                    break
                if _fits(contenders[other].capacities, contenders[index].capacities):
                    chosen[index] = other
                    break
    return chosen


def taken_over(problem: Problem, solver: str, packed: Packed, origin: str, own: int | None = None) -> Result:
    """The result of a problem with a schedule that was found with less memory; it is validated on this machine.

    Parameters
    ----------
    problem
        The problem, with more memory.
    solver
        What was asked for.
    packed
        The schedule, of the same problem with less memory.
    origin
        Name of what the schedule was found for.
    own
        Makespan that was found with this memory, in cycles, for the note.

    Raises
    ------
    InvalidScheduleError
        The schedule is not feasible here.
    """
    worse = "no schedule" if own is None else f"{own:,} cycles"
    note = f"schedule of {origin}, instead of {worse} found with this memory"
    folded = packed.unfolded(problem)
    if folded is not None:
        check_folded(folded)
        return dataclasses.replace(result_of_folded(folded, Stop(), note), solver=solver)
    search = Search(packed.instance(problem), solver, Stop(), None, note)
    search.offer(packed.schedule, origin)
    return search.result()


def monotone_in_memory(results: Sequence[Result]) -> list[Result]:
    """Results of problems that may differ in the capacities of their memories, made monotone in these.

    Wherever a result is worse than that of the same problem, by the same solver, with no more of any memory, it is
    replaced by one with the latter's schedule, validated again; its note says so.

    Parameters
    ----------
    results
        Results of problems, in any order.

    Returns
    -------
    list of Result
        In the same order; those that nothing is better than are the very objects that were given.

    Raises
    ------
    InputError
        A result is of a tile instance, which belongs to no problem.
    """
    contenders = []
    problems = []
    for result in results:
        problem = result.problem
        if problem is None:
            raise InputError(f"{result.instance.name!r} is a tile instance, which has no larger or smaller memory")
        document = problem_document(problem)
        document["memories"] = [memory["id"] for memory in document["memories"]]
        capacities = tuple(memory.capacity for memory in problem.hardware.memories)
        contenders.append(Contender((repr(document), result.solver), capacities, result.makespan))
        problems.append(problem)
    better = list(results)
    for index, origin in enumerate(best_smaller(contenders)):
        if origin is not None:
            packed = pack(results[origin])
            assert packed is not None
            own = results[index]
            result = taken_over(problems[index], own.solver, unpack(packed), problems[origin].name, own.makespan)
            better[index] = dataclasses.replace(
                _with_best_bound(result, own.bound), wall_seconds=own.wall_seconds, interrupted=own.interrupted
            )
    return better


def _with_best_bound(result: Result, bound: Bound) -> Result:
    return dataclasses.replace(result, bound=bound) if bound.cycles > result.bound.cycles else result


def with_own_fields(taken: dict[str, object], own: dict[str, object]) -> dict[str, object]:
    """Fields of a schedule that was taken over, with what the point's own run measured or proved for every tiling."""
    fields = {**taken, "wall_seconds": own.get("wall_seconds")}
    bound, known = taken["lower_bound"], own.get("lower_bound")
    makespan = taken["makespan"]
    if isinstance(known, int) and isinstance(bound, int) and isinstance(makespan, int) and known > bound:
        fields |= {"lower_bound": known, "bound_reason": own["bound_reason"], "gap": relative_gap(makespan, known)}
    return fields


def _fits(smaller: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    return smaller != larger and all(few <= many for few, many in zip(smaller, larger, strict=True))
