"""Where results are kept: one SQLite file, written row by row, which survives the end of the process at any moment."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ssmopt.errors import InputError, SsmoptError
from ssmopt.experiments.sweep.points import Point, code_version, digest
from ssmopt.files.text import PathLike

_APPLICATION = 0x73736D6F
"""What SQLite's header says to whom a file belongs."""

_VERSION = 1

_SECONDS_OF_PATIENCE = 30.0
"""How long another process may keep the file locked."""

_SCHEMA = (
    "CREATE TABLE sweeps (id TEXT PRIMARY KEY, number INTEGER NOT NULL, axes TEXT NOT NULL)",
    "CREATE TABLE points (sweep TEXT NOT NULL, position INTEGER NOT NULL, key TEXT NOT NULL, axes TEXT NOT NULL,"
    " PRIMARY KEY (sweep, position))",
    "CREATE TABLE results (key TEXT PRIMARY KEY, version TEXT NOT NULL, configuration TEXT NOT NULL,"
    " fields TEXT NOT NULL, error TEXT NOT NULL, finished TEXT NOT NULL, schedule BLOB)",
    "CREATE TABLE taken (sweep TEXT NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL, fields TEXT NOT NULL,"
    " PRIMARY KEY (sweep, key))",
)

FAILED = "FAILED"
"""Status of a point that has no result, for the reason in its column ``error``."""


@dataclass(frozen=True)
class Stored:
    """The result of a point as it is stored: fields as JSON values, and the reason why there are none."""

    fields: Mapping[str, object]
    error: str

    @property
    def failed(self) -> bool:
        """Whether the point has no result."""
        return bool(self.error)


@dataclass(frozen=True)
class Taken:
    """What a point takes from a point with less memory: the latter's key, and the fields that follow from it."""

    source: str
    fields: Mapping[str, object]


class Store:
    """An open file of results; a file that does not exist is made.

    Parameters
    ----------
    path
        The file; None keeps everything in this process alone.
    create
        Whether an absent file is made; otherwise it is an error.

    Raises
    ------
    InputError
        The file is none of this kind, is damaged, or cannot be read or written.
    """

    def __init__(self, path: PathLike | None, *, create: bool = True):
        self.file = None if path is None else os.fspath(path)
        if self.file is not None:
            _check_file(self.file, create)
        try:
            self._connection = sqlite3.connect(
                self.file or ":memory:", timeout=_SECONDS_OF_PATIENCE, isolation_level=None
            )
        except sqlite3.Error as error:
            raise InputError(f"cannot be opened: {error}", file=self.file) from None
        try:
            with self._guarded():
                self._open(create)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._connection.close()

    def begin(self, points: Sequence[Point], axes: Sequence[str]) -> str:
        """Write down which points a sweep has, in order, and give the id that it has here.

        The id depends on the points alone, so that a sweep which is begun again is the same one.
        """
        sweep = digest({"axes": list(axes), "points": [point.configuration for point in points]})
        with self._transaction() as db:
            (number,) = db.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM sweeps").fetchone()
            db.execute("INSERT OR IGNORE INTO sweeps VALUES (?, ?, ?)", (sweep, number, json.dumps(list(axes))))
            known = db.execute("SELECT key FROM points WHERE sweep = ? ORDER BY position", (sweep,)).fetchall()
            if [key for (key,) in known] != [point.key for point in points]:  # new, or of another version of the code
                db.execute("DELETE FROM points WHERE sweep = ?", (sweep,))
                db.execute("DELETE FROM taken WHERE sweep = ?", (sweep,))
                db.executemany(
                    "INSERT INTO points VALUES (?, ?, ?, ?)",
                    ((sweep, at, point.key, json.dumps(dict(point.axes))) for at, point in enumerate(points)),
                )
        return sweep

    def results(self, keys: Iterable[str]) -> dict[str, Stored]:
        """The results of those keys that have one."""
        found = {}
        with self._guarded():
            for key in keys:
                row = self._connection.execute("SELECT fields, error FROM results WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    found[key] = Stored(json.loads(row[0]), row[1])
        return found

    def schedule(self, key: str) -> bytes | None:
        """The packed schedule of a key."""
        with self._guarded():
            row = self._connection.execute("SELECT schedule FROM results WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def record(self, point: Point, fields: Mapping[str, object], schedule: bytes | None, error: str = "") -> None:
        """Write a finished point, once and for all: a result is never replaced, a failure only by what comes next."""
        with self._transaction() as db:
            db.execute(
                "DELETE FROM taken WHERE key = ? OR source = ?", (point.key, point.key)
            )  # It may be otherwise now.
            db.execute(
                "INSERT INTO results VALUES (?, ?, ?, ?, ?, datetime('now'), ?) ON CONFLICT (key) DO UPDATE SET"
                " fields = excluded.fields, error = excluded.error, finished = excluded.finished,"
                " schedule = excluded.schedule WHERE results.error != ''",
                (
                    point.key,
                    code_version(),
                    json.dumps(point.configuration, sort_keys=True),
                    json.dumps(dict(fields)),
                    error,
                    schedule,
                ),
            )

    def taken(self, sweep: str) -> dict[str, Taken]:
        """What the points of a sweep take from points with less memory, by key."""
        with self._guarded():
            rows = self._connection.execute("SELECT key, source, fields FROM taken WHERE sweep = ?", (sweep,))
            return {key: Taken(source, json.loads(fields)) for key, source, fields in rows}

    def take(self, sweep: str, key: str, taken: Taken | None) -> None:
        """Write what a point takes from one with less memory; None if it takes nothing any more."""
        with self._transaction() as db:
            db.execute("DELETE FROM taken WHERE sweep = ? AND key = ?", (sweep, key))
            if taken is not None:
                row = (sweep, key, taken.source, json.dumps(dict(taken.fields)))
                db.execute("INSERT INTO taken VALUES (?, ?, ?, ?)", row)

    def sweeps(self) -> list[tuple[str, list[str]]]:
        """Ids and axes of the sweeps, oldest first."""
        with self._guarded():
            rows = self._connection.execute("SELECT id, axes FROM sweeps ORDER BY number").fetchall()
        return [(sweep, json.loads(axes)) for sweep, axes in rows]

    def points(self, sweep: str) -> list[tuple[str, dict[str, Any]]]:
        """Keys of a sweep's points and the values of its axes, in order."""
        with self._guarded():
            rows = self._connection.execute(
                "SELECT key, axes FROM points WHERE sweep = ? ORDER BY position", (sweep,)
            ).fetchall()
        return [(key, json.loads(axes)) for key, axes in rows]

    def _open(self, create: bool) -> None:
        """Make the tables of a new file, or make sure that the file has them."""
        db = self._connection
        db.execute("PRAGMA synchronous = FULL")
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        if pages == 0:
            if not create:
                raise InputError("holds no results", file=self.file)
            with self._transaction():
                for statement in _SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {_APPLICATION}")
                db.execute(f"PRAGMA user_version = {_VERSION}")
            return
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            raise InputError("an SQLite file, but not one of sweep results", file=self.file)
        if version != _VERSION:
            raise InputError(f"expected format version {_VERSION}, not {version}", file=self.file)
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise InputError(f"damaged: {' '.join(str(found).split())}", file=self.file)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn what SQLite says into one clear error."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise self._unusable(error) from None
        except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
            raise InputError(f"damaged, or no SQLite file: {error}", file=self.file) from None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's changes, or none."""
        with self._guarded():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _unusable(self, error: sqlite3.OperationalError) -> SsmoptError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return InputError("in use by another process; wait for it, or give another file", file=self.file)
        return InputError(f"cannot be used: {error}", file=self.file)


def _check_file(file: str, create: bool) -> None:
    """What can be said about a file before SQLite looks at it."""
    path = Path(file)
    if path.is_dir():
        raise InputError("expected a file, but this is a folder", file=file)
    if not path.exists():
        if not create:
            raise InputError("no such file", file=file)
        if not path.parent.is_dir():
            raise InputError(f"cannot be written: there is no folder {str(path.parent)!r}", file=file)
        return
    try:
        with open(path, "rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=file) from None
    if start and start != b"SQLite format 3\0":
        raise InputError("expected an SQLite file of sweep results, but this is none", file=file)


@contextmanager
def locked(path: PathLike | None) -> Iterator[None]:
    """Keep other processes from running a sweep into the same file; the lock ends with the process, however it ends.

    Raises
    ------
    InputError
        Another process does so already.
    """
    try:
        import fcntl
    except ImportError:  # Where there are no such locks, two sweeps at once do some points twice.
        fcntl = None  # type: ignore[assignment]
    if path is None or fcntl is None:
        yield
        return
    file = f"{os.fspath(path)}.lock"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=file) from None
    with open(descriptor, "w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError("another sweep is writing to this file", file=os.fspath(path)) from None
        try:
            yield
        finally:
            Path(file).unlink(missing_ok=True)
