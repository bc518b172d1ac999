"""What docs/sweeps.md shows is what its commands and its program print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ssmopt.experiments.sweep.parameters import PARAMETERS

PAGE = (Path(__file__).parent.parent / "docs" / "sweeps.md").read_text(encoding="utf-8")


def block(kind: str, number: int = 0) -> str:
    return str(re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[number])


def words(line: str) -> list[str]:
    return line.split()


def test_the_commands_print_the_table(tmp_path: Path) -> None:
    (tmp_path / "memory.yaml").write_text(block("yaml"))
    header, *expected = block("text").splitlines()
    printed = []
    for command in block("sh").splitlines():
        first, *arguments = command.split()
        assert first == "ssmopt"
        done = subprocess.run(
            [sys.executable, "-m", "ssmopt.cli", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    listed, run, shown = printed
    assert f"{len(expected)} points" in listed
    for output in (run, shown):
        lines = [words(line) for line in output.splitlines()]
        assert any(line[: len(words(header))] == words(header) for line in lines)
        rows = [line for line in lines if "FEASIBLE" in line or "OPTIMAL" in line]
        assert [row[: len(words(line))] for row, line in zip(rows, expected, strict=True)] == [
            words(line) for line in expected
        ]
    assert len(pd.read_csv(tmp_path / "memory.csv")) == len(expected)


def test_the_program_prints_the_curve(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block("python"), "sweeps.md", "exec"), {})
    assert [words(line) for line in capsys.readouterr().out.splitlines()] == [
        words(line) for line in block("text", 1).splitlines()
    ]


def test_every_parameter_is_in_the_table() -> None:
    table = PAGE.split("## Parameters")[1].split("##")[0]
    named = set(re.findall(r"`([\w.]+)`", table))
    assert {name.replace("<id>", "ID") for name in PARAMETERS} <= named
