"""The exact CP-SAT model of a tile instance whose tensors live in one memory."""

from ssmopt.cpsat.search import CpOutcome, ExactModel, build_model, everything_fits, relaxed_bound, solve_exact
from ssmopt.cpsat.second import solve_second

__all__ = [
    "CpOutcome",
    "ExactModel",
    "build_model",
    "everything_fits",
    "relaxed_bound",
    "solve_exact",
    "solve_second",
]
