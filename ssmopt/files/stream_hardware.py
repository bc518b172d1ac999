"""Hardware files from machine descriptions of Stream and ZigZag, and what could not be taken over."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ssmopt.errors import InputError
from ssmopt.files.atomic import write_text_atomically
from ssmopt.files.config import read_hardware
from ssmopt.files.stream_yaml import Accelerator, CoreFile
from ssmopt.files.text import PathLike
from ssmopt.hardware import KERNELS, Hardware, Memory

_KERNELS_OF = {
    "gemm": ("matmul", "gemm", "conv"),
    "depthwise": ("conv",),
    "elementwise": ("add", "sub", "mul", "div", "exp", "silu", "sigmoid", "relu", "gelu", "tanh", "pow"),
    "reduction": ("reducesum", "reducemean", "reducemax", "softmax", "layernorm", "rmsnorm"),
}
"""Operator types of these descriptions, in small letters, any of which shows that a core runs a kernel class."""

OP_CYCLES = "{mac: 1, multiply: 1, add: 1, exp: 4, sigmoid: 4, silu: 4, softplus: 4, rsqrt: 4}"
TILE_OVERHEAD = 2

SEPARATE = "count" in {field.name for field in dataclasses.fields(Memory)}
"""Whether hardware can have several memories of a kind, each private to a core."""


@dataclass(frozen=True)
class Group:
    """Identical cores that have, or share, a memory of so many bytes."""

    id: str
    core: CoreFile
    count: int
    runs: tuple[str, ...]
    memory: str


@dataclass(frozen=True)
class Imported:
    """A hardware file, and what had to be assumed, changed or left out to make it."""

    name: str
    text: str
    hardware: Hardware
    notes: tuple[str, ...]


class _Notes(list[str]):
    """Sentences, each once."""

    def say(self, sentence: str) -> None:
        if sentence not in self:
            self.append(sentence)


def import_accelerator(machine: Accelerator, *, clock_ghz: float = 1.0, shared: bool | None = None) -> Imported:
    """A hardware file from a machine description.

    Parameters
    ----------
    clock_ghz
        Clock in GHz, which these descriptions do not state.
    shared
        Whether the cores' memories are added up to one that all share; None keeps them private where they are.

    Raises
    ------
    InputError
        There is nothing that computes, or no way to DRAM.
    """
    notes = _Notes()
    groups = _groups(machine, notes)
    apart = len({group.memory for group in groups}) > 1 or any(_private(group) for group in groups)
    if shared is None:
        shared = apart and not SEPARATE
        if shared:
            notes.say(
                "private memories are added up to one that all cores share, which is more than the machine can do"
            )
    memories = _memories(groups, shared and apart, notes)
    lines = [
        f"# Imported from {Path(machine.file).name}. Numbers without a comment are in it.",
        f"name: {_word(machine.name)}",
        f"clock_ghz: {clock_ghz:g}            # given on import; the description has no clock",
        "# Cycles of one operation on one processing element: a convention of ssmopt, not in the description.",
        f"op_cycles: {OP_CYCLES}",
        "memories:",
    ]
    for memory, (count, capacity, told) in memories.items():
        lines += [f"  - id: {memory}", *([f"    count: {count}"] if count > 1 else [])]
        lines += [f"    capacity: {capacity}    # bytes: {told}"]
    lines.append("cores:")
    for group in groups:
        rows, columns = _array(group.core, notes)
        memory = group.memory if group.memory in memories else next(iter(memories))
        lines += [f"  - id: {group.id}", *([f"    count: {group.count}"] if group.count > 1 else [])]
        lines += [f"    memory: {memory}", f"    array: [{rows}, {columns}]", f"    runs: [{', '.join(group.runs)}]"]
        lines += [f"    tile_overhead_cycles: {TILE_OVERHEAD}    # a convention of ssmopt, not in the description"]
    lines += ["channels:", *_channels(machine, list(memories), len(memories) > 1 or _several(memories), notes)]
    for part in dict.fromkeys(key.partition(": ")[0] for key in machine.unused):
        keys = [key.partition(": ")[2] for key in machine.unused if key.startswith(f"{part}: ")]
        notes.say(f"not used: of {part}: {', '.join(keys)}")
    text = "\n".join(lines) + "\n"
    return Imported(_word(machine.name), text, _checked(text, machine), tuple(notes))


def write_imported(path: PathLike, imported: Imported) -> None:
    """Write the hardware file; raises `InputError` if it cannot be written."""
    write_text_atomically(path, imported.text)


def _several(memories: dict[str, tuple[int, int, str]]) -> bool:
    return any(count > 1 for count, _, _ in memories.values())


def _groups(machine: Accelerator, notes: _Notes) -> list[Group]:
    """Identical computing cores together, with what they run and the memory that they work out of."""
    computing = [n for n, core in enumerate(machine.cores) if core.role in ("array", "vector")]
    for core in machine.cores:
        if core.role == "pooling":
            notes.say(f"left out: core {core.name}, as no operator of Mamba pools")
        if core.role == "memory":
            notes.say(f"left out: core {core.name} computes nothing; cores that share its memory keep it")
    if not computing:
        raise InputError("no core that computes: none has an array", file=machine.file)
    runs = {n: _runs(machine.cores[n]) for n in computing}
    if not any(runs.values()):
        vector = any(machine.cores[n].role == "vector" for n in computing)
        for n in computing:
            is_array = machine.cores[n].role == "array"
            runs[n] = KERNELS if not vector else ("gemm",) if is_array else KERNELS[1:]
        notes.say(
            "assumed: arrays run matrix products, vector cores everything else"
            if vector
            else "assumed: with no vector core, the arrays run everything, nonlinear functions included"
        )
    for n in computing:
        runs[n] = runs[n] or ("gemm",)
    for kernel in KERNELS:
        if not any(kernel in kernels for kernels in runs.values()):
            able = [n for n in computing if machine.cores[n].role == ("array" if kernel == "gemm" else "vector")]
            for n in able or computing:
                runs[n] = tuple(k for k in KERNELS if k in runs[n] or k == kernel)
            notes.say(f"assumed: {kernel} operators run on {machine.cores[(able or computing)[0]].name}")
    sharing = {n: min(group) for group in machine.sharing for n in group}
    groups: dict[tuple[object, ...], list[int]] = {}
    for n in computing:
        core = machine.cores[n]
        groups.setdefault((core.file, runs[n], sharing.get(n)), []).append(n)
    names = [_word(machine.cores[members[0]].name) for members in groups.values()]
    found = []
    for i, ((_, kernels, shares), members) in enumerate(groups.items()):
        name = names[i] if names.count(names[i]) == 1 else f"{names[i]}{names[:i].count(names[i])}"
        memory = _own(name) if shares is None else f"sram{shares}"
        assert isinstance(kernels, tuple)
        found.append(Group(name, machine.cores[members[0]], len(members), kernels, memory))
    return found


def _private(group: Group) -> bool:
    """Whether each core of the group has a memory of its own."""
    return group.count > 1 and group.memory == _own(group.id)


def _own(group: str) -> str:
    """The id of the memories that no other group shares."""
    return f"{group}_sram"


def _runs(core: CoreFile) -> tuple[str, ...]:
    if core.operators is None:
        return ()
    said = {name.lower() for name in core.operators}
    return tuple(kernel for kernel in KERNELS if any(name in said for name in _KERNELS_OF[kernel]))


def _memories(groups: list[Group], shared: bool, notes: _Notes) -> dict[str, tuple[int, int, str]]:
    """Per memory how many there are, the bytes of each, and where these come from."""
    found: dict[str, tuple[int, int, str]] = {}
    for group in groups:
        tops = group.core.top_memories()
        if not tops:
            raise InputError(f"core {group.core.name!r} has no on-chip memory", file=group.core.file, key="memories")
        if len(tops) > 1:
            notes.say(
                f"{group.core.name}: the memories {', '.join(top.name for top in tops)} hold different operands; here "
                "they are one, which any tensor may fill"
            )
        for level in group.core.memories:
            if not level.off_chip and level not in tops:
                notes.say(f"not used: {group.core.name}: inner memory {level.name}; on-chip bandwidth is no bottleneck")
        capacity = sum(top.bits // 8 for top in tops)
        told = " + ".join(f"{top.name} of {group.core.name}" for top in tops)
        count = group.count if _private(group) else 1
        if group.memory in found:
            if found[group.memory][1] != capacity:
                notes.say(f"{group.memory}: cores that share it state different sizes; the smaller one is taken")
            capacity = min(capacity, found[group.memory][1])
            told = found[group.memory][2]
        found[group.memory] = (count, capacity, told)
    if not shared:
        return found
    total = sum(count * capacity for count, capacity, _ in found.values())
    parts = [f"{count} x {told}" if count > 1 else told for count, _, told in found.values()]
    return {"sram": (1, total, " + ".join(parts))}


def _array(core: CoreFile, notes: _Notes) -> tuple[int, int]:
    if len(core.sizes) <= 2:
        rows, columns = (*core.sizes, 1)[:2]
        return rows, columns
    columns = 1
    for size in core.sizes[1:]:
        columns *= size
    notes.say(f"{core.name}: the array {' x '.join(map(str, core.sizes))} is taken as {core.sizes[0]} x {columns}")
    return core.sizes[0], columns


def _channels(machine: Accelerator, memories: list[str], joined: bool, notes: _Notes) -> list[str]:
    """The channel to DRAM, and one between memories if there are several."""
    port, where = _dram_port(machine)
    links = [c for c in machine.connections if machine.off_chip in c.cores]
    width, lanes = port, 1
    if links and not any(c.bus for c in links):
        width = min(port, min(c.bits_per_cycle for c in links))
        lanes = max(1, min(len(links), port // width))
        if lanes > 1:
            notes.say("links to DRAM are lanes of one channel: any memory may use all of them")
    elif links:
        width = min(port, *(c.bits_per_cycle for c in links))
    notes.say("reads and writes of DRAM share one channel, even where the description has a port for each")
    lines = [
        "  - id: dma",
        f"    bandwidth: {_bytes(width, 'the DRAM channel', notes)}    # {width} bits per cycle, from {where}",
        *([f"    lanes: {lanes}    # links to DRAM that its port can feed at a time"] if lanes > 1 else []),
        f"    connects: [dram, {', '.join(memories)}]",
    ]
    if not joined:
        return lines
    between = [c for c in machine.connections if machine.off_chip not in c.cores]
    if not between:
        notes.say("no connection between cores: what one makes and another reads goes through DRAM")
        return lines
    width = min(c.bits_per_cycle for c in between)
    if len({c.bits_per_cycle for c in between}) > 1:
        notes.say("links between cores differ in bandwidth; the smallest is taken")
    if not any(c.bus for c in between) and len(between) > 1:
        notes.say("links between cores are the lanes of one interconnect: a path of several links counts as one")
    return [
        *lines,
        "  - id: noc",
        f"    bandwidth: {_bytes(width, 'the interconnect', notes)}    # {width} bits per cycle",
        *([f"    lanes: {len(between)}    # links"] if len(between) > 1 else []),
        f"    connects: [{', '.join(memories)}]",
    ]


def _dram_port(machine: Accelerator) -> tuple[int, str]:
    """Bits per cycle of DRAM, and which memory says so."""
    core = machine.cores[0 if machine.off_chip is None else machine.off_chip]
    levels = [level for level in core.memories if level.off_chip] or list(core.memories)
    width = levels[-1].bits_per_cycle if levels else None
    if machine.off_chip is None and (not levels or not levels[-1].off_chip):
        raise InputError(
            "no off-chip memory: expected a core that offchip_core_id names, or an outermost memory called dram",
            file=machine.file,
        )
    if width is None:
        raise InputError(f"off-chip core {core.name!r} states no bandwidth", file=core.file, key="memories")
    return width, f"{levels[-1].name} of {core.name}"


def _bytes(bits: int, what: str, notes: _Notes) -> int:
    """Bytes per cycle, rounded down; at least one."""
    if bits < 8:
        notes.say(f"{what} has {bits} bits per cycle; the least here is one byte")
        return 1
    if bits % 8:
        notes.say(f"{what} has {bits} bits per cycle, rounded down to whole bytes")
    return bits // 8


def _word(name: str) -> str:
    """A name that YAML takes for text, whatever it is."""
    word = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    plain = word[:1].isalpha() and word.lower() not in ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
    return word if plain else f"x{word}"


def _checked(text: str, machine: Accelerator) -> Hardware:
    """What the file says, as read back; so nothing is written that cannot be read."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "imported.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            return read_hardware(file)
        except InputError as error:
            raise InputError(f"cannot be made into hardware: {error.message}", file=machine.file) from None
