"""The numbers behind ``area``, on a model so small that every point takes no time."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from fractions import Fraction

import pandas as pd
import pytest
from matplotlib.figure import Figure

import ssmopt
from ssmopt.autotile.candidates import Candidate
from ssmopt.bounds import best, lower_bounds
from ssmopt.errors import InputError
from ssmopt.experiments.figures import area
from ssmopt.experiments.figures.area import AREA, BASELINES, BOUND, OPTIMUM
from ssmopt.exploration.contender import Contender
from ssmopt.exploration.space import machines
from ssmopt.problem import Problem

MARCA = ssmopt.load_hardware("marca")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return area(model="mamba-tiny", quick=True, seconds=0.2, workers=1, seq_lens=(2,)).frame


def test_a_row_for_every_share_of_every_area_and_scheme(frame: pd.DataFrame) -> None:
    assert list(frame["scheme"]) == [*BASELINES, OPTIMUM, BOUND] * 6
    assert sorted(frame["area_fraction"].unique()) == [0.5, 1]
    assert sorted(frame["memory_share"].unique()) == [0.2, 0.5, 0.8]
    solved = frame[frame["scheme"] != BOUND]
    assert solved["valid"].all()
    assert (solved["makespan"] >= solved["lower_bound"]).all()
    assert (solved["energy_uj"] > 0).all()
    cycles = frame.set_index(["area_fraction", "memory_share", "scheme"])["makespan"].unstack()
    for name in BASELINES:
        assert (cycles[OPTIMUM] <= cycles[name]).all()


def test_the_array_is_the_one_of_the_smallest_bound(frame: pd.DataFrame) -> None:
    model = ssmopt.load_model("mamba-tiny")
    for row in frame[frame["scheme"] == BOUND].itertuples():
        space = machines(MARCA, [Fraction(222) * Fraction(row.area_fraction)], [Fraction(str(row.memory_share))])
        bounds = {m.shape: best(lower_bounds(Problem("p", model, m.hardware, 2))).cycles for m in space}
        assert row.makespan == bounds[row.rows, row.columns] == min(bounds.values())
        assert {m.sram_bytes for m in space} == {row.sram_bytes}


def test_the_accelerator_as_it_is_is_one_of_the_points(frame: pd.DataFrame) -> None:
    (own,) = frame[frame["as_it_is"] & (frame["scheme"] == OPTIMUM)].itertuples()
    assert (own.area_fraction, own.memory_share) == (1, 0.8)
    assert (own.rows, own.columns, own.sram_bytes, own.bandwidth, own.area_mm2) == (64, 128, 24 << 20, 256, 222)


def test_the_accelerator_as_it_is_is_a_point_where_its_share_is_not_on_the_grid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = importlib.import_module("ssmopt.experiments.figures.area")  # A function has the same name.
    monkeypatch.setattr(module, "QUICK_SHARES", (Fraction(9, 10), Fraction(1, 2)))
    figure = area(model="mamba-tiny", quick=True, seconds=0.1, workers=1, seq_lens=(2,))
    whole = figure.frame[figure.frame["area_fraction"] == 1]
    assert list(whole["memory_share"].unique()) == [0.5, 0.8, 0.9]
    assert list(figure.frame[figure.frame["as_it_is"]]["memory_share"]) == [0.8] * len([*BASELINES, OPTIMUM, BOUND])
    (stars,) = [line for line in AREA.draw(figure.frame).axes[1].lines if line.get_marker() == "*"]
    assert list(stars.get_xdata()) == [80, 80]


def test_an_accelerator_of_another_area_is_not_marked() -> None:
    smaller = MARCA.override("sram", 10 << 20)
    figure = area(model="mamba-tiny", hardware=smaller, quick=True, seconds=0.1, workers=1, seq_lens=(2,))
    assert not figure.frame["as_it_is"].any()
    drawn = AREA.draw(figure.frame)
    assert not any(line.get_marker() == "*" for axes in drawn.axes for line in axes.lines)
    assert "as it is" not in " ".join(text.get_text() for text in drawn.legends[0].get_texts())


def test_what_suits_other_shares_is_tried_only_where_something_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[bool, int]] = []
    original = Contender.search

    def search(self: Contender, work: float, seeds: Callable[[int], list[Candidate]], *, take: bool = True) -> None:
        begun.append((self.candidate(2) is None, len(seeds(2))))
        original(self, work, seeds, take=take)

    monkeypatch.setattr(Contender, "search", search)
    area(model="mamba-tiny", quick=True, seconds=0.1, workers=1, seq_lens=(2,))
    assert len(begun) == 3 * 6
    assert [seeds for is_new, seeds in begun if is_new] == [0] * 6
    assert [seeds for is_new, seeds in begun if not is_new] == [2] * 12


def test_a_picture_of_it(frame: pd.DataFrame) -> None:
    figure = AREA.draw(frame)
    assert isinstance(figure, Figure)
    panels = figure.axes
    assert len(panels) == 2
    assert [len(axes.lines) for axes in panels] == [4, 4 + 1]  # schemes, and where the accelerator as it is stands


def test_hardware_without_an_area_model_is_refused() -> None:
    with pytest.raises(InputError, match="has no area_model"):
        area(model="mamba-tiny", hardware="array-vector", quick=True)
