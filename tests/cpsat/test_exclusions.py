"""The redundant constraints for tiles and loads without room beside each other: never wrong, and of use."""

from __future__ import annotations

import pytest
from bounds.test_exclusion import weights
from exhaustive import exhaustive_makespan
from ortools.sat.python import cp_model
from random_instances import random_instance
from random_orders import searched, tight

from ssmopt.cpsat.search import build_model, new_solver


def no_overlaps(capacity: int) -> int:
    proto = build_model(weights(capacity), None).model.proto
    return sum(constraint.has_no_overlap() for constraint in proto.constraints)


def test_a_set_is_stated_only_where_there_is_no_room() -> None:
    assert no_overlaps(150) == no_overlaps(250) + 1


@pytest.mark.parametrize("seed", searched(range(12)))
def test_the_model_still_has_the_optimum_of_tight_instances(seed: int) -> None:
    instance = tight(random_instance(seed))
    built = build_model(instance, None)
    solver = new_solver(60, 1, seed)
    assert solver.solve(built.model) == cp_model.OPTIMAL
    makespan = built.schedule(solver.value).makespan
    assert (makespan == exhaustive_makespan(instance)) or not built.complete
    assert makespan >= exhaustive_makespan(instance)
