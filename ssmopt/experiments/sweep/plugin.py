"""Solvers of users in a sweep: each worker process runs the file that registers them, if it is still the same file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ssmopt.errors import InputError
from ssmopt.files.text import PathLike
from ssmopt.plugins import load_plugin


@dataclass(frozen=True)
class Plugin:
    """A Python file that registers solvers, and the sha256 of what it contains."""

    file: str
    sha256: str


_LOADED: set[Plugin] = set()
"""What this process has run."""


def load_all(files: Iterable[PathLike]) -> dict[str, Plugin]:
    """Run some files here, and say which solver is from which.

    Raises
    ------
    InputError
        A file is missing, cannot be run, or registers nothing.
    """
    found = {}
    for given in files:
        names = load_plugin(given)
        file = os.path.abspath(given)
        plugin = Plugin(file, _sha256(file))
        _LOADED.add(plugin)
        found.update(dict.fromkeys(names, plugin))
    return found


def make_sure_of(plugin: Plugin) -> None:
    """Run a file unless this process has done so already.

    Raises
    ------
    InputError
        The file is missing here, or is not the same as where the sweep was started.
    """
    if plugin in _LOADED:
        return
    if not os.path.exists(plugin.file):
        raise InputError("no such file where this point runs", file=plugin.file)
    if _sha256(plugin.file) != plugin.sha256:
        raise InputError("has changed since the sweep began", file=plugin.file)
    load_plugin(plugin.file)
    _LOADED.add(plugin)


def _sha256(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
