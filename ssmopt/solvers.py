"""Names of all solvers, with what they do and where they come from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from ssmopt.errors import InputError
from ssmopt.heuristics.base import Heuristic
from ssmopt.heuristics.custom import Function, custom_heuristic
from ssmopt.heuristics.fuse_block import FUSE_BLOCK
from ssmopt.heuristics.fusion import FUSE_ALL, FUSION_SCHEMES
from ssmopt.heuristics.heft import HEFT
from ssmopt.heuristics.layer_by_layer import LAYER_BY_LAYER, LAYER_BY_LAYER_REUSE
from ssmopt.heuristics.mem_aware import MEM_AWARE
from ssmopt.heuristics.owners import OWNERS
from ssmopt.heuristics.pipelined import PIPELINED

Registered = TypeVar("Registered", bound=Function)

_HEURISTICS = {
    h.name: h
    for h in (
        LAYER_BY_LAYER,
        LAYER_BY_LAYER_REUSE,
        *FUSION_SCHEMES,
        FUSE_ALL,
        MEM_AWARE,
        FUSE_BLOCK,
        PIPELINED,
        HEFT,
        OWNERS,
    )
}

HEURISTICS: Mapping[str, Heuristic] = MappingProxyType(_HEURISTICS)
"""Constructive heuristics by name, slowest schedules first; then those that users have registered."""


@dataclass(frozen=True)
class SolverInfo:
    """A solver's name, what it does in one line, and its source."""

    name: str
    summary: str
    source: str


_SOLVERS = {
    "auto": SolverInfo("auto", "the best heuristic, then CP-SAT and lns where they can still gain", "this project"),
    "cpsat": SolverInfo(
        "cpsat",
        "exact model of starts, cores, transfers, residencies and spills, warm-started by the best heuristic; what it "
        "does not finish, lns goes on with",
        "this project, on OR-Tools CP-SAT",
    ),
    "lns": SolverInfo(
        "lns",
        "adaptive large neighbourhood search over orders and policies, from the best heuristic on",
        "this project, after Ropke and Pisinger (2006)",
    ),
    "periodic": SolverInfo(
        "periodic",
        "one round of a few tokens, repeated in closed form: prompts of any length in the same time",
        "this project",
    ),
    **{h.name: SolverInfo(h.name, h.summary, h.source) for h in HEURISTICS.values()},
}

SOLVERS: Mapping[str, SolverInfo] = MappingProxyType(_SOLVERS)
"""Everything that ``--solver`` accepts."""


def register_solver(name: str, *, summary: str = "", source: str = "user") -> Callable[[Registered], Registered]:
    """Make a function a solver, for ``solve``, ``compare`` and ``list``, in Python and on the command line.

    The function takes an `ssmopt.Instance` and returns an order of its tiles (whole numbers, each tile once and after
    those whose results it reads), an order and an `ssmopt.Policy`, a list of those, of which the best counts, or a
    finished `ssmopt.Schedule`. Orders are made schedules by `ssmopt.decode`; every schedule is validated.

    Parameters
    ----------
    name
        What ``--solver`` calls it. Registering a name again replaces the function; the project's own are taken.
    summary, source
        What it does, in one line, and where it comes from; shown by ``ssmopt list solvers``.

    Raises
    ------
    InputError
        The name is taken or empty.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"a solver needs a name, not {name!r}")
    if name in SOLVERS and name not in registered_solvers():
        raise InputError(f"there is already a solver called {name!r}")

    def register(function: Registered) -> Registered:
        described = summary or (inspect.getdoc(function) or "").partition("\n")[0]
        _HEURISTICS[name] = custom_heuristic(name, described, source, function)
        _SOLVERS[name] = SolverInfo(name, described, source)
        return function

    return register


def registered_solvers() -> dict[str, Heuristic]:
    """The solvers that users have registered, by name."""
    return {name: heuristic for name, heuristic in HEURISTICS.items() if heuristic.custom}
