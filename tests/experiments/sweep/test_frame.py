"""The rows as data frame, CSV, Parquet, JSON and HTML."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import ssmopt
from ssmopt.errors import InputError
from ssmopt.experiments.sweep.frame import RESULT_FIELDS, joined

from .small import FIXED, Inline, without


@pytest.fixture(scope="module")
def result() -> ssmopt.SweepResult:
    """Two points of each memory, the first of which fails."""
    axes = {"sram": [64, 4096], "layers": [1, "all"]}
    return ssmopt.sweep(axes, fixed=FIXED, executor=Inline())


def test_the_frame_has_axes_first_and_every_field_of_a_result(result: ssmopt.SweepResult) -> None:
    frame = result.to_frame()
    assert list(frame.columns[:2]) == ["sram", "layers"]
    assert {*RESULT_FIELDS, "error", "taken_from", "key"} <= set(frame.columns)
    alone = ssmopt.solve(ssmopt.load_instance("tiny-state-L1"))
    assert set(alone.as_dict()) <= set(RESULT_FIELDS)
    assert frame["sram"].tolist() == [64, 64, 4096, 4096]
    assert frame["makespan"].isna().tolist() == [True, True, False, False]
    assert str(frame["makespan"].dtype) == "Int64", "cycles stay whole numbers although some are missing"
    assert frame["makespan"].tolist()[2:] == [row["makespan"] for row in result][2:]


def test_csv_can_be_read_back(result: ssmopt.SweepResult, tmp_path: Path) -> None:
    result.to_csv(tmp_path / "rows.csv")
    text = (tmp_path / "rows.csv").read_text()
    assert text == result.to_csv()
    read = pd.read_csv(io.StringIO(text))
    assert read["makespan"].tolist()[2:] == [row["makespan"] for row in result][2:]
    assert list(read.columns) == list(result.columns)
    with pytest.raises(InputError, match="there is no folder"):
        result.to_csv(tmp_path / "nowhere" / "rows.csv")


def test_parquet_can_be_read_back(result: ssmopt.SweepResult, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    result.to_parquet(tmp_path / "rows.parquet")
    read = pd.read_parquet(tmp_path / "rows.parquet")
    assert read["makespan"].tolist()[2:] == [row["makespan"] for row in result][2:]
    assert read["layers"].tolist() == ["1", "all", "1", "all"]


def test_parquet_without_its_package_says_what_to_install(
    result: ssmopt.SweepResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'ssmopt\[parquet\]'"):
        result.to_parquet(tmp_path / "rows.parquet")
    assert list(tmp_path.iterdir()) == []


def test_json_and_html(result: ssmopt.SweepResult) -> None:
    document = json.loads(json.dumps(result.as_dict()))
    assert [row["sram"] for row in document["rows"]] == [64, 64, 4096, 4096]
    html = result._repr_html_()
    assert "<table" in html
    assert f"{result.rows[2]['makespan']:,}" in html
    assert "FAILED" in html
    assert "its memory holds" in html
    assert "4 points, 2 failed" in repr(result)


def test_axes_that_share_a_name_with_a_field_have_a_column_of_their_own() -> None:
    fixed = without("tiling", "solver")
    tilings = [{"tokens": 4, "channel_splits": 2}, ssmopt.Tiling(tokens=2)]
    axes = {"tiling": tilings, "solver": ["fuse-block"]}
    frame = ssmopt.sweep(axes, fixed=fixed, executor=Inline()).to_frame()
    assert frame["tiling_asked"].tolist() == ["tokens: 4, channel_splits: 2", "tokens 2, state_tokens 1"]
    assert frame["tiling"].str.startswith("tokens").all()
    assert list(frame.columns).count("solver") == 1
    assert not frame.columns.duplicated().any()


def test_rows_of_several_sweeps_are_joined_by_their_points(result: ssmopt.SweepResult) -> None:
    other = ssmopt.sweep({"seed": [1]}, fixed=FIXED, executor=Inline())
    both = joined([result, other, result])
    assert both.axes == ("sram", "layers", "seed")
    assert len(both) == 5
    assert both.to_frame()["sram"].isna().tolist() == [False] * 4 + [True]


def test_no_rows_at_all() -> None:
    empty = ssmopt.SweepResult(("sram",), ())
    assert empty.to_frame().empty
    assert "<table" in empty._repr_html_()
