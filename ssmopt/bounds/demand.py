"""What any tile of an operator needs before it can start, and what must follow it, whatever the tiling.

A tile covers at least one index of each of its dimensions. From there the index maps of the operator graph say how
many indices of every ancestor (or descendant) are involved at least: one, or all of a dimension that is summed over or
broadcast, or a block of them (the channels of a head, the tokens of a chunk).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from ssmopt.instance import OUTPUT
from ssmopt.problem import Problem
from ssmopt.workload.operators import (
    Access,
    Extent,
    Index,
    Operator,
    OperatorGraph,
    Tensor,
    chunk_lengths,
    operator_cycles_floor,
)

Counts = Mapping[str, int]
"""How many indices of each dimension of an operator are involved at least."""


@dataclass(frozen=True)
class Demand:
    """Operators and bytes that come before (or after) any tile of an operator.

    Attributes
    ----------
    counts
        Per operator involved: the least number of indices of each of its dimensions.
    moved_bytes
        Bytes that must have been loaded before (or be stored after).
    """

    counts: Mapping[str, Counts]
    moved_bytes: int


def region_cycles(problem: Problem, operator: Operator, counts: Counts) -> Fraction:
    """Cycles that a part of an operator takes at least, on all admissible cores together."""
    part = Fraction(1)
    for dim, size in operator.dims.items():
        part *= _token_share(operator, counts[dim]) if dim == "L" else Fraction(counts[dim], size)
    groups = [group for group in problem.hardware.cores if operator.kernel in group.runs]
    best = min(operator_cycles_floor(operator, group) for group in groups)
    return part * best / sum(group.count for group in groups)


def _token_share(operator: Operator, tokens: int) -> Fraction:
    """The least share of an operator's work on so many tokens; in chunks, those of a short one have fewer partners."""
    lengths = chunk_lengths(operator)
    if len(lengths) == 1 or tokens == operator.dims["L"]:
        return Fraction(tokens, operator.dims["L"])
    return Fraction(tokens * min(lengths), sum(length * length for length in lengths))


def _smallest_tile(operator: Operator) -> dict[str, int]:
    """How many indices of each dimension a tile has at least."""
    counts = dict.fromkeys(operator.dims, 1)
    if operator.pace == "chunk":
        counts["L"] = min(chunk_lengths(operator))
    return counts


def before(graph: OperatorGraph, operator: Operator) -> Demand:
    """What any tile of the operator needs first; ``counts`` includes the operator itself, with a smallest tile."""
    counts: dict[str, dict[str, int]] = {operator.name: _smallest_tile(operator)}
    bytes_of: dict[str, int] = {}
    for consumer in _backwards(graph, operator):
        if consumer.name not in counts:
            continue
        for access in consumer.reads:
            tensor = graph.tensors[access.tensor]
            wanted = _selected(consumer, access, tensor, counts[consumer.name])
            if wanted is None:
                continue
            producer = _producer(graph, access.tensor)
            if producer is None:
                n_bytes = tensor.element_bytes
                for count in wanted:
                    n_bytes *= count
                bytes_of[tensor.name] = max(bytes_of.get(tensor.name, 0), n_bytes)
            else:
                written = next(a for a in producer.writes if a.tensor == access.tensor)
                mapped, least = {index.dim for index in written.indices}, _smallest_tile(producer)
                summed = set(producer.reduces) - mapped
                needed = {dim: producer.dims[dim] if dim in summed else least[dim] for dim in producer.dims}
                for index, count in zip(written.indices, wanted, strict=True):
                    if index.dim in producer.reduces:  # summed over in blocks, such as the channels of a group
                        makers = _least_origin(producer, index, count)
                    else:
                        makers = -(-count // index.multiplier)
                    needed[index.dim] = max(needed[index.dim], min(makers, producer.dims[index.dim]))
                _keep_larger(counts, producer, needed)
    return Demand(counts, sum(bytes_of.values()))


def after(graph: OperatorGraph, operator: Operator) -> Demand:
    """What must follow any tile of the operator; the operator itself is not included in ``counts``."""
    counts: dict[str, dict[str, int]] = {operator.name: _smallest_tile(operator)}
    stored: dict[str, int] = {}
    for producer in graph.operators:
        if producer.name not in counts:
            continue
        for access in producer.writes:
            tensor = graph.tensors[access.tensor]
            if not _always_written(producer, access, tensor):
                continue
            made = [
                1 if index == Index.last(index.dim) else _least_image(producer, index, counts[producer.name], e)
                for index, e in _axes(access, tensor)
            ]
            if tensor.output_from is not None and tensor.output_from <= tensor.extents[tensor.axis].low:
                n_bytes = tensor.element_bytes
                for count in made:
                    n_bytes *= count
                stored[tensor.name] = max(stored.get(tensor.name, 0), n_bytes)
            for consumer in graph.operators:
                for read in consumer.reads:
                    if read.tensor != access.tensor or not _reads_all(consumer, read):
                        continue
                    mapped, least = {index.dim for index in read.indices}, _smallest_tile(consumer)
                    needed = {dim: least[dim] if dim in mapped else consumer.dims[dim] for dim in consumer.dims}
                    readers: dict[str, int] = {}
                    for index, count in zip(read.indices, made, strict=True):
                        if _is_plain(index):
                            # Of the tokens of a chunk (all read its columns) only those whose row it is.
                            most = readers.get(index.dim, consumer.dims[index.dim])
                            readers[index.dim] = min(most, _least_origin(consumer, index, count))
                    for dim, count in readers.items():
                        needed[dim] = max(needed[dim], count)
                    _keep_larger(counts, consumer, needed)
    del counts[operator.name]
    return Demand(counts, sum(stored.values()))


def _keep_larger(counts: dict[str, dict[str, int]], operator: Operator, needed: dict[str, int]) -> None:
    """Of two parts of one operator that are both involved, keep the larger: their union is at least that."""
    known = counts.get(operator.name)
    if known is None or _volume(known) < _volume(needed):
        counts[operator.name] = needed


def _volume(counts: Counts) -> int:
    volume = 1
    for count in counts.values():
        volume *= count
    return volume


def _backwards(graph: OperatorGraph, operator: Operator) -> Iterator[Operator]:
    names = [o.name for o in graph.operators]
    yield from reversed(graph.operators[: names.index(operator.name) + 1])


def _producer(graph: OperatorGraph, tensor: str) -> Operator | None:
    for operator in graph.operators:
        if any(access.tensor == tensor for access in operator.writes):
            return operator
    return None


def _selected(operator: Operator, access: Access, tensor: Tensor, counts: Counts) -> list[int] | None:
    """Indices of each dimension of a tensor that a part of an operator reads at least; None if perhaps none."""
    if access.only_first is not None and counts[access.only_first] < operator.dims[access.only_first]:
        return None
    selected = []
    for index, extent in _axes(access, tensor):
        if index.anchor_high == "low":
            return None  # The state before the first token is not produced, and may not exist.
        if index.shift_low == index.shift_high != 0 and counts[index.dim] < operator.dims[index.dim]:
            return None
        of_a_tile = index == Index.last(index.dim) and operator.pace != "single"
        selected.append(1 if of_a_tile else _least_image(operator, index, counts, extent))
    return selected


def _least_image(operator: Operator, index: Index, counts: Counts, extent: Extent) -> int:
    """The least number of indices of a tensor's dimension that a part of an operator selects."""
    if index.everything:
        return len(extent)
    blocks = -(-counts[index.dim] // index.divisor)
    if index.multiplier == 1:
        return min(blocks, len(extent))
    return _blocks_length(blocks, index.multiplier, operator.dims[index.dim])


def _least_origin(operator: Operator, index: Index, count: int) -> int:
    """The least number of an operator's indices that select so many of a tensor's, if all that do are counted."""
    size = operator.dims[index.dim]
    blocks = -(-count // index.multiplier)
    return min(_blocks_length(blocks, index.divisor, size), size)


def _blocks_length(blocks: int, length: int, size: int) -> int:
    """Indices in so many of the blocks that a dimension is divided into, the last one of which may be shorter."""
    all_blocks = -(-size // length)
    shortest = size - (all_blocks - 1) * length
    return size if blocks >= all_blocks else (blocks - 1) * length + shortest


def _is_plain(index: Index) -> bool:
    """Whether a range selects itself, or the blocks that it touches."""
    return index.shift_low == index.shift_high == 0 and (index.anchor_low, index.anchor_high) == ("low", "high")


def _reads_all(operator: Operator, access: Access) -> bool:
    """Whether every index of the tensor has a reader: not so for the state before a token, or only at a tile's end."""
    for index in access.indices:
        if index.anchor_high == "low" or (index == Index.last(index.dim) and operator.pace != "single"):
            return False
    return True


def _always_written(operator: Operator, access: Access, tensor: Tensor) -> bool:
    """Whether every tile of an operator writes to the tensor, not perhaps only to another of its tensors."""
    for index, extent in _axes(access, tensor):
        last = (operator.dims[index.dim] - 1) // index.divisor * index.multiplier
        inside = extent.low <= 0 and last < extent.high
        if not inside or not (_is_plain(index) or index == Index.last(index.dim)):
            return False
    return True


def _axes(access: Access, tensor: Tensor) -> list[tuple[Index, Extent]]:
    return list(zip(access.indices, tensor.extents, strict=True))


def compulsory_bytes(graph: OperatorGraph) -> tuple[int, int]:
    """Bytes that must be loaded, and bytes that must be stored, once each, under any tiling."""
    written = {access.tensor for operator in graph.operators for access in operator.writes}
    loaded = stored = 0
    for name, tensor in graph.tensors.items():
        per_index = tensor.element_bytes
        for axis, extent in enumerate(tensor.extents):
            per_index *= 1 if axis == tensor.axis else len(extent)
        first = tensor.extents[tensor.axis]
        if name not in written:
            loaded += per_index * len(first)
            continue
        # Indices below 0 are state from before; nothing produces them, and all of them are read.
        loaded += per_index * max(0, -first.low)
        if tensor.output_from is not None or tensor.kind == OUTPUT:
            start = max(tensor.output_from or 0, 0)
            stored += per_index * (first.high - start)
    return loaded, stored


def whole_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor without whatever lies before its first index."""
    n_bytes = tensor.element_bytes
    for axis, extent in enumerate(tensor.extents):
        n_bytes *= extent.high - max(extent.low, 0) if axis == tensor.axis else len(extent)
    return n_bytes
