"""Reads a text file, and turns everything that can go wrong with that into one clear error."""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path

from ssmopt.errors import InputError

PathLike = str | os.PathLike[str]


def read_text(path: PathLike, *, limit_bytes: int | None = None) -> str:
    """The text of a UTF-8 file.

    Parameters
    ----------
    path
        A regular file or a pipe. Devices are refused: reading them may never end.
    limit_bytes
        Files with more bytes than this are refused.

    Raises
    ------
    InputError
        The file does not exist, cannot be read, is too large, or is not UTF-8.
    """
    file = os.fspath(path)
    try:
        mode = os.stat(file).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise InputError(f"expected a file, but this is {what}", file=file)
        with open(file, "rb") as stream:
            data = stream.read(-1 if limit_bytes is None else limit_bytes + 1)
    except FileNotFoundError:
        raise InputError(f"no such file{_similar_file(file)}", file=file) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=file) from None
    except ValueError as error:  # a NUL character or a lone surrogate in the path
        raise InputError(f"cannot be read: {error}", file=ascii(file)) from None
    if limit_bytes is not None and len(data) > limit_bytes:
        raise InputError(f"larger than {limit_bytes:,} bytes, which no file of this kind is", file=file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise InputError(f"expected UTF-8 text, but found the byte 0x{byte:02x}", file=file, line=line) from None


def _similar_file(file: str) -> str:
    """A hint with a file of a similar name in the same folder, if there is one."""
    try:
        siblings = os.listdir(Path(file).parent)
    except OSError:
        return ""
    close = difflib.get_close_matches(Path(file).name, siblings, n=1)
    return f"; did you mean {str(Path(file).parent / close[0])!r}?" if close else ""
