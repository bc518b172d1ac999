"""The points of a sweep: each one problem, one tiling and one solver with its limits, and what identifies it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import ssmopt
from ssmopt.errors import InputError
from ssmopt.experiments.sweep.parameters import Plain, Setting, tiling_for
from ssmopt.experiments.sweep.plugin import Plugin
from ssmopt.experiments.sweep.spec import SweepSpec
from ssmopt.files.problem_hash import problem_document
from ssmopt.files.tiling import tiling_document
from ssmopt.hardware import Hardware, is_hardware_field
from ssmopt.problem import Dtype, Problem
from ssmopt.solvers import registered_solvers
from ssmopt.tiling import Tiling

_REPLACED = ("model", "hardware", "seq_len", "batch", "layers", "scope", "initial_state", "form", "dtype")
"""Parameters that are fields of a problem."""

_BESIDE_PARTS = tuple(
    field.name for field in dataclasses.fields(Hardware) if field.name not in ("memories", "cores", "channels")
)
"""Fields of hardware that change no cycle, but latency, area and energy."""

_WITHOUT_RESULTS = ("commands", "export", "experiments")
"""Parts of the package that no schedule depends on."""


@dataclass(frozen=True)
class Solving:
    """How a point is solved: the arguments of `ssmopt.solve`."""

    solver: str = "auto"
    time_limit: float | None = None
    work_limit: float | None = None
    seed: int = 0
    solver_workers: int = 1


@dataclass(frozen=True)
class Point:
    """One point of a sweep.

    Attributes
    ----------
    axes
        Per axis the value as a column shows it.
    problem, tiling
        What is solved; a tiling of None is an automatic one.
    solving
        How it is solved.
    plugin
        The file that registers the solver, if it is not one of the project's own.
    """

    axes: Mapping[str, Plain]
    problem: Problem
    tiling: Tiling | None
    solving: Solving
    plugin: Plugin | None = None

    @functools.cached_property
    def configuration(self) -> dict[str, Any]:
        """Everything that the point's result depends on, the code apart, as JSON values."""
        problem, hardware = self.problem, self.problem.hardware
        return {
            "name": problem.name,
            "problem": problem_document(problem),
            "model": {"name": problem.model.name, "layers": problem.model.layers},
            "hardware": {name: _plain(getattr(hardware, name)) for name in _BESIDE_PARTS},
            "tiling": None if self.tiling is None else tiling_document(self.tiling),
            **self._how,
        }

    @functools.cached_property
    def key(self) -> str:
        """The sha256 of the configuration and of the version of the code."""
        return digest({"configuration": self.configuration, "version": code_version()})

    @functools.cached_property
    def family(self) -> str:
        """A hash of all but the capacities of the memories, and names."""
        document = problem_document(self.problem)
        document["memories"] = [memory["id"] for memory in document["memories"]]
        tiling = self.configuration["tiling"]
        return digest({"problem": document, "tiling": tiling, **self._how})

    @property
    def _how(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self.solving), "plugin": None if self.plugin is None else self.plugin.sha256}

    @property
    def capacities(self) -> tuple[int, ...]:
        """Bytes of each memory."""
        return tuple(memory.capacity for memory in self.problem.hardware.memories)


def _plain(value: Any) -> Any:
    """A value, whatever it is made of, as JSON values."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def digest(document: object) -> str:
    """The sha256 of a JSON value."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@functools.cache
def code_version() -> str:
    """The version of this package and of OR-Tools, and a hash of the sources that results depend on."""
    package = Path(__file__).parents[2]
    sources = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        relative = file.relative_to(package)
        if relative.parts[0] not in _WITHOUT_RESULTS:
            sources.update(f"{relative.as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return f"{ssmopt.__version__}+{sources.hexdigest()[:12]}, ortools {installed_version('ortools')}"


def points_of(spec: SweepSpec, plugins: Mapping[str, Plugin] | None = None) -> list[Point]:
    """The points of a sweep in order, the last axis fastest.

    Parameters
    ----------
    spec
        The sweep.
    plugins
        Where solvers are from that are not the project's own, by name.

    Raises
    ------
    InputError
        A combination of values is impossible, such as more layers than a model has.
    """
    axes = list(spec.axes)
    points = []
    for values in itertools.product(*spec.axes.values()):
        settings = {**spec.fixed, **dict(zip(axes, values, strict=True))}
        problem, instance_tiling = _problem(settings)
        tiling = tiling_for(settings["tiling"], problem) if "tiling" in settings else instance_tiling
        labels = {name: settings[name].label for name in axes}
        points.append(Point(labels, problem, tiling, _solving(settings), _plugin(settings, plugins or {})))
    return points


def _plugin(settings: Mapping[str, Setting], plugins: Mapping[str, Plugin]) -> Plugin | None:
    if "solver" not in settings or settings["solver"].value not in registered_solvers():
        return None
    name = settings["solver"].value
    if name not in plugins:
        raise settings["solver"].error(
            f"solver {name!r} is known to this process alone; give the file that registers it as a plugin"
        )
    return plugins[name]


def _solving(settings: Mapping[str, Setting]) -> Solving:
    names = [field.name for field in dataclasses.fields(Solving)]
    return Solving(**{name: settings[name].value for name in names if name in settings})


def _problem(settings: Mapping[str, Setting]) -> tuple[Problem, Tiling | None]:
    """The problem that the settings mean, and the tiling of the instance that they name, if they do."""
    given = {name: settings[name].value for name in _REPLACED if name in settings}
    if "instance" in settings:
        base, tiling = settings["instance"].value
        model, hardware = given.get("model", base.model), given.get("hardware", base.hardware)
        changed = [name for name in _REPLACED if name in settings]
    else:
        base, tiling = None, None
        model, hardware = given["model"], given["hardware"]
        changed = []
    for name, setting in settings.items():
        if is_hardware_field(name):
            try:
                hardware = hardware.override(name, setting.value)
            except InputError as error:
                raise setting.error(error.message) from None
    with _placing(settings):
        given = {**given, "model": model, "hardware": hardware}
        if "layers" in given:
            given["layers"] = model.layer_count(given["layers"])
        fields = [*(name for name in settings if is_hardware_field(name)), *changed]
        suffix = "".join(f"-{name}-{_word(settings[name])}" for name in fields)
        if base is not None:
            return dataclasses.replace(base, name=base.name + suffix, **given), tiling
        return Problem(name=_name(given) + suffix, **given), None


def _name(given: Mapping[str, Any]) -> str:
    """The name that `ssmopt.build_instance` gives, and what it leaves out."""
    parts = [given["model"].name, given["hardware"].name, f"L{given['seq_len']}"]
    for name, usual, shown in (
        ("form", "recurrent", "{}"),
        ("batch", 1, "B{}"),
        ("layers", 1, "layers{}"),
        ("scope", "block", "{}"),
        ("initial_state", "load", "{}-state"),
        ("dtype", Dtype(), "bytes{0.weights}.{0.activations}.{0.state}"),
    ):
        value = given.get(name, usual)
        if value != usual:
            parts.append(shown.format(value))
    return "-".join(parts)


def _word(setting: Setting) -> str:
    """A value within a name; sizes with their unit."""
    label = setting.label
    if isinstance(label, int) and (setting.name == "sram" or setting.name.endswith(".capacity")):
        for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if label % size == 0:
                return f"{label // size}{unit}"
    return "-".join(str(label).split())


@contextmanager
def _placing(settings: Mapping[str, Setting]) -> Iterator[None]:
    """Give an error about a parameter the place where its value stands."""
    try:
        yield
    except InputError as error:
        setting = settings.get((error.key or "").split(".")[0])
        if setting is None or error.file is not None:
            raise
        raise setting.error(error.message) from None
