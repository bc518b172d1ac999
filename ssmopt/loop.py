"""A loop: a tile instance that repeats, and the ordinary instance that so many of its iterations are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ssmopt.csr import Csr, IntArray
from ssmopt.errors import InputError
from ssmopt.ids import Ids
from ssmopt.instance import OUTPUT, Instance

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Loop:
    """A tile instance that repeats: iteration ``i`` of it, for ``i = 0 .. repeats - 1``.

    A *shared* tensor is one tensor for all iterations. A *carried* tensor ``v`` with source ``u`` and distance ``d``
    is, in iteration ``i >= d``, the tensor ``u`` of iteration ``i - d``; in the ``d`` iterations before it is a tensor
    of its own with a DRAM copy at time 0 (an initial state). Every other tensor has a copy of its own in each
    iteration.

    Attributes
    ----------
    body
        One iteration. Without what is carried its tiles depend on each other in no cycle; with it they may.
    shared
        Shape (tensors,): one tensor for all iterations, such as a weight. No tile writes it.
    source
        Shape (tensors,): -1, or the tensor of the body that this one is ``distance`` iterations later. No tile writes a
        carried tensor; its source is neither shared nor carried.
    distance
        Shape (tensors,): at least 1 where ``source`` is not negative, else 0.
    drains
        Shape (tensors,): written sources of carried tensors whose copies in the last iterations, those that a carried
        reader in a next iteration would still need, have kind ``output`` (a final state).
    """

    body: Instance
    shared: BoolArray
    source: IntArray
    distance: IntArray
    drains: BoolArray

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def carried(self) -> BoolArray:
        """Per tensor of the body: whether it comes from an earlier iteration."""
        return self.source >= 0

    @cached_property
    def own(self) -> IntArray:
        """Tensors of the body that have a copy of their own in each iteration, ascending."""
        return np.flatnonzero(~self.shared & ~self.carried)

    @cached_property
    def reach(self) -> IntArray:
        """Per tensor of the body: the largest distance over which it is carried to a later iteration, or 0."""
        found = np.zeros(self.body.n_tensors, dtype=np.int64)
        np.maximum.at(found, self.source[self.carried], self.distance[self.carried])
        return found

    @property
    def max_distance(self) -> int:
        """Largest distance of a carried tensor; 0 if none is carried."""
        return int(self.distance.max(initial=0))

    def n_head_tensors(self, repeats: int) -> int:
        """Tensors of the expanded instance that belong to no iteration: shared ones and initial states."""
        return int(self.shared.sum() + np.minimum(self.distance, repeats).sum())

    def tile_index(self, tile: IntArray, iteration: IntArray) -> IntArray:
        """Index in the expanded instance of tiles of the body, each in an iteration."""
        return iteration * self.body.n_tiles + tile

    def tensor_index(self, tensor: IntArray, iteration: IntArray, repeats: int) -> IntArray:
        """Index in the expanded instance of tensors of the body, each in an iteration.

        First come the shared tensors, then the initial states (by tensor and iteration), then the own tensors of
        iteration 0, of iteration 1, and so on. A carried tensor gets the index of what it is in that iteration.
        """
        distance = self.distance[tensor]
        arrived = (distance > 0) & (iteration >= distance)
        what = np.where(arrived, self.source[tensor], tensor)
        when = iteration - np.where(arrived, distance, 0)
        initial = np.minimum(self.distance, repeats)
        first_initial = self.shared.sum() + np.cumsum(initial) - initial
        rank = np.zeros(self.body.n_tensors, dtype=np.int64)
        rank[self.own] = np.arange(len(self.own))
        copies = self.n_head_tensors(repeats) + when * len(self.own) + rank[what]
        shared_rank = np.cumsum(self.shared) - 1
        found = np.where(self.carried[what], first_initial[what] + when, copies)
        return np.where(self.shared[what], shared_rank[what], found)

    def __repr__(self) -> str:
        return (
            f"Loop({self.body.name!r}: {self.body.n_tiles} tiles, {self.body.n_tensors} tensors an iteration, "
            f"{int(self.shared.sum())} shared, {int(self.carried.sum())} carried over up to {self.max_distance})"
        )


def expand_loop(loop: Loop, repeats: int) -> Instance:
    """The ordinary tile instance of so many iterations of a loop.

    Tile ``t`` of iteration ``i`` has index ``i * body.n_tiles + t`` and id ``<id>@<i>``; `Loop.tensor_index` says the
    same of tensors. Shared tensors keep their ids. What tiles compute (``meta``) is left out.

    Parameters
    ----------
    loop
        The loop.
    repeats
        Number of iterations, at least 1.

    Raises
    ------
    InputError
        ``repeats`` is less than 1.
    """
    if repeats < 1:
        raise InputError(f"a loop has at least one iteration, not {repeats}", key="repeats")
    body = loop.body
    iterations = np.arange(repeats, dtype=np.int64)

    def rows(one: Csr) -> Csr:
        counts = np.tile(one.counts(), repeats)
        tensor = np.tile(one.indices, repeats)
        indices = loop.tensor_index(tensor, np.repeat(iterations, len(one.indices)), repeats)
        return Csr(np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]), indices)

    what, when = _tensors(loop, repeats)
    kind = body.tensor_kind[what]
    kind[loop.drains[what] & (when + loop.reach[what] >= repeats)] = OUTPUT
    return Instance(
        name=f"{body.name}, {repeats} times",
        memory_ids=body.memory_ids,
        memory_capacity=body.memory_capacity,
        core_ids=body.core_ids,
        core_memory=body.core_memory,
        core_kind=body.core_kind,
        channel_ids=body.channel_ids,
        channel_bandwidth=body.channel_bandwidth,
        channel_lanes=body.channel_lanes,
        channel_connects=body.channel_connects,
        tensor_ids=_ids(body.tensor_ids, what, np.where(loop.shared[what], -1, when)),
        tensor_bytes=body.tensor_bytes[what],
        tensor_kind=kind,
        tile_ids=_ids(body.tile_ids, np.tile(np.arange(body.n_tiles), repeats), np.repeat(iterations, body.n_tiles)),
        duration=np.tile(body.duration, (repeats, 1)),
        inputs=rows(body.inputs),
        outputs=rows(body.outputs),
        accumulates=rows(body.accumulates),
    )


def _tensors(loop: Loop, repeats: int) -> tuple[IntArray, IntArray]:
    """Per tensor of the expanded instance: the tensor of the body and the iteration."""
    initial = np.minimum(loop.distance, repeats)
    carried = np.repeat(np.arange(loop.body.n_tensors), initial)
    first = np.repeat(np.cumsum(initial) - initial, initial)
    shared = np.flatnonzero(loop.shared)
    what = np.concatenate([shared, carried, np.tile(loop.own, repeats)])
    when = np.concatenate(
        [
            np.zeros(len(shared), dtype=np.int64),
            np.arange(len(carried)) - first,
            np.repeat(np.arange(repeats), len(loop.own)),
        ]
    )
    return what, when


def _ids(ids: Ids, what: IntArray, iteration: IntArray) -> Ids:
    return Ids(tuple(ids.all), what.astype(np.int32), iteration.astype(np.int32)[:, None], separator="@")


def _check(loop: Loop) -> None:
    body = loop.body
    for name in ("shared", "source", "distance", "drains"):
        if getattr(loop, name).shape != (body.n_tensors,):
            raise InputError(f"{name}: expected one value for each of the body's {body.n_tensors} tensors")
    source = loop.source
    if ((source < -1) | (source >= body.n_tensors)).any():
        raise InputError("source: expected -1 or the index of a tensor of the body")
    carried = source >= 0
    origin = np.where(carried, source, 0)
    pairs = np.stack([source, loop.distance], axis=1)[carried]
    _, first = np.unique(pairs, axis=0, return_index=True)
    repeated = np.zeros(body.n_tensors, dtype=np.bool_)
    repeated[np.delete(np.flatnonzero(carried), first)] = True
    is_source = np.zeros(body.n_tensors, dtype=np.bool_)
    is_source[source[carried]] = True
    for wrong, text in (
        (loop.shared & body.produced, "is shared by all iterations, but a tile writes it"),
        (loop.shared & carried, "is both shared and carried"),
        (carried & body.produced, "is carried from an earlier iteration, but a tile writes it"),
        (carried & (loop.shared | carried)[origin], "is carried, but its source is itself shared or carried"),
        (carried & (body.tensor_bytes != body.tensor_bytes[origin]), "is carried, but its source has another size"),
        (carried & (loop.distance < 1), "is carried over a distance of less than one iteration"),
        (~carried & (loop.distance != 0), "has a distance, but no source"),
        (repeated, "is carried from the same source over the same distance as another"),
        (loop.drains & ~(is_source & body.produced), "drains, but is not a written source of a carried tensor"),
    ):
        if wrong.any():
            raise InputError(f"tensor {body.tensor_ids[int(np.argmax(wrong))]!r} {text}")
