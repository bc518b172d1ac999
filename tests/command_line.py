"""The command line in this process, in an empty folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ssmopt.cli import app

TINY = ("--model", "mamba-tiny", "--hardware", "tiny", "--seq-len", "4")
TINY_NAME = "mamba-tiny-tiny-L4"
QUICK = ("--solver", "fuse-block")


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> Outcome:
        with pytest.raises(SystemExit) as stopped:
            app(list(args), prog_name="ssmopt")
        captured = capsys.readouterr()
        code = stopped.value.code
        return Outcome(0 if code is None else int(code), captured.out, captured.err)

    return call


def refused(outcome: Outcome, *words: str) -> None:
    """Bad input: exit code 2, nothing on stdout, one line on stderr."""
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err


def files() -> set[str]:
    return {path.name for path in Path().iterdir()}
