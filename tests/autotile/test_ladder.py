"""Numbers of pieces: whole units first, no large gaps, down to single indices."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ssmopt.autotile.ladder import around, at_least, ladder

SIZES = st.integers(1, 6000)
UNITS = st.integers(1, 300)


@given(SIZES, UNITS)
def test_from_one_piece_to_single_indices_without_a_large_gap(size: int, unit: int) -> None:
    steps = ladder(size, unit)
    assert (steps[0], steps[-1]) == (1, size)
    assert list(steps) == sorted(set(steps))
    assert all(after <= 4 * before for before, after in itertools.pairwise(steps))
    assert len(steps) <= 40


def test_pieces_are_whole_passes_of_an_array_wherever_they_can_be() -> None:
    """5120 columns on 128 lanes: 40 passes, halved and quartered only beyond."""
    steps = ladder(5120, 128)
    exact = [p for p in steps if 40 % p == 0]
    assert exact == [1, 2, 4, 5, 8, 10, 20, 40]
    assert [p for p in steps if p > 40] == [80, 160, 320, 640, 1280, 2560, 5120]


@given(SIZES, UNITS, st.integers(1, 7000))
def test_neighbours_and_the_next_step_up_are_on_the_ladder(size: int, unit: int, pieces: int) -> None:
    steps = ladder(size, unit)
    up = at_least(steps, pieces)
    assert up == min((p for p in steps if p >= pieces), default=steps[-1])
    near = around(steps, up)
    assert up not in near
    assert set(near) <= set(steps)
    assert len(near) <= 4
    here = steps.index(up)
    assert {abs(steps.index(p) - here) for p in near} <= {1, 2}
