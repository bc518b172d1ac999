"""What a share of an operator's work takes, whatever the tiling: elements of its ancestors, and of weights and inputs.

An elementwise operator reads other elements for every element that it makes. So whoever has done a share of it has
done that share of what is behind those elements, and loaded that share of their weights, and not just the least that
`ssmopt.bounds.demand` finds for a single tile.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from ssmopt.workload.operators import Access, Extent, Index, Operator, OperatorGraph, chunk_lengths


@dataclass(frozen=True)
class Key:
    """An operator or a tensor from outside, or a part of it that shares nothing with its other parts.

    Attributes
    ----------
    name
        Name of the operator or tensor.
    part
        The result for which it is needed, where results come from different columns (such as the halves of
        ``in_proj``); otherwise empty.
    is_load
        Whether it is a tensor.
    """

    name: str
    part: str
    is_load: bool


@dataclass(frozen=True)
class _Reach:
    """What is needed along one dimension: some index, all of a range, or of a range those that were asked for.

    ``own`` names the dimension that was asked for; empty for all of the range. ``high`` is None for some index.
    """

    low: int
    high: int | None
    own: str = ""


_SOME = _Reach(0, None)

Region = Mapping[str, _Reach]


def needed_by_all(graph: OperatorGraph, operator: Operator) -> dict[Key, int]:
    """Per operator or tensor: so many elements stand behind all of an operator, and any share of it needs that share.

    The elements of the operator are projected on some of its dimensions; all projections have equally many elements
    behind them, and different ones of the ancestor before them. So a share of the former needs at least as large a
    share of the latter.

    Parameters
    ----------
    graph, operator
        The operator, and the graph that it is part of.
    """
    return _counts(graph, operator, {dim: _Reach(0, size, dim) for dim, size in operator.dims.items()})


def needed_by_any(graph: OperatorGraph, operator: Operator) -> dict[Key, int]:
    """Per operator or tensor: so many elements stand behind any element of an operator.

    Parameters
    ----------
    graph, operator
        The operator, and the graph that it is part of.
    """
    return _counts(graph, operator, dict.fromkeys(operator.dims, _SOME))


def is_even(operator: Operator) -> bool:
    """Whether every part of an operator takes at least its share of the operator's cycles."""
    return len(set(chunk_lengths(operator))) == 1 and not any(step.only_first for step in operator.steps)


def _counts(graph: OperatorGraph, operator: Operator, region: Region) -> dict[Key, int]:
    regions: dict[str, dict[str, Region]] = {operator.name: {"": region}}
    counts: dict[Key, int] = {}
    names = [o.name for o in graph.operators]
    for reader in reversed(graph.operators[: names.index(operator.name) + 1]):
        for part, region in regions.get(reader.name, {}).items():
            if reader is not operator:
                counts[Key(reader.name, part, False)] = _size(region)
            for access in reader.reads:
                read = _read(graph, reader, access, region)
                if read is None:
                    continue
                producer = next((o for o in graph.operators if any(w.tensor == access.tensor for w in o.writes)), None)
                if producer is None:
                    key = Key(access.tensor, part if _has_parts(graph, reader, access) else "", True)
                    if key.part or not _has_parts(graph, reader, access):
                        counts[key] = max(counts.get(key, 0), _size(read))
                elif producer is not operator:
                    made = _made(graph, producer, access.tensor, read)
                    into = access.tensor if _split_dim(graph, producer) else ""
                    known = regions.setdefault(producer.name, {})
                    if into not in known or _size(known[into]) < _size(made):
                        known[into] = made
    return counts


def _size(region: Region) -> int:
    """Elements of a region; dimensions that follow the same one count once."""
    lengths = {}
    for dim, reach in region.items():
        if reach.high is not None:
            lengths["follows " + reach.own if reach.own else "all of " + dim] = reach.high - reach.low
    return math.prod(lengths.values())


def _read(graph: OperatorGraph, reader: Operator, access: Access, region: Region) -> Region | None:
    """What a region reads of a tensor, by dimension of the tensor; None if perhaps nothing."""
    if access.only_first is not None:
        return None
    read = {}
    for axis, (index, extent) in enumerate(zip(access.indices, graph.tensors[access.tensor].extents, strict=True)):
        reach = _of_index(reader, index, region[index.dim], extent)
        if reach is None:
            return None
        read[str(axis)] = reach
    return read


def _of_index(reader: Operator, index: Index, reach: _Reach, extent: Extent) -> _Reach | None:
    if index.everything:
        return _Reach(extent.low, extent.high)
    if index == Index.last(index.dim):
        return _clipped(reach, 0, extent.low, extent.high) if reader.pace == "single" else _SOME
    if (index.anchor_low, index.anchor_high) != ("low", "high") or not index.shift_low <= 0 <= index.shift_high:
        return None
    return _clipped(reach, 0, extent.low, extent.high) if index.divisor == index.multiplier == 1 else _SOME


def _clipped(reach: _Reach, shift: int, low: int, high: int) -> _Reach:
    """A range moved by so much, as long as it is inside."""
    if reach.high is None or reach.low + shift < low or reach.high + shift > high:
        return _SOME
    return _Reach(reach.low + shift, reach.high + shift, reach.own)


def _made(graph: OperatorGraph, producer: Operator, tensor: str, read: Region) -> Region:
    """The part of a producer that stands behind a part of its result: all of what it sums over."""
    written = next(access for access in producer.writes if access.tensor == tensor)
    mapped = {index.dim for index in written.indices}
    made = {
        dim: _Reach(0, size) if dim in producer.reduces and dim not in mapped else _SOME
        for dim, size in producer.dims.items()
    }
    for axis, index in enumerate(written.indices):
        if index.dim in producer.reduces:
            continue
        if _is_shift(index):
            made[index.dim] = _clipped(read[str(axis)], -index.shift_low, 0, producer.dims[index.dim])
        elif index == Index.last(index.dim) and producer.pace == "single":
            made[index.dim] = _clipped(read[str(axis)], 0, 0, producer.dims[index.dim])
    return made


def _is_shift(index: Index) -> bool:
    """Whether a range selects itself, moved by some constant."""
    plain = not index.everything and index.divisor == index.multiplier == 1
    return plain and index.shift_low == index.shift_high and (index.anchor_low, index.anchor_high) == ("low", "high")


def _split_dim(graph: OperatorGraph, producer: Operator) -> str:
    """The dimension of which a producer's results are different ranges; empty if there is none, or one result."""
    if len(producer.writes) < 2:
        return ""
    for dim in producer.dims:
        ranges = []
        for access in producer.writes:
            for index, extent in zip(access.indices, graph.tensors[access.tensor].extents, strict=True):
                if index.dim == dim and _is_shift(index):
                    ranges.append((extent.low - index.shift_low, extent.high - index.shift_low))
        ranges.sort()
        apart = all(high <= low for (_, high), (low, _) in itertools.pairwise(ranges))
        if len(ranges) == len(producer.writes) and apart:
            return dim
    return ""


def _has_parts(graph: OperatorGraph, reader: Operator, access: Access) -> bool:
    """Whether different results of an operator need different parts of a tensor from outside, and no other reads it."""
    dim = _split_dim(graph, reader)
    readers = [o for o in graph.operators for read in o.reads if read.tensor == access.tensor]
    return len(readers) == 1 and dim != "" and Index(dim) in access.indices
