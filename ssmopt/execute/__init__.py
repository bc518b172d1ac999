"""Runs schedules with numpy, so that what they compute can be compared with the model."""

from ssmopt.execute.arrays import input_shapes, make_arrays
from ssmopt.execute.execution import Execution, execute, relative_error
from ssmopt.execute.reference import reference

__all__ = ["Execution", "execute", "input_shapes", "make_arrays", "reference", "relative_error"]
