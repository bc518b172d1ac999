"""What a sweep can vary, and how one value of it is read: from YAML, or from a Python value as if it stood there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ssmopt.errors import InputError, nearest
from ssmopt.files.config import (
    dtype_of,
    field_value,
    hardware_at,
    is_path,
    model_at,
    read_problem,
    tiling_of,
)
from ssmopt.files.yaml_reader import Section, Value
from ssmopt.hardware import HARDWARE_FIELDS, Hardware, is_hardware_field
from ssmopt.library import find_file
from ssmopt.model import Model
from ssmopt.problem import FORMS, INITIAL_STATES, SCOPES, Dtype, Problem
from ssmopt.solvers import SOLVERS
from ssmopt.tiling import Tiling

Plain = str | int | float | bool | None
"""What stands in a column."""


@dataclass(frozen=True)
class Setting:
    """One value of one parameter.

    Attributes
    ----------
    name
        The parameter.
    label
        The value as a column of the results shows it.
    value
        The value; that of a tiling from a file is read for each problem, whose sizes limit it.
    source
        Where it stands, if it comes from a file.
    key
        Dotted key for error messages.
    """

    name: str
    label: Plain
    value: Any
    source: Value | None
    key: str

    def error(self, message: str) -> InputError:
        """An error about this value."""
        return InputError(message, key=self.key) if self.source is None else self.source.error(message)


@dataclass(frozen=True)
class _Unread:
    """A tiling that stands in a file."""

    section: Section

    def read(self, problem: Problem) -> Tiling | None:
        return tiling_of(self.section, problem)


def tiling_for(setting: Setting, problem: Problem) -> Tiling | None:
    """The tiling that a setting means for a problem; None for an automatic one."""
    value = setting.value
    try:
        tiling = value.read(problem) if isinstance(value, _Unread) else value
    except InputError as error:
        raise error if error.file else InputError(error.message, key=error.key) from None
    assert tiling is None or isinstance(tiling, Tiling)
    return tiling


@dataclass(frozen=True)
class _Place:
    """The folder that paths are relative to."""

    folder: Path


_Read = Callable[[Value, _Place], tuple[Plain, Any]]
"""From a value in YAML to its label and what it means."""


def _whole(minimum: int) -> _Read:
    def read(value: Value, _: _Place) -> tuple[Plain, Any]:
        number = value.integer()
        if number < minimum:
            raise value.error(f"expected a whole number from {minimum} on, not {number}")
        return number, number

    return read


def _positive(value: Value, _: _Place) -> tuple[Plain, Any]:
    number = value.number()
    if not number > 0:
        raise value.error(f"expected a number above 0, not {number:g}")
    return number, number


def _choice(choices: tuple[str, ...]) -> _Read:
    def read(value: Value, _: _Place) -> tuple[Plain, Any]:
        text = value.text(choices)
        return text, text

    return read


def _layers(value: Value, _: _Place) -> tuple[Plain, Any]:
    if value.is_text:
        value.text(["all"])
        return "all", "all"
    return _whole(1)(value, _)


def _solver(value: Value, _: _Place) -> tuple[Plain, Any]:
    name = value.text(tuple(SOLVERS))
    return name, name


def _instance(value: Value, place: _Place) -> tuple[Plain, Any]:
    name = value.text()
    if name.endswith(".json"):
        raise value.error("expected an instance in YAML or of the library; a tile instance has nothing to vary")
    try:
        path = place.folder / name if is_path(name, place.folder) else find_file("instances", name)
    except InputError as error:
        raise value.error(error.message) from None
    problem, tiling = read_problem(path, find_file)
    return problem.name, (problem, tiling)


def _model(value: Value, place: _Place) -> tuple[Plain, Any]:
    model = model_at(value, "model", place.folder, find_file)
    return model.name, model


def _hardware(value: Value, place: _Place) -> tuple[Plain, Any]:
    hardware = hardware_at(value, "hardware", place.folder, find_file)
    return hardware.name, hardware


def _dtype(value: Value, _: _Place) -> tuple[Plain, Any]:
    return _labelled(dtype_of(Section(value, {"dtype": value}, {"dtype": value.line})))


def _tiling(value: Value, _: _Place) -> tuple[Plain, Any]:
    if value.is_mapping:
        section = Section(value, {"tiling": value}, {"tiling": value.line})
        return " ".join(str(yaml.serialize(_flow(value.node))).split()).strip("{}"), _Unread(section)
    if value.is_list:
        raise value.error("expected 'auto' or a mapping, not a list")
    value.text(["auto"])
    return "auto", None


def _flow(node: yaml.Node) -> yaml.Node:
    """The same YAML on one line."""
    if isinstance(node, yaml.MappingNode):
        entries = [(_flow(key), _flow(value)) for key, value in node.value]
        return yaml.MappingNode(node.tag, entries, flow_style=True)
    if isinstance(node, yaml.SequenceNode):
        return yaml.SequenceNode(node.tag, [_flow(item) for item in node.value], flow_style=True)
    return node


def _labelled(value: object) -> tuple[Plain, Any]:
    """What a column shows for an object."""
    if isinstance(value, Model | Hardware):
        return value.name, value
    if isinstance(value, Problem):
        return value.name, (value, None)
    if isinstance(value, Tiling):
        return value.describe(), value
    if isinstance(value, Dtype):
        return ", ".join(f"{name} {size}" for name, size in dataclasses.asdict(value).items()), value
    raise TypeError(value)


_PARAMETERS: Mapping[str, _Read] = {
    "instance": _instance,
    "model": _model,
    "hardware": _hardware,
    "seq_len": _whole(1),
    "batch": _whole(1),
    "layers": _layers,
    "scope": _choice(SCOPES),
    "initial_state": _choice(INITIAL_STATES),
    "form": _choice(FORMS),
    "dtype": _dtype,
    "tiling": _tiling,
    "solver": _solver,
    "time_limit": _positive,
    "work_limit": _positive,
    "solver_workers": _whole(1),
    "seed": _whole(0),
}

PARAMETERS = (*_PARAMETERS, *HARDWARE_FIELDS)
"""Everything that a sweep can vary or fix."""

_OBJECTS: Mapping[str, tuple[type, ...]] = {
    "instance": (Problem,),
    "model": (Model,),
    "hardware": (Hardware,),
    "tiling": (Tiling,),
    "dtype": (Dtype,),
}


def check_parameter(name: str) -> None:
    """Raise `InputError` unless there is a parameter of that name."""
    if name not in _PARAMETERS and not is_hardware_field(name):
        raise InputError(f"unknown key{nearest(name, PARAMETERS)}")


def setting_from_yaml(name: str, value: Value, folder: Path) -> Setting:
    """One value of a parameter in a file; paths are relative to ``folder``."""
    label, meant = _read(name, value, folder)
    return Setting(name, label, meant, value, value.key)


def setting_from_python(name: str, value: object, key: str) -> Setting:
    """One value of a parameter in Python: an object of this package, or what could stand in a file."""
    if isinstance(value, _OBJECTS.get(name, ())):
        label, meant = _labelled(value)
        return Setting(name, label, meant, None, key)
    if name == "tiling" and value is None:
        return Setting(name, "auto", None, None, key)
    try:
        node = yaml.compose(yaml.safe_dump(_plain(value), sort_keys=False), Loader=yaml.SafeLoader)
        assert node is not None
    except yaml.YAMLError:
        expected = " or ".join(["a number or text", *(kind.__name__ for kind in _OBJECTS.get(name, ()))])
        raise InputError(f"expected {expected}, not {value!r}", key=key) from None
    try:
        label, meant = _read(name, Value(node, "", key), Path())
    except InputError as error:
        raise error if error.file else InputError(error.message, key=error.key or key) from None
    return Setting(name, label, meant, None, key)


def _read(name: str, value: Value, folder: Path) -> tuple[Plain, Any]:
    if is_hardware_field(name):
        meant = field_value(name, value)
        label = "x".join(map(str, meant)) if isinstance(meant, list) else meant
        assert isinstance(label, str | int | float)
        return label, meant
    return _PARAMETERS[name](value, _Place(folder))


def _plain(value: object) -> object:
    """A value with what is not YAML's own turned into it."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    return value
