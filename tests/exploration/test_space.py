"""Machines of a space: shapes, areas, and what cannot be."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ssmopt
from ssmopt.errors import InputError
from ssmopt.exploration.space import array_shapes, machines

MARCA = ssmopt.load_hardware("marca")


@settings(deadline=None)
@given(st.integers(1, 10**6))
def test_shapes_fit_and_waste_less_than_a_row(elements: int) -> None:
    shapes = array_shapes(elements)
    assert len(set(shapes)) == len(shapes) > 0
    for rows, columns in shapes:
        assert 1 <= rows <= columns
        assert elements - rows < rows * columns <= elements


def test_shapes_of_the_reference_are_among_those_of_its_area() -> None:
    assert array_shapes(8192) == [(64, 128), (32, 256), (16, 512), (8, 1024)]
    assert array_shapes(36864)[:2] == [(192, 192), (128, 288)]
    assert array_shapes(7) == [(2, 3)]
    assert array_shapes(1) == [(1, 1)]


def test_every_machine_fits_the_area_that_it_is_for() -> None:
    space = machines(MARCA, [Fraction(111), Fraction(222)], [Fraction(1, 5), Fraction(4, 5)])
    assert {(m.fraction, m.memory_share) for m in space} == {
        (Fraction(a, 2), Fraction(m, 5)) for a in (1, 2) for m in (1, 4)
    }
    for machine in space:
        one_element = Fraction(222, 40960)
        assert machine.area_mm2 < machine.fraction * 222 + one_element
        assert machine.bandwidth == (181 if machine.fraction < 1 else 256)
    assert (64, 128) in [m.shape for m in space if m.fraction == 1 and m.memory_share == Fraction(4, 5)]


def test_rows_and_bandwidths_as_asked_for() -> None:
    space = machines(MARCA, [Fraction(222)], [Fraction(4, 5)], rows=[100, 64, 64], bandwidths=[8, 16])
    assert [(m.shape, m.bandwidth) for m in space] == [
        ((100, 81), 8), ((64, 128), 8), ((100, 81), 16), ((64, 128), 16),
    ]  # fmt: skip


def test_cores_share_the_processing_elements() -> None:
    space = machines(ssmopt.load_hardware("marca-32core"), [Fraction(222)], [Fraction(4, 5)])
    assert (16, 16) in [machine.shape for machine in space]
    assert max(machine.processing_elements for machine in space) == 8192


@pytest.mark.parametrize(
    ("shares", "rows", "message"),
    [
        ([Fraction(1)], None, "shares: expected a memory share between 0 and 1, not 1"),
        ([Fraction(1, 2)], [0], "rows: expected a positive number of rows, not 0"),
        ([Fraction(1, 2)], [10**6], "rows: no array of that many rows fits"),
    ],
)
def test_impossible_spaces(shares: list[Fraction], rows: list[int] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        machines(MARCA, [Fraction(222)], shares, rows)
