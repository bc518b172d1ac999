"""Large neighbourhood search: change a part of the best schedule, keep the rest, and see whether it gets shorter."""

from ssmopt.neighbourhood.parameters import Parameters
from ssmopt.neighbourhood.search import NeighbourhoodSearch

__all__ = ["NeighbourhoodSearch", "Parameters"]
