"""Names of many tiles or tensors without one Python string each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Ids:
    """Ids ``<stem>.<i>.<j>...``, or with another separator, written out only when somebody asks.

    Parameters
    ----------
    stems
        The distinct first parts, such as operator names.
    stem
        Shape (n,): index into ``stems``.
    index
        Shape (n, k): the numbers after the stem; negative ones are left out.
    separator
        What comes before each number.
    """

    stems: tuple[str, ...]
    stem: npt.NDArray[np.int32]
    index: npt.NDArray[np.int32]
    separator: str = "."

    @staticmethod
    def of(names: Sequence[str]) -> Ids:
        """Ids that are plain given names."""
        return Ids(tuple(names), np.arange(len(names), dtype=np.int32), np.zeros((len(names), 0), dtype=np.int32))

    def __len__(self) -> int:
        return len(self.stem)

    def __getitem__(self, position: int) -> str:
        return self.separator.join([self.stems[self.stem[position]], *(str(i) for i in self.index[position] if i >= 0)])

    def __iter__(self) -> Iterator[str]:
        return iter(self.all)

    @cached_property
    def all(self) -> list[str]:
        """Every id, in order."""
        names = [self.stems[s] for s in self.stem.tolist()]
        for column in self.index.T.tolist():
            names = [n if i < 0 else f"{n}{self.separator}{i}" for n, i in zip(names, column, strict=True)]
        return names

    @cached_property
    def lookup(self) -> dict[str, int]:
        """Position of each id."""
        return {name: position for position, name in enumerate(self.all)}
