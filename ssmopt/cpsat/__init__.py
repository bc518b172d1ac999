"""The exact CP-SAT model of a tile instance whose tensors live in one memory."""

from ssmopt.cpsat.search import CpOutcome, ExactModel, build_model, everything_fits, relaxed_bound, solve_exact

__all__ = ["CpOutcome", "ExactModel", "build_model", "everything_fits", "relaxed_bound", "solve_exact"]
