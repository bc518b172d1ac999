"""``ssmopt allocate`` and ``ssmopt solve --allocate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from allocate.packings import DATA
from command_line import QUICK, TINY, TINY_NAME, Run, refused

BUFFERS = "id,lower,upper,size\nb1,0,3,4\nb2,3,9,4\nb3,0,9,4\nb4,9,21,4\nb5,0,21,4\n"


@pytest.fixture
def buffers(tmp_path: Path) -> str:
    (tmp_path / "b.csv").write_text(BUFFERS)
    return "b.csv"


def test_buffers_get_offsets(run: Run, buffers: str, tmp_path: Path) -> None:
    done = run("allocate", buffers, "--capacity", "12", "-o", "placed.csv", "--plot", "map.png")
    assert done.code == 0
    for words in ("FOUND", "height", "12 bytes", "utilisation", "100.0 %", "placed.csv", "map.png"):
        assert words in done.out
    rows = (tmp_path / "placed.csv").read_text().splitlines()
    assert rows[0] == "id,lower,upper,size,offset"
    assert [row.rsplit(",", 1)[0] for row in rows] == BUFFERS.splitlines()
    assert (tmp_path / "map.png").exists()


def test_too_little_capacity_is_said_and_nothing_is_written(run: Run, buffers: str, tmp_path: Path) -> None:
    done = run("allocate", buffers, "--capacity", "11", "-o", "placed.csv", "--json")
    assert done.code == 1
    found = json.loads(done.out)
    assert (found["status"], found["capacity_bytes"], found["lower_bound_bytes"]) == ("INFEASIBLE", 11, 12)
    assert "nothing was written" in done.err
    assert not (tmp_path / "placed.csv").exists()


def test_a_published_problem_as_json(run: Run) -> None:
    done = run("allocate", str(DATA / "K.1048576.csv"), "--capacity", "1MiB", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert (found["buffers"], found["height_bytes"], found["utilisation"]) == (454, 1_048_576, 1.0)


def test_solve_writes_addresses_and_a_saved_schedule_gets_them(run: Run, tmp_path: Path) -> None:
    done = run("solve", *TINY, *QUICK, "--allocate", "--json", "-o", "with.json", "--export", "tiles.json")
    assert done.code == 0
    assert json.loads(done.out)["fragmentation_bytes"] >= 0
    schedule = json.loads((tmp_path / "with.json").read_text())
    assert all("offset" in residency for residency in schedule["residencies"])
    assert run("validate", "tiles.json", "with.json").code == 0

    for residency in schedule["residencies"]:
        del residency["offset"]
    (tmp_path / "without.json").write_text(json.dumps(schedule))
    done = run("allocate", "without.json", "tiles.json", "-o", "again.json", "--plot", "map.svg", "--json")
    assert done.code == 0
    assert json.loads(done.out)["status"] == "FOUND"
    assert (tmp_path / "map.svg").exists()
    assert run("validate", "tiles.json", "again.json").code == 0

    again = json.loads((tmp_path / "again.json").read_text())
    again["residencies"][0]["offset"] += 10**9
    (tmp_path / "wrong.json").write_text(json.dumps(again))
    done = run("validate", "tiles.json", "wrong.json")
    assert done.code == 1
    assert "V5" in done.out
    assert TINY_NAME in again["instance"]["name"]


def test_bad_input(run: Run, buffers: str) -> None:
    refused(run("allocate", buffers), "--capacity")
    refused(run("allocate", buffers, "--capacity", "lots"), "--capacity")
    refused(run("allocate", "nowhere.csv", "--capacity", "1"), "no such file")
    refused(run("allocate", buffers, "mamba-tiny", "--capacity", "1"), "INSTANCE")
    refused(run("allocate", "s.json"), "INSTANCE")
    refused(run("allocate", "s.json", "mamba-130m-marca-L64", "--capacity", "1"), "--capacity")
    refused(run("allocate", buffers, "--capacity", "12", "--plot", "x.gif"), "gif")
