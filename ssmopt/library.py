"""Finds models, hardware and instances by name, in an installed package and in a source checkout alike."""

from __future__ import annotations

import os
from pathlib import Path

from ssmopt.errors import InputError, nearest
from ssmopt.files.config import is_path, read_problem
from ssmopt.files.parts import read_hardware, read_model
from ssmopt.files.text import PathLike
from ssmopt.hardware import Hardware
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling

_NOUNS = {"models": "model", "hardware": "hardware", "instances": "instance"}


def list_models() -> list[str]:
    """Names of the models that come with the package, sorted."""
    return _names("models")


def list_hardware() -> list[str]:
    """Names of the accelerators that come with the package, sorted."""
    return _names("hardware")


def list_instances() -> list[str]:
    """Names of the instances that come with the package, sorted."""
    return _names("instances")


def load_model(name_or_path: PathLike) -> Model:
    """A model by its name in the library, or from a YAML file.

    Raises
    ------
    InputError
        There is no such model, or its file cannot be used.
    """
    return read_model(_locate("models", name_or_path))


def load_hardware(name_or_path: PathLike) -> Hardware:
    """An accelerator by its name in the library, or from a YAML file.

    Raises
    ------
    InputError
        There is no such hardware, or its file cannot be used.
    """
    return read_hardware(_locate("hardware", name_or_path))


def load_problem(name_or_path: PathLike) -> tuple[Problem, Tiling | None]:
    """An instance by its name in the library, or from a YAML file: the problem, and the tiling unless it is ``auto``.

    Raises
    ------
    InputError
        There is no such instance, or its file cannot be used.
    """
    return read_problem(_locate("instances", name_or_path), find_file)


def _folder(kind: str) -> Path:
    """Where the files of a kind are: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).parent
    data = package / "data"
    return (data if data.is_dir() else package.parent) / kind


def _names(kind: str) -> list[str]:
    return sorted(file.stem for file in _folder(kind).glob("*.yaml"))


def find_file(kind: str, name: str) -> Path:
    """The library's file of that name; ``kind`` is ``models``, ``hardware`` or ``instances``.

    Raises
    ------
    InputError
        There is none.
    """
    names = _names(kind)
    if name not in names:
        raise InputError(f"unknown {_NOUNS[kind]} {name!r}{nearest(name, names)}")
    return _folder(kind) / f"{name}.yaml"


def _locate(kind: str, name_or_path: PathLike) -> Path:
    """The file that a user means by a name or a path."""
    name = os.fspath(name_or_path)
    if not is_path(name):
        return find_file(kind, name)
    stem = Path(name).stem
    if not os.path.exists(name) and stem in _names(kind):
        raise InputError(f"no such file; the library's own {_NOUNS[kind]} is called {stem!r}", file=name)
    return Path(name)
