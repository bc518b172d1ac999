"""Which channels join DRAM and memories, and memories with each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray
from ssmopt.errors import InputError
from ssmopt.instance import DRAM, Instance


@dataclass(frozen=True, eq=False)
class Links:
    """Channels between places.

    Attributes
    ----------
    of_dram
        Per memory: the channels that join it with DRAM.
    linked
        Shape (memories, memories): whether some channel joins two different memories.
    """

    of_dram: tuple[tuple[int, ...], ...]
    linked: npt.NDArray[np.bool_]
    instance: Instance

    @staticmethod
    def of(instance: Instance) -> Links:
        """The links of an instance."""
        n = instance.n_memories
        linked = np.zeros((n, n), dtype=np.bool_)
        for ends in instance.channel_connects:
            memories = np.array([end for end in ends if end != DRAM], dtype=np.int64)
            linked[np.ix_(memories, memories)] = True
        np.fill_diagonal(linked, False)
        of_dram = tuple(
            tuple(c for c, ends in enumerate(instance.channel_connects) if DRAM in ends and memory in ends)
            for memory in range(n)
        )
        return Links(of_dram, linked, instance)

    def between(self, source: int, target: int) -> tuple[int, ...]:
        """Channels that join two memories: those that do not lead to DRAM, which has enough to do, if there are any."""
        both = [c for c, ends in enumerate(self.instance.channel_connects) if source in ends and target in ends]
        apart = [c for c in both if DRAM not in self.instance.channel_connects[c]]
        return tuple(apart or both)

    def check(self, used: IntArray) -> None:
        """Raise `InputError` unless every memory in use has a channel to DRAM."""
        for memory in used.tolist():
            if not self.of_dram[memory]:
                raise InputError(f"no channel connects DRAM and memory {self.instance.memory_ids[memory]!r}")
