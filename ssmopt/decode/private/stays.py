"""Position space with several memories: which tensor stays in which memory, and where each copy comes from.

Every tile stands in one *cell*: cells are the positions of the order, memory after memory. What a memory holds is
accounted for at its own cells alone. A tensor that a tile of one memory wants and another memory holds is *carried*
over: that counts as a use of the copy it comes from, which therefore has to stay until then, or is dropped like
anything idle; then the tensor goes through DRAM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.decode.policy import Policy
from ssmopt.decode.private.links import Links
from ssmopt.decode.retention import evict_gaps
from ssmopt.instance import OUTPUT, Instance

BoolArray = npt.NDArray[np.bool_]

FROM_DRAM, MADE = -1, -2
"""Instead of the stay that a copy comes from: it is loaded, or the first tile of the stay makes the tensor."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The positions of an order, memory after memory.

    Attributes
    ----------
    position
        Position of each cell in the order.
    memory
        Memory of each cell.
    first, end
        Per memory: its first cell, and the one after its last.
    keys
        ``memory * n + position`` of each cell, ascending.
    """

    position: IntArray
    memory: IntArray
    first: IntArray
    end: IntArray
    keys: IntArray

    @staticmethod
    def of(memory_at: IntArray, n_memories: int) -> Cells:
        """Cells for the memory of each position."""
        n = len(memory_at)
        position = np.argsort(memory_at, kind="stable")
        memory = memory_at[position]
        ends = np.searchsorted(memory, np.arange(n_memories + 1, dtype=np.int64))
        return Cells(position, memory, ends[:-1], ends[1:], memory * n + position)

    def from_position(self, memory: IntArray, position: IntArray) -> IntArray:
        """The first cell of each memory from a position on; its end where there is none."""
        return np.searchsorted(self.keys, memory * len(self.position) + position)


@dataclass(frozen=True, eq=False)
class Touches:
    """Uses of tensors with bytes by tiles, and of their copies for other memories; by tensor, memory and position.

    Attributes
    ----------
    tensor, memory, position
        What is touched where and when.
    writes
        Whether a tile writes it.
    carries
        Whether it is carried from here to the memory of the tile at that position.
    version
        How many tiles have written the tensor before.
    first
        Whether it is the tensor's first touch in the memory.
    stale
        Whether a tile of another memory has written the tensor since the touch before.
    """

    tensor: IntArray
    memory: IntArray
    position: IntArray
    writes: BoolArray
    carries: BoolArray
    version: IntArray
    first: BoolArray
    stale: BoolArray

    @staticmethod
    def of(instance: Instance, position: IntArray, place: IntArray, linked: BoolArray) -> Touches:
        """Touches of an instance whose tile ``t`` stands at ``position[t]`` and runs in memory ``place[t]``."""
        reads, writes = instance.inputs, instance.writes
        tensor = np.concatenate([reads.indices, writes.indices])
        tile = np.concatenate([reads.rows(), writes.rows()])
        written = np.arange(len(tensor)) >= len(reads.indices)
        sized = instance.tensor_bytes[tensor] > 0
        tensor, tile, written = tensor[sized], tile[sized], written[sized]
        where, memory = position[tile], place[tile]

        order = np.lexsort((where, tensor))
        tensor, where, memory, written = tensor[order], where[order], memory[order], written[order]
        head = _changes(tensor)
        version = _before_in_group(written, head)
        written_before = np.zeros(len(tensor), dtype=np.bool_)
        written_before[1:] = written[:-1] & ~head[1:]
        source = _origin(head, written_before)
        by_place = np.lexsort((where, memory, tensor))
        opens = np.ones(len(tensor), dtype=np.bool_)
        earlier, later = by_place[:-1], by_place[1:]
        same = (tensor[later] == tensor[earlier]) & (memory[later] == memory[earlier])
        opens[later] = ~same | (version[later] != version[earlier] + written[earlier])
        wanted = np.flatnonzero(opens & (source >= 0))
        origin = source[wanted]
        wanted = wanted[linked[memory[origin], memory[wanted]]]
        origin = source[wanted]  # in another memory: here no touch of this version comes before

        carries = np.zeros(len(tensor) + len(wanted), dtype=np.bool_)
        carries[len(tensor) :] = True
        tensor = np.concatenate([tensor, tensor[origin]])
        memory = np.concatenate([memory, memory[origin]])
        where = np.concatenate([where, where[wanted]])
        version = np.concatenate([version, version[wanted]])
        written = np.concatenate([written, np.zeros(len(wanted), dtype=np.bool_)])
        order = np.lexsort((where, memory, tensor))
        tensor, memory, where = tensor[order], memory[order], where[order]
        written, carries, version = written[order], carries[order], version[order]
        first = _changes(tensor, memory)
        stale = np.zeros(len(tensor), dtype=np.bool_)
        stale[1:] = ~first[1:] & (version[1:] != (version + written)[:-1])
        return Touches(tensor, memory, where, written, carries, version, first, stale)


@dataclass(frozen=True, eq=False)
class Stays:
    """Stretches of touches during which a tensor stays in a memory, by tensor, memory and position.

    Attributes
    ----------
    tensor, memory
        What stays where.
    first, until
        Positions of the first touch and of the last one, carried copies included.
    cell, last
        Cell of the first touch, and the last cell up to which it has to stay.
    source
        The stay that it is copied from, or `FROM_DRAM` or `MADE`.
    stored
        Whether it holds the store of what was written in it.
    written
        Position of the last write in it; -1 if there is none.
    writer
        For a tensor that is loaded after a tile has written it: the stay that stores it; otherwise -1.
    floor
        The position that has to be over before a copy is fetched; -1 if there is none.
    begin
        First cell at which the tensor takes space: ``cell``, or earlier when it is fetched ahead.
    release
        Cell after which its space counts as free: ``last``, or later when its store may wait.
    of_touch
        Stay of each of the touches; -1 for a copy that is not carried from there in the end.
    """

    tensor: IntArray
    memory: IntArray
    first: IntArray
    until: IntArray
    cell: IntArray
    last: IntArray
    source: IntArray
    stored: BoolArray
    written: IntArray
    writer: IntArray
    floor: IntArray
    begin: IntArray
    release: IntArray
    of_touch: IntArray

    def __len__(self) -> int:
        return len(self.tensor)

    def same_as_before(self) -> BoolArray:
        """Per stay: whether the one before it is of the same tensor in the same memory."""
        return ~_changes(self.tensor, self.memory)


def decide_stays(
    instance: Instance, order: IntArray, place: IntArray, policy: Policy, links: Links
) -> tuple[Cells, Touches, Stays]:
    """Choose what stays in which memory, what is dropped, and where each copy comes from.

    Parameters
    ----------
    instance, order
        Tiles, and their order.
    place
        Shape (tiles,): the memory that each tile runs in.
    policy, links
        See there; amounts of bytes are per memory.
    """
    n = len(order)
    position = np.empty(n, dtype=np.int64)
    position[order] = np.arange(n, dtype=np.int64)
    cells = Cells.of(place[order], instance.n_memories)
    touches = Touches.of(instance, position, place, links.linked)
    cell = cells.from_position(touches.memory, touches.position) - touches.carries
    cut = touches.first | touches.stale | _dropped_by_group(touches, order, policy)
    cut |= _evicted(instance, order, cells, touches, cell, cut, policy)
    return cells, touches, _stays(instance, touches, cell, cut, n, links)


def profile_of(instance: Instance, stays: Stays, n: int) -> IntArray:
    """Bytes accounted for at each of ``n`` cells."""
    change = np.zeros(n + 1, dtype=np.int64)
    size = instance.tensor_bytes[stays.tensor]
    np.add.at(change, stays.begin, size)
    np.add.at(change, stays.release + 1, -size)
    return np.cumsum(change)[:-1]


def _dropped_by_group(touches: Touches, order: IntArray, policy: Policy) -> BoolArray:
    """Per touch: whether the gap before it is dropped because the tiles around it belong to different groups."""
    dropped = np.zeros(len(touches.tensor), dtype=np.bool_)
    if policy.groups is not None and len(dropped):
        group = policy.groups[order][touches.position]
        dropped[1:] = group[1:] != group[:-1]
        if policy.kept is not None:
            dropped &= ~policy.kept[touches.tensor]
    return dropped


def _evicted(
    instance: Instance,
    order: IntArray,
    cells: Cells,
    touches: Touches,
    cell: IntArray,
    cut: BoolArray,
    policy: Policy,
) -> BoolArray:
    """Per touch: whether the gap before it is dropped for lack of room."""
    need = instance.tile_need_bytes[order][cells.position]
    capacity = instance.memory_capacity[cells.memory]
    gap = np.flatnonzero(~cut)
    after, before = cell[gap - 1], cell[gap] + touches.carries[gap]
    wide = before - after > 1
    gap, after, before = gap[wide], after[wide], before[wide]
    size = instance.tensor_bytes[touches.tensor[gap]]
    change = np.zeros(len(order) + 1, dtype=np.int64)
    np.add.at(change, after + 1, size)
    np.add.at(change, before, -size)
    profile = need + np.cumsum(change)[:-1]
    limit = np.minimum(np.maximum(capacity - policy.reserve_bytes, need), capacity)
    dropped = np.zeros(len(cut), dtype=np.bool_)
    dropped[gap[evict_gaps(after, before, size, profile, limit)]] = True
    return dropped


def _stays(instance: Instance, touches: Touches, cell: IntArray, cut: BoolArray, n: int, links: Links) -> Stays:
    real = ~touches.carries
    cuts = np.cumsum(cut)
    latest = np.maximum.accumulate(np.where(real, np.arange(len(cut)), 0)) if len(cut) else np.zeros(0, dtype=np.int64)
    starts = real & cut
    starts[1:] |= real[1:] & (cuts[1:] != cuts[latest[:-1]])
    of_touch = np.cumsum(starts) - 1
    of_touch[~real & (cuts != cuts[latest])] = -1

    head = np.flatnonzero(starts)
    inside = of_touch >= 0
    tensor, memory, first = touches.tensor[head], touches.memory[head], touches.position[head]
    until, last, written = (np.full(len(head), -1, dtype=np.int64) for _ in range(3))
    np.maximum.at(until, of_touch[inside], touches.position[inside])
    np.maximum.at(last, of_touch[inside], cell[inside])
    np.maximum.at(written, of_touch[touches.writes], touches.position[touches.writes])

    version = touches.version[head]
    produced = instance.produced[tensor]
    source = np.full(len(head), FROM_DRAM, dtype=np.int64)
    source[produced & (version == 0)] = MADE
    carried = np.flatnonzero(touches.carries & inside)
    keys = tensor * n + first
    by_key = np.argsort(keys)
    wanted = touches.tensor[carried] * n + touches.position[carried]
    source[by_key[np.searchsorted(keys, wanted, sorter=by_key)]] = of_touch[carried]
    _copy_what_is_there(tensor, memory, first, until, source, n, links)

    # Which stay holds each version, and when it was written.
    write = np.flatnonzero(touches.writes)
    span = int(touches.version.max(initial=0)) + 2
    made = touches.tensor[write] * span + touches.version[write] + 1
    by_version = np.argsort(made)
    asked = np.flatnonzero(produced & (version > 0))
    writer = write[by_version[np.searchsorted(made, tensor[asked] * span + version[asked], sorter=by_version)]]
    floor = np.full(len(head), -1, dtype=np.int64)
    floor[asked] = touches.position[writer]
    copied = source >= 0
    floor[copied] = np.maximum(floor[copied], first[source[copied]])
    again = np.zeros(len(head), dtype=np.bool_)
    again[1:] = (tensor[1:] == tensor[:-1]) & (memory[1:] == memory[:-1])
    floor[again] = np.maximum(floor[again], until[np.flatnonzero(again) - 1])
    floor[source == MADE] = -1

    final = np.full(instance.n_tensors, -1, dtype=np.int64)
    np.maximum.at(final, tensor, written)
    stored = (written >= 0) & (instance.tensor_kind[tensor] == OUTPUT) & (written == final[tensor])
    writer_of = np.full(len(head), -1, dtype=np.int64)
    reloaded = source[asked] == FROM_DRAM
    writer_of[asked[reloaded]] = of_touch[writer[reloaded]]
    stored[writer_of[asked[reloaded]]] = True
    return Stays(
        tensor=tensor,
        memory=memory,
        first=first,
        until=until,
        cell=cell[head],
        last=last,
        source=source,
        stored=stored,
        written=written,
        writer=writer_of,
        floor=floor,
        begin=cell[head],
        release=last.copy(),
        of_touch=of_touch,
    )


def _copy_what_is_there(
    tensor: IntArray, memory: IntArray, first: IntArray, until: IntArray, source: IntArray, n: int, links: Links
) -> None:
    """Instead of a load, a copy of what stays in another memory at that time anyway."""
    if not len(tensor):
        return
    rank = np.lexsort((first, tensor))
    reach = tensor[rank] * n + until[rank]
    farthest = np.maximum.accumulate(reach)
    holder = np.maximum.accumulate(np.where(reach == farthest, np.arange(len(rank)), 0))
    before = rank[holder[:-1]]
    here = rank[1:]
    there = (source[here] == FROM_DRAM) & (tensor[before] == tensor[here]) & (until[before] > first[here])
    there &= links.linked[memory[before], memory[here]]
    source[here[there]] = before[there]


def _changes(*keys: IntArray) -> BoolArray:
    """Where any of the keys differs from the entry before; true at the first."""
    head = np.ones(len(keys[0]), dtype=np.bool_)
    if len(head):
        head[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return head


def _before_in_group(flag: BoolArray, head: BoolArray) -> IntArray:
    """Per entry: how many flags are set before it in its group."""
    before: IntArray = np.cumsum(flag, dtype=np.int64) - flag.astype(np.int64)
    return before - np.maximum.accumulate(np.where(head, before, 0)) if len(flag) else before


def _origin(head: BoolArray, after_write: BoolArray) -> IntArray:
    """Per touch of a tensor in order: the touch that its version comes from; -1 at the tensor's first touch.

    That is the write before; for what no tile writes, the first touch.
    """
    index = np.arange(len(head), dtype=np.int64)
    start = np.where(after_write, index - 1, np.where(head, index, -1))
    origin = np.maximum.accumulate(start) if len(start) else start
    return np.where(head, -1, origin)
