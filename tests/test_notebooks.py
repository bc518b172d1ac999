"""Notebooks are kept without what they printed and drew, and link to what exists; ``.ci/check`` executes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return found


def test_there_are_five_and_the_documentation_names_them() -> None:
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 5
    for file in NOTEBOOKS:
        assert f"../notebooks/{file.name}" in page


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_outputs_are_stripped(file: Path) -> None:
    for cell in cells(file):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "run: nbstripout notebooks/*.ipynb"
            assert cell["execution_count"] is None


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_reads_like_a_lesson(file: Path) -> None:
    text = ["".join(cell["source"]) for cell in cells(file) if cell["cell_type"] == "markdown"]
    assert text[0].startswith("# ")
    assert "**Question.**" in text[0]
    assert any("**What to see.**" in part for part in text)
