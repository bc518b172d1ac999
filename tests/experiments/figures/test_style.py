"""What the pictures have in common."""

from __future__ import annotations

import pytest

from ssmopt.experiments.figures.style import cycle_axis, new_figure


@pytest.mark.parametrize(
    ("low", "high"), [(666_600, 732_000), (666_600, 1_900_000), (2_800_000, 50_000_000), (5, 5 * 10**9)]
)
def test_an_axis_of_cycles_has_round_numbers_whatever_it_spans(low: int, high: int) -> None:
    axes = new_figure(3, 3).subplots()
    axes.plot([0, 1], [low, high])
    cycle_axis(axes)
    bottom, top = axes.get_ylim()
    ticks = axes.get_yticks()
    assert axes.get_yscale() == "log"
    assert 3 <= len(ticks) <= 30
    assert all(bottom <= tick <= top for tick in ticks)
    labels = [axes.yaxis.get_major_formatter()(tick) for tick in ticks]
    assert len(set(labels)) == len(ticks)
    assert not len(axes.get_yticks(minor=True))
