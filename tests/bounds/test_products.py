"""Forced traffic of one matrix product: below every blocked schedule, and worth something where memory is short."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import numpy as np
import pytest

from ssmopt.bounds.products import Product, forced_bytes
from ssmopt.csr import Csr, IntArray
from ssmopt.decode import Policy, decode
from ssmopt.ids import Ids
from ssmopt.instance import DRAM, INTERMEDIATE, WEIGHT, Instance

SIZES = ("rows", "summed", "columns")


def word_by_word(product: Product, capacity: int) -> Instance:
    """One tile per multiplication; tiles without operands make the left operand, others use up the result."""
    rows, summed, columns = product.rows, product.summed, product.columns
    left = np.arange(rows * summed).reshape(rows, summed)
    weight = left.size + np.arange(summed * columns).reshape(summed, columns)
    result = left.size + weight.size + np.arange(rows * columns).reshape(rows, columns)
    triples = list(itertools.product(range(rows), range(summed), range(columns)))
    inputs = [[] for _ in range(left.size)] + [[left[m, k], weight[k, n]] for m, k, n in triples]
    outputs = [[word] for word in left.flat] + [[] for _ in range(len(triples) + result.size)]
    adds = [[] for _ in range(left.size)] + [[result[m, n]] for m, _, n in triples] + [[] for _ in range(result.size)]
    inputs += [[word] for word in result.flat]
    activation = np.ones(left.size + weight.size + result.size, dtype=np.bool_)
    activation[weight.flat] = False
    return Instance(
        name="product",
        memory_ids=("sram",),
        memory_capacity=np.array([capacity]),
        core_ids=("core",),
        core_memory=np.zeros(1, dtype=np.int64),
        core_kind=np.zeros(1, dtype=np.int64),
        channel_ids=("dma",),
        channel_bandwidth=np.array([1]),
        channel_lanes=np.array([1]),
        channel_connects=((DRAM, 0),),
        tensor_ids=Ids.of([f"x{t}" for t in range(len(activation))]),
        tensor_bytes=np.where(activation, product.activation_bytes, product.weight_bytes),
        tensor_kind=np.where(activation, INTERMEDIATE, WEIGHT).astype(np.int8),
        tile_ids=Ids.of([f"t{t}" for t in range(len(inputs))]),
        duration=np.ones((len(inputs), 1), dtype=np.int64),
        inputs=Csr.from_lists(inputs),
        outputs=Csr.from_lists(outputs),
        accumulates=Csr.from_lists(adds),
    )


def blocked(product: Product, rng: random.Random) -> IntArray:
    """Multiplications block by block, in loops of any order; operands made and results used as late or early."""
    sizes = [getattr(product, name) for name in SIZES]
    steps = [rng.randint(1, size) for size in sizes]
    outer, inner = rng.sample(range(3), 3), rng.sample(range(3), 3)
    order: list[int] = []
    left = product.rows * product.summed
    made: set[int] = set()
    added = np.zeros((product.rows, product.columns), dtype=np.int64)
    for corner in itertools.product(*(range(0, sizes[axis], steps[axis]) for axis in outer)):
        low = dict(zip(outer, corner, strict=True))
        ranges = [range(low[axis], min(low[axis] + steps[axis], sizes[axis])) for axis in inner]
        for position in itertools.product(*ranges):
            m, k, n = (dict(zip(inner, position, strict=True))[axis] for axis in range(3))
            operand = m * product.summed + k
            if operand not in made:
                made.add(operand)
                order.append(operand)
            order.append(left + operand * product.columns + n)
            added[m, n] += 1
            if added[m, n] == product.summed:
                order.append(left + product.multiplications + m * product.columns + n)
    return np.array(order, dtype=np.int64)


def loaded(product: Product, instance: Instance, order: IntArray) -> tuple[int, int]:
    """Bytes of activations and of repeated weights that a decoded schedule loads."""
    transfers = decode(instance, order, Policy()).transfers
    tensors = transfers.tensor[transfers.source == DRAM]
    is_weight = instance.tensor_kind[tensors] == WEIGHT
    n_bytes = instance.tensor_bytes[tensors]
    weights = product.weights * product.weight_bytes
    return int(n_bytes[~is_weight].sum()), int(n_bytes[is_weight].sum()) - weights


@pytest.mark.parametrize("block", range(4))
def test_no_blocked_schedule_loads_less(block: int) -> None:
    rng = random.Random(block)
    active = 0
    for _ in range(12):
        sizes = rng.choice((1, 2, 3, 4)), rng.randint(3, 10), rng.randint(3, 10)
        product = Product(*sizes, *rng.choice(((1, 1), (1, 1), (1, 2), (2, 1), (4, 1))))
        least = 2 * product.activation_bytes + product.weight_bytes
        capacity = rng.randint(least, 3 * least)
        instance = word_by_word(product, capacity)
        for _ in range(5):
            activations, weights = loaded(product, instance, blocked(product, rng))
            for price in (Fraction(1), Fraction(1, 2)):
                assert forced_bytes(product, capacity, price) <= activations + price * weights
        active += forced_bytes(product, capacity) > 0
    assert active >= 2


def test_a_skinny_product_is_within_four_times_of_a_schedule() -> None:
    """Four rows of 10 times 12 with room for 6 words: 144 words are forced, and some blocks need 452."""
    product = Product(4, 10, 12, 1, 1)
    instance, rng = word_by_word(product, 6), random.Random(5)
    best = min(sum(loaded(product, instance, blocked(product, rng))) for _ in range(60))
    assert forced_bytes(product, 6) == 144
    assert 144 <= best <= 4 * 144


def test_many_rows_come_close_to_the_published_bound() -> None:
    """2 M N K / sqrt(S) - 2 S words for a product alone, less what is loaded anyway and what the graph makes."""
    rows, summed, columns, words = 1024, 2560, 10240, 262_144
    alone = 2 * rows * summed * columns // 512 - 2 * words
    forced = forced_bytes(Product(rows, summed, columns, 4, 4), 4 * words) / 4
    expected = alone - summed * columns - rows * (summed + columns)
    assert 0.999 * expected <= forced <= expected


def test_where_everything_fits_nothing_is_forced() -> None:
    rng = random.Random(0)
    for _ in range(200):
        product = Product(*(rng.randint(1, 40) for _ in range(3)), rng.choice((1, 2, 4)), rng.choice((1, 2, 4)))
        operands = product.activation_bytes * product.free_words + product.weight_bytes * product.weights
        assert forced_bytes(product, operands) == 0


def test_more_memory_or_a_lower_price_of_weights_force_no_more() -> None:
    for rows in (1, 16, 64, 1024):
        product = Product(rows, 2560, 10240, 4, 4)
        forced = [forced_bytes(product, capacity << 10) for capacity in (100, 128, 256, 512, 1024, 4096, 24 << 10)]
        assert forced == sorted(forced, reverse=True)
        assert forced_bytes(product, 100 << 10, Fraction(1, 2)) <= forced[0]
        assert (forced[0] > 0) == (rows >= 16)
