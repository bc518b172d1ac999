"""Choose a tiling by decoding depth-first schedules of candidates."""

from ssmopt.autotile.search import TilingChoice, choose_tiling

__all__ = ["TilingChoice", "choose_tiling"]
