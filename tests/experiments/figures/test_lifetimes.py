"""The numbers behind ``lifetimes``."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from ssmopt.experiments.figures import FigureOptions, lifetimes
from ssmopt.experiments.figures.lifetimes import data


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return data(FigureOptions())


def occupancy(rows: pd.DataFrame) -> list[int]:
    """Resident bytes in every cycle of the window."""
    end = int(rows["end_cycles"].max())
    return [int(rows[(rows["start_cycles"] <= now) & (rows["end_cycles"] > now)]["bytes"].sum()) for now in range(end)]


def test_the_peak_is_what_the_rows_add_up_to(frame: pd.DataFrame) -> None:
    for _, rows in frame.groupby("way"):
        assert max(occupancy(rows)) == rows["peak_bytes"].iloc[0] <= rows["sram_bytes"].iloc[0]


def test_fusing_everything_takes_five_states_and_chunks_take_a_fraction(frame: pd.DataFrame) -> None:
    """The published study's rule for the whole update: about ``(5 E N + E + N) * bytes``."""
    ways = list(dict.fromkeys(frame["way"]))
    peaks = [frame[frame["way"] == way]["peak_bytes"].iloc[0] for way in ways]
    inner, state = 5120, 64
    assert (5 * inner * state + inner + state) * 4 <= peaks[0] <= (5 * inner * state + 6 * inner) * 4
    assert peaks[1] < peaks[0] / 6
    assert peaks[2] < peaks[1]


def test_tiles_follow_one_another_and_find_their_tensors(frame: pd.DataFrame) -> None:
    for _, rows in frame.groupby("way"):
        tiles = rows[rows["what"] == "tile"]
        assert list(tiles["name"])[:4] == ["mul_dA", "exp_dA", "mul_dB", "mul_dBx"]
        times = zip(tiles["start_cycles"], tiles["end_cycles"], strict=True)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(times))
        tensors = rows[rows["what"] == "tensor"].assign(stem=lambda r: r["name"].str.split(".").str[0])
        exp = tiles[tiles["name"] == "exp_dA"].iloc[0]
        for stem, until in (("dA", exp["end_cycles"]), ("Abar", exp["end_cycles"])):
            piece = tensors[tensors["stem"] == stem].iloc[0]
            assert piece["start_cycles"] <= exp["start_cycles"]
            assert piece["end_cycles"] >= until
        assert not tensors[tensors["stem"] == "dA"]["begins_before"].any()
        assert tensors[tensors["stem"] == "A"]["begins_before"].iloc[0]


@pytest.mark.parametrize("model", ["mamba-tiny", "mamba2-tiny"])
def test_other_models(model: str) -> None:
    result = lifetimes(model=model, hardware="tiny")
    assert set(result.frame["what"]) == {"tile", "tensor"}
    assert result.frame["way"].nunique() == 3
