"""Every figure: its files, its picture from nothing but its numbers, and its command."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from command_line import Run
from matplotlib.figure import Figure
from matplotlib.image import imread

from ssmopt.errors import InputError
from ssmopt.experiments import figures
from ssmopt.experiments.figures import FIGURES, FigureKind, FigureOptions, FigureProgress, make_figure

TINY = {
    "quick": True, "model": "mamba-tiny", "hardware": "tiny", "seq_lens": (2,), "srams": (2048, 1 << 20),
    "seconds": 0.3, "workers": 1,
}  # fmt: skip
SVG = b"<?xml"


@pytest.mark.parametrize("name", FIGURES)
def test_files_and_the_same_picture_from_the_numbers_alone(name: str, tmp_path: Path) -> None:
    told: list[FigureProgress] = []
    # Only machines whose area is known can be cut otherwise.
    asked = {**TINY, "hardware": "marca"} if name == "area" else TINY
    options = FigureOptions(**asked, store=tmp_path / "points.sqlite", on_progress=told.append)
    result = make_figure(name, options)
    paths = result.save(tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [f"{name}.png", f"{name}.svg", f"{name}.csv"]
    assert all(path.is_file() for path in paths)
    height, width, _ = imread(io.BytesIO(paths[0].read_bytes())).shape
    assert width > 600
    assert height > 400
    assert paths[1].read_bytes().startswith(SVG)

    again = pd.read_csv(paths[2], dtype_backend="numpy_nullable")
    assert list(again.columns) == list(result.frame.columns)
    assert len(again) == len(result.frame) > 0
    redrawn = figures.FigureResult(name, again, FIGURES[name].draw(again)).save(tmp_path / "again")
    assert [path.read_bytes() for path in redrawn[1:]] == [path.read_bytes() for path in paths[1:]]

    assert told[0].done == 0
    assert told[-1].done == told[-1].total > 0
    assert [p.done for p in told] == sorted(p.done for p in told)
    assert all(p.done <= p.total for p in told)


def test_each_figure_has_a_function_for_a_notebook_cell() -> None:
    for name, kind in FIGURES.items():
        function = getattr(figures, name.replace("-", "_"))
        assert function.__doc__
        assert kind.summary
    result = figures.operations(**TINY)
    assert isinstance(result.figure, Figure)
    assert result._repr_png_().startswith(b"\x89PNG")


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown figure 'rofline'; did you mean 'roofline'"):
        make_figure("rofline")
    for wrong in ({"seconds": 0}, {"workers": 0}, {"seq_lens": (0,)}, {"srams": ()}):
        with pytest.raises(InputError, match="positive"):
            FigureOptions(**wrong)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made a folder"):
        figures.FigureResult("f", pd.DataFrame(), Figure()).save(tmp_path / "file")


@pytest.fixture
def command(run: Run) -> Run:
    """Runs ``ssmopt figure``."""
    return partial(run, "figure")


def test_the_command_writes_into_its_folder(command: Run, tmp_path: Path) -> None:
    tiny = ("--quick", "--model", "mamba-tiny", "--hardware", "tiny")
    code, out, _ = command("operations", "roofline", *tiny, "-o", "out")
    assert code == 0
    assert out.splitlines() == [f"wrote out/{name}.{s}" for name in ("operations", "roofline") for s in FORMATS]
    code, out, err = command("operations", *tiny, "--json", "--quiet")
    (entry,) = json.loads(out)
    assert (code, err, entry["figure"]) == (0, "", "operations")
    assert entry["rows"] == json.loads(
        pd.read_csv(tmp_path / "out" / "operations.csv").to_json(orient="records", double_precision=15)
    )
    assert all(Path(file).exists() for file in entry["files"])


def test_the_command_lists_and_refuses(command: Run, tmp_path: Path) -> None:
    code, out, _ = command("--list")
    assert code == 0
    assert all(name in out for name in FIGURES)
    code, out, _ = command("--list", "--json")
    assert [entry["name"] for entry in json.loads(out)] == list(FIGURES)
    for args, word in ((("operatons",), "did you mean 'operations'"), ((), "expected the name of a figure")):
        code, out, err = command(*args)
        assert (code, out) == (2, "")
        assert word in err
        assert len(err.splitlines()) == 1
    code, _, err = command("operations", "--model", "mamba-huge")
    assert code == 2
    assert "mamba-huge" in err
    assert not list(tmp_path.rglob("*.csv"))


def test_a_figure_is_made_without_a_display_and_importing_them_is_not_needed_for_solving() -> None:
    code = "import sys, ssmopt, ssmopt.cli; assert 'pandas' not in sys.modules and 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_kinds_are_registered_under_their_names() -> None:
    assert all(name == kind.name and isinstance(kind, FigureKind) for name, kind in FIGURES.items())


FORMATS = ("png", "svg", "csv")
