"""Which instance the user means: a name, a file, or a model on hardware."""

from __future__ import annotations

import dataclasses
import re

from ssmopt.errors import InputError
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.tiling import Tiling


@dataclasses.dataclass(frozen=True)
class Target:
    """What to work on: a problem with its tiling (None for an automatic one), or a finished tile instance."""

    what: Problem | Instance
    tiling: Tiling | None = None

    def instance(self, tiling: Tiling | None = None) -> Instance:
        """The tile instance; that of the given or else the default tiling for a problem."""
        if isinstance(self.what, Instance):
            return self.what
        from ssmopt.build import tile_problem

        return tile_problem(self.what, tiling or self.tiling)


def load_target(
    instance: str | None,
    model: str | None = None,
    hardware: str | None = None,
    seq_len: int | None = None,
    sram: str | None = None,
    layers: str | None = None,
) -> Target:
    """The instance that the command line names.

    Raises
    ------
    InputError
        Too much or too little is given, or a name or file cannot be used.
    """
    parts = {"--model": model, "--hardware": hardware, "--seq-len": seq_len}
    given = [option for option, value in parts.items() if value is not None]
    missing = [option for option, value in parts.items() if value is None]
    if instance is not None and given:
        raise InputError(f"give either INSTANCE or {', '.join(parts)}, not both: got {instance!r} and {given[0]}")
    if instance is None and not given:
        raise InputError("which instance? give INSTANCE ('ssmopt list instances' shows names) or " + ", ".join(parts))
    if instance is None and missing:
        raise InputError(f"{' and '.join(given)} without {' and '.join(missing)}: all three are needed")
    if instance is not None and instance.lower().endswith(".json"):
        from ssmopt.files.tile_instance import read_instance

        if sram is not None:
            raise InputError("a tile instance fixes its memories; --sram works with models on hardware", key="--sram")
        if layers is not None:
            raise InputError("a tile instance is what it is; --layers works with models on hardware", key="--layers")
        return Target(read_instance(instance))
    if instance is not None:
        from ssmopt.library import load_problem

        problem, tiling = load_problem(instance)
    else:
        assert model is not None
        assert hardware is not None
        assert seq_len is not None
        problem, tiling = _problem(model, hardware, seq_len), None
    problem = problem if layers is None else _with_layers(problem, layers)
    return Target(problem if sram is None else _with_sram(problem, sram), tiling)


def file_stem(name: str) -> str:
    """An instance's name made fit to begin a file's name."""
    return re.sub(r"[^\w.+-]+", "-", name).strip(".-")[:120] or "instance"


def _problem(model: str, hardware: str, seq_len: int) -> Problem:
    from ssmopt.library import load_hardware, load_model

    on, what = load_hardware(hardware), load_model(model)
    return Problem(name=f"{what.name}-{on.name}-L{seq_len}", model=what, hardware=on, seq_len=seq_len)


def _with_layers(problem: Problem, layers: str) -> Problem:
    try:
        count = problem.model.layer_count(layers)
        if count == problem.layers:
            return problem
        return dataclasses.replace(problem, name=f"{problem.name}-layers{count}", layers=count)
    except InputError as error:
        raise InputError(error.message, key="--layers") from None


def _with_sram(problem: Problem, sram: str) -> Problem:
    from ssmopt.files.yaml_reader import parse_size

    try:
        hardware = problem.hardware.override("sram", parse_size(sram))
    except InputError as error:
        raise InputError(error.message, key="--sram") from None
    # Another capacity is another instance, and its results must not overwrite the original's.
    return dataclasses.replace(problem, name=f"{problem.name}-sram-{sram.replace(' ', '')}", hardware=hardware)
