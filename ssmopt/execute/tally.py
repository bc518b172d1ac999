"""Counts of the arrays that tiles really read and write."""

from __future__ import annotations

from ssmopt.execute.blocks import Array
from ssmopt.execute.program import Program
from ssmopt.instance import WEIGHT
from ssmopt.workload.counts import Counts


class Tally:
    """Bytes that tiles access, by operator; an element has the bytes that the problem says, not the array's.

    Parameters
    ----------
    program
        What the tiles compute.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._accesses = [_Accesses() for _ in program.operators]
        self._is_weight = (program.instance.tensor_kind == WEIGHT).tolist()

    def read(self, tile: int, piece: int, array: Array) -> None:
        """A tile reads an operand."""
        n_bytes = self._bytes(piece, array)
        accesses = self._accesses[self._program.operator_of[tile]]
        accesses.add("weight" if self._is_weight[piece] else "read", piece, n_bytes)

    def write(self, tile: int, piece: int, array: Array, *, continues: bool) -> None:
        """A tile writes a result; where it continues a partial sum it reads that, too."""
        n_bytes = self._bytes(piece, array)
        accesses = self._accesses[self._program.operator_of[tile]]
        accesses.add("written", piece, n_bytes)
        if continues:
            accesses.every["read"] += n_bytes

    def each(self) -> dict[str, Counts]:
        """Per operator, all accesses of all tiles."""
        return self._counts(distinct=False)

    def distinct(self) -> dict[str, Counts]:
        """Per operator, each element read once and written once however often tiles do."""
        return self._counts(distinct=True)

    def _counts(self, *, distinct: bool) -> dict[str, Counts]:
        result = {}
        for operator, done, accesses in zip(
            self._program.operators, self._program.arithmetic, self._accesses, strict=True
        ):
            n_bytes = accesses.once if distinct else accesses.every
            result[operator.name] = Counts(
                done.macs, done.operations, n_bytes["weight"], n_bytes["read"], n_bytes["written"]
            )
        return result

    def _bytes(self, piece: int, array: Array) -> int:
        tensor = self._program.tensors[self._program.tensor_of[piece]]
        return array.size * tensor.element_bytes


class _Accesses:
    """Bytes accessed by the tiles of an operator: by every one of them, and the first time only."""

    def __init__(self) -> None:
        self.every = {"weight": 0, "read": 0, "written": 0}
        self.once = dict(self.every)
        self._seen: set[tuple[str, int]] = set()

    def add(self, how: str, piece: int, n_bytes: int) -> None:
        """Count an access."""
        self.every[how] += n_bytes
        if (how, piece) not in self._seen:
            self._seen.add((how, piece))
            self.once[how] += n_bytes
