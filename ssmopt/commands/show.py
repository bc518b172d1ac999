"""``ssmopt show``: what an instance consists of, and the bounds that hold for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from ssmopt.commands.bounds import largest_first, say_bounds
from ssmopt.commands.listing import hardware_summary
from ssmopt.commands.options import (
    HardwareOption,
    InstanceArgument,
    JsonOption,
    LayersOption,
    ModelOption,
    SeqLenOption,
    SramOption,
)
from ssmopt.commands.output import columns, heading, pairs, say, say_json
from ssmopt.commands.show_schedule import is_schedule, show_schedule
from ssmopt.commands.target import load_target
from ssmopt.csr import Csr, IntArray
from ssmopt.errors import InputError
from ssmopt.export.units import short, size, whole
from ssmopt.instance import KINDS, NOT_ADMISSIBLE, WEIGHT, Instance
from ssmopt.problem import Problem
from ssmopt.workload.counts import operator_counts, roofline_cycles

Record = dict[str, object]


def show(
    instance: InstanceArgument = None,
    model: ModelOption = None,
    hardware: HardwareOption = None,
    seq_len: SeqLenOption = None,
    sram: SramOption = None,
    layers: LayersOption = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write the tile instance as JSON.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show model, hardware, tiles, operators and bounds of an instance, without solving it.

    Of a schedule file (.json) it shows what the file says: for what it is, how long, how good, and what repeats.

    [bold]Examples[/bold]

    [cyan]$ ssmopt show mamba-130m-marca-L64[/cyan]

    [cyan]$ ssmopt show --model mamba-2.8b --hardware marca --seq-len 256 --export tiles.json[/cyan]

    [cyan]$ ssmopt show mamba-130m-marca-L64.schedule.json[/cyan]
    """
    from ssmopt.bounds import instance_bounds, lower_bounds
    from ssmopt.files.atomic import check_writable
    from ssmopt.files.tile_instance import write_instance

    if instance is not None and instance.lower().endswith(".json") and is_schedule(instance):
        refuse = {"--export": export, "--sram": sram, "--layers": layers, "--model": model, "--hardware": hardware}
        for option, value in refuse.items():
            if value is not None:
                raise InputError("this is a schedule, which is what it is", file=instance, key=option)
        show_schedule(instance, as_json=as_json)
        return
    target = load_target(instance, model, hardware, seq_len, sram, layers)
    if export is not None:
        check_writable(export)
    tiles = target.instance()
    # For tiles read from a file the two coincide.
    own = largest_first(instance_bounds(tiles))
    lower = own if tiles.problem is None else largest_first(lower_bounds(tiles.problem))
    if export is not None:
        write_instance(export, tiles)
    if as_json:
        say_json(
            {
                **_description(tiles),
                "operators": operator_records(tiles),
                "lower_bounds": [dataclasses.asdict(bound) for bound in lower],
                "instance_bounds": [dataclasses.asdict(bound) for bound in own],
            }
        )
        return
    say(pairs(_rows(tiles)), "")
    say(heading(_OPERATORS), _operator_table(tiles))
    if tiles.problem is not None:
        say_bounds("lower bounds: no schedule under any tiling is faster", lower)
    say_bounds("instance bounds: no schedule of these tiles is faster", own)
    if export is not None:
        say(f"wrote {export}")


def operator_records(instance: Instance) -> list[Record]:
    """Per operator: tiles, cycles of work on the fastest core, operations, and bytes that its tiles read and write.

    A tensor that several tiles of an operator share counts once. Operations, and what follows from them, are None for
    tiles that do not say which model they compute.
    """
    names, operator = instance.tile_operators
    possible = np.where(instance.duration == NOT_ADMISSIBLE, np.iinfo(np.int64).max, instance.duration)
    fastest = possible.min(axis=1) if instance.n_tiles else np.zeros(0, dtype=np.int64)
    tiles = np.bincount(operator, minlength=len(names))
    work = np.zeros(len(names), dtype=np.int64)
    np.add.at(work, operator, fastest)
    weight, read = (
        _bytes_per_operator(instance, instance.inputs, operator, len(names), only)
        for only in (instance.tensor_kind == WEIGHT, instance.tensor_kind != WEIGHT)
    )
    written = _bytes_per_operator(instance, instance.writes, operator, len(names), np.ones(instance.n_tensors, bool))
    counts, floors = {}, {}
    layers = 1 if instance.problem is None else instance.problem.layers
    if instance.problem is not None and instance.tiling is not None:
        counts = operator_counts(instance.problem, instance.tiling)
        floors = roofline_cycles(instance.problem, instance.tiling)
    return [
        {
            "operator": name,
            "tiles": int(tiles[i]),
            "work_cycles": int(work[i]),
            "macs": layers * counts[name].macs if counts else None,
            "operations": layers * counts[name].operations if counts else None,
            "weight_bytes": int(weight[i]),
            "read_bytes": int(read[i]),
            "written_bytes": int(written[i]),
            "operations_per_byte": counts[name].intensity if counts else None,
            "roofline_cycles": layers * floors[name] if floors else None,
        }
        for i, name in enumerate(names)
    ]


def _bytes_per_operator(
    instance: Instance, access: Csr, operator: IntArray, n: int, only: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> IntArray:
    """Bytes of the different tensors that each operator's tiles access."""
    keys = np.unique(operator[access.rows()] * max(instance.n_tensors, 1) + access.indices)
    who, tensor = np.divmod(keys, max(instance.n_tensors, 1))
    kept = only[tensor]
    total = np.zeros(n, dtype=np.int64)
    np.add.at(total, who[kept], instance.tensor_bytes[tensor[kept]])
    return total


def _description(instance: Instance) -> Record:
    problem = instance.problem
    record: Record = {"instance": instance.name}
    if problem is not None:
        record |= {
            "model": {"name": problem.model.name, "family": problem.model.family, **problem.model.sizes()},
            "hardware": {"name": problem.hardware.name, **hardware_summary(problem.hardware)},
            "seq_len": problem.seq_len,
            "batch": problem.batch,
            "layers": problem.layers,
            "form": problem.form,
            "scope": problem.scope,
            "initial_state": problem.initial_state,
            "dtype_bytes": dataclasses.asdict(problem.dtype),
        }
    need, tile = instance.minimum_capacity()
    return record | {
        "tiling": None if instance.tiling is None else instance.tiling.describe(),
        "cores": list(instance.core_ids),
        "memories": dict(zip(instance.memory_ids, instance.memory_capacity.tolist(), strict=True)),
        "channels": list(instance.channel_ids),
        "tiles": instance.n_tiles,
        "tensors": instance.n_tensors,
        "tensor_bytes": dict(zip(KINDS, _bytes_by_kind(instance), strict=True)),
        "minimum_capacity_bytes": need,
        "minimum_capacity_tile": None if tile < 0 else instance.tile_ids[tile],
    }


def _bytes_by_kind(instance: Instance) -> list[int]:
    total = np.zeros(len(KINDS), dtype=np.int64)
    np.add.at(total, instance.tensor_kind, instance.tensor_bytes)
    return [int(n_bytes) for n_bytes in total]


def _rows(instance: Instance) -> list[tuple[str, str]]:
    rows = [("instance", instance.name), *_problem_rows(instance.problem)]
    if instance.problem is None:
        memories = zip(instance.memory_ids, instance.memory_capacity.tolist(), strict=True)
        rows += [
            ("cores", f"{instance.n_cores}: {_few(instance.core_ids)}"),
            ("memories", f"{instance.n_memories}: {_few([f'{name} {size(capacity)}' for name, capacity in memories])}"),
            ("channels", _few(instance.channel_ids)),
        ]
    need, tile = instance.minimum_capacity()
    kinds = [f"{kind} {size(n)}" for kind, n in zip(KINDS, _bytes_by_kind(instance), strict=True) if n]
    return [
        *rows,
        ("tiling", "" if instance.tiling is None else instance.tiling.describe()),
        ("tiles", whole(instance.n_tiles)),
        ("tensors", f"{whole(instance.n_tensors)}: {', '.join(kinds)}" if kinds else whole(instance.n_tensors)),
        ("least SRAM", "" if tile < 0 else f"{size(need)}, for the tile {instance.tile_ids[tile]}"),
    ]


def _problem_rows(problem: Problem | None) -> list[tuple[str, str]]:
    if problem is None:
        return []
    model, dtype = problem.model, problem.dtype
    hardware = hardware_summary(problem.hardware)
    dims = ", ".join(f"{name} {value:,}" for name, value in model.sizes().items() if name != "layers")
    sequences = "" if problem.batch == 1 else f" in each of {problem.batch:,} sequences"
    return [
        ("model", f"{model.name}: {model.layers} layers, {dims}"),
        ("hardware", f"{problem.hardware.name}: {problem.hardware.clock_ghz:g} GHz"),
        ("cores", str(hardware["cores"])),
        ("memories", str(hardware["memories"])),
        ("channels", str(hardware["channels"])),
        ("tokens", whole(problem.seq_len) + sequences),
        ("layers", f"{problem.layers:,} of {model.layers:,}"),
        ("scope", f"{problem.scope}, {problem.form} form, initial state: {problem.initial_state}"),
        ("bytes each", f"weights {dtype.weights}, activations {dtype.activations}, state {dtype.state}"),
    ]


def _few(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{names[0]}, {names[1]}, ... {names[-1]}"


def _operator_table(instance: Instance) -> Table:
    table = columns("operator", "tiles>", "work>", "MACs>", "others>", "weights>", "data>", "ops/B>", "floor>")
    table.collapse_padding = True  # so many columns only just fit a terminal
    records = operator_records(instance)
    for record in records[:_MOST_OPERATORS]:
        name, tiles, work, macs, others, weights, reads, writes, intensity, floor = record.values()
        table.add_row(
            str(name),
            whole(_int(tiles)),
            whole(_int(work)),
            short(_int(macs)),
            short(_int(others)),
            size(_int(weights) or None),
            size((_int(reads) or 0) + (_int(writes) or 0) or None),
            f"{intensity:.3g}" if isinstance(intensity, float) else "-",
            whole(_int(floor)),
        )
    if len(records) > _MOST_OPERATORS:
        table.add_row(f"... {len(records) - _MOST_OPERATORS} more")
    return table


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None


_OPERATORS = (
    "operators (work: cycles of the tiles on the fastest core; MACs and other operations; bytes of weights and of all "
    "else, a shared tensor once; operations per byte, a MAC being two; floor: cycles of the operator on its own)"
)
_MOST_OPERATORS = 40  # a job shop has as many as it has jobs
