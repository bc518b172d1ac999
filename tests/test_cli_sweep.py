"""``ssmopt sweep``: what it prints and writes, what it refuses, and its exit codes."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import pytest
from command_line import Run, files, refused

GOOD = """\
axes:
  sram: [2560, 3KiB]
fixed: {model: mamba-tiny, hardware: tiny, seq_len: 4, solver: fuse-all, tiling: {tokens: 4, channel_splits: 2}}
"""
BAD = GOOD.replace("2560", "64")


@pytest.fixture
def sweep(run: Run) -> Run:
    """Runs ``ssmopt sweep`` in a folder with two sweeps."""
    Path("good.yaml").write_text(GOOD)
    Path("bad.yaml").write_text(BAD)
    return partial(run, "sweep")


def results() -> set[str]:
    """What is there beside the sweeps."""
    return files() - {"good.yaml", "bad.yaml"}


def test_help_shows_a_sweep_and_examples(sweep: Run) -> None:
    outcome = sweep("--help")
    assert outcome.code == 0
    assert "$ ssmopt sweep memory.yaml --dry-run" in outcome.out
    assert "solver: [fuse-block, pipelined]" in outcome.out
    assert "[cyan]" not in outcome.out


def test_a_dry_run_lists_the_points_and_runs_none(sweep: Run) -> None:
    outcome = sweep("good.yaml", "--dry-run")
    assert outcome.code == 0
    assert "2 points" in outcome.out
    assert "mamba-tiny-tiny-L4-sram-2560" in outcome.out
    assert outcome.out.count("to do") == 2
    points = json.loads(sweep("good.yaml", "--dry-run", "--json").out)["points"]
    assert [point["sram"] for point in points] == [2560, 3072]
    assert results() == set()


def test_a_run_is_stored_shown_and_not_repeated(sweep: Run) -> None:
    outcome = sweep("good.yaml", "--csv", "rows.csv", "--workers", "1")
    assert outcome.code == 0
    assert "2 points" in outcome.out
    assert "schedule of mamba-tiny-tiny-L4-sram-2560" in outcome.out
    assert outcome.err.splitlines()[-1].split()[2:6] == ["2", "of", "2", "points"]
    assert results() == {"results.sqlite", "rows.csv"}

    again = sweep("good.yaml", "--json")
    assert again.code == 0
    assert "2 from before" in again.err
    document = json.loads(again.out)
    with open("rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["makespan"]) for row in rows] == [row["makespan"] for row in document["rows"]]

    shown = sweep("--show", "results.sqlite", "--json")
    assert (shown.code, shown.err) == (0, "")
    assert json.loads(shown.out) == document
    assert sweep("good.yaml", "--dry-run").out.count("done") == 2
    own = json.loads(sweep("good.yaml", "--independent", "--json", "--quiet").out)
    assert [row["taken_from"] for row in own["rows"]] == [None, None]
    assert own["rows"][1]["makespan"] > document["rows"][1]["makespan"]


def test_failed_points_are_shown_with_their_reason(sweep: Run) -> None:
    outcome = sweep("bad.yaml", "--store", "mine.sqlite", "--quiet")
    assert outcome.code == 1
    assert outcome.err == ""
    assert "2 points, 1 failed (--retry-failed runs them again)" in outcome.out
    assert "its memory holds 64 bytes" in outcome.out
    assert "failed" in sweep("bad.yaml", "--store", "mine.sqlite", "--dry-run").out
    assert sweep("--show", "mine.sqlite").code == 1


def test_parquet_of_what_is_stored(sweep: Run) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    sweep("good.yaml", "--quiet", "--workers", "1")
    assert sweep("--show", "results.sqlite", "--parquet", "rows.parquet").code == 0
    assert pd.read_parquet("rows.parquet")["sram"].tolist() == [2560, 3072]


def test_bad_input_is_one_line_and_writes_nothing(sweep: Run) -> None:
    Path("typo.yaml").write_text(GOOD.replace("sram", "srma"))
    refused(sweep("typo.yaml"), "typo.yaml:2: axes.srma: unknown key; did you mean 'sram'?")
    Path("typo.yaml").unlink()
    refused(sweep(), "give either FILE or --show")
    refused(sweep("good.yaml", "--show", "results.sqlite"), "not both")
    refused(sweep("--show", "results.sqlite"), "results.sqlite: no such file")
    refused(sweep("--show", "good.yaml"), "expected an SQLite file of sweep results, but this is none")
    refused(sweep("good.yaml", "--store", "bad.yaml"), "bad.yaml: expected an SQLite file")
    refused(sweep("good.yaml", "--address", "tcp://127.0.0.1:1"), "--address: only a Dask cluster has an address")
    there = ("--executor", "dask", "--address", "tcp://127.0.0.1:1")
    refused(sweep("good.yaml", *there, "--workers", "2"), "--workers: a cluster at an address has its own number")
    refused(sweep("good.yaml", "--csv", "nowhere/rows.csv"), "there is no folder")
    refused(sweep("--show", "results.sqlite", "--dry-run"), "--show only shows")
    assert Path("good.yaml").read_text() == GOOD
    assert results() == set()
