"""Models and hardware from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssmopt.errors import InputError
from ssmopt.files.text import PathLike
from ssmopt.files.yaml_reader import Section, Value, read_yaml
from ssmopt.hardware import KERNELS, OPERATIONS, Channel, CoreGroup, Hardware, Memory
from ssmopt.model import FAMILIES, Model
from ssmopt.silicon import AreaModel, EnergyCosts

CHANNELS_PER_DT_RANK = 16
"""``dt_rank`` defaults to ``ceil(d_model / 16)``, as in the published Mamba configurations."""

DEFAULT_GROUPS, DEFAULT_CHUNK_SIZE = 1, 256
"""``n_groups`` and ``chunk_size`` unless given, as in the published Mamba-2 configurations."""


def read_model(path: PathLike) -> Model:
    """A model from a YAML file.

    Raises
    ------
    InputError
        The file cannot be read or does not describe a model.
    """
    return model_of(read_yaml(path), Path(path).stem)


def read_hardware(path: PathLike) -> Hardware:
    """An accelerator from a YAML file.

    Raises
    ------
    InputError
        The file cannot be read or does not describe an accelerator.
    """
    return hardware_of(read_yaml(path), Path(path).stem)


def model_of(section: Section, default_name: str) -> Model:
    """A model from a mapping; ``default_name`` is used where it has no ``name``."""
    section.only("name", "family", "layers", "d_model", "expand", "d_inner", "d_state", "d_conv", *_FAMILY_KEYS)
    family = section.text("family", choices=FAMILIES)
    for key, families in _FAMILY_KEYS.items():
        if key in section and family not in families:
            raise section.value(key).error(f"models of family {family!r} have no {key}")
    d_model = section.integer("d_model")
    with section.placing_errors():
        d_inner = _d_inner(section, d_model)
        return Model(
            name=section.text("name", default_name),
            family=family,
            layers=section.integer("layers"),
            d_model=d_model,
            d_inner=d_inner,
            d_state=section.integer("d_state"),
            d_conv=section.integer("d_conv"),
            **_family_sizes(section, family, d_model, d_inner),
        )


_FAMILY_KEYS = {
    "dt_rank": ("mamba",),
    "norm_dt_b_c": ("mamba",),
    "head_dim": ("mamba2",),
    "n_heads": ("mamba2",),
    "n_groups": ("mamba2",),
    "chunk_size": ("mamba2",),
}


def _family_sizes(section: Section, family: str, d_model: int, d_inner: int) -> dict[str, Any]:
    """The numbers that only models of this family have."""
    if family == "mamba":
        return {
            "dt_rank": section.integer("dt_rank", -(-d_model // CHANNELS_PER_DT_RANK)),
            "norm_dt_b_c": section.boolean("norm_dt_b_c", False),
        }
    return {
        "head_dim": _head_dim(section, d_inner),
        "n_groups": section.integer("n_groups", DEFAULT_GROUPS),
        "chunk_size": section.integer("chunk_size", DEFAULT_CHUNK_SIZE),
    }


def _head_dim(section: Section, d_inner: int) -> int:
    if "n_heads" not in section:
        if "head_dim" not in section:
            raise InputError(
                "this key is missing; give head_dim, or n_heads for head_dim = d_inner / n_heads", key="head_dim"
            )
        return section.integer("head_dim")
    n_heads = section.integer("n_heads")
    if n_heads <= 0 or d_inner % n_heads:
        raise InputError(f"expected a divisor of d_inner = {d_inner}, not {n_heads}", key="n_heads")
    head_dim = d_inner // n_heads
    if section.integer("head_dim", head_dim) != head_dim:
        raise InputError(f"expected d_inner / n_heads = {head_dim}; give only one of the two", key="head_dim")
    return head_dim


def _d_inner(section: Section, d_model: int) -> int:
    if "expand" not in section:
        if "d_inner" not in section:
            raise InputError(
                "this key is missing; give d_inner, or expand for d_inner = expand * d_model", key="d_inner"
            )
        return section.integer("d_inner")
    expand = section.integer("expand")
    if expand <= 0:
        raise InputError(f"expected a positive whole number, not {expand}", key="expand")
    expanded = expand * d_model
    if section.integer("d_inner", expanded) != expanded:
        raise InputError(f"expected expand * d_model = {expanded}; give only one of expand and d_inner", key="d_inner")
    return expanded


def hardware_of(section: Section, default_name: str) -> Hardware:
    """An accelerator from a mapping; ``default_name`` is used where it has no ``name``."""
    section.only(
        "name", "clock_ghz", "area_mm2", "area_model", "dram_pj_per_bit", "energy", "op_cycles", "memories", "cores",
        "channels",
    )  # fmt: skip
    op_cycles = _op_cycles(section, {})
    memories = tuple(_memory(item.section()) for item in section.items("memories"))
    memory_ids = [memory.id for memory in memories]
    area_model = _area_model(section.section("area_model")) if "area_model" in section else None
    energy = _energy(section.section("energy")) if "energy" in section else None
    with section.placing_errors():
        return Hardware(
            name=section.text("name", default_name),
            clock_ghz=section.number("clock_ghz"),
            memories=memories,
            cores=tuple(_core_group(item.section(), memory_ids, op_cycles) for item in section.items("cores")),
            channels=tuple(_channel(item.section(), memories) for item in section.items("channels")),
            area_mm2=_positive(section, "area_mm2"),
            dram_pj_per_bit=_positive(section, "dram_pj_per_bit"),
            area_model=area_model,
            energy=energy,
        )


def _area_model(section: Section) -> AreaModel:
    section.only("reference_mm2", "sram", "processing_elements", "bandwidth")
    return AreaModel(
        reference_mm2=_above_0(section.value("reference_mm2")),
        sram_bytes=section.size("sram"),
        processing_elements=_whole_above_0(section.value("processing_elements")),
        bandwidth=_whole_above_0(section.value("bandwidth")),
    )


def _energy(section: Section) -> EnergyCosts:
    section.only("op_pj", "sram_pj_per_byte")
    costs = section.section("op_pj")
    costs.only(*OPERATIONS)
    return EnergyCosts(
        op_pj={name: _above_0(costs.value(name)) for name in OPERATIONS},
        sram_pj_per_byte=_above_0(section.value("sram_pj_per_byte")),
    )


def _memory(section: Section) -> Memory:
    section.only("id", "capacity", "count")
    with section.placing_errors():
        return Memory(id=section.text("id"), capacity=section.size("capacity"), count=section.integer("count", 1))


def _core_group(section: Section, memory_ids: list[str], op_cycles: dict[str, int]) -> CoreGroup:
    section.only("id", "memory", "array", "count", "runs", "tile_overhead_cycles", "op_cycles")
    rows, columns = array_shape(section.value("array"))
    with section.placing_errors(rows="array", columns="array"):
        return CoreGroup(
            id=section.text("id"),
            memory=section.text("memory", choices=memory_ids),
            rows=rows,
            columns=columns,
            count=section.integer("count", 1),
            runs=_runs(section),
            tile_overhead_cycles=section.integer("tile_overhead_cycles"),
            op_cycles=_op_cycles(section, op_cycles),
        )


def _channel(section: Section, memories: tuple[Memory, ...]) -> Channel:
    section.only("id", "bandwidth", "lanes", "connects")
    count = {"dram": 1, **{memory.id: memory.count for memory in memories}}
    with section.placing_errors():
        channel = Channel(
            id=section.text("id"),
            bandwidth=section.integer("bandwidth"),
            connects=tuple(item.text(list(count)) for item in section.items("connects")),
            lanes=section.integer("lanes", 1),
        )
    if sum(count[end] for end in set(channel.connects)) < 2:
        raise section.value("connects").error("must name at least two different ends")
    return channel


def array_shape(value: Value) -> tuple[int, int]:
    """``[rows, columns]`` of an array of processing elements."""
    sides = value.items() if value.is_list else []
    if len(sides) != 2:
        raise value.error("expected [rows, columns]")
    return sides[0].integer(), sides[1].integer()


def _runs(section: Section) -> tuple[str, ...]:
    if "runs" not in section:
        return KERNELS
    value = section.value("runs")
    if value.is_list:
        return tuple(item.text(KERNELS) for item in value.items())
    value.text(["all"])
    return KERNELS


def _op_cycles(section: Section, inherited: dict[str, int]) -> dict[str, int]:
    """Cycles of each operation; those that the section does not give are inherited."""
    if "op_cycles" not in section:
        return inherited
    own = section.section("op_cycles")
    own.only(*OPERATIONS)
    for name, value in own.values.items():
        if value.integer() <= 0:
            raise value.error(f"expected a positive whole number of cycles for {name!r}")
    return inherited | {name: value.integer() for name, value in own.values.items()}


def _positive(section: Section, key: str) -> float | None:
    if key not in section:
        return None
    return _above_0(section.value(key))


def _above_0(value: Value) -> float:
    number = value.number()
    if number <= 0:
        raise value.error(f"expected a positive number, not {number:g}")
    return number


def _whole_above_0(value: Value) -> int:
    number = value.integer()
    if number <= 0:
        raise value.error(f"expected a positive whole number, not {number}")
    return number
