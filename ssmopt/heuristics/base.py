"""What a heuristic is, and what several of them share."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ssmopt.csr import Csr, IntArray
from ssmopt.decode import Policy, decode
from ssmopt.errors import InputError
from ssmopt.instance import Instance, TileMeta
from ssmopt.problem import FORMS, Problem
from ssmopt.schedule import Schedule
from ssmopt.tiling import PROJECTIONS, ProjectionTiling, Tiling
from ssmopt.workload.cuts import projection_tiling
from ssmopt.workload.graph import problem_graph
from ssmopt.workload.layers import stacked_order
from ssmopt.workload.needs import largest_need
from ssmopt.workload.tiles import build_tiles, one_layer

Plan = tuple[IntArray, Policy]
"""An order of tiles and what to keep on chip."""


@dataclass(frozen=True)
class Heuristic:
    """A rule that orders the tiles of an instance.

    Attributes
    ----------
    name, summary, source
        Name, what it does in one line, and where it comes from.
    plans
        Orders with policies to decode, or decoded already, made one after another as asked for; the best counts.
    prescribe
        The tiling that its definition asks for, from the given or default one, and a note when the capacity forced a
        cut; None when it takes any tiling.
    needs_meta
        Whether it has to know the operator of each tile.
    forms
        The forms of the state update that it is defined for.
    several_memories
        Whether it is defined only for machines with several memories.
    custom
        Whether a user has registered it; then it only runs when it is asked for by name.
    """

    name: str
    summary: str
    source: str
    plans: Callable[[Instance], Iterable[Plan | Schedule]]
    prescribe: Callable[[Problem, Tiling], tuple[Tiling, str]] | None = None
    needs_meta: bool = True
    forms: tuple[str, ...] = FORMS
    several_memories: bool = False
    custom: bool = False

    def applies_to(self, target: Problem | Instance) -> bool:
        """Whether it is defined for the problem, and an instance says enough about its tiles."""
        problem = target.problem if isinstance(target, Instance) else target
        if problem is not None and problem.form not in self.forms:
            return False
        if self.several_memories:
            count = target.n_memories if isinstance(target, Instance) else target.hardware.memory_count
            if count < 2:
                return False
        return not self.needs_meta or isinstance(target, Problem) or (target.meta is not None and problem is not None)


def schedules_of(heuristic: Heuristic, instance: Instance) -> Iterator[Schedule]:
    """The schedule of each plan, decoded when it is asked for."""
    for plan in heuristic.plans(instance):
        yield schedule_of(heuristic, instance, plan)


def schedule_of(heuristic: Heuristic, instance: Instance, plan: Plan | Schedule) -> Schedule:
    """The schedule of one of a heuristic's plans."""
    return plan if isinstance(plan, Schedule) else decode(instance, *plan, solver=heuristic.name)


def layer_after_layer(plans: Callable[[Instance], Iterable[Plan]]) -> Callable[[Instance], Iterator[Plan]]:
    """A rule for the tiles of one layer, applied to each of an instance's layers in turn."""

    def plans_of_all(instance: Instance) -> Iterator[Plan]:
        for plan in plans(block_of(instance)):
            yield stacked(plan, instance)

    return plans_of_all


def block_of(instance: Instance) -> Instance:
    """The tiles of one of an instance's layers: the instance itself, if it has only one."""
    problem, tiling = instance.problem, instance.tiling
    if problem is None or tiling is None or problem.layers == 1:
        return instance
    return build_tiles(one_layer(problem), tiling)


def stacked(plan: Plan, instance: Instance) -> Plan:
    """A plan for one layer, carried out layer after layer."""
    order, policy = plan
    layers = 1 if instance.problem is None else instance.problem.layers
    if layers == 1:
        return plan
    if policy.groups is not None:
        first = np.arange(layers, dtype=np.int64) * (int(policy.groups.max()) + 1)
        policy = dataclasses.replace(policy, groups=(first[:, None] + policy.groups[None, :]).ravel())
    return stacked_order(order, layers), policy


def tile_meta(instance: Instance) -> TileMeta:
    """Operators and ranges of the tiles.

    Raises
    ------
    InputError
        The instance does not say them.
    """
    if instance.meta is None:
        raise InputError(f"{instance.name!r} does not say which operators its tiles belong to")
    return instance.meta


def one_token_tiling(problem: Problem, tiling: Tiling) -> tuple[Tiling, str]:
    """One-token tiles of the state update, over all channels if they fit.

    Where a tile does not fit the memory, ``d_inner`` is cut into the fewest equal pieces that do ("blocking").
    """
    base = token_by_token(tiling)
    pieces = fewest_pieces(problem, base)
    if pieces is None or pieces == 1:
        return base, ""
    return dataclasses.replace(base, channel_splits=pieces), f"d_inner cut into {pieces} pieces to fit the memory"


def token_by_token(tiling: Tiling) -> Tiling:
    """One-token tiles of the state update over all channels and states; the projections are cut as they were."""
    return dataclasses.replace(
        tiling,
        state_tokens=1,
        scan=False,
        channel_splits=1,
        state_splits=1,
        projections=explicit_projections(tiling),
    )


def even_cuts(problem: Problem) -> list[int]:
    """Numbers of equal pieces that ``d_inner`` can be cut into, between heads if there are any."""
    units = problem.model.n_heads or problem.model.d_inner
    return [pieces for pieces in range(1, units + 1) if units % pieces == 0]


def fewest_pieces(problem: Problem, tiling: Tiling, at_least: int = 1) -> int | None:
    """The fewest equal pieces of ``d_inner``, from ``at_least`` on, with which every tile fits; None if none do."""
    capacity = max(memory.capacity for memory in problem.hardware.memories)
    graph = problem_graph(problem, scan=tiling.scan)
    for pieces in even_cuts(problem):
        if pieces < at_least or _state_need_bytes(problem, pieces) > capacity:
            continue
        cut = dataclasses.replace(tiling, channel_splits=pieces)
        if all(largest_need(graph, operator, cut).n_bytes <= capacity for operator in graph.operators):
            return pieces
    return None


def explicit_projections(tiling: Tiling) -> dict[str, ProjectionTiling]:
    """The projections' cuts written out, so that they stay when the cuts along ``d_inner`` change."""
    return {name: projection_tiling(tiling, name) for name in PROJECTIONS}


def _state_need_bytes(problem: Problem, pieces: int) -> int:
    """Bytes of what some tile takes at least, which saves building tiles: two states, or the states of a chunk."""
    states = 1 if problem.form == "chunked" else 2
    return states * problem.model.d_inner * problem.model.d_state * problem.dtype.activations // pieces


def topological(instance: Instance, order: IntArray) -> IntArray:
    """The order itself if it is topological, otherwise the nearest one: always the first tile that may run."""
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order), dtype=np.int64)
    source, target = instance.edges
    if (position[source] < position[target]).all():
        return order
    successors = Csr.from_pairs(source, target, instance.n_tiles).lists()
    waiting = np.bincount(target, minlength=instance.n_tiles).tolist()
    rank = position.tolist()
    ready = [(rank[t], t) for t in range(instance.n_tiles) if waiting[t] == 0]
    heapq.heapify(ready)
    result = []
    while ready:
        _, tile = heapq.heappop(ready)
        result.append(tile)
        for after in successors[tile]:
            waiting[after] -= 1
            if waiting[after] == 0:
                heapq.heappush(ready, (rank[after], after))
    return np.array(result, dtype=np.int64)


def sort_by(*keys: IntArray) -> IntArray:
    """Tiles sorted by the first key, then the second, and so on; ties keep their number's order."""
    return np.lexsort(keys[::-1])


def roomy_policies(instance: Instance, groups: IntArray | None = None) -> list[Policy]:
    """Policies that hold back different amounts of room for loads that run ahead and stores that wait."""
    capacity = int(instance.memory_capacity.max())
    return [
        Policy(groups=groups, reserve_bytes=capacity * reserve // 8, deferred_store_bytes=capacity * deferred // 8)
        for reserve in (0, 2, 4)
        for deferred in (0, 1, 3)
    ]
