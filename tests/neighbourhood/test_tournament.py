"""Order searches that take turns: all begin, the best go on, and nothing goes on for nothing."""

from __future__ import annotations

import dataclasses
import random

import pytest

from neighbourhood.test_orders import block
from ssmopt.decode import Policy, decode
from ssmopt.neighbourhood import NeighbourhoodSearch, tournament
from ssmopt.neighbourhood.orders import OrderSearch
from ssmopt.neighbourhood.parameters import Parameters
from ssmopt.neighbourhood.tournament import Tournament
from ssmopt.schedule import Schedule
from ssmopt.stopping import Stop
from ssmopt.validate import validate

INSTANCE = block()


def starts() -> list[Schedule]:
    """Schedules of one order with less and less room for loads that run ahead."""
    capacity = int(INSTANCE.memory_capacity.max())
    order = INSTANCE.topological_order
    policies = [Policy(reserve_bytes=capacity * share // 4, prefetch=share < 3) for share in range(4)]
    return [decode(INSTANCE, order, policy) for policy in policies]


def searches(target: int = 0) -> list[OrderSearch]:
    return [
        OrderSearch(INSTANCE, Parameters(), random.Random(k), lambda _: None, start, target)
        for k, start in enumerate(starts())
    ]


def rounds(count: int) -> Tournament:
    """A tournament after so many steps."""
    played = Tournament(searches())
    for _ in range(count):
        played.step(lambda: 0.5, lambda _: None)
    return played


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tournament, "_FIRST", 10)
    monkeypatch.setattr(tournament, "_STEP", 5)
    monkeypatch.setattr(tournament, "_GO_ON", 2)


@pytest.mark.usefixtures("short")
def test_all_begin_and_then_only_the_best_go_on() -> None:
    assert [search.tried for search in rounds(8).searches] == [10] * 4
    later = rounds(20).searches
    best = sorted(later, key=lambda search: search.best.makespan)
    assert sum(search.tried for search in later) == 100
    assert [search.tried for search in best[2:]] == [10, 10]


@pytest.mark.usefixtures("short")
def test_all_begin_anew_where_the_best_are_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tournament, "_STALLED", 0)
    first = rounds(8).searches
    anew = rounds(9).searches
    assert [search.start.makespan for search in anew] == [search.start.makespan for search in first]
    assert [search.tried for search in anew] == [5, 0, 0, 0]


def test_what_is_found_is_valid() -> None:
    found: list[Schedule] = []
    played = Tournament(searches())
    for _ in range(3):
        played.step(lambda: 0.5, found.append)
    assert found
    assert all(validate(INSTANCE, schedule) == [] for schedule in found)


def test_nothing_is_tried_once_the_target_is_reached() -> None:
    played = Tournament(searches(target=10**9))
    played.step(lambda: 0.0, lambda _: None)
    assert [search.tried for search in played.searches] == [0] * 4


def test_a_search_begun_again_goes_another_way() -> None:
    (one, *_) = searches()
    other = one.again()
    for search in (one, other):
        search.run(lambda: 0.5, lambda _: None, 30)
    assert one.start is other.start
    assert [tally.tried for tally in one.tallies.values()] != [tally.tried for tally in other.tallies.values()]


def test_a_schedule_that_no_order_reaches_is_searched_from_once() -> None:
    """As those of the exact model may be: the decoder makes a longer one of the same order."""
    best = starts()[0]
    beyond = dataclasses.replace(best, makespan=1)
    search = NeighbourhoodSearch(INSTANCE, Stop(work_limit=1))
    for _ in range(4):
        search.step(beyond, lambda _: None)
    assert len(search.orders.searches) == 1
