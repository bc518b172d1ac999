"""An accelerator: memories, groups of identical cores, and channels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ssmopt.errors import InputError, nearest
from ssmopt.silicon import AreaModel, EnergyCosts

KERNELS = ("gemm", "depthwise", "elementwise", "reduction")
"""Classes of operators; a group of cores says which of them it runs."""

OPERATIONS = ("mac", "multiply", "add", "exp", "sigmoid", "silu", "softplus", "rsqrt")
"""Elementary operations; ``op_cycles`` gives the cycles of each on one processing element."""


@dataclass(frozen=True)
class Memory:
    """``count`` identical SRAMs with a capacity in bytes each.

    They are called ``id`` or, if there are several, ``id.0``, ``id.1``, ...
    """

    id: str
    capacity: int
    count: int = 1

    def __post_init__(self) -> None:
        if self.capacity <= 0:
            raise InputError(f"expected a positive number of bytes, not {self.capacity}", key="capacity")
        if self.count <= 0:
            raise InputError(f"expected a positive whole number, not {self.count}", key="count")

    @property
    def ids(self) -> tuple[str, ...]:
        """Name of each of them."""
        return (self.id,) if self.count == 1 else tuple(f"{self.id}.{i}" for i in range(self.count))


@dataclass(frozen=True)
class CoreGroup:
    """``count`` identical cores, each an array of ``rows x columns`` processing elements.

    Attributes
    ----------
    id
        Name of the group; its cores are called ``id`` or, if there are several, ``id.0``, ``id.1``, ...
    memory
        Id of the memories that the cores work out of; several share the cores evenly, the first cores the first one.
    runs
        The kernel classes that they can run.
    tile_overhead_cycles
        Cycles added once to every tile.
    op_cycles
        Cycles of each elementary operation.
    """

    id: str
    memory: str
    rows: int
    columns: int
    count: int
    runs: tuple[str, ...]
    tile_overhead_cycles: int
    op_cycles: Mapping[str, int]

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "count"):
            if getattr(self, name) <= 0:
                raise InputError(f"expected a positive whole number, not {getattr(self, name)}", key=name)
        if self.tile_overhead_cycles < 0:
            raise InputError(f"must not be negative, got {self.tile_overhead_cycles}", key="tile_overhead_cycles")
        for kernel in self.runs:
            if kernel not in KERNELS:
                raise InputError(f"unknown kernel class {kernel!r}{nearest(kernel, KERNELS)}", key="runs")
        for name in OPERATIONS:
            if self.op_cycles.get(name, 0) <= 0:
                raise InputError(f"needs a positive whole number of cycles for {name!r}", key="op_cycles")

    @property
    def processing_elements(self) -> int:
        """Processing elements of one core."""
        return self.rows * self.columns


@dataclass(frozen=True)
class Channel:
    """A path that carries ``lanes`` transfers at once, each at ``bandwidth`` bytes per cycle.

    ``connects`` names the ends that it joins: ``dram`` and ids of memories, which stand for each of several.
    """

    id: str
    bandwidth: int
    connects: tuple[str, ...]
    lanes: int = 1

    def __post_init__(self) -> None:
        for name in ("bandwidth", "lanes"):
            if getattr(self, name) <= 0:
                raise InputError(f"expected a positive whole number, not {getattr(self, name)}", key=name)


@dataclass(frozen=True)
class Hardware:
    """A tiled accelerator.

    Attributes
    ----------
    name
        Name, as in file names and instance names.
    clock_ghz
        Clock in GHz; turns cycles into milliseconds.
    memories, cores, channels
        The parts.
    area_mm2, dram_pj_per_bit
        Silicon area and energy per bit moved on or off the chip, where known.
    area_model, energy
        What silicon costs, where known. With an area model the area of results follows from the parts (`ssmopt.area`).
    """

    name: str
    clock_ghz: float
    memories: tuple[Memory, ...]
    cores: tuple[CoreGroup, ...]
    channels: tuple[Channel, ...]
    area_mm2: float | None = None
    dram_pj_per_bit: float | None = None
    area_model: AreaModel | None = None
    energy: EnergyCosts | None = None

    def __post_init__(self) -> None:
        if not self.clock_ghz > 0:
            raise InputError(f"expected a positive number, not {self.clock_ghz}", key="clock_ghz")
        if self.energy is not None:
            self.energy.check_operations(OPERATIONS)
        for noun, parts in (("memories", self.memories), ("cores", self.cores), ("channels", self.channels)):
            ids = [part.id for part in parts]
            if not ids:
                raise InputError("needs at least one entry", key=noun)
            for name in ids:
                if ids.count(name) > 1:
                    raise InputError(f"the id {name!r} is used twice", key=noun)
        memory_ids = [memory.id for memory in self.memories]
        if "dram" in memory_ids:
            raise InputError("'dram' always means off-chip memory; call the SRAM something else", key="memories")
        single_ids = [name for memory in self.memories for name in memory.ids]
        for name in single_ids:
            if single_ids.count(name) > 1:
                raise InputError(f"the id {name!r} is used twice", key="memories")
        memory_count = {memory.id: memory.count for memory in self.memories}
        for core in self.cores:
            if core.memory not in memory_ids:
                raise InputError(
                    f"core group {core.id!r} names an unknown memory {core.memory!r}{nearest(core.memory, memory_ids)}",
                    key="cores",
                )
            if core.count % memory_count[core.memory]:
                raise InputError(
                    f"core group {core.id!r} has {core.count} cores, which {memory_count[core.memory]} memories "
                    f"{core.memory!r} cannot share evenly",
                    key="cores",
                )
        for channel in self.channels:
            for end in channel.connects:
                if end not in (*memory_ids, "dram"):
                    raise InputError(
                        f"channel {channel.id!r} connects an unknown memory {end!r}"
                        f"{nearest(end, [*memory_ids, 'dram'])}",
                        key="channels",
                    )
            if sum(memory_count.get(end, 1) for end in set(channel.connects)) < 2:
                raise InputError(f"channel {channel.id!r} must join at least two different ends", key="connects")
        for kernel in KERNELS:
            if not any(kernel in core.runs for core in self.cores):
                raise InputError(f"no core runs the kernel class {kernel!r}", key="cores")

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all memories together."""
        return sum(memory.capacity * memory.count for memory in self.memories)

    @property
    def memory_count(self) -> int:
        """Number of memories."""
        return sum(memory.count for memory in self.memories)

    def override(self, field: str, value: object) -> Hardware:
        """A copy with one field replaced.

        Parameters
        ----------
        field
            ``sram`` (capacity in bytes of every memory), ``bandwidth`` (bytes per cycle of every channel to DRAM),
            ``array`` (``[rows, columns]`` of every core), ``tile_overhead_cycles``, ``clock_ghz``, or one part's
            field in full: ``memories.<id>.capacity``, ``memories.<id>.count``, ``channels.<id>.bandwidth``,
            ``channels.<id>.lanes``, ``cores.<id>.array``, ``cores.<id>.count``, ``cores.<id>.tile_overhead_cycles``.
        value
            The new value.

        Raises
        ------
        InputError
            The field is unknown or the value impossible.
        """
        if field == "clock_ghz":
            return dataclasses.replace(self, clock_ghz=_number(value, field))
        path = _SHORT_FIELDS.get(field, field).split(".")
        if not is_hardware_field(field):
            raise InputError(f"unknown hardware field {field!r}{nearest(field, HARDWARE_FIELDS)}", key="overrides")
        noun, part_id, name = path
        parts = getattr(self, noun)
        ids = [part.id for part in parts]
        if part_id != "*" and part_id not in ids:
            raise InputError(f"{field!r}: no {noun} entry {part_id!r}{nearest(part_id, ids)}", key="overrides")
        changes = _part_changes(name, value, field)
        try:
            replaced = tuple(
                dataclasses.replace(part, **changes) if _is_meant(part, part_id) else part for part in parts
            )
        except InputError as error:
            raise InputError(error.message, key=f"overrides.{field}") from None
        replacement: dict[str, Any] = {noun: replaced}
        if (noun, name) in _OF_AREA:
            replacement["area_mm2"] = None  # That of another chip. What an area model says still follows.
        return dataclasses.replace(self, **replacement)


_SHORT_FIELDS = {
    "sram": "memories.*.capacity",
    "bandwidth": "channels.*.bandwidth",
    "array": "cores.*.array",
    "tile_overhead_cycles": "cores.*.tile_overhead_cycles",
}

_FULL_FIELDS = (
    ("memories", "capacity"),
    ("memories", "count"),
    ("channels", "bandwidth"),
    ("channels", "lanes"),
    ("cores", "array"),
    ("cores", "count"),
    ("cores", "tile_overhead_cycles"),
)

HARDWARE_FIELDS = ("clock_ghz", *_SHORT_FIELDS, *(f"{noun}.<id>.{name}" for noun, name in _FULL_FIELDS))
"""What `Hardware.override` can replace."""


def is_hardware_field(name: str) -> bool:
    """Whether a name has the form of a field that can be replaced; whether there is such a part is not looked at."""
    path = name.split(".")
    short = name == "clock_ghz" or name in _SHORT_FIELDS
    return short or (len(path) == 3 and (path[0], path[2]) in _FULL_FIELDS)


_OF_AREA = (("memories", "capacity"), ("cores", "array"), ("cores", "count"))
"""Fields that change the area."""


def _is_meant(part: Memory | CoreGroup | Channel, part_id: str) -> bool:
    """Whether an override of ``part_id`` touches the part; ``*`` means all, and of the channels those to DRAM."""
    if part_id == "*":
        return not isinstance(part, Channel) or "dram" in part.connects
    return part.id == part_id


def _part_changes(name: str, value: object, field: str) -> dict[str, int]:
    if name == "array":
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise InputError(f"expected [rows, columns], not {value!r}", key=f"overrides.{field}")
        return {"rows": _whole(value[0], field), "columns": _whole(value[1], field)}
    return {name: _whole(value, field)}


def _whole(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"expected a whole number, not {value!r}", key=f"overrides.{field}")
    return value


def _number(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"expected a number, not {value!r}", key=f"overrides.{field}")
    return float(value)
