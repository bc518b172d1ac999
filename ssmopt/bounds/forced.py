"""Traffic that a small SRAM forces beyond the compulsory, under any tiling: at a barrier, and in matrix products.

A barrier is a sum over all channels of a token whose result is needed by those who read its operands again. When the
first of them is complete, one token's row has used all weights, and no token's row is done with. So of each channel
either the weights are needed again, or something of every row waits. The proofs are in ``docs/bounds.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from ssmopt.bounds.products import Product
from ssmopt.bounds.products import forced_bytes as product_bytes
from ssmopt.problem import Problem
from ssmopt.tiling import PROJECTIONS
from ssmopt.workload.operators import OperatorGraph


class Waiting(NamedTuple):
    """Bytes that were used or made before the barrier and are read after it.

    Attributes
    ----------
    kept
        Intermediates: unless they stay on chip, they are stored and loaded.
    tail
        Intermediates that have to be stored anyway, as outputs.
    again
        Inputs: unless they stay, they are loaded once more.
    weights
        Weights: likewise.
    """

    kept: int = 0
    tail: int = 0
    again: int = 0
    weights: int = 0

    def cost(self, price: Fraction, counted: tuple[Fraction, ...]) -> Fraction:
        """Cost if a byte on chip has a price and otherwise costs what is counted of its transfers."""
        return sum((n * min(price, each) for n, each in zip(self, counted, strict=True)), Fraction(0))


_ALL = (Fraction(2), Fraction(1), Fraction(1), Fraction(1))
"""Transfers per byte of each kind that waits off chip: a store and a load, or a load."""

_STORES = (Fraction(1), Fraction(0), Fraction(1), Fraction(1, 2))
"""Without what a bound on the loads of a product's operands, sums and (at half their price) weights counts."""

_PRICES = tuple(Fraction(quarters, 4) for quarters in range(1, 9))
"""Prices of a byte on chip that are tried; each gives a bound."""


@dataclass(frozen=True)
class Barrier:
    """What waits when the first row is through.

    Attributes
    ----------
    operators
        What computes the rows, for people.
    columns, rows
        Channels that the barrier sums over, and tokens of all sequences.
    choices
        Per channel: what waits if all rows have begun it.
    fresh
        Per channel: what waits if some row has not begun it.
    row
        Per row that has begun: what waits besides.
    """

    operators: str
    columns: int
    rows: int
    choices: tuple[Waiting, ...]
    fresh: Waiting
    row: Waiting

    def forced_bytes(self, capacity: int, counted: tuple[Fraction, ...]) -> Fraction:
        """Bytes that cross the barrier off chip in every schedule; at least 0."""
        found = [Fraction(0)]
        for price in _PRICES:
            fresh, row = self.fresh.cost(price, counted), self.row.cost(price, counted)
            channel = min(fresh, *(choice.cost(price, counted) for choice in self.choices))
            cost = min(self.columns * channel + self.rows * row, self.columns * fresh + row)
            found.append(cost - price * capacity)
        return max(found)


@dataclass(frozen=True)
class Forced:
    """Bytes forced beyond the compulsory ones, and the operators around which they move."""

    n_bytes: int
    where: tuple[str, ...]


def forced_traffic(problem: Problem, graph: OperatorGraph) -> Forced:
    """Bytes moved to and from DRAM beyond the compulsory ones, whatever the tiling and the order."""
    capacity = problem.hardware.capacity_bytes
    barrier = _barrier(problem)
    if barrier is None:
        return Forced(0, ())
    names = [operator.name for operator in graph.operators if operator.name in PROJECTIONS]
    products = {name: _product(problem, graph, name) for name in names}
    loads = {name: product_bytes(product, capacity) for name, product in products.items()}
    # The barrier and the loads of these two count some transfers twice; all else is apart.
    shared: dict[str, Fraction] = {name: loads.pop(name) for name in ("in_proj", "x_proj") if name in loads}
    halved = dict(shared, in_proj=product_bytes(products["in_proj"], capacity, Fraction(1, 2)))
    options: list[dict[str, Fraction]] = [
        {barrier.operators: barrier.forced_bytes(capacity, _ALL)},
        {barrier.operators: barrier.forced_bytes(capacity, _STORES), **halved},
        shared,
    ]
    parts = max(options, key=lambda option: sum(option.values())) | loads
    total = int(sum(parts.values()))  # a whole number of bytes at least as large as this is moved
    return Forced(total, tuple(name for name, n_bytes in parts.items() if n_bytes > 0))


def _product(problem: Problem, graph: OperatorGraph, name: str) -> Product:
    operator = graph.operator(name)
    (summed,) = operator.reduces
    (column,) = set(operator.dims) - {"S", "L", summed}
    rows = operator.dims["L"] * problem.batch
    return Product(rows, operator.dims[summed], operator.dims[column], problem.dtype.activations, problem.dtype.weights)


def _barrier(problem: Problem) -> Barrier | None:
    """The barrier of the model's family; None for a state update alone, which has none."""
    if problem.scope != "block":
        return None
    model, size = problem.model, problem.dtype.activations
    rows = problem.seq_len * problem.batch
    tail = min(model.d_conv - 1, problem.seq_len) * problem.batch * size
    column = model.d_model * problem.dtype.weights
    through = (rows * size) - tail
    if model.family == "mamba":
        # x_proj sums over xc, which mul_dBx reads again. u waits for the z half of in_proj, or all of z for the gate.
        return Barrier(
            "in_proj before x_proj is complete",
            model.d_inner,
            rows,
            (Waiting(kept=through, tail=tail),),
            Waiting(kept=size, weights=column),
            Waiting(kept=min(model.d_model, model.d_inner) * size, again=model.d_model * size),
        )
    # norm_square sums over a group's gated channels, which norm_scale reads again. Each takes a column of x and of z.
    return Barrier(
        "in_proj to gate before norm_square is complete",
        model.d_inner // model.n_groups,
        rows,
        (Waiting(kept=rows * size), Waiting(kept=through, tail=tail, weights=column)),
        Waiting(kept=size, weights=2 * column),
        Waiting(again=model.d_model * size),
    )
