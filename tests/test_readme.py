"""The README keeps its promises: the script runs, the names exist, the links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ssmopt import library

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "first_schedule.py"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_script_of_the_readme_is_the_example() -> None:
    (script,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    docstring, code = EXAMPLE.read_text(encoding="utf-8").split("\n\n", 1)
    assert docstring.startswith('"""')
    assert script == code
    assert len(script.splitlines()) < 20


def test_the_model_of_the_readme_is_one(tmp_path: Path) -> None:
    (model,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "my-model.yaml").write_text(model)
    assert library.load_model(tmp_path / "my-model.yaml").d_inner == 1024


def test_the_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=300
    )
    assert "cycles" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target.split("#", 1)[0]).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_instances_named_exist(page: Path) -> None:
    named = re.findall(r"\b(?:mamba|tiny)[\w.-]*?-L\d+(?:-[\w-]+)?", page.read_text(encoding="utf-8"))
    assert set(named) <= set(library.list_instances())


def test_the_table_of_results_can_be_replaced() -> None:
    before, rest = README.split("<!-- results: begin -->")
    table, after = rest.split("<!-- results: end -->")
    assert "|---" in table
    assert before
    assert after
