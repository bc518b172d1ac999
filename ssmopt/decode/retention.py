"""Position space: which tensor is resident from which position of the order to which."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.decode.policy import Policy
from ssmopt.instance import OUTPUT, Instance

BoolArray = npt.NDArray[np.bool_]

_PREFETCH_WINDOW = 8192
"""How many positions a load may run ahead: far beyond what any memory holds, and it keeps decoding linear."""

_STORE_WINDOW = 256
"""How many positions a store that makes room may wait, for the same reason."""


@dataclass(frozen=True, eq=False)
class Uses:
    """Every (tensor, position) at which a tile touches a tensor that takes space, by tensor and then position."""

    tensor: IntArray
    position: IntArray
    writes: BoolArray
    first: BoolArray

    @staticmethod
    def of(instance: Instance, position: IntArray) -> Uses:
        """Uses of an instance whose tile ``t`` stands at ``position[t]``."""
        reads, writes = instance.inputs, instance.writes
        tensor = np.concatenate([reads.indices, writes.indices])
        where = position[np.concatenate([reads.rows(), writes.rows()])]
        written = np.zeros(len(tensor), dtype=np.bool_)
        written[len(reads.indices) :] = True
        sized = instance.tensor_bytes[tensor] > 0
        tensor, where, written = tensor[sized], where[sized], written[sized]
        order = np.argsort(tensor * max(instance.n_tiles, 1) + where, kind="stable")
        tensor, where, written = tensor[order], where[order], written[order]
        first = np.ones(len(tensor), dtype=np.bool_)
        first[1:] = tensor[1:] != tensor[:-1]
        return Uses(tensor, where, written, first)


@dataclass(frozen=True, eq=False)
class Segments:
    """Stretches of uses between which a tensor stays resident, by tensor and then position.

    Attributes
    ----------
    tensor, first, last
        The tensor, and the positions of the first and the last use.
    loaded
        Whether it begins with a load (otherwise with the producing tile).
    stored
        Whether it holds the store of what was written in it.
    written
        Position of the last write in it; -1 if there is none.
    begin
        First position at which the tensor takes space: ``first``, or earlier when its load runs ahead.
    release
        Position after which its space counts as free: ``last``, or later when its store may wait.
    of_use
        Segment of each entry of `Uses`.
    """

    tensor: IntArray
    first: IntArray
    last: IntArray
    loaded: BoolArray
    stored: BoolArray
    written: IntArray
    begin: IntArray
    release: IntArray
    of_use: IntArray

    def __len__(self) -> int:
        return len(self.tensor)

    def previous_last(self) -> IntArray:
        """Per segment: position of the last use in the same tensor's segment before; -1 if there is none."""
        previous = np.full(len(self), -1, dtype=np.int64)
        if len(self):
            same = self.tensor[1:] == self.tensor[:-1]
            previous[1:][same] = self.last[:-1][same]
        return previous


def decide_retention(instance: Instance, order: IntArray, capacity: int, policy: Policy) -> tuple[Uses, Segments]:
    """Choose what to keep, what to drop and reload, how far loads run ahead and how long stores may wait.

    Parameters
    ----------
    instance, order
        Tiles, and their order.
    capacity
        Bytes of the one memory that tensors live in.
    policy
        See `Policy`.
    """
    n = len(order)
    position = np.empty(n, dtype=np.int64)
    position[order] = np.arange(n, dtype=np.int64)
    uses = Uses.of(instance, position)
    size = instance.tensor_bytes[uses.tensor]
    dropped = _dropped_by_group(uses, order, policy)
    lag, need = _lag(uses, size, dropped, n, capacity, instance.n_cores - 1)
    profile = _profile(uses, size, dropped, n, lag)
    limit = np.minimum(np.maximum(capacity - policy.reserve_bytes, need), capacity)
    _evict(uses, size, dropped, profile, limit, lag)
    segments = _segments(instance, uses, dropped)
    _defer_outputs(instance, segments, profile, capacity - policy.reserve_bytes, policy.deferred_store_bytes, lag)
    if policy.prefetch:
        _prefetch(instance, segments, profile, capacity, _at_most(policy.window, _PREFETCH_WINDOW))
    _defer_stores(instance, segments, profile, capacity, lag, _at_most(policy.window, _STORE_WINDOW))
    return uses, segments


def _lag(uses: Uses, size: IntArray, dropped: BoolArray, n: int, capacity: int, most: int) -> tuple[int, IntArray]:
    """How many positions longer than needed every tensor is accounted for, and the least profile with that.

    Tiles at neighbouring positions run side by side on several cores; what one of them uses last is then still there
    when the next ones begin. The lag is the number of the other cores, or less if that does not fit.
    """
    while True:
        idle = dropped.copy()
        idle[1:] |= ~uses.first[1:] & (uses.position[1:] - uses.position[:-1] > 1 + most)
        least = _profile(uses, size, idle, n, most)
        if most == 0 or int(least.max(initial=0)) <= capacity:
            return most, least
        most //= 2


def _dropped_by_group(uses: Uses, order: IntArray, policy: Policy) -> BoolArray:
    """Per use: whether the gap before it is dropped because the uses around it belong to different groups."""
    dropped = np.zeros(len(uses.tensor), dtype=np.bool_)
    if policy.groups is not None and len(dropped):
        group = policy.groups[order][uses.position]
        dropped[1:] = ~uses.first[1:] & (group[1:] != group[:-1])
        if policy.kept is not None:
            dropped &= ~policy.kept[uses.tensor]
    return dropped


def _profile(uses: Uses, size: IntArray, dropped: BoolArray, n: int, lag: int) -> IntArray:
    """Bytes accounted for at each position when every gap that is not dropped is kept."""
    change = np.zeros(n + 1, dtype=np.int64)
    starts = uses.first | dropped
    ends = np.append(starts[1:], np.ones(min(1, len(starts)), dtype=np.bool_))
    np.add.at(change, uses.position[starts], size[starts])
    np.add.at(change, np.minimum(uses.position[ends] + 1 + lag, n), -size[ends])
    return np.cumsum(change)[:-1]


def _changes(*keys: IntArray) -> BoolArray:
    """Where any of the keys differs from the entry before; true at the first."""
    head = np.ones(len(keys[0]), dtype=np.bool_)
    for key in keys:
        if len(key):
            head[1:] &= key[1:] == key[:-1]
    head[1:] = ~head[1:]
    return head


def batches(size: IntArray, most_bytes: int, *keys: IntArray) -> IntArray:
    """Where batches of loads begin: loads with equal keys, up to so many bytes together."""
    head = _changes(*keys)
    before = np.cumsum(size) - size
    group = np.cumsum(head) - 1
    bucket = (before - before[head][group]) // max(most_bytes, 1) if len(size) else before
    return np.flatnonzero(_changes(group, bucket))


def batch_bytes(capacity: int) -> int:
    """How many bytes of loads for one tile wait together: little enough not to delay the first of them."""
    return capacity // 64


def _next_over(profile: IntArray, limit: IntArray, start: int) -> int:
    """First position from ``start`` on at which the profile exceeds the limit; -1 if there is none."""
    block = 256
    while start < len(profile):
        over = profile[start : start + block] > limit[start : start + block]
        if over.any():
            return start + int(np.argmax(over))
        start += block
        block *= 2
    return -1


def _evict(uses: Uses, size: IntArray, dropped: BoolArray, profile: IntArray, limit: IntArray, lag: int) -> None:
    """Drop, wherever the profile exceeds the limit, the idle tensor whose next use is furthest away (Belady, 1966)."""
    gap = np.flatnonzero(~uses.first & ~dropped)
    gap = gap[uses.position[gap] - uses.position[gap - 1] > 1 + lag]
    chosen = evict_gaps(uses.position[gap - 1] + lag, uses.position[gap], size[gap], profile, limit)
    dropped[gap[chosen]] = True


def evict_gaps(after: IntArray, before: IntArray, n_bytes: IntArray, profile: IntArray, limit: IntArray) -> BoolArray:
    """Choose the gaps to drop so that the profile, which is changed, exceeds the limit nowhere; furthest end first.

    A gap is dropped from its beginning on: what will not be kept until its next use need not be kept at all.

    Parameters
    ----------
    after, before
        Per gap: the positions between which (both excluded) a tensor is idle.
    n_bytes
        Per gap: bytes of the tensor.
    profile, limit
        Per position: bytes accounted for with every gap, and how many there may be; no less than without any.
    """
    dropped = np.zeros(len(after), dtype=np.bool_)
    gap = np.lexsort((np.arange(len(after)), -n_bytes, before, after))
    begin, end = after[gap], before[gap]
    # Pieces of one tensor often wait between the same two tiles: they are one entry of the heap.
    heads = np.flatnonzero(_changes(begin, end))
    ends_at, begins_at = end[heads], begin[heads]
    sizes, tails = n_bytes[gap].tolist(), np.append(heads[1:], len(gap)).tolist()
    idle: list[tuple[int, int, int, int]] = []
    seen = 0
    over = _next_over(profile, limit, 0)
    while over >= 0:
        until = int(np.searchsorted(begins_at, over))
        for entry in (np.arange(seen, until)[ends_at[seen:until] > over]).tolist():
            g = int(heads[entry])
            heapq.heappush(idle, (-int(ends_at[entry]), -sizes[g], entry, g))
        seen = until
        excess = int(profile[over] - limit[over])
        while excess > 0:
            negative_end, _, entry, first = heapq.heappop(idle)
            g, tail, freed = first, tails[entry], 0
            while g < tail and freed < excess:
                freed += sizes[g]
                g += 1
            dropped[gap[first:g]] = True
            profile[int(begins_at[entry]) + 1 : -negative_end] -= freed
            excess -= freed
            if g < tail:
                heapq.heappush(idle, (negative_end, -sizes[g], entry, g))
        over = _next_over(profile, limit, over + 1)
    # Gaps that ended before an overflow stay in the heap, but only behind those that end later: the furthest next use
    # comes first, and a position without enough live gaps cannot exceed a limit that is at least its own need.
    return dropped


def _segments(instance: Instance, uses: Uses, dropped: BoolArray) -> Segments:
    """Group uses between dropped gaps, and say which segments load and which store."""
    starts = uses.first | dropped
    head = np.flatnonzero(starts)
    of_use = np.cumsum(starts) - 1
    tensor = uses.tensor[head]
    first = uses.position[head]
    tail = np.append(head[1:], len(uses.tensor)) - 1 if len(head) else head
    last = uses.position[tail]
    written = np.full(len(head), -1, dtype=np.int64)
    np.maximum.at(written, of_use[uses.writes], uses.position[uses.writes])
    loaded = ~(uses.first[head] & instance.produced[tensor])
    more = np.zeros(len(head), dtype=np.bool_)
    more[:-1] = tensor[1:] == tensor[:-1]
    final_write = np.full(instance.n_tensors, -1, dtype=np.int64)
    np.maximum.at(final_write, tensor, written)
    is_output = (instance.tensor_kind[tensor] == OUTPUT) & (written == final_write[tensor])
    stored = (written >= 0) & (more | is_output)
    return Segments(tensor, first, last, loaded, stored, written, first.copy(), last.copy(), of_use)


def _following_begin(segments: Segments, n: int) -> IntArray:
    """Per segment: the position at which the same tensor's next residency begins; ``n`` if there is none."""
    following = np.full(len(segments), n, dtype=np.int64)
    same = segments.tensor[1:] == segments.tensor[:-1]
    following[:-1][same] = segments.begin[1:][same]
    return following


def _prefetch(instance: Instance, segments: Segments, profile: IntArray, capacity: int, window: int) -> None:
    """Let each load run ahead as far as room and a window last, never overtaking an earlier load."""
    load = np.flatnonzero(segments.loaded)
    load = load[np.argsort(segments.first[load], kind="stable")]
    size = instance.tensor_bytes[segments.tensor[load]]
    heads = batches(size, batch_bytes(capacity), segments.first[load])
    if not len(heads):
        return
    first = segments.first[load][heads].tolist()
    floor = np.maximum.reduceat(segments.previous_last()[load] + 1, heads).tolist()
    begin = list(first)
    frontier = 0
    for i, n_bytes in enumerate(np.add.reduceat(size, heads).tolist()):
        low = max(frontier, floor[i], first[i] - window)
        begin[i] = frontier = extend_begin(profile, capacity, n_bytes, low, first[i])
    segments.begin[load] = np.repeat(begin, np.diff(np.append(heads, len(load))))


def extend_begin(profile: IntArray, capacity: int, n_bytes: int, low: int, use: int) -> int:
    """Add ``n_bytes`` backwards from before ``use`` while room lasts, down to ``low``; returns the first position."""
    room, start, block = capacity - n_bytes, use, 32
    while start > low:
        lower = max(low, start - block)
        over = profile[lower:start] > room
        if over.any():
            start -= int(np.argmax(over[::-1]))
            break
        start = lower
        block *= 2
    if start < use:
        profile[start:use] += n_bytes
    return start


def extend_release(profile: IntArray, capacity: int, n_bytes: int, start: int, end: int) -> int:
    """Add ``n_bytes`` from ``start`` on while room lasts, before ``end``; returns the last position reached."""
    room, stop, block = capacity - n_bytes, start, 32
    while stop < end:
        over = profile[stop : min(stop + block, end)] > room
        first = int(over.argmax())
        if over[first]:
            stop += first
            break
        stop = min(stop + block, end)
        block *= 2
    if stop > start:
        profile[start:stop] += n_bytes
    return stop - 1


def _defer_outputs(
    instance: Instance, segments: Segments, profile: IntArray, capacity: int, budget: int, lag: int
) -> None:
    """Let the stores of the last outputs wait until the end, as many as the budget allows."""
    if budget <= 0:
        return
    n = len(profile)
    last_one = _following_begin(segments, n) == n
    waiting = np.flatnonzero(segments.stored & last_one)
    for s in waiting[np.argsort(-segments.written[waiting], kind="stable")].tolist():
        n_bytes = int(instance.tensor_bytes[segments.tensor[s]])
        if n_bytes <= budget:
            start = int(segments.last[s]) + 1 + lag
            segments.release[s] = extend_release(profile, capacity, n_bytes, start, n) - lag
            budget -= n_bytes


def _at_most(window: int | None, most: int) -> int:
    return most if window is None else min(window, most)


def _defer_stores(
    instance: Instance, segments: Segments, profile: IntArray, capacity: int, lag: int, window: int
) -> None:
    """Let every store wait while room and a window last, but not past the next residency of its tensor."""
    end = _following_begin(segments, len(profile))
    stored = np.flatnonzero(segments.stored)
    stored = stored[np.argsort(segments.release[stored], kind="stable")]
    for s in stored.tolist():
        start = int(segments.release[s]) + 1 + lag
        if start < end[s]:
            n_bytes = int(instance.tensor_bytes[segments.tensor[s]])
            stop = min(int(end[s]), start + window)
            segments.release[s] = extend_release(profile, capacity, n_bytes, start, stop) - lag
