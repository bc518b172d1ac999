"""More memory never gives a worse answer, because schedules of less memory are taken over, and nothing else is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ssmopt
from ssmopt.errors import InputError
from ssmopt.experiments.sweep import make_sweep, monotone_in_memory, points_of
from ssmopt.experiments.sweep.monotone import Contender, best_smaller, taken_over
from ssmopt.experiments.sweep.packing import pack, unpack
from ssmopt.experiments.sweep.run import read_rows, take_from_smaller
from ssmopt.experiments.sweep.store import Store
from ssmopt.folding.check import validate_folded
from ssmopt.stopping import Signals
from ssmopt.validate import InvalidScheduleError, validate

from .small import AXES, FIXED, Inline, without

contenders = st.lists(
    st.builds(
        Contender,
        st.sampled_from("ab"),
        st.tuples(st.integers(1, 4), st.integers(1, 3)),
        st.one_of(st.none(), st.integers(1, 6)),
    ),
    max_size=12,
)


@given(contenders)
def test_each_takes_the_best_that_fits_if_it_beats_its_own(given: list[Contender]) -> None:
    for mine, chosen in zip(given, best_smaller(given), strict=True):
        fitting = [
            other.makespan
            for other in given
            if other.family == mine.family
            and other.capacities != mine.capacities
            and all(a <= b for a, b in zip(other.capacities, mine.capacities, strict=True))
            and other.makespan is not None
        ]
        least = min(fitting, default=None)
        if least is None or (mine.makespan is not None and mine.makespan <= least):
            assert chosen is None
        else:
            assert chosen is not None
            assert given[chosen].makespan == least
            assert given[chosen].family == mine.family
            assert all(a <= b for a, b in zip(given[chosen].capacities, mine.capacities, strict=True))


def problem(sram: int, length: int = 4) -> ssmopt.Problem:
    machine = ssmopt.load_hardware("tiny").override("sram", sram)
    return ssmopt.Problem(f"sram-{sram}", ssmopt.load_model("mamba-tiny"), machine, length)


def solved(sram: int, solver: str = "fuse-all") -> ssmopt.Result:
    return ssmopt.solve(problem(sram), tiling=ssmopt.Tiling(tokens=4, channel_splits=2), solver=solver)


def test_results_with_more_memory_take_over_shorter_schedules() -> None:
    sizes = (8192, 2560, 4096, 3072)
    results = [solved(size) for size in sizes]
    made = {size: result.makespan for size, result in zip(sizes, results, strict=True)}
    assert made[3072] > made[2560], "the heuristic does worse with more memory, or this test shows nothing"
    better = monotone_in_memory(results)
    for size, before, after in zip(sizes, results, better, strict=True):
        best = min(value for other, value in made.items() if other <= size)
        assert after.makespan == best
        assert after.problem == problem(size)
        assert after.schedule is not None
        assert not validate(after.instance, after.schedule)
        assert after.instance.memory_capacity.tolist() == [size]
        assert after.lower_bound == before.lower_bound
        if best == before.makespan:
            assert after is before
        else:
            assert f"instead of {before.makespan:,} cycles" in after.note
    assert [result.makespan for result in monotone_in_memory(better)] == [result.makespan for result in better]


def test_schedules_stay_within_their_solver_and_problem() -> None:
    results = [solved(2048, "fuse-block"), solved(4096, "fuse-all")]
    assert monotone_in_memory(results) == results
    other = ssmopt.solve(problem(4096, 5), tiling=ssmopt.Tiling(tokens=4, channel_splits=2), solver="fuse-all")
    assert monotone_in_memory([solved(2048), other])[1] is other


def test_a_tile_instance_has_no_larger_memory() -> None:
    tiles = dataclasses.replace(ssmopt.load_instance("tiny-state-L1"), problem=None)
    with pytest.raises(InputError, match="tile instance"):
        monotone_in_memory([ssmopt.solve(tiles, solver="cpsat")])


def test_a_schedule_in_closed_form_is_taken_over_too() -> None:
    tiling = ssmopt.Tiling(tokens=2, state_tokens=2, scan=True, channel_splits=2)
    small = ssmopt.solve(problem(4096, 40), tiling=tiling, solver="periodic")
    result = taken_over(problem(8192, 40), "periodic", unpack(pack(small) or b""), "smaller", 9_999)
    assert result.folded is not None
    assert result.makespan == small.makespan
    assert result.problem == problem(8192, 40)
    assert not validate_folded(result.folded)
    assert "instead of 9,999 cycles" in result.note
    with pytest.raises(InvalidScheduleError):
        taken_over(problem(2048, 40), "periodic", unpack(pack(small) or b""), "larger")


def test_what_is_packed_is_the_same_when_it_is_unpacked() -> None:
    result = solved(3072)
    packed = unpack(pack(result) or b"")
    assert packed.tiling == result.instance.tiling
    assert result.schedule is not None
    assert packed.schedule.makespan == result.makespan
    for name in ("tiles", "transfers", "residencies"):
        before, after = getattr(result.schedule, name), getattr(packed.schedule, name)
        for field in dataclasses.fields(before):
            one, other = getattr(before, field.name), getattr(after, field.name)
            assert (one is None and other is None) or one.tolist() == other.tolist()
    assert not validate(packed.instance(problem(3072)), packed.schedule)


def test_a_schedule_that_does_not_fit_is_never_taken_over() -> None:
    large = unpack(pack(solved(8192, "fuse-block")) or b"")
    with pytest.raises(InvalidScheduleError):
        taken_over(problem(2048), "fuse-block", large, "larger")


def sweep(**options: Any) -> ssmopt.SweepResult:
    return ssmopt.sweep(AXES, fixed=without("solver"), executor=Inline(), **options)


def test_a_sweep_over_capacities_is_monotone_and_says_from_where() -> None:
    alone, together = sweep(monotone=False), sweep()
    best: dict[object, int] = {}
    taken = 0
    for before, after in zip(alone, together, strict=True):
        least = min(best.get(after["solver"], before["makespan"]), before["makespan"])
        best[after["solver"]] = least
        assert before["taken_from"] is None
        assert after["makespan"] == least
        assert after["gap"] == pytest.approx((least - after["lower_bound"]) / after["lower_bound"])
        assert (after["taken_from"] is not None) == (least < before["makespan"])
        assert after["lower_bound"] == before["lower_bound"]
        taken += after["taken_from"] is not None
    assert 0 < taken < len(together)


def test_a_point_that_failed_takes_the_schedule_of_less_memory(tmp_path: Path) -> None:
    points = points_of(make_sweep({"sram": [2048, 4096]}, FIXED))
    small = solved(2048)
    with Store(None) as store:
        number = store.begin(points, ["sram"])
        store.record(points[0], small.as_dict(), pack(small))
        store.record(points[1], {"instance": "x", "status": "FAILED", "valid": False}, None, "out of memory")
        take_from_smaller(points, store, number)
        first, second = read_rows(store, number)
    assert second["makespan"] == first["makespan"] == small.makespan
    assert (second["status"], second["valid"], second["error"]) == ("FEASIBLE", True, None)
    assert second["instance"] == points[1].problem.name


def test_a_point_that_is_run_again_is_compared_again() -> None:
    points = points_of(make_sweep({"sram": [2560, 3072]}, FIXED))
    small, large = solved(2560), solved(3072)
    rows = []
    for failed_first in (True, False):
        with Store(None) as store:
            number = store.begin(points, ["sram"])
            store.record(points[0], small.as_dict(), pack(small))
            if failed_first:
                store.record(points[1], {"instance": "x"}, None, "out of memory")
                take_from_smaller(points, store, number)
            store.record(points[1], large.as_dict(), pack(large))
            take_from_smaller(points, store, number)
            rows.append(read_rows(store, number).rows)
    assert rows[0] == rows[1]


def test_the_pass_goes_on_where_it_was_interrupted_and_changes_nothing_when_repeated() -> None:
    points = points_of(make_sweep(AXES, without("solver")))
    with Store(None) as store, Signals() as signals:
        number = store.begin(points, list(AXES))
        for point in points:
            result = ssmopt.solve(point.problem, tiling=point.tiling, solver=point.solving.solver)
            store.record(point, result.as_dict(), pack(result))
        passes = []

        def interrupt() -> None:
            passes.append(len(store.taken(number)))
            signals.number = 2 if len(passes) == 2 else 0

        take_from_smaller(points, store, number, signals, interrupt)
        partial = store.taken(number)
        assert len(partial) == 2, "the one that it was busy with is finished"
        signals.number = 0
        take_from_smaller(points, store, number, signals, interrupt)
        whole = store.taken(number)
        assert partial.items() <= whole.items()
        assert len(whole) > 2
        looked = len(passes)
        take_from_smaller(points, store, number, signals, interrupt)
        assert store.taken(number) == whole
        assert len(passes) == looked, "nothing is validated twice"
