"""Names of all solvers, with what they do and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ssmopt.heuristics.base import Heuristic
from ssmopt.heuristics.fuse_block import FUSE_BLOCK
from ssmopt.heuristics.fusion import FUSE_ALL, FUSION_SCHEMES
from ssmopt.heuristics.heft import HEFT
from ssmopt.heuristics.layer_by_layer import LAYER_BY_LAYER, LAYER_BY_LAYER_REUSE
from ssmopt.heuristics.mem_aware import MEM_AWARE
from ssmopt.heuristics.pipelined import PIPELINED

HEURISTICS: Mapping[str, Heuristic] = MappingProxyType(
    {
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
        )
    }
)
"""Constructive heuristics by name, slowest schedules first."""


@dataclass(frozen=True)
class SolverInfo:
    """A solver's name, what it does in one line, and its source."""

    name: str
    summary: str
    source: str


SOLVERS: Mapping[str, SolverInfo] = MappingProxyType(
    {
        "auto": SolverInfo("auto", "the best heuristic, then CP-SAT where it can still gain", "this project"),
        "cpsat": SolverInfo(
            "cpsat",
            "exact model of starts, cores, transfers, residencies and spills, warm-started by the best heuristic",
            "this project, on OR-Tools CP-SAT",
        ),
        **{h.name: SolverInfo(h.name, h.summary, h.source) for h in HEURISTICS.values()},
    }
)
"""Everything that ``--solver`` accepts."""
