"""A result as names and values, for tables."""

from __future__ import annotations

from collections.abc import Mapping

from ssmopt.export.units import megabytes, microjoules, milliseconds, percent, size, square_millimetres, whole
from ssmopt.result import Result


def result_rows(result: Result) -> list[tuple[str, str]]:
    """What people want to know about a result."""
    fields = result.as_dict()
    latency, model_latency = fields["latency_ms"], fields["model_latency_ms"]
    per_token = fields["ms_per_token"]
    makespan = whole(result.makespan) if result.makespan is None else f"{whole(result.makespan)} cycles"
    return [
        ("instance", result.instance.name),
        ("tiling", str(fields["tiling"] or "")),
        ("solver", result.solver),
        ("status", result.status),
        ("makespan", makespan),
        ("lower bound", f"{whole(result.lower_bound)} cycles ({result.bound.reason})"),
        ("gap", percent(result.gap)),
        ("instance bound", f"{whole(result.instance_bound)} cycles ({result.tile_bound.reason})"),
        ("instance gap", percent(result.instance_gap)),
        ("latency", milliseconds(_number(latency)) + (" per layer" if latency is not None else "")),
        ("model latency", milliseconds(_number(model_latency))),
        ("per token", milliseconds(_number(per_token))),
        ("DRAM traffic", megabytes(_whole(fields["dram_bytes"]))),
        ("peak SRAM", size(_whole(fields["peak_memory_bytes"]))),
        ("second objective", _second(result)),
        ("area", square_millimetres(_number(fields["area_mm2"]))),
        ("energy", _energy(fields)),
        ("tiles", whole(result.n_tiles)),
        ("transfers", whole(_whole(fields["transfers"]))),
        ("wall time", f"{result.wall_seconds:.1f} s"),
        ("valid", "yes" if fields["valid"] else "no schedule"),
        ("note", result.note),
    ]


def _energy(fields: Mapping[str, object]) -> str:
    """Energy of the schedule and where it goes, as far as it is known."""
    total, dram = _number(fields["energy_uj"]), _number(fields["energy_dram_uj"])
    if total is None or dram is None:
        return "" if dram is None else f"{microjoules(dram)} for DRAM; that on the chip is not known"
    compute, sram = _number(fields["energy_compute_uj"]), _number(fields["energy_sram_uj"])
    return (
        f"{microjoules(total)} (operations {microjoules(compute)}, SRAM {microjoules(sram)}, DRAM {microjoules(dram)})"
    )


def _second(result: Result) -> str:
    """What a second objective gained, and whether more is possible."""
    second = result.second
    if second is None:
        return ""
    proved = "the least" if second.proved else f"at least {second.bound_bytes:,}"
    return f"{second.objective}: {second.bytes:,} bytes, {second.before_bytes:,} before; {proved} for this makespan"


def _number(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
