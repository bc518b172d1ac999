"""What the decoder keeps on chip, and how it uses the room that is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssmopt.csr import IntArray


@dataclass(frozen=True, eq=False)
class Policy:
    """How residencies are decided.

    Attributes
    ----------
    groups
        Shape (tiles,), or None: a tensor is dropped (stored first if DRAM has no copy) between two consecutive uses
        by tiles of different groups. None keeps everything that fits.
    kept
        Shape (tensors,), or None: tensors that groups do not concern.
    memories
        Shape (tiles,), or None: the memory that each tile runs in, on machines where several hold tensors. None lets
        every tile run where it ends first. Amounts of bytes hold for each memory.
    window
        How many positions a load may be ahead of its first use, and a store give way to others behind its last; None
        for as far as there is room.
    reserve_bytes
        Room that is not filled with kept tensors, so that loads can run ahead of their use.
    deferred_store_bytes
        Stores of outputs, latest first and up to this many bytes together, may wait until the very end: they then
        fill the channel while the last tiles compute.
    prefetch
        Whether loads may run ahead of the tile before their first use.
    """

    groups: IntArray | None = None
    reserve_bytes: int = 0
    deferred_store_bytes: int = 0
    prefetch: bool = True
    kept: npt.NDArray[np.bool_] | None = None
    window: int | None = None
    memories: IntArray | None = None
