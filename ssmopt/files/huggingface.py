"""Model files from the published configurations of the Hugging Face library."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from ssmopt.errors import InputError, nearest
from ssmopt.files.atomic import write_text_atomically
from ssmopt.files.text import PathLike, read_text
from ssmopt.model import Model

MODEL_TYPES = ("falcon_mamba", "mamba", "mamba2")
"""Values of ``model_type`` whose blocks can be scheduled."""

Numbers = dict[str, tuple[Any, str]]
"""Keys of a model file, each with its value and where it came from."""


def read_config(path: PathLike) -> tuple[str, Numbers]:
    """Family and numbers of a model, from the ``config.json`` that it was published with.

    Fields that do not change the operator graph are passed over. Those that would, and cannot be scheduled, are
    refused by name.

    Raises
    ------
    InputError
        The file cannot be read, is of another model type, or asks for something that is not supported.
    """
    file = os.fspath(path)
    try:
        config = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"not valid JSON: {error.msg}", file=file, line=error.lineno) from None
    except (RecursionError, ValueError):
        raise InputError("not valid JSON", file=file) from None
    if not isinstance(config, dict):
        raise InputError("expected a JSON object with the fields of a configuration", file=file)
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        hint = nearest(kind, MODEL_TYPES) if isinstance(kind, str) else f"; known: {', '.join(MODEL_TYPES)}"
        if "known:" not in hint:
            hint += f" (known: {', '.join(MODEL_TYPES)})"
        found = "this field is missing" if kind is None else f"unknown model type {kind!r}"
        raise InputError(found + hint, file=file, key="model_type")
    try:
        family = "mamba2" if kind == "mamba2" else "mamba"
        numbers = _mamba2(config) if kind == "mamba2" else _mamba(config, falcon=kind == "falcon_mamba")
        Model(Path(file).stem, family, **{name: value for name, (value, _) in numbers.items()})
    except InputError as error:
        raise error.at(file=file) from None
    return family, numbers


def write_model(path: PathLike, name: str, family: str, numbers: Numbers, source: str) -> None:
    """Write a model file whose comments say which field each number came from.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    lines = [f"# From the published configuration {source}.", f"name: {name}", f"family: {family}"]
    width = max(len(f"{key}: {_shown(value)}") for key, (value, _) in numbers.items())
    lines += [f"{f'{key}: {_shown(value)}':{width}}  # {origin}" for key, (value, origin) in numbers.items()]
    write_text_atomically(path, "\n".join(lines) + "\n")


def _shown(value: object) -> str:
    return json.dumps(value)


def _common(config: dict[str, Any]) -> Numbers:
    """What all families share; refuses what none of them can do."""
    for name, only in (("use_bias", False), ("use_conv_bias", True), ("hidden_act", "silu")):
        if config.get(name, only) != only:
            raise InputError(f"only {json.dumps(only)} can be scheduled, not {json.dumps(config[name])}", key=name)
    width = _whole(config, "hidden_size")
    inner: tuple[Any, str]
    if config.get("intermediate_size") is not None:
        inner = (_whole(config, "intermediate_size"), "intermediate_size")
    else:
        expand = config.get("expand", 2)
        if isinstance(expand, bool) or not isinstance(expand, int | float) or not 0 < expand < math.inf:
            raise InputError(f"expected a positive number, not {json.dumps(expand)}", key="expand")
        inner = (int(expand * width), "expand * hidden_size")
    layers = "num_hidden_layers" if "num_hidden_layers" in config else "n_layer"
    return {
        "layers": (_whole(config, layers), layers),
        "d_model": (width, "hidden_size"),
        "d_inner": inner,
        "d_state": (_whole(config, "state_size"), "state_size"),
        "d_conv": (_whole(config, "conv_kernel", 4), _origin(config, "conv_kernel")),
    }


def _mamba(config: dict[str, Any], *, falcon: bool) -> Numbers:
    numbers = _common(config)
    rank = config.get("time_step_rank", "auto")
    if rank == "auto":
        numbers["dt_rank"] = (-(-numbers["d_model"][0] // 16), 'time_step_rank "auto": hidden_size / 16, rounded up')
    else:
        numbers["dt_rank"] = (_whole(config, "time_step_rank"), "time_step_rank")
    if falcon:
        numbers["norm_dt_b_c"] = (True, "model_type falcon_mamba normalises dt, B and C")
    return numbers


def _mamba2(config: dict[str, Any]) -> Numbers:
    numbers = _common(config)
    if config.get("rms_norm", True) is not True:
        raise InputError("only true can be scheduled: the gate is followed by a normalisation", key="rms_norm")
    low, high = _limits(config.get("time_step_limit", [0.0, math.inf]))
    if low > 0 or high < math.inf:
        raise InputError("step sizes cannot be clamped: only [0, infinity] can be scheduled", key="time_step_limit")
    heads = _whole(config, "num_heads")
    size = _whole(config, "head_dim")
    if heads * size != numbers["d_inner"][0]:
        raise InputError(f"{heads} heads of {size} are not the {numbers['d_inner'][0]} inner channels", key="num_heads")
    numbers["head_dim"] = (size, f"head_dim; num_heads = {heads}")
    for name, default, least in (("n_groups", 8, 1), ("chunk_size", 256, 1)):
        numbers[name] = (_whole(config, name, default, least), _origin(config, name))
    return numbers


def _limits(value: object) -> tuple[float, float]:
    def number(one: object) -> float:
        if isinstance(one, str) and one.lower() in ("inf", "infinity"):
            return math.inf
        if isinstance(one, dict) and len(one) == 1:  # how newer versions of the library write infinity
            return number(next(iter(one.values())))
        if isinstance(one, bool) or not isinstance(one, int | float):
            raise InputError("expected two numbers", key="time_step_limit")
        return float(one)

    if not isinstance(value, list) or len(value) != 2:
        raise InputError("expected two numbers", key="time_step_limit")
    return number(value[0]), number(value[1])


def _origin(config: dict[str, Any], name: str) -> str:
    return name if name in config else f"{name}, by default"


def _whole(config: dict[str, Any], name: str, default: int | None = None, least: int = 1) -> int:
    value = config.get(name, default)
    if value is None:
        raise InputError("this field is missing", key=name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"expected a whole number of at least {least}, not {json.dumps(value)}", key=name)
    return value
