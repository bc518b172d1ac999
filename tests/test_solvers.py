"""Solvers that users register: listed, run and compared like any other, and their mistakes said in one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from random_instances import random_instance

import ssmopt
from ssmopt import solvers
from ssmopt.errors import InputError, SolverError
from ssmopt.plugins import load_plugin
from ssmopt.validate import validate

SEED = 9  # four tiles, two of which wait for others


pytestmark = pytest.mark.usefixtures("forget")


def in_order(instance: ssmopt.Instance) -> object:
    """Tiles by their number."""
    return instance.topological_order


def finished(instance: ssmopt.Instance) -> ssmopt.Schedule:
    return ssmopt.decode(instance, instance.topological_order, solver="somebody else")


ANSWERS: dict[str, Callable[[ssmopt.Instance], object]] = {
    "an array": in_order,
    "a list": lambda instance: instance.topological_order.tolist(),
    "a tuple": lambda instance: tuple(instance.topological_order.tolist()),
    "with a policy": lambda instance: (instance.topological_order, ssmopt.Policy(prefetch=False)),
    "without a policy": lambda instance: (instance.topological_order.tolist(), None),
    "several": lambda instance: [in_order(instance), (in_order(instance), ssmopt.Policy(prefetch=False))],
    "one after another": lambda instance: iter([in_order(instance), finished(instance)]),
    "a schedule": finished,
    "small integers": lambda instance: instance.topological_order.astype(np.int8),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_a_function_may_return_becomes_a_valid_schedule(answer: str) -> None:
    ssmopt.register_solver("mine")(ANSWERS[answer])
    instance = random_instance(SEED)
    result = ssmopt.solve(instance, solver="mine", time_limit=5)
    assert result.schedule is not None
    assert result.schedule.solver == "mine"
    assert validate(instance, result.schedule) == []
    if answer != "with a policy" and answer != "without a policy":
        assert result.makespan == finished(instance).makespan


def test_the_best_of_several_counts() -> None:
    instance = ssmopt.build_instance("mamba-tiny", "tiny", 4, tiling=ssmopt.Tiling(tokens=2))
    choices = [ssmopt.Policy(prefetch=False), ssmopt.Policy()]
    makespans = [ssmopt.decode(instance, instance.topological_order, policy).makespan for policy in choices]
    assert len(set(makespans)) == 2
    for plans in (choices, choices[::-1]):
        ssmopt.register_solver("mine")(lambda instance, plans=plans: [(in_order(instance), p) for p in plans])
        assert ssmopt.solve(instance, solver="mine").makespan == min(makespans)


def test_it_is_listed_with_its_summary_and_source() -> None:
    assert ssmopt.register_solver("mine", source="me")(in_order) is in_order
    assert solvers.SOLVERS["mine"] == solvers.SolverInfo("mine", "Tiles by their number.", "me")
    ssmopt.register_solver("mine", summary="again")(in_order)
    assert solvers.SOLVERS["mine"].summary == "again"
    for taken in ("auto", "cpsat", "heft"):
        with pytest.raises(InputError, match=f"already a solver called '{taken}'"):
            ssmopt.register_solver(taken)
    with pytest.raises(InputError, match="needs a name"):
        ssmopt.register_solver(" ")


def test_it_has_a_row_beside_the_others_and_is_where_cpsat_starts() -> None:
    instance = random_instance(SEED)
    best = ssmopt.solve(instance, solver="cpsat", time_limit=5)
    ssmopt.register_solver("mine")(lambda _: best.schedule)
    comparison = ssmopt.compare(instance, time_limit=5)
    makespans = {row.result.solver: row.result.makespan for row in comparison.rows}
    assert set(makespans) == {"heft", "mine", "cpsat"}
    assert makespans["mine"] == makespans["cpsat"] == best.makespan
    assert comparison.failures == ()


def test_other_solvers_do_not_call_it() -> None:
    def fails(_: ssmopt.Instance) -> object:
        raise AssertionError

    ssmopt.register_solver("mine")(fails)
    assert ssmopt.solve(random_instance(SEED), time_limit=5).schedule is not None


def raises(instance: ssmopt.Instance) -> object:
    return instance.topological_order[instance.n_tiles]


def late(instance: ssmopt.Instance) -> ssmopt.Schedule:
    schedule = finished(instance)
    return dataclasses.replace(schedule, makespan=schedule.makespan + 1)


def unreadable(instance: ssmopt.Instance) -> ssmopt.Schedule:
    return dataclasses.replace(finished(instance), tiles=None)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (raises, r"solver 'mine' failed \(.*test_solvers.py:\d+\): IndexError: index \d+ is out of bounds"),
        (lambda i: in_order(i)[::-1], "solver 'mine': the order puts '.*' before '.*', whose result it reads"),
        (lambda i: in_order(i)[1:], "solver 'mine': an order must name every tile exactly once"),
        (lambda i: [*in_order(i)[1:], i.n_tiles], "an order must name every tile exactly once"),
        (lambda i: in_order(i) + 0.5, "holds whole numbers, not float64"),
        (lambda i: None, "expected an order of tiles, .*, not NoneType"),
        (lambda i: "order", "not str"),
        (lambda i: [[in_order(i)]], "one dimension"),
        (lambda i: [[[1], 2]], "not nested lists"),
        (lambda i: (in_order(i), ssmopt.Policy(groups=np.zeros(1, dtype=np.int64))), "one entry per tile"),
        (late, r"solver 'mine': the schedule is not feasible: V9"),
        (unreadable, "its schedule cannot be read: AttributeError"),
    ],
)
def test_mistakes_are_said_in_one_line_and_are_a_failed_row(
    function: Callable[[ssmopt.Instance], object], message: str
) -> None:
    instance = random_instance(SEED)
    ssmopt.register_solver("mine")(function)
    with pytest.raises(SolverError, match=message) as caught:
        ssmopt.solve(instance, solver="mine", time_limit=5)
    assert "\n" not in str(caught.value)
    comparison = ssmopt.compare(instance, solvers=["mine", "heft"], time_limit=5)
    assert [row.result.solver for row in comparison.rows] == ["heft"]
    assert comparison.failures == (("mine", str(caught.value)),)


PLUGIN = "import ssmopt\n@ssmopt.register_solver('mine')\ndef mine(instance):\n    return instance.topological_order\n"


def test_plugins_register_solvers(tmp_path: Path) -> None:
    file = tmp_path / "my-solver.py"
    file.write_text(PLUGIN)
    assert load_plugin(file) == ("mine",)
    assert load_plugin(file) == ("mine",)
    assert ssmopt.solve(random_instance(1), solver="mine").schedule is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "plugin.py: registers no solver"),
        ("x = 1\nx +\n", r"plugin.py:2: is no Python: invalid syntax"),
        ("\nimport no_such_module\n", r"plugin.py:2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import ssmopt\nssmopt.register_solver('auto')\n", "plugin.py:2: there is already a solver called 'auto'"),
        (None, "plugin.py: no such file"),
    ],
)
def test_plugins_that_cannot_be_used_are_errors_with_file_and_line(
    tmp_path: Path, text: str | None, message: str
) -> None:
    file = tmp_path / "plugin.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_plugin(file)
    other = tmp_path / "plugin.txt"
    other.write_text(PLUGIN)
    with pytest.raises(InputError, match=r"name ends in \.py"):
        load_plugin(other)
