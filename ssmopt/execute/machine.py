"""The accelerator: memories that hold arrays, and what transfers and tiles do to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ssmopt.errors import ExecutionError
from ssmopt.execute.blocks import Array
from ssmopt.execute.program import Program
from ssmopt.execute.tally import Tally
from ssmopt.instance import DRAM, OUTPUT
from ssmopt.schedule import Schedule


@dataclass(eq=False)
class _Copy:
    """A tensor in a memory.

    Attributes
    ----------
    data
        None until the load, move or tile that brings it has ended.
    additions
        How many tiles had added to it when it was made.
    """

    data: Array | None = None
    additions: int = 0


class Machine:
    """Runs the rows of a schedule; whoever calls it sees to the order in time.

    A copy of a partial sum counts its additions, so that an addition makes all other copies old without touching them.

    Parameters
    ----------
    program
        What the tiles compute.
    schedule
        The rows.
    dram
        Tensors that are in DRAM at time 0.
    """

    def __init__(self, program: Program, schedule: Schedule, dram: Mapping[int, Array]) -> None:
        instance = program.instance
        self.program = program
        self.tally = Tally(program)
        self._tensor_ids, self._tile_ids = instance.tensor_ids, instance.tile_ids
        self._names = [*instance.memory_ids, "dram"]
        # DRAM has index -1, and so is the last one here, too.
        self._memories: list[dict[int, _Copy]] = [{} for _ in self._names]
        self._memories[DRAM].update((tensor, _Copy(array)) for tensor, array in dram.items())
        self._reads, self._writes = instance.inputs.lists(), instance.writes.lists()
        self._adders = np.bincount(instance.accumulates.indices, minlength=instance.n_tensors).tolist()
        self._started = [0] * instance.n_tensors
        loads = schedule.transfers.tensor[schedule.transfers.source == DRAM]
        self._loads_left = np.bincount(loads, minlength=instance.n_tensors).tolist()
        self._stays_in_dram = ((instance.tensor_kind == OUTPUT) | ~instance.produced).tolist()
        self._of_core = instance.core_memory.tolist()
        self._running: dict[int, dict[int, _Copy]] = {}
        self._moving: dict[int, tuple[_Copy, int]] = {}
        self._tiles = tuple(c.tolist() for c in (schedule.tiles.tile, schedule.tiles.core))
        moves = schedule.transfers
        self._transfers = tuple(c.tolist() for c in (moves.tensor, moves.source, moves.target))
        stays = schedule.residencies
        self._residencies = tuple(c.tolist() for c in (stays.tensor, stays.memory))

    def start_residency(self, row: int) -> None:
        """Make room for a tensor."""
        tensor, memory = (column[row] for column in self._residencies)
        if tensor in self._memories[memory]:
            raise ExecutionError(f"{self._what(tensor)} is in {self._names[memory]} already when its residency begins")
        self._memories[memory][tensor] = _Copy()

    def end_residency(self, row: int) -> None:
        """Drop a tensor."""
        tensor, memory = (column[row] for column in self._residencies)
        del self._memories[memory][tensor]

    def start_transfer(self, row: int) -> None:
        """Find what is to be transferred."""
        tensor, source, target = (column[row] for column in self._transfers)
        who = self._transfer(row)
        copy = self._current(who, tensor, source)
        self._moving[row] = copy, copy.additions
        if target != DRAM:
            self._room(who, tensor, target)

    def end_transfer(self, row: int) -> None:
        """Make the copy, if what is transferred was there and current all the time."""
        tensor, source, target = (column[row] for column in self._transfers)
        who = self._transfer(row)
        copy, additions = self._moving.pop(row)
        if self._current(who, tensor, source) is not copy or copy.additions != additions:
            raise ExecutionError(f"{who} lost {self._what(tensor)} before it was done")
        assert copy.data is not None
        if source == DRAM:
            self._loads_left[tensor] -= 1
        arrived = (
            self._memories[target].setdefault(tensor, _Copy()) if target == DRAM else self._room(who, tensor, target)
        )
        if arrived.data is None or arrived.additions < additions:
            arrived.data, arrived.additions = copy.data.copy(), additions
        # What no load will ask for again need not be kept: simulated DRAM would fill this computer's memory.
        if not self._loads_left[tensor] and not self._stays_in_dram[tensor]:
            self._memories[DRAM].pop(tensor, None)

    def start_tile(self, row: int) -> None:
        """Find the operands of a tile, and what it adds to; and room for what it produces."""
        tile, core = (column[row] for column in self._tiles)
        memory = self._of_core[core]
        who = f"tile {self._tile_ids[tile]!r}"
        held = {}
        for tensor in self._reads[tile]:
            held[tensor] = self._current(who, tensor, memory)
            if held[tensor].additions < self._adders[tensor]:
                raise ExecutionError(f"{who} reads {self._what(tensor)} before all have added to it")
        for tensor in self._writes[tile]:
            held[tensor] = self._room(who, tensor, memory)
            if self._started[tensor]:
                self._current(who, tensor, memory)
        for tensor in self._writes[tile]:
            if self._adders[tensor]:
                self._started[tensor] += 1
        self._running[row] = held

    def end_tile(self, row: int) -> None:
        """Compute a tile, if all of it was there all the time; its results appear now."""
        tile, core = (column[row] for column in self._tiles)
        memory = self._memories[self._of_core[core]]
        who = f"tile {self._tile_ids[tile]!r}"
        held = self._running.pop(row)
        for tensor, copy in held.items():
            if memory.get(tensor) is not copy:
                raise ExecutionError(f"{who} lost {self._what(tensor)} before it was done")
        inputs: dict[int, Array] = {}
        for tensor in self._reads[tile]:
            data = held[tensor].data
            assert data is not None
            inputs[tensor] = data
            self.tally.read(tile, tensor, data)
        for tensor, made in self.program.compute(tile, inputs).items():
            copy = held[tensor]
            self.tally.write(tile, tensor, made, continues=copy.data is not None)
            copy.data = made if copy.data is None else copy.data + made
            copy.additions = self._started[tensor]

    def in_dram(self, tensor: int) -> Array:
        """The finished tensor in DRAM."""
        copy = self._current("the end of the schedule", tensor, DRAM)
        if copy.additions < self._adders[tensor]:
            raise ExecutionError(f"not all have added to {self._what(tensor)} by the end of the schedule")
        assert copy.data is not None
        return copy.data

    def _current(self, who: str, tensor: int, memory: int) -> _Copy:
        """A copy that has arrived and is not an old partial sum."""
        copy = self._memories[memory].get(tensor)
        place = self._names[memory]
        if copy is None:
            raise ExecutionError(f"{who} needs {self._what(tensor)}, which is not in {place}")
        if copy.data is None:
            raise ExecutionError(f"{who} needs {self._what(tensor)}, which has not arrived in {place}")
        if copy.additions < self._started[tensor]:
            raise ExecutionError(f"{who} needs {self._what(tensor)}, of which {place} has an old partial sum")
        return copy

    def _room(self, who: str, tensor: int, memory: int) -> _Copy:
        """The copy that a transfer or a tile is going to fill."""
        copy = self._memories[memory].get(tensor)
        if copy is None:
            raise ExecutionError(f"{who} finds no room for {self._what(tensor)} in {self._names[memory]}")
        return copy

    def _what(self, tensor: int) -> str:
        return f"tensor {self._tensor_ids[tensor]!r}"

    def _transfer(self, row: int) -> str:
        tensor, source, target = (column[row] for column in self._transfers)
        return f"the transfer of {self._tensor_ids[tensor]!r} from {self._names[source]} to {self._names[target]}"
