"""Choose a tiling by decoding depth-first schedules of candidates."""

from ssmopt.autotile.choice import choose_tiling
from ssmopt.autotile.search import TilingChoice

__all__ = ["TilingChoice", "choose_tiling"]
