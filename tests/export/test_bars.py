"""The bar chart of a comparison."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ssmopt.errors import InputError
from ssmopt.export.bars import plot_comparison, save_comparison
from ssmopt.result import relative_gap


def comparison(*makespans: int | None, bound: int = 100) -> Any:
    results = [
        SimpleNamespace(solver=f"solver-{i}", makespan=m, gap=None if m is None else relative_gap(m, bound))
        for i, m in enumerate(makespans)
    ]
    rows = tuple(SimpleNamespace(result=r, speedup=None, label=r.solver, other_form="") for r in results)
    return SimpleNamespace(instance="some instance", lower_bound=bound, bound_reason="traffic", rows=rows)


def test_slowest_first_with_bound_and_gap() -> None:
    axes = plot_comparison(comparison(125, None, 400)).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [400, 125]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["solver-2", "solver-0"]
    assert [text.get_text().split() for text in axes.texts] == [["400", "(+300.0", "%)"], ["125", "(+25.0", "%)"]]
    assert any(np.allclose(line.get_xdata(), 100) for line in axes.lines)
    assert "traffic" in axes.get_title(loc="left")


def test_files(tmp_path: Path) -> None:
    for makespans in ((), (None,), (150, 130)):
        save_comparison(tmp_path / "bars.svg", comparison(*makespans))
        assert (tmp_path / "bars.svg").read_bytes().startswith(b"<?xml")
    with pytest.raises(InputError, match="unknown picture format"):
        save_comparison(tmp_path / "bars.txt", comparison(1))
