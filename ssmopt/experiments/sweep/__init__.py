"""Sweeps: every combination of some parameters' values, solved in parallel, resumable, as one table."""

from ssmopt.experiments.sweep.executors import dask_executor
from ssmopt.experiments.sweep.frame import SweepResult
from ssmopt.experiments.sweep.monotone import monotone_in_memory
from ssmopt.experiments.sweep.points import points_of
from ssmopt.experiments.sweep.progress import SweepProgress
from ssmopt.experiments.sweep.run import read_results, run_sweep, sweep
from ssmopt.experiments.sweep.spec import SweepSpec, make_sweep, read_sweep

__all__ = [
    "SweepProgress",
    "SweepResult",
    "SweepSpec",
    "dask_executor",
    "make_sweep",
    "monotone_in_memory",
    "points_of",
    "read_results",
    "read_sweep",
    "run_sweep",
    "sweep",
]
