"""A periodic schedule: one iteration of a loop in times of its own, a period, and what happens only once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.errors import InputError
from ssmopt.loop import BoolArray, Loop
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable

Table = TypeVar("Table", TileTable, TransferTable, ResidencyTable)


def _zeros(table: TileTable | TransferTable | ResidencyTable) -> IntArray:
    return np.zeros(len(table), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Once:
    """Rows that happen once. Tiles and tensors are those of the loop's body; ``*_iteration`` says of which iteration.

    In a prologue, times and iterations count from 0. In an epilogue, times count from ``repeats * period`` and
    iterations from ``repeats``, so that the last iteration is -1. That of a shared tensor may be any.
    """

    tiles: TileTable
    tile_iteration: IntArray
    transfers: TransferTable
    transfer_iteration: IntArray
    residencies: ResidencyTable
    residency_iteration: IntArray

    def __post_init__(self) -> None:
        _check_lengths(self.tiles, self.tile_iteration)
        _check_lengths(self.transfers, self.transfer_iteration)
        _check_lengths(self.residencies, self.residency_iteration)

    @staticmethod
    def empty() -> Once:
        """Nothing."""
        none = np.zeros(0, dtype=np.int64)
        tiles = TileTable(none, none, none, none)
        return Once(tiles, none, TransferTable.empty(), none, ResidencyTable.empty(), none)


@dataclass(frozen=True, eq=False)
class Body:
    """Rows that repeat with every iteration.

    Times are those of iteration 0, and ``period`` later with each further one; they may exceed the period, and may be
    negative where iteration 0 has no such row. A tensor is that of the body in the row's iteration: a carried one is
    its source in an earlier iteration, or the initial state.

    Attributes
    ----------
    tiles, transfers, residencies
        Tables whose indices refer to the loop's body.
    tile_skip, transfer_skip, residency_skip
        Shape (rows, 2): so many of the first and of the last iterations lack the row.
    """

    tiles: TileTable
    tile_skip: IntArray
    transfers: TransferTable
    transfer_skip: IntArray
    residencies: ResidencyTable
    residency_skip: IntArray

    def __post_init__(self) -> None:
        for table, skip in (
            (self.tiles, self.tile_skip),
            (self.transfers, self.transfer_skip),
            (self.residencies, self.residency_skip),
        ):
            if skip.shape != (len(table), 2):
                raise ValueError("expected two numbers of skipped iterations for each row")
            if len(skip) and skip.min() < 0:
                raise ValueError("numbers of skipped iterations must not be negative")

    @staticmethod
    def of(tiles: TileTable, transfers: TransferTable, residencies: ResidencyTable) -> Body:
        """Rows that no iteration lacks."""
        skips = [np.zeros((len(table), 2), dtype=np.int64) for table in (tiles, transfers, residencies)]
        return Body(tiles, skips[0], transfers, skips[1], residencies, skips[2])


@dataclass(frozen=True, eq=False)
class PeriodicSchedule:
    """A schedule of any number of iterations of a loop in closed form.

    Attributes
    ----------
    prologue
        What happens once at the beginning.
    body
        What happens in every iteration, but for those that a row skips.
    epilogue
        What happens once at the end.
    lasting
        Residencies of shared tensors over all iterations: ``start`` counts from 0 and ``end`` from
        ``repeats * period``. (In files they are rows of the prologue.)
    period
        Cycles from an iteration to the next.
    repeats
        Number of iterations.
    fewest_repeats
        Least number of iterations that the schedule is made for: with fewer, prologue and epilogue would meet.
    solver
        Name of what made the schedule.
    """

    prologue: Once
    body: Body
    epilogue: Once
    lasting: ResidencyTable
    period: int
    repeats: int
    fewest_repeats: int = 1
    solver: str = "unknown"

    def __post_init__(self) -> None:
        if self.period < 1:
            raise InputError(f"expected at least 1 cycle, not {self.period}", key="period")
        if self.fewest_repeats < 1:
            raise InputError(f"expected at least 1 iteration, not {self.fewest_repeats}", key="fewest_repeats")
        if self.repeats < self.fewest_repeats:
            raise InputError(
                f"this schedule is for {self.fewest_repeats} iterations or more, not for {self.repeats}", key="repeats"
            )

    def with_repeats(self, repeats: int) -> PeriodicSchedule:
        """The same schedule of another number of iterations.

        Raises
        ------
        InputError
            Fewer iterations than ``fewest_repeats``.
        """
        return replace(self, repeats=repeats)

    @property
    def makespan(self) -> int:
        """End of the last tile or transfer, in cycles, without expanding anything."""
        last = 0
        for once, origin in ((self.prologue, 0), (self.epilogue, self.repeats * self.period)):
            for table in (once.tiles, once.transfers):
                if len(table):
                    last = max(last, origin + int(table.end.max()))
        body = self.body
        for ends, skip in ((body.tiles.end, body.tile_skip), (body.transfers.end, body.transfer_skip)):
            happens = skip.sum(axis=1) < self.repeats
            if happens.any():
                final = self.repeats - 1 - skip[happens, 1]
                last = max(last, int((ends[happens] + final * self.period).max()))
        return last

    def dram_bytes(self, tensor_bytes: IntArray) -> int:
        """Bytes that cross the boundary of DRAM, both ways, given the bytes of each tensor of the body."""
        total = 0
        for once in (self.prologue, self.epilogue):
            total += int(tensor_bytes[once.transfers.tensor[_off_chip(once.transfers)]].sum())
        moves = self.body.transfers
        times = np.maximum(self.repeats - self.body.transfer_skip.sum(axis=1), 0)
        return total + int((tensor_bytes[moves.tensor] * times * _off_chip(moves)).sum())

    def __repr__(self) -> str:
        return (
            f"PeriodicSchedule({self.solver}: {self.repeats:,} iterations, one every {self.period:,} cycles, "
            f"makespan {self.makespan:,} cycles)"
        )


def expand(loop: Loop, periodic: PeriodicSchedule) -> Schedule:
    """The ordinary schedule of `ssmopt.loop.expand_loop` of the loop, with every row written out.

    Raises
    ------
    InputError
        A row is of an iteration that does not exist.
    """
    pieces = list(expand_pieces(loop, periodic, periodic.repeats))
    return Schedule(
        tiles=_joined([piece.tiles for piece in pieces]),
        transfers=_joined([piece.transfers for piece in pieces]),
        residencies=_joined([piece.residencies for piece in pieces]),
        makespan=periodic.makespan,
        solver=periodic.solver,
    )


def expand_pieces(loop: Loop, periodic: PeriodicSchedule, iterations: int) -> Iterator[Schedule]:
    """The rows of the expanded schedule, piece by piece: what happens once, then so many iterations at a time.

    Each piece has the makespan of the whole.

    Raises
    ------
    InputError
        A row is of an iteration that does not exist.
    """
    repeats, makespan = periodic.repeats, periodic.makespan
    end = repeats * periodic.period
    lasting = replace(periodic.lasting, end=periodic.lasting.end + end)
    once = [
        _once(loop, periodic.prologue, repeats, 0, 0, "prologue"),
        _once(loop, periodic.epilogue, repeats, repeats, end, "epilogue"),
    ]
    long_lived = _placed(loop, lasting, _zeros(lasting), _zeros(lasting), repeats)
    yield Schedule(
        tiles=_joined([tiles for tiles, _, _ in once]),
        transfers=_joined([transfers for _, transfers, _ in once]),
        residencies=_joined([*(residencies for _, _, residencies in once), long_lived]),
        makespan=makespan,
        solver=periodic.solver,
    )
    body = periodic.body
    for first in range(0, repeats, iterations):
        span = np.arange(first, min(first + iterations, repeats), dtype=np.int64)
        yield Schedule(
            tiles=_repeated(loop, body.tiles, body.tile_skip, span, periodic),
            transfers=_repeated(loop, body.transfers, body.transfer_skip, span, periodic),
            residencies=_repeated(loop, body.residencies, body.residency_skip, span, periodic),
            makespan=makespan,
            solver=periodic.solver,
        )


def _once(
    loop: Loop, once: Once, repeats: int, first: int, origin: int, where: str
) -> tuple[TileTable, TransferTable, ResidencyTable]:
    """Rows of a prologue or epilogue in iterations and times of the whole."""
    for iteration in (once.tile_iteration, once.transfer_iteration, once.residency_iteration):
        wrong = (iteration + first < 0) | (iteration + first >= repeats)
        if wrong.any():
            number = int(iteration[np.argmax(wrong)])
            raise InputError(f"the {where} has a row of iteration {number}, but there are {repeats} iterations")
    return (
        _placed(loop, once.tiles, once.tile_iteration + first, _zeros(once.tiles) + origin, repeats),
        _placed(loop, once.transfers, once.transfer_iteration + first, _zeros(once.transfers) + origin, repeats),
        _placed(loop, once.residencies, once.residency_iteration + first, _zeros(once.residencies) + origin, repeats),
    )


def _repeated(loop: Loop, table: Table, skip: IntArray, span: IntArray, periodic: PeriodicSchedule) -> Table:
    """Rows of the body in some iterations, iteration by iteration."""
    here = (span[:, None] >= skip[None, :, 0]) & (span[:, None] < periodic.repeats - skip[None, :, 1])
    which, row = np.nonzero(here)
    chosen = replace(table, **{name: column[row] for name, column in vars(table).items() if column is not None})
    iteration = span[which]
    return _placed(loop, chosen, iteration, iteration * periodic.period, periodic.repeats)


def _placed(loop: Loop, table: Table, iteration: IntArray, delay: IntArray, repeats: int) -> Table:
    """Rows with the indices of the expanded instance, and later by ``delay``."""
    columns = {"start": table.start + delay, "end": table.end + delay}
    if isinstance(table, TileTable):
        columns["tile"] = loop.tile_index(table.tile, iteration)
    else:
        columns["tensor"] = loop.tensor_index(table.tensor, iteration, repeats)
    return replace(table, **columns)


def _joined(tables: list[Table]) -> Table:
    columns = {name for name, column in vars(tables[0]).items() if column is not None}
    return replace(tables[0], **{name: np.concatenate([getattr(t, name) for t in tables]) for name in columns})


def _off_chip(moves: TransferTable) -> BoolArray:
    return (moves.source < 0) | (moves.target < 0)


def _check_lengths(table: TileTable | TransferTable | ResidencyTable, iteration: IntArray) -> None:
    if len(table) != len(iteration):
        raise ValueError("expected one iteration for each row")
