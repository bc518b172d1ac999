"""Schedules the prefill of state space models on tiled accelerators, and proves how good the schedule is."""

from importlib.metadata import PackageNotFoundError, version

from ssmopt.allocate import AllocationError, allocate
from ssmopt.build import build_instance, load_instance
from ssmopt.capacity import MinimumCapacity, minimum_capacity
from ssmopt.decode import Policy, decode
from ssmopt.errors import CapacityError, ExecutionError, InputError, SolverError, SsmoptError
from ssmopt.execute import Execution, execute
from ssmopt.experiments.compare import Comparison, compare
from ssmopt.experiments.sweep import SweepResult, monotone_in_memory, sweep
from ssmopt.explain import Explanation, explain
from ssmopt.exploration import Exploration, explore
from ssmopt.hardware import Hardware
from ssmopt.instance import Instance
from ssmopt.library import load_hardware, load_model, load_problem
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.result import Result
from ssmopt.schedule import Schedule
from ssmopt.solve import solve
from ssmopt.solvers import register_solver
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.validate import validate

try:
    __version__ = version("ssmopt")
except PackageNotFoundError:  # Run from a source tree that is not installed.
    __version__ = "0+unknown"

__all__ = [
    "AllocationError",
    "CapacityError",
    "Comparison",
    "Execution",
    "ExecutionError",
    "Explanation",
    "Exploration",
    "Hardware",
    "InputError",
    "Instance",
    "MinimumCapacity",
    "Model",
    "Policy",
    "Problem",
    "ProjectionTiling",
    "Result",
    "Schedule",
    "SolverError",
    "SsmoptError",
    "SweepResult",
    "Tiling",
    "__version__",
    "allocate",
    "build_instance",
    "compare",
    "decode",
    "execute",
    "explain",
    "explore",
    "load_hardware",
    "load_instance",
    "load_model",
    "load_problem",
    "minimum_capacity",
    "monotone_in_memory",
    "register_solver",
    "solve",
    "sweep",
    "validate",
]
