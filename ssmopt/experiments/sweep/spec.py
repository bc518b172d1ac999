"""A sweep: values of some parameters, whose product is run, and fixed values of others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ssmopt.errors import InputError
from ssmopt.experiments.sweep.parameters import (
    Setting,
    check_parameter,
    setting_from_python,
    setting_from_yaml,
)
from ssmopt.files.text import PathLike
from ssmopt.files.yaml_reader import Section, read_yaml

MOST_POINTS = 1_000_000
"""A product of more values than this is taken for a mistake."""

_TARGET = ("model", "hardware", "seq_len")


@dataclass(frozen=True)
class SweepSpec:
    """What a sweep varies and what it fixes.

    Attributes
    ----------
    axes
        Per parameter its values, in order; the last axis varies fastest.
    fixed
        One value each of other parameters.
    file
        The file that it comes from, if any.
    """

    axes: Mapping[str, tuple[Setting, ...]]
    fixed: Mapping[str, Setting]
    file: str | None = None

    def __post_init__(self) -> None:
        if not self.axes:
            raise InputError("expected at least one parameter with its values", file=self.file, key="axes")
        for name, settings in self.axes.items():
            if not settings:
                raise InputError("expected at least one value", file=self.file, key=f"axes.{name}")
            if name in self.fixed:
                raise self.fixed[name].error("this key is also an axis: give it once")
            seen: dict[object, Setting] = {}
            for setting in settings:
                if setting.label in seen:
                    same = _same(seen[setting.label], setting)
                    raise setting.error(
                        f"{setting.label!r} is given twice"
                        if same
                        else f"two different values are both called {setting.label!r}: name them, to tell them apart"
                    )
                seen[setting.label] = setting
        given = {*self.axes, *self.fixed}
        missing = [name for name in _TARGET if name not in given]
        if "instance" not in given and missing:
            raise InputError(
                f"{' and '.join(missing)} missing: expected {', '.join(_TARGET)}, or instance, as axes or fixed",
                file=self.file,
            )
        if self.size > MOST_POINTS:
            raise InputError(f"{self.size:,} points are more than {MOST_POINTS:,}", file=self.file, key="axes")

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(len(settings) for settings in self.axes.values())


def read_sweep(path: PathLike) -> SweepSpec:
    """A sweep from a YAML file with the keys ``axes`` and ``fixed``; paths in it are relative to the file.

    Raises
    ------
    InputError
        The file cannot be read, or asks for something impossible.
    """
    section = read_yaml(path)
    section.only("axes", "fixed")
    folder = Path(path).parent
    axes = section.section("axes")
    _check_keys(axes)
    values = {
        name: tuple(setting_from_yaml(name, item, folder) for item in value.items())
        for name, value in axes.values.items()
    }
    fixed: dict[str, Setting] = {}
    if "fixed" in section:
        beside = section.section("fixed")
        _check_keys(beside)
        fixed = {name: setting_from_yaml(name, value, folder) for name, value in beside.values.items()}
    with section.placing_errors():
        return SweepSpec(MappingProxyType(values), MappingProxyType(fixed), axes.file)


def make_sweep(axes: Mapping[str, Sequence[object]], fixed: Mapping[str, object] | None = None) -> SweepSpec:
    """A sweep from Python values: what could stand in a file, or objects of this package.

    Fixed values that are None are left out.

    Raises
    ------
    InputError
        A parameter is unknown, or a value impossible.
    """
    values = {}
    for name, items in axes.items():
        _check_name(name, f"axes.{name}")
        if isinstance(items, str) or not hasattr(items, "__iter__"):
            raise InputError(f"expected a list of values, not {items!r}", key=f"axes.{name}")
        values[name] = tuple(setting_from_python(name, item, f"axes.{name}[{i}]") for i, item in enumerate(items))
    beside = {}
    for name, value in (fixed or {}).items():
        _check_name(name, f"fixed.{name}")
        if value is not None:
            beside[name] = setting_from_python(name, value, f"fixed.{name}")
    return SweepSpec(MappingProxyType(values), MappingProxyType(beside))


def _check_keys(section: Section) -> None:
    for name, value in section.values.items():
        try:
            check_parameter(name)
        except InputError as error:
            raise error.at(file=section.file, line=section.lines[name], key=value.key) from None


def _check_name(name: str, key: str) -> None:
    try:
        check_parameter(name)
    except InputError as error:
        raise error.at(key=key) from None


def _same(one: Setting, other: Setting) -> bool:
    return bool(one.value == other.value)
