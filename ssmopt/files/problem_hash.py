"""A hash of a problem: of everything that the makespans of its schedules depend on, whatever its tiling and names."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from ssmopt.hardware import CoreGroup, Memory
from ssmopt.problem import Problem


def problem_document(problem: Problem) -> dict[str, Any]:
    """What a problem is, as JSON values.

    Left out is what changes no cycle: names of the problem, its model and its hardware, the number of the model's
    layers, and the hardware's clock, area and energy.
    """
    hardware = problem.hardware
    model = dataclasses.asdict(problem.model)
    for name in ("name", "layers"):
        del model[name]
    return {
        "model": model,
        "memories": [_memory(memory) for memory in hardware.memories],
        "cores": [_core(core) for core in hardware.cores],
        "channels": [dataclasses.asdict(channel) for channel in hardware.channels],
        "seq_len": problem.seq_len,
        "batch": problem.batch,
        "layers": problem.layers,
        "scope": problem.scope,
        "initial_state": problem.initial_state,
        "dtype": dataclasses.asdict(problem.dtype),
        "form": problem.form,
    }


def problem_sha256(problem: Problem) -> str:
    """The sha256 of `problem_document` as UTF-8 JSON with sorted keys and no spaces."""
    canonical = json.dumps(problem_document(problem), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def _memory(memory: Memory) -> dict[str, Any]:
    fields = dataclasses.asdict(memory)
    if memory.count == 1:
        del fields["count"]
    return fields


def _core(core: CoreGroup) -> dict[str, Any]:
    fields = {field.name: getattr(core, field.name) for field in dataclasses.fields(core)}
    return {**fields, "runs": sorted(core.runs), "op_cycles": dict(core.op_cycles)}
