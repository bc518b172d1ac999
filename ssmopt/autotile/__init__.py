"""Choose a tiling by decoding depth-first schedules of candidates."""

from ssmopt.autotile.candidates import TilingChoice
from ssmopt.autotile.choice import choose_tiling

__all__ = ["TilingChoice", "choose_tiling"]
