"""Writes files whole or not at all: a new file in the same folder that then takes the place of the old one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ssmopt.errors import InputError
from ssmopt.files.text import PathLike


def write_text_atomically(path: PathLike, text: str) -> None:
    """Write UTF-8 text; on failure the old file, if any, is left as it was.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: PathLike, data: bytes) -> None:
    """Write bytes; on failure the old file, if any, is left as it was.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    try:
        if _is_stream(path):
            # A device or pipe holds nothing that could be left half-written, and must not be replaced by a file.
            with open(path, "wb") as stream:
                stream.write(data)
        else:
            _replace(_target(path), data)
    except OSError as error:
        raise _unwritable(path, error) from None
    except ValueError as error:  # a NUL character or a lone surrogate in the path
        raise InputError(f"cannot be written: {error}", file=ascii(os.fspath(path))) from None


def check_writable(path: PathLike) -> None:
    """Make sure before a long run that its result can be written; changes nothing.

    Raises
    ------
    InputError
        The path is a folder, its folder is missing, or the file may not be written.
    """
    try:
        if not _is_stream(path):
            temporary, descriptor = _new_file(_target(path).parent)
            os.close(descriptor)
            temporary.unlink()
    except OSError as error:
        raise _unwritable(path, error) from None
    except ValueError as error:
        raise InputError(f"cannot be written: {error}", file=ascii(os.fspath(path))) from None


def _is_stream(path: PathLike) -> bool:
    """Whether the path is a device or a pipe."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _target(path: PathLike) -> Path:
    """The file that is to be replaced: what a link points to, not the link itself."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError("cannot be written: this is a folder", file=os.fspath(path))
    if not target.parent.is_dir():
        raise InputError(f"cannot be written: there is no folder {str(target.parent)!r}", file=os.fspath(path))
    # Replacing needs only a writable folder, but whoever write-protects a file does not want it replaced either.
    if target.exists() and not os.access(target, os.W_OK):
        raise InputError("cannot be written: the file is write-protected", file=os.fspath(path))
    return target


def _new_file(folder: Path) -> tuple[Path, int]:
    """A new file, open for writing, with the permissions that the umask gives any new file."""
    temporary = folder / f".ssmopt-{secrets.token_hex(8)}.tmp"
    return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)


def _replace(target: Path, data: bytes) -> None:
    temporary, descriptor = _new_file(target.parent)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            os.chmod(temporary, target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _unwritable(path: PathLike, error: OSError) -> InputError:
    return InputError(f"cannot be written: {error.strerror or error}", file=os.fspath(path))
