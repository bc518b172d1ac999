"""`execute`: a schedule run with numpy, event after event."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.errors import ExecutionError
from ssmopt.execute.arrays import Part, input_parts, make_arrays, output_parts
from ssmopt.execute.blocks import Array, common, inside, shape
from ssmopt.execute.machine import Machine
from ssmopt.execute.program import Program
from ssmopt.instance import DRAM, Instance
from ssmopt.schedule import Schedule
from ssmopt.workload.counts import Counts
from ssmopt.workload.graph import problem_graph


@dataclass(frozen=True, eq=False)
class Execution:
    """What running a schedule gave.

    Attributes
    ----------
    arrays
        What it started from, by the names of `ssmopt.execute.arrays`.
    outputs
        What was in DRAM at the end: ``out`` (``y`` for the state update alone), ``h_final``, ``x_branch_final``.
    counts
        Per operator: work done, and bytes of all accesses of all tiles, partial sums included.
    distinct
        The same work, with each element that several tiles access counted once, and partial sums as written.
    """

    arrays: Mapping[str, Array]
    outputs: Mapping[str, Array]
    counts: Mapping[str, Counts]
    distinct: Mapping[str, Counts]


def execute(
    instance: Instance,
    schedule: Schedule,
    *,
    weights: Mapping[str, Array] | None = None,
    seed: int = 0,
    dtype: npt.DTypeLike = np.float64,
    on_progress: Callable[[int, int], None] | None = None,
) -> Execution:
    """Compute the model by running a schedule: tiles find only what the schedule has put into their memory by then.

    Capacities, durations and channels are not looked at; that is for `ssmopt.validate`.

    Parameters
    ----------
    instance
        Tiles of a problem.
    schedule
        A schedule of them.
    weights
        Arrays to start from (weights, input, initial states), by the names of `ssmopt.execute.arrays`; random ones for
        those that are missing.
    seed
        Seed of the random ones.
    dtype
        Type of all arrays.
    on_progress
        Called now and then with the number of events done and of all.

    Raises
    ------
    ExecutionError
        A tile or a transfer needs something that is not there, or an output is missing at the end.
    InputError
        The instance does not say what its tiles compute, or a given array cannot be used.
    """
    program = Program(instance, dtype)
    _check_rows(instance, schedule)
    graph = problem_graph(program.problem)
    arrays = make_arrays(program.problem, weights, seed=seed, dtype=dtype)
    machine = Machine(program, schedule, _initial_dram(program, arrays, input_parts(graph)))
    handlers, which, row = _events(schedule, machine)
    for done, (handler, number) in enumerate(zip(which, row, strict=True)):
        handlers[handler](number)
        if on_progress is not None and done % 256 == 0:
            on_progress(done, len(row))
    outputs = {name: _output(program, machine, part) for name, part in output_parts(graph).items()}
    return Execution(arrays, outputs, machine.tally.each(), machine.tally.distinct())


def relative_error(found: Array, expected: Array) -> float:
    """Largest difference, relative to the largest expected value; infinite or not a number if a value is."""
    if found.shape != expected.shape:
        return math.inf
    error = float(np.abs(found - expected).max(initial=0))
    largest = float(np.abs(expected).max(initial=0))
    return error / largest if largest else error


def _events(schedule: Schedule, machine: Machine) -> tuple[list[Callable[[int], None]], list[int], list[int]]:
    """Handlers; and for each event in the order of time the number of its handler, and its row.

    At equal times what ends comes first, and residencies enclose the tiles and transfers that they are for.
    """
    tiles, moves, stays = schedule.tiles, schedule.transfers, schedule.residencies
    kinds: list[tuple[Callable[[int], None], IntArray]] = [
        (machine.end_tile, tiles.end),
        (machine.end_transfer, moves.end),
        (machine.end_residency, stays.end),
        (machine.start_residency, stays.start),
        (machine.start_transfer, moves.start),
        (machine.start_tile, tiles.start),
    ]
    which = np.repeat(np.arange(len(kinds)), [len(time) for _, time in kinds])
    row = np.concatenate([np.arange(len(time)) for _, time in kinds])
    order = np.lexsort((which, np.concatenate([time for _, time in kinds])))
    return [handler for handler, _ in kinds], which[order].tolist(), row[order].tolist()


def _check_rows(instance: Instance, schedule: Schedule) -> None:
    """Refuse rows that make no sense in any order of time."""
    tiles, moves, stays = schedule.tiles, schedule.transfers, schedule.residencies
    for noun, table in (("tile", tiles), ("transfer", moves), ("residency", stays)):
        if (table.start >= table.end).any() or (table.start < 0).any():
            raise ExecutionError(f"a {noun} ends before it has begun, or begins before time 0")
    numbers = (
        (tiles.tile, 0, instance.n_tiles),
        (tiles.core, 0, instance.n_cores),
        (moves.tensor, 0, instance.n_tensors),
        (moves.source, DRAM, instance.n_memories),
        (moves.target, DRAM, instance.n_memories),
        (stays.tensor, 0, instance.n_tensors),
        (stays.memory, 0, instance.n_memories),
    )
    if any((column < low).any() or (column >= high).any() for column, low, high in numbers):
        raise ExecutionError("the schedule names a tile, tensor, core or memory that the instance does not have")
    times = np.bincount(tiles.tile, minlength=instance.n_tiles)
    if (times > 1).any():
        raise ExecutionError(f"tile {instance.tile_ids[int(np.argmax(times))]!r} runs more than once")


def _initial_dram(program: Program, arrays: Mapping[str, Array], parts: Mapping[str, Part]) -> dict[int, Array]:
    """Pieces that no tile makes, as views on the arrays."""
    of_tensor = {part.tensor.name: (part.box, arrays[name]) for name, part in parts.items()}
    dram = {}
    for piece in np.flatnonzero(~program.instance.produced).tolist():
        box, array = of_tensor[program.tensors[program.tensor_of[piece]].name]
        dram[piece] = array[inside(program.box(piece), box)]
    return dram


def _output(program: Program, machine: Machine, part: Part) -> Array:
    """An output put together from its pieces in DRAM; what lies before the tensor's beginning is zero."""
    output = np.zeros(shape(part.box), dtype=program.dtype)
    meta = program.instance.tensor_meta
    assert meta is not None
    for piece in np.flatnonzero(meta.name == meta.names.index(part.tensor.name)).tolist():
        shared = common(part.box, program.box(piece))
        if math.prod(shape(shared)):
            output[inside(shared, part.box)] = machine.in_dram(piece)[inside(shared, program.box(piece))]
    return output
