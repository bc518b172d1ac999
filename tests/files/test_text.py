from __future__ import annotations

import os
from pathlib import Path

import pytest

from ssmopt.errors import InputError
from ssmopt.files.text import read_text


def test_reads_text_with_and_without_byte_order_mark(tmp_path: Path) -> None:
    for data in (b"\xef\xbb\xbfk: \xc3\xb6", b"k: \xc3\xb6"):
        (tmp_path / "a").write_bytes(data)
        assert read_text(tmp_path / "a") == "k: ö"


def test_missing_file_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "marca.yaml").touch()
    with pytest.raises(InputError, match=r"marka\.yaml: no such file; did you mean '.*marca\.yaml'\?"):
        read_text(tmp_path / "marka.yaml")
    with pytest.raises(InputError, match=r"no such file$"):
        read_text(tmp_path / "nothing" / "marka.yaml")


def test_not_utf8_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\ntw\xff\n")
    with pytest.raises(InputError, match=r"a:2: expected UTF-8 text, but found the byte 0xff"):
        read_text(tmp_path / "a")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_devices_are_refused(path: str) -> None:
    if not os.path.exists(path):
        pytest.skip("no such device here")
    with pytest.raises(InputError, match="not a regular file"):
        read_text(path)


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5000, "."])
def test_impossible_paths(path: str) -> None:
    with pytest.raises(InputError):
        read_text(path)


def test_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("12345")
    assert read_text(tmp_path / "a", limit_bytes=5) == "12345"
    with pytest.raises(InputError, match="larger than 4 bytes"):
        read_text(tmp_path / "a", limit_bytes=4)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("12345")
    (tmp_path / "a").chmod(0)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read_text(tmp_path / "a")


def test_permission_error_is_turned_into_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(InputError, match="a: cannot be read: Permission denied"):
        read_text("a")
