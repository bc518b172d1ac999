"""Which split of a chip's area between SRAM and processing elements is the fastest, and how sure that is."""

from ssmopt.exploration.explore import explore
from ssmopt.exploration.result import Exploration

__all__ = ["Exploration", "explore"]
