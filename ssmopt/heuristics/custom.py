"""Heuristics that users write: whatever a function returns becomes schedules, or one clear error."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from numbers import Integral

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.decode import Policy, decode
from ssmopt.errors import InputError, SolverError
from ssmopt.heuristics.base import Heuristic
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.validate import InvalidScheduleError, check

Function = Callable[[Instance], object]

_EXPECTED = "expected an order of tiles, an order and a Policy, a list of those, or a Schedule"


def custom_heuristic(name: str, summary: str, source: str, function: Function) -> Heuristic:
    """A heuristic around a user's function; see `ssmopt.solvers.register_solver`."""

    def schedules(instance: Instance) -> Iterator[Schedule]:
        try:
            answer = function(instance)
            if isinstance(answer, Iterator):
                answer = list(answer)
        except Exception as error:
            raise SolverError(f"solver {name!r} failed{_place(function, error)}: {_described(error)}") from error
        try:
            for answered in _answers(answer):
                yield _schedule(instance, answered, name)
        except InvalidScheduleError as error:
            raise SolverError(f"solver {name!r}: {error}") from None
        except InputError as error:
            raise SolverError(f"solver {name!r}: {error.message}") from None

    return Heuristic(name, summary, source, schedules, needs_meta=False, custom=True)


def _answers(answer: object) -> list[object]:
    """One order, plan or schedule each."""
    several = isinstance(answer, list) and not all(isinstance(entry, Integral) for entry in answer)
    if not several:
        return [answer]
    assert isinstance(answer, list)
    return answer


def _schedule(instance: Instance, answer: object, name: str) -> Schedule:
    """The valid schedule that an answer stands for."""
    if isinstance(answer, Schedule):
        schedule = replace(answer, solver=name)
        try:
            check(instance, schedule)
        except InvalidScheduleError:
            raise
        except Exception as error:
            raise InputError(f"its schedule cannot be read: {_described(error)}") from error
        return schedule
    policy: object = Policy()
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], Policy | None):
        answer, policy = answer
    assert isinstance(policy, Policy | None)
    return decode(instance, _order(answer), _checked(instance, policy), solver=name)


def _order(answer: object) -> IntArray:
    if not isinstance(answer, np.ndarray | list | tuple | range):
        raise InputError(f"{_EXPECTED}, not {type(answer).__name__}")
    try:
        order = np.asarray(answer)
    except ValueError:  # rows of different lengths
        raise InputError(f"{_EXPECTED}, not nested lists") from None
    if order.ndim != 1 or not (len(order) == 0 or np.issubdtype(order.dtype, np.integer)):
        raise InputError(f"{_EXPECTED}; an order has one dimension and holds whole numbers, not {order.dtype}")
    return order.astype(np.int64)


def _checked(instance: Instance, policy: Policy | None) -> Policy | None:
    if policy is None or policy.groups is None:
        return policy
    groups = np.asarray(policy.groups)
    if groups.shape != (instance.n_tiles,):
        raise InputError(f"the policy's groups must have one entry per tile, {instance.n_tiles:,}, not {groups.shape}")
    return replace(policy, groups=groups)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _place(function: Function, error: Exception) -> str:
    """Where in the user's own file an exception passed, innermost last."""
    code = getattr(function, "__code__", None)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if code and frame.filename == code.co_filename
    ]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
