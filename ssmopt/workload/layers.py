"""Blocks back to back: the tile instance of one block, once per layer, each reading what the one before wrote."""

from __future__ import annotations

import dataclasses

import numpy as np

from ssmopt.csr import Csr, IntArray
from ssmopt.ids import Ids
from ssmopt.instance import INTERMEDIATE, OUTPUT, Instance, TensorMeta, TileMeta

STREAM = ("x", "out")
"""What a block reads from the block before it, and what the block after it reads: cut alike."""

LAYER = "layer"
"""The dimension of `TileMeta` that says which layer a tile belongs to."""


def stack(block: Instance, layers: int) -> Instance:
    """Repeat a block whose input and output are cut alike; tile ``t`` of layer ``i`` is ``i * block.n_tiles + t``.

    Only the first layer's input and the last layer's output are in DRAM by themselves; in between they are
    intermediates. Every layer has weights, states and a tail of the convolution of its own.
    """
    assert block.meta is not None
    assert block.tensor_meta is not None
    number = _tensor_numbers(block, block.tensor_meta, layers)
    last = number[-1]
    n_tensors = int(last.max()) + 1
    owner, original = np.zeros(n_tensors, dtype=np.int64), np.zeros(n_tensors, dtype=np.int64)
    for layer in range(layers - 1, -1, -1):  # A tensor between two layers belongs to the one that produces it.
        owner[number[layer]], original[number[layer]] = layer, np.arange(block.n_tensors, dtype=np.int64)
    kind = block.tensor_kind[original]
    between = (kind == OUTPUT) & _named(block.tensor_meta, STREAM[1])[original] & (owner < layers - 1)
    kind[between] = INTERMEDIATE
    return dataclasses.replace(
        block,
        tensor_ids=_layered(block.tensor_ids, original, owner, layers),
        tensor_bytes=block.tensor_bytes[original],
        tensor_kind=kind,
        tile_ids=_layered(block.tile_ids, *_tiles(block, layers), layers),
        duration=np.tile(block.duration, (layers, 1)),
        inputs=_repeated(block.inputs, number),
        outputs=_repeated(block.outputs, number),
        accumulates=_repeated(block.accumulates, number),
        meta=_tile_meta(block.meta, layers),
        tensor_meta=None,
    )


def stacked_order(order: IntArray, layers: int) -> IntArray:
    """An order of a block's tiles, layer after layer."""
    first = np.arange(layers, dtype=np.int64) * len(order)
    return (first[:, None] + order[None, :]).ravel()


def _named(meta: TensorMeta, name: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(meta.name == meta.names.index(name))


def _tensor_numbers(block: Instance, meta: TensorMeta, layers: int) -> IntArray:
    """Shape (layers, tensors of the block): the number of each; a layer's input is the output of the one before."""
    read, written = (np.flatnonzero(_named(meta, name)) for name in STREAM)
    own = np.ones(block.n_tensors, dtype=np.bool_)
    own[read] = False
    number = np.empty((layers, block.n_tensors), dtype=np.int64)
    number[0] = np.arange(block.n_tensors)
    for layer in range(1, layers):
        number[layer, own] = block.n_tensors + (layer - 1) * int(own.sum()) + np.arange(int(own.sum()))
        number[layer, read] = number[layer - 1, written]
    return number


def _tiles(block: Instance, layers: int) -> tuple[IntArray, IntArray]:
    """Per tile of the stack: which tile of the block it is, and its layer."""
    tile = np.tile(np.arange(block.n_tiles, dtype=np.int64), layers)
    return tile, np.repeat(np.arange(layers, dtype=np.int64), block.n_tiles)


def _layered(ids: Ids, original: IntArray, layer: IntArray, layers: int) -> Ids:
    """The ids of a block with the layer before them."""
    stems = tuple(f"layer{i}.{stem}" for i in range(layers) for stem in ids.stems)
    stem = layer * len(ids.stems) + ids.stem[original]
    return Ids(stems, stem.astype(np.int32), ids.index[original])


def _repeated(rows: Csr, number: IntArray) -> Csr:
    """The tensors of each tile, layer after layer."""
    layers = len(number)
    tiles = len(rows.indptr) - 1
    row = (np.arange(layers, dtype=np.int64)[:, None] * tiles + rows.rows()[None, :]).ravel()
    return Csr.from_pairs(row, number[:, rows.indices].ravel(), layers * tiles)


def _tile_meta(meta: TileMeta, layers: int) -> TileMeta:
    layer = np.repeat(np.arange(layers, dtype=np.int32), len(meta.operator))[:, None]
    return TileMeta(
        meta.operators,
        np.tile(meta.operator, layers),
        (*meta.dims, LAYER),
        np.hstack([np.tile(meta.low, (layers, 1)), layer]),
        np.hstack([np.tile(meta.high, (layers, 1)), layer + 1]),
    )
