"""From names, files or parts to a tile instance."""

from __future__ import annotations

import os

from ssmopt.autotile import choose_tiling
from ssmopt.files.text import PathLike
from ssmopt.files.tile_instance import read_instance
from ssmopt.hardware import Hardware
from ssmopt.instance import Instance
from ssmopt.library import load_hardware, load_model, load_problem
from ssmopt.model import Model
from ssmopt.problem import Dtype, Problem
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import build_tiles


def tile_problem(problem: Problem, tiling: Tiling | None = None) -> Instance:
    """Cut a problem into tiles; None searches for a good tiling (`ssmopt.autotile.choose_tiling`).

    Raises
    ------
    InputError
        The tiling does not suit the problem.
    CapacityError
        No tiling that was tried fits the memory.
    """
    return build_tiles(problem, tiling if tiling is not None else choose_tiling(problem).tiling)


def build_instance(
    model: Model | str,
    hardware: Hardware | str,
    seq_len: int,
    *,
    tiling: Tiling | None = None,
    scope: str = "block",
    initial_state: str = "load",
    dtype: Dtype | None = None,
    form: str = "recurrent",
    batch: int = 1,
    layers: int | str = 1,
    name: str | None = None,
) -> Instance:
    """Tile instance of one block of a model on an accelerator.

    Parameters
    ----------
    model, hardware
        Objects, names in the library, or paths of YAML files.
    seq_len
        Tokens of the prompt; 1 is a decode step.
    tiling
        How to cut; None searches for a good tiling.
    scope, initial_state, dtype, form, batch
        See `ssmopt.problem.Problem`.
    layers
        How many of the model's blocks run back to back, or ``"all"``.
    name
        Name of the instance; None makes one from model, hardware, length, form and number of sequences.

    Raises
    ------
    InputError
        A name is unknown, or the parts do not fit together.
    """
    model = model if isinstance(model, Model) else load_model(model)
    hardware = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    layers = model.layer_count(layers)
    suffix = ("" if form == "recurrent" else f"-{form}") + ("" if batch == 1 else f"-B{batch}")
    suffix += "" if layers == 1 else f"-layers{layers}"
    problem = Problem(
        name or f"{model.name}-{hardware.name}-L{seq_len}{suffix}",
        model,
        hardware,
        seq_len,
        scope=scope,
        initial_state=initial_state,
        dtype=dtype or Dtype(),
        form=form,
        batch=batch,
        layers=layers,
    )
    return tile_problem(problem, tiling)


def load_instance(name_or_path: PathLike) -> Instance:
    """Tile instance by its name in the library, from an instance YAML, or from a tile-instance JSON.

    Raises
    ------
    InputError
        There is no such instance, or its file cannot be used.
    """
    if os.fspath(name_or_path).endswith(".json"):
        return read_instance(name_or_path)
    return tile_problem(*load_problem(name_or_path))
