from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ssmopt.errors import InputError
from ssmopt.files.atomic import check_writable, write_bytes_atomically, write_text_atomically


def test_writes_new_and_replaces_old(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_text_atomically(file, "ö")
    assert file.read_bytes() == b"\xc3\xb6"
    write_bytes_atomically(file, b"new")
    assert file.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.json"]


def test_new_files_follow_the_umask_and_old_ones_keep_their_mode(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text_atomically(tmp_path / "new", "x")
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(old)
    (tmp_path / "new").chmod(0o600)
    write_text_atomically(tmp_path / "new", "y")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("broken", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, error: BaseException
) -> None:
    file = tmp_path / "a"
    file.write_text("old")

    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises((InputError, KeyboardInterrupt)) as caught:
        write_text_atomically(file, "new")
    if isinstance(error, OSError):
        assert str(caught.value) == f"{file}: cannot be written: No space left on device"
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("function", [check_writable, lambda path: write_text_atomically(path, "x")])
def test_impossible_places(tmp_path: Path, function: object) -> None:
    assert callable(function)
    with pytest.raises(InputError, match=r"missing/a: cannot be written: there is no folder '.*missing'"):
        function(tmp_path / "missing" / "a")
    with pytest.raises(InputError, match="cannot be written: this is a folder"):
        function(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        function(str(tmp_path) + "/a\0b")
    with pytest.raises(InputError, match="cannot be written"):
        function(tmp_path / ("x" * 5000))
    assert os.listdir(tmp_path) == []


def test_write_protected_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for function in (check_writable, lambda path: write_text_atomically(path, "x")):
        with pytest.raises(InputError, match="write-protected"):
            function(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "old"


def test_check_writable_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    check_writable(tmp_path / "a")
    check_writable(tmp_path / "b")
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_pipes_and_devices_are_written_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_writable(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write_text_atomically(pipe, "through")
    reader.join(10)
    assert received == [b"through"]
    assert pipe.is_fifo()
