"""From an order of tiles and a residency policy to a schedule.

Two steps: in *position* space (`retention`) it is decided which tensor is resident from which position of the order
to which, what is dropped and loaded again, and how far ahead each load may run; in *time* space (`timing`) every tile
and transfer gets its start. Heuristics, warm starts and searches all go through `decode`.
"""

from ssmopt.decode.decoder import decode, decode_below, decode_work, working_memories
from ssmopt.decode.policy import Policy

__all__ = ["Policy", "decode", "decode_below", "decode_work", "working_memories"]
