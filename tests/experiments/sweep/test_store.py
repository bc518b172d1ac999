"""The file of results: written once per point, and refused with one clear error if it is something else."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ssmopt.errors import InputError
from ssmopt.experiments.sweep import make_sweep, points_of, read_results
from ssmopt.experiments.sweep.points import Point
from ssmopt.experiments.sweep.store import Store, locked

from .small import FIXED


@pytest.fixture(scope="module")
def points() -> list[Point]:
    return points_of(make_sweep({"seed": range(4)}, FIXED))


def test_what_is_recorded_is_there_when_the_file_is_opened_again(tmp_path: Path, points: list[Point]) -> None:
    file = tmp_path / "results.sqlite"
    with Store(file) as store:
        sweep = store.begin(points, ["seed"])
        store.record(points[2], {"instance": "x", "makespan": 7}, b"schedule")
    with Store(file) as store:
        found = store.results(point.key for point in points)
        assert dict(found[points[2].key].fields) == {"instance": "x", "makespan": 7}
        assert list(found) == [points[2].key]
        assert store.schedule(points[2].key) == b"schedule"
        assert store.begin(points, ["seed"]) == sweep
        assert [key for key, _ in store.points(sweep)] == [point.key for point in points]


def test_a_result_is_never_replaced_and_a_failure_is(points: list[Point]) -> None:
    with Store(None) as store:
        store.record(points[0], {"makespan": 1}, None)
        store.record(points[0], {"makespan": 2}, None)
        store.record(points[1], {}, None, "no luck")
        store.record(points[1], {"makespan": 3}, None)
        found = store.results(point.key for point in points)
    assert found[points[0].key].fields["makespan"] == 1
    assert found[points[1].key].fields["makespan"] == 3
    assert not found[points[1].key].failed


def test_nothing_of_an_interrupted_transaction_remains(points: list[Point]) -> None:
    with Store(None) as store:

        def interrupted() -> None:
            with store._transaction() as db:
                db.execute("INSERT INTO results VALUES ('k', 'v', '{}', '{}', '', 'now', NULL)")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert store.results(["k"]) == {}
        store.record(points[0], {"makespan": 1}, None)


def no_database(file: Path) -> None:
    file.write_text("seq_len,makespan\n1,2\n" * 100)


def foreign_database(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE results (key TEXT)")
    connection.close()


def later_format(file: Path) -> None:
    Store(file).__exit__(None, None, None)
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def damaged(file: Path) -> None:
    Store(file).__exit__(None, None, None)
    data = bytearray(file.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    file.write_bytes(bytes(data))


def cut_off(file: Path) -> None:
    Store(file).__exit__(None, None, None)
    file.write_bytes(file.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_database, "expected an SQLite file of sweep results, but this is none"),
        (foreign_database, "an SQLite file, but not one of sweep results"),
        (later_format, "expected format version 1, not 99"),
        (damaged, "damaged"),
        (cut_off, "damaged"),
        (Path.mkdir, "expected a file, but this is a folder"),
    ],
)
def test_other_files_are_refused_and_left_alone(tmp_path: Path, make: object, said: str) -> None:
    file = tmp_path / "results.sqlite"
    assert callable(make)
    make(file)
    before = file.read_bytes() if file.is_file() else None
    for opened in (lambda: Store(file), lambda: read_results(file)):
        with pytest.raises(InputError) as caught:
            opened()
        assert str(caught.value).startswith(f"{file}: ")
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (file.read_bytes() if file.is_file() else None) == before


def test_only_an_existing_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_results(tmp_path / "none.sqlite")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="there is no folder"):
        Store(tmp_path / "nowhere" / "results.sqlite")


def test_an_empty_file_is_a_new_one(tmp_path: Path, points: list[Point]) -> None:
    """So that a run which was killed while it made the file can be repeated."""
    file = tmp_path / "results.sqlite"
    file.touch()
    with Store(file) as store:
        store.begin(points, ["seed"])
    assert read_results(file).pending == len(points)


def test_a_file_that_another_process_writes_to_is_left_to_it(tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"
    program = (
        "import sys; from ssmopt.experiments.sweep.store import locked\n"
        "with locked(sys.argv[1]):\n  print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match="another sweep is writing to this file"), locked(file):
            pass
        other.kill()
    with locked(file):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_locked_database_is_one_clear_error(
    tmp_path: Path, points: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.sqlite"
    monkeypatch.setattr("ssmopt.experiments.sweep.store._SECONDS_OF_PATIENCE", 0.05)
    with Store(file) as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match="in use by another process"):
            store.record(points[0], {}, None)
        other.close()
        store.record(points[0], {}, None)
