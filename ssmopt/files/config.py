"""Instances from YAML: which model on which hardware, how many tokens, and how it is cut into tiles."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ssmopt.errors import InputError
from ssmopt.files.parts import array_shape, hardware_of, model_of, read_hardware, read_model
from ssmopt.files.text import PathLike
from ssmopt.files.yaml_reader import Section, Value, read_yaml
from ssmopt.hardware import Hardware
from ssmopt.model import Model
from ssmopt.problem import FORMS, INITIAL_STATES, SCOPES, Dtype, Problem
from ssmopt.tiling import LOOP_ORDERS, ProjectionTiling, Tiling
from ssmopt.workload.graph import projection_shapes

__all__ = [
    "Find",
    "dtype_of",
    "field_value",
    "hardware_at",
    "is_path",
    "model_at",
    "read_hardware",
    "read_model",
    "read_problem",
    "tiling_of",
]

Find = Callable[[str, str], Path]
"""``find(folder, name)``: the library's file of that name; ``folder`` is ``models`` or ``hardware``."""

_KEYS = (
    "name", "model", "hardware", "seq_len", "batch", "layers", "scope", "initial_state", "form", "dtype", "overrides",
    "tiling",
)  # fmt: skip


def is_path(name: str, base: PathLike = "") -> bool:
    """Whether a name means a file, looked for relative to ``base``, rather than an entry of the library."""
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    return (
        name.endswith((".yaml", ".yml", ".json"))
        or any(separator in name for separator in separators)
        or os.path.isfile(os.path.join(base, name))
    )


def read_problem(path: PathLike, find: Find) -> tuple[Problem, Tiling | None]:
    """What an instance file asks for, with its overrides applied, and its tiling; None where that is ``auto``.

    Parameters
    ----------
    path
        The instance file.
    find
        Finds models and hardware that the file names; paths in it are relative to the file itself.

    Raises
    ------
    InputError
        The file, or one that it refers to, cannot be read or asks for something impossible.
    """
    section = read_yaml(path)
    if "format" in section:
        raise section.value("format").error(
            "expected an instance in YAML; this looks like a tile instance or a schedule"
        )
    section.only(*_KEYS)
    name, folder = Path(path).stem, Path(path).parent
    model = model_at(section.value("model"), name, folder, find)
    hardware = hardware_at(section.value("hardware"), name, folder, find)
    if "overrides" in section:
        hardware = _override(hardware, section.section("overrides"))
    with section.placing_errors():
        problem = Problem(
            name=section.text("name", name),
            model=model,
            hardware=hardware,
            seq_len=section.integer("seq_len"),
            batch=section.integer("batch", 1),
            layers=_layers(section, model),
            scope=section.text("scope", "block", SCOPES),
            initial_state=section.text("initial_state", "load", INITIAL_STATES),
            form=section.text("form", "recurrent", FORMS),
            dtype=dtype_of(section),
        )
        return problem, tiling_of(section, problem)


def model_at(value: Value, name: str, folder: Path, find: Find) -> Model:
    """The model that a value describes, or names: in the library, or by a path relative to ``folder``."""
    if value.is_mapping:
        return model_of(value.section(), name)
    return read_model(_referenced(value, "models", folder, find))


def hardware_at(value: Value, name: str, folder: Path, find: Find) -> Hardware:
    """The hardware that a value describes, or names: in the library, or by a path relative to ``folder``."""
    if value.is_mapping:
        return hardware_of(value.section(), name)
    return read_hardware(_referenced(value, "hardware", folder, find))


def _referenced(value: Value, library_folder: str, folder: Path, find: Find) -> Path:
    """The file that a name or path in an instance file means."""
    name = value.text()
    if is_path(name, folder):
        if not os.path.exists(folder / name):
            raise value.error(f"no such file: {str(folder / name)!r}")
        return folder / name
    try:
        return find(library_folder, name)
    except InputError as error:
        raise value.error(error.message) from None


def _override(hardware: Hardware, section: Section) -> Hardware:
    for field, value in section.values.items():
        try:
            hardware = hardware.override(field, field_value(field, value))
        except InputError as error:
            raise value.error(error.message) if error.file is None else error from None
    return hardware


def field_value(field: str, value: Value) -> object:
    """The new value of a hardware field, as `ssmopt.hardware.Hardware.override` takes it."""
    if field == "sram" or field.endswith(".capacity"):
        return value.size()
    return list(array_shape(value)) if value.is_list else value.any_number()


def _layers(section: Section, model: Model) -> int:
    if "layers" in section and section.value("layers").is_text:
        section.text("layers", choices=["all"])
        return model.layers
    return section.integer("layers", 1)


def dtype_of(section: Section) -> Dtype:
    """What a section says under ``dtype``, if it says anything."""
    if "dtype" not in section:
        return Dtype()
    dtype, default = section.section("dtype"), Dtype()
    dtype.only("weights", "activations", "state")
    return Dtype(
        weights=dtype.integer("weights", default.weights),
        activations=dtype.integer("activations", default.activations),
        state=dtype.integer("state", default.state),
    )


def tiling_of(section: Section, problem: Problem) -> Tiling | None:
    """What a section says under ``tiling``; None for an automatic one."""
    if "tiling" not in section:
        return None
    if not section.value("tiling").is_mapping:
        if section.value("tiling").is_list:
            raise section.value("tiling").error("expected 'auto' or a mapping, not a list")
        section.text("tiling", choices=["auto"])
        return None
    tiling, default = section.section("tiling"), Tiling()
    tiling.only(
        "tokens", "norm_tokens", "state_tokens", "scan", "channel_splits", "state_splits", "projections", "loop_order"
    )  # fmt: skip
    model = problem.model
    if model.n_heads:
        _at_most(tiling, "channel_splits", model.n_heads, "heads")
    else:
        _at_most(tiling, "channel_splits", model.d_inner, "d_inner")
    _at_most(tiling, "state_splits", model.d_state, "d_state")
    return Tiling(
        tokens=tiling.integer("tokens", default.tokens),
        norm_tokens=tiling.integer("norm_tokens") if "norm_tokens" in tiling else None,
        state_tokens=tiling.integer("state_tokens", default.state_tokens),
        scan=tiling.boolean("scan", default.scan),
        channel_splits=tiling.integer("channel_splits", default.channel_splits),
        state_splits=tiling.integer("state_splits", default.state_splits),
        projections=_projections(tiling.section("projections"), problem) if "projections" in tiling else {},
        loop_order=tiling.text("loop_order", default.loop_order, LOOP_ORDERS),
    )


def _projections(section: Section, problem: Problem) -> dict[str, ProjectionTiling]:
    shapes = projection_shapes(problem)
    section.only(*shapes)
    cuts = {}
    for name in section.values:
        cut = section.section(name)
        cut.only("columns", "reduction")
        _at_most(cut, "columns", shapes[name].columns, f"the columns of {name}")
        _at_most(cut, "reduction", shapes[name].rows, f"the rows of {name}")
        with cut.placing_errors():
            cuts[name] = ProjectionTiling(columns=cut.integer("columns", 1), reduction=cut.integer("reduction", 1))
    return cuts


def _at_most(section: Section, key: str, limit: int, what: str) -> None:
    """Refuse to cut a dimension into more pieces than it has elements."""
    if section.integer(key, 1) > limit:
        raise section.value(key).error(f"expected at most {limit} ({what}), not {section.integer(key)}")
