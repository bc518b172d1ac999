"""Reads the machine descriptions of Stream and ZigZag: an accelerator, its cores, and how they are connected.

Sizes in these files are bits, bandwidths bits per cycle. Two generations are read: cores by file name in a list and a
``graph``, or by number with ``core_connectivity`` and ``core_memory_sharing``; arrays as ``multipliers`` or
``operational_array``; memory bandwidths as ``r_bw`` and ``w_bw`` or as ports. A ZigZag accelerator is one core whose
outermost memory is off chip.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssmopt.errors import nearest
from ssmopt.files.text import PathLike
from ssmopt.files.yaml_reader import Section, Value, read_yaml

_OFF_CHIP = re.compile(r"dram|ddr|hbm|off.?chip", re.IGNORECASE)
_ARRAYS = ("operational_array", "multipliers")
_ROLES = {"pooling_core_id": "pooling", "simd_core_id": "vector", "offchip_core_id": "off chip"}
_USED_OF_MEMORY = ("size", "r_bw", "w_bw", "rw_bw", "ports", "operands", "served_dimensions")
_USED_OF_CORE = ("name", "type", "memories", *_ARRAYS, "operator_types")
_USED_OF_ACCELERATOR = ("name", "cores", "graph", "offchip_core_id", "core_connectivity", "core_memory_sharing")
_USED_OF_GRAPH = ("type", "bandwidth", "nb_rows", "nb_cols", *_ROLES)


@dataclass(frozen=True)
class MemoryLevel:
    """A memory of a core: its size in bits, its narrowest port in bits per cycle, and the operands that it holds.

    ``replicated`` says that it serves only a part of the array, so that there are many of them: registers.
    """

    name: str
    bits: int
    bits_per_cycle: int | None
    operands: tuple[str, ...]
    replicated: bool

    @property
    def off_chip(self) -> bool:
        """Whether its name says that it is DRAM."""
        return bool(_OFF_CHIP.search(self.name))


@dataclass(frozen=True)
class CoreFile:
    """A core: the sizes of its array, and its memories from the innermost out.

    ``role`` is ``array``, ``vector``, ``pooling``, ``memory`` or ``off chip``; ``operators`` what the file says that it
    runs, if it does.
    """

    name: str
    file: str
    sizes: tuple[int, ...]
    memories: tuple[MemoryLevel, ...]
    operators: tuple[str, ...] | None
    role: str

    def top_memories(self) -> list[MemoryLevel]:
        """The outermost on-chip memory of each operand, each one once; registers only if there is nothing else."""
        found: dict[str, MemoryLevel] = {}
        on_chip = [level for level in self.memories if not level.off_chip]
        for level in [level for level in on_chip if not level.replicated] or on_chip:
            found.update(dict.fromkeys(level.operands, level))
        return [level for level in self.memories if any(level is top for top in found.values())]


@dataclass(frozen=True)
class Connection:
    """Cores joined by a link, or by a bus that they share, of so many bits per cycle."""

    cores: tuple[int, ...]
    bits_per_cycle: int
    bus: bool


@dataclass(frozen=True)
class Accelerator:
    """Cores by number, which of them is off chip, connections, and groups of cores that share their outer memory.

    Attributes
    ----------
    unused
        Keys of the files that nothing was made of.
    """

    name: str
    file: str
    cores: tuple[CoreFile, ...]
    off_chip: int | None
    connections: tuple[Connection, ...]
    sharing: tuple[tuple[int, ...], ...]
    unused: tuple[str, ...]


def read_accelerator(paths: Sequence[PathLike]) -> Accelerator:
    """Read an accelerator and its cores.

    Parameters
    ----------
    paths
        The accelerator's file first; then, where cores are not found from there, their files or folders.

    Raises
    ------
    InputError
        A file is missing, cannot be read, or is not laid out like these descriptions.
    """
    section = read_yaml(paths[0])
    unused: set[str] = set()
    if "cores" not in section:
        core = _core(section, section.text("name", Path(paths[0]).stem), unused)
        return Accelerator(core.name, core.file, (core,), None, (), (), tuple(sorted(unused)))
    unused |= {f"accelerator: {key}" for key in section.values if key not in _USED_OF_ACCELERATOR}
    roles, connections = _layout(section, unused)
    names = _core_names(section.value("cores"))
    sections = [read_yaml(_located(value, paths)) for value in names]
    cores = tuple(
        _core(found, Path(value.text()).stem, unused, roles.get(number))
        for number, (found, value) in enumerate(zip(sections, names, strict=True))
    )
    off_chip = next((number for number, core in enumerate(cores) if core.role == "off chip"), None)
    for value, number in _numbers_in(section, connections):
        if not 0 <= number < len(cores):
            raise value.error(f"there is no core {number}: the cores are 0 to {len(cores) - 1}")
    return Accelerator(
        section.text("name", Path(paths[0]).stem),
        section.file,
        cores,
        off_chip,
        tuple(connection for _, connection in connections),
        _sharing(section),
        tuple(sorted(unused)),
    )


Placed = list[tuple[Value, Connection]]


def _layout(section: Section, unused: set[str]) -> tuple[dict[int, str], Placed]:
    """Cores with a role of their own, and connections, in either generation."""
    roles: dict[int, str] = {}
    if "graph" in section:
        graph = section.section("graph")
        unused |= {f"graph: {key}" for key in graph.values if key not in _USED_OF_GRAPH}
        roles = {graph.integer(key): role for key, role in _ROLES.items() if key in graph}
        kind = graph.text("type", "2d_mesh")
        width = _bits(graph.value("bandwidth"))
        inside = [n for n in range(len(_core_names(section.value("cores")))) if n not in roles]
        if "mesh" not in kind:
            return roles, [(graph.whole, Connection(tuple(inside), width, True))] if len(inside) > 1 else []
        rows, columns = graph.integer("nb_rows"), graph.integer("nb_cols")
        if rows * columns != len(inside):
            raise graph.whole.error(f"expected {rows} x {columns} cores without a role of their own, not {len(inside)}")
        pairs = [(inside[n], inside[n + 1]) for n in range(len(inside)) if (n + 1) % columns]
        pairs += [(inside[n], inside[n + columns]) for n in range(len(inside) - columns)]
        # Cores with a role are outside the mesh and reach every core in it; DRAM with its own bandwidth.
        pairs += [(n, core) for core, role in roles.items() if role != "off chip" for n in inside]
        return roles, [(graph.whole, Connection(pair, width, False)) for pair in sorted(pairs)]
    if "offchip_core_id" in section:
        roles[section.integer("offchip_core_id")] = "off chip"
    connections: Placed = []
    for item in section.items("core_connectivity") if "core_connectivity" in section else []:
        entry = item.section()
        unused |= {f"core_connectivity: {key}" for key in entry.values if key not in ("type", "cores", "bandwidth")}
        joined = tuple(value.integer() for value in entry.items("cores"))
        bus = entry.text("type", "link", ("link", "bus")) == "bus"
        connections.append((item, Connection(joined, _bits(entry.value("bandwidth")), bus)))
    return roles, connections


def _numbers_in(section: Section, connections: Placed) -> list[tuple[Value, int]]:
    found = [(value, number) for value, connection in connections for number in connection.cores]
    shared = section.items("core_memory_sharing") if "core_memory_sharing" in section else []
    found += [(value, number) for value in shared for number in _group(value)]
    if "offchip_core_id" in section:
        found.append((section.value("offchip_core_id"), section.integer("offchip_core_id")))
    return found


def _sharing(section: Section) -> tuple[tuple[int, ...], ...]:
    if "core_memory_sharing" not in section:
        return ()
    return tuple(_group(value) for value in section.items("core_memory_sharing"))


def _group(value: Value) -> tuple[int, ...]:
    """Core numbers from ``0, 1`` or a list of them."""
    if value.is_list:
        return tuple(item.integer() for item in value.items())
    parts = value.text().split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise value.error("expected numbers of cores, such as 0, 1")
    return tuple(int(part) for part in parts)


def _core_names(value: Value) -> list[Value]:
    """File names of the cores in the order of their numbers."""
    if value.is_list:
        return value.items()
    named = value.section().values
    if sorted(named) != sorted(str(n) for n in range(len(named))):
        raise value.error(f"expected the cores 0 to {len(named) - 1}, not {', '.join(named)}")
    return [named[str(n)] for n in range(len(named))]


def _located(value: Value, paths: Sequence[PathLike]) -> Path:
    """The file of a core: beside the accelerator, in its ``cores``, from a folder above, or one that was given."""
    name = value.text()
    if not name.endswith((".yaml", ".yml")):
        name += ".yaml"
    folder = Path(os.fspath(paths[0])).resolve().parent
    tried = [folder / name, folder / "cores" / name, *(above / name for above in folder.parents), Path(name)]
    known: list[str] = []
    for path in (Path(os.fspath(given)) for given in paths[1:]):
        if path.is_dir():
            tried += [path / name, path / Path(name).name]
            known += [file.name for file in path.glob("*.yaml")]
        else:
            known.append(path.name)
            if path.name == Path(name).name:
                tried.append(path)
    for file in tried:
        if file.is_file():
            return file
    known += [file.name for place in (folder, folder / "cores") for file in place.glob("*.yaml")]
    raise value.error(f"no file for this core; give its file or folder as well{nearest(Path(name).name, known)}")


def _core(section: Section, name: str, unused: set[str], role: str | None = None) -> CoreFile:
    unused |= {f"core: {key}" for key in section.values if key not in _USED_OF_CORE}
    sizes: tuple[int, ...] = ()
    dimensions: set[str] = set()
    for key in _ARRAYS:
        if key in section:
            array = section.section(key)
            unused |= {f"{key}: {name}" for name in array.values if name not in ("sizes", "dimensions")}
            sizes = tuple(item.integer() for item in array.items("sizes"))
            dimensions = {item.text() for item in array.items("dimensions")} if "dimensions" in array else set()
    memories = []
    if "memories" in section:
        for level, value in section.section("memories").values.items():
            memories.append(_memory(level, value.section(), dimensions, unused))
    operators = None
    if "operator_types" in section:
        operators = tuple(item.text() for item in section.items("operator_types"))
    named = section.text("name", name)
    kind = section.text("type", "compute").rpartition(".")[2]
    if role is None:
        role = _role(f"{name} {named}", kind, sizes)
    if role in ("array", "vector") and not sizes:
        raise section.whole.error(f"this core has no array: expected one of the keys {', '.join(_ARRAYS)}")
    return CoreFile(named, section.file, sizes, tuple(memories), operators, role)


def _role(name: str, kind: str, sizes: tuple[int, ...]) -> str:
    """What a core is, where the accelerator does not say: by its kind, its empty array, or its name."""
    if _OFF_CHIP.search(name) or kind in ("offchip", "shim", "shim_dma"):
        return "off chip"
    if kind == "memory" or (sizes and 0 in sizes):
        return "memory"
    if re.search(r"pool", name, re.IGNORECASE):
        return "pooling"
    return "vector" if re.search(r"simd|vec|vpu", name, re.IGNORECASE) else "array"


def _memory(name: str, section: Section, dimensions: set[str], unused: set[str]) -> MemoryLevel:
    unused |= {f"memory: {key}" for key in section.values if key not in _USED_OF_MEMORY}
    operands = tuple(item.text() for item in section.items("operands")) if "operands" in section else ("I1", "I2", "O")
    widths = [_bits(section.value(key)) for key in ("r_bw", "w_bw", "rw_bw") if key in section]
    if not widths and "ports" in section:
        ports = [item.section() for item in section.items("ports")]
        widths = [_bits(port.value("bandwidth_max")) for port in ports if "bandwidth_max" in port]
    served = {item.text() for item in section.items("served_dimensions")} if "served_dimensions" in section else None
    replicated = served is not None and not dimensions <= served
    return MemoryLevel(name, section.size("size"), min(widths, default=None), operands, replicated)


def _bits(value: Value) -> int:
    """Bits per cycle, rounded down."""
    bits = int(value.number())
    if bits <= 0:
        raise value.error(f"expected a positive number of bits per cycle, not {bits}")
    return bits
