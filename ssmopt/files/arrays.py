"""Arrays by name as numpy's ``.npz``."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ssmopt.errors import InputError
from ssmopt.files.atomic import write_bytes_atomically
from ssmopt.files.text import PathLike


def read_arrays(path: PathLike) -> dict[str, npt.NDArray[Any]]:
    """Read all arrays of a file.

    Raises
    ------
    InputError
        The file cannot be read, or is no ``.npz`` of plain arrays.
    """
    place = os.fspath(path)
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise InputError("expected arrays with names, as numpy's savez writes them (.npz)", file=place)
            file.seek(0)
            with np.load(file, allow_pickle=False) as found:
                return dict(found)
    except FileNotFoundError:
        raise InputError("no such file", file=place) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=place) from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"is no .npz file of plain arrays: {error}", file=place) from None


def write_arrays(path: PathLike, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays into one file.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]
    write_bytes_atomically(path, buffer.getvalue())
