"""The wheel holds all that a user needs who has no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KINDS = ("models", "hardware", "instances")

pytest.importorskip("hatchling")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_data_and_schemas_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for kind in KINDS:
        expected = {f"ssmopt/data/{kind}/{file.name}" for file in (ROOT / kind).glob("*.yaml")}
        assert expected
        assert expected <= names
    assert "ssmopt/data/instances/best_known.csv" in names
    assert {f"ssmopt/schemas/{file.name}" for file in (ROOT / "ssmopt" / "schemas").glob("*.json")} <= names
    page = [file.name for file in (ROOT / "ssmopt/export/report").iterdir() if file.suffix in (".js", ".css", ".html")]
    assert page
    assert {f"ssmopt/export/report/{name}" for name in page} <= names
    assert "ssmopt/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_nothing_else_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/", 1)[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"ssmopt"}


def test_it_works_away_from_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    (tmp_path / "work").mkdir()
    program = (
        "import ssmopt, ssmopt.library as library; "
        "print(ssmopt.__file__); "
        "print(*library.list_models(), *library.list_hardware(), *library.list_instances()); "
        "print(ssmopt.load_instance('tiny-state-L1').n_tiles)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path / "work",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
    )
    where, names, tiles = done.stdout.splitlines()
    assert Path(where).is_relative_to(tmp_path / "site")
    assert set(names.split()) == {file.stem for kind in KINDS for file in (ROOT / kind).glob("*.yaml")}
    assert tiles == "7"
