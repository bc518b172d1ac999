"""Exact modulo scheduling of small loops."""

from ssmopt.periodic.bounds import length_bound, period_bounds
from ssmopt.periodic.search import PeriodicResult, schedule_loop

__all__ = ["PeriodicResult", "length_bound", "period_bounds", "schedule_loop"]
