"""The numbers behind ``fusion-schemes`` and ``memory``, on a model so small that every point takes no time."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pandas as pd
import pytest

import ssmopt
from ssmopt.autotile.fitting import coarse_tilings
from ssmopt.bounds import best, lower_bounds
from ssmopt.experiments.figures import FigureInterrupted, FigureOptions, FigureProgress, fusion_schemes, memory, solving
from ssmopt.experiments.figures.fusion_schemes import FUSION_SCHEMES, NINE
from ssmopt.experiments.figures.memory import least_enough
from ssmopt.experiments.figures.solving import BOUND, OPTIMUM, baseline_points, best_of_each, with_best_known
from ssmopt.experiments.sweep import SweepResult
from ssmopt.workload.tiles import build_tiles

TINY = {"model": "mamba-tiny", "hardware": "tiny", "seconds": 0.4, "workers": 1}
SRAMS = (1200, 2048, 4096, 16384)


@pytest.fixture(scope="module")
def schemes(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    store = tmp_path_factory.mktemp("schemes") / "points.sqlite"
    return fusion_schemes(**TINY, seq_lens=(1, 4), store=store).frame, store


@pytest.fixture(scope="module")
def sizes() -> pd.DataFrame:
    return memory(**TINY, seq_lens=(3,), srams=SRAMS).frame


def test_nine_schemes_an_optimum_and_a_bound_at_each_length(schemes: tuple[pd.DataFrame, Path]) -> None:
    frame, _ = schemes
    assert list(frame["scheme"]) == [*NINE, OPTIMUM, BOUND] * 2
    assert list(frame["seq_len"]) == [1] * 11 + [4] * 11
    for length, rows in frame.groupby("seq_len"):
        cycles = rows.set_index("scheme")["makespan"]
        bound = best(lower_bounds(FigureOptions(**TINY).problem(int(length)))).cycles
        assert cycles[BOUND] == bound <= cycles[OPTIMUM] <= cycles.drop(BOUND).min()
        assert cycles["fuse-all"] < cycles["AS-B"] < cycles["AS"] < cycles["A"] < cycles["layer-by-layer"]
        assert (rows["speedup"] == cycles["layer-by-layer"] / rows["makespan"]).all()
        assert (rows["gap"] == (rows["makespan"] - bound) / bound).all()
    solved = frame[frame["scheme"] != BOUND]
    assert solved["valid"].all()
    assert set(solved["status"]) <= {"OPTIMAL", "FEASIBLE"}


def test_a_scheme_is_as_good_as_on_the_best_of_its_tilings(schemes: tuple[pd.DataFrame, Path]) -> None:
    frame, _ = schemes
    problem = FigureOptions(**TINY).problem(4)
    tilings = coarse_tilings(problem)
    assert len(tilings) > 1
    found = [ssmopt.solve(problem, tiling=t, solver="A-B", work_limit=0.5).makespan or 0 for t in tilings]
    row = frame[(frame["seq_len"] == 4) & (frame["scheme"] == "A-B")].iloc[0]
    assert row["makespan"] == min(found)


def test_a_figure_that_is_made_again_solves_nothing_twice(schemes: tuple[pd.DataFrame, Path]) -> None:
    frame, store = schemes
    told: list[FigureProgress] = []
    again = FUSION_SCHEMES.data(FigureOptions(**TINY, seq_lens=(1, 4), store=store, on_progress=told.append))
    pd.testing.assert_frame_equal(again, frame)
    # Everything is there at once: no report is between none and all.
    assert {progress.done for progress in told} == {0, told[-1].total}


def test_coarse_tilings_leave_the_room_that_they_say() -> None:
    for sram in (1200, 4096, 1 << 20):
        problem = FigureOptions(**TINY).problem(6, sram)
        tilings = coarse_tilings(problem)
        needs = [int(build_tiles(problem, tiling).tile_need_bytes.max()) for tiling in tilings]
        assert needs[0] <= sram
        for share, need in zip((1, 2, 4), needs, strict=False):
            assert need <= sram // share or len(tilings) < 3
        points = baseline_points(problem, {"seq_len": 6}, ("fuse-all", "mem-aware"), tilings)
        different = [i for i, tiling in enumerate(tilings) if tiling not in tilings[:i]]
        assert [point.axes["coarse"] for point, _ in points] == different * 2


def test_more_sram_never_makes_the_optimum_worse(sizes: pd.DataFrame) -> None:
    optimum = sizes[sizes["scheme"] == OPTIMUM].sort_values("sram_mib")["makespan"]
    bound = sizes[sizes["scheme"] == BOUND].sort_values("sram_mib")["makespan"]
    assert len(optimum) == len(bound) == len(SRAMS)
    for curve in (optimum, bound):
        assert all(later <= earlier for earlier, later in itertools.pairwise(curve))
    assert (optimum.to_numpy() >= bound.to_numpy()).all()
    assert set(sizes["scheme"]) == {"fuse-all", "mem-aware", OPTIMUM, BOUND}
    peaks = sizes["peak_memory_bytes"].dropna()
    assert (peaks <= (sizes["sram_mib"][peaks.index] * 2**20).round()).all()


def test_an_sram_in_which_nothing_fits_is_a_row_that_says_so() -> None:
    frame = memory(**TINY, seq_lens=(2,), srams=(64, 8192)).frame
    row = frame[(frame["sram_mib"] == 64 / 2**20) & (frame["scheme"] == OPTIMUM)].iloc[0]
    assert row["status"] == "FAILED"
    assert pd.isna(row["makespan"])
    assert "smallest capacity" in row["error"]
    assert least_enough(frame, 2) == 8192 / 2**20


def test_the_least_sram_that_is_enough() -> None:
    rows = [(OPTIMUM, 1, 150), (OPTIMUM, 2, 102), (OPTIMUM, 4, 100), ("mem-aware", 2, 130), ("mem-aware", 4, 101)]
    frame = pd.DataFrame([{"seq_len": 8, "scheme": s, "sram_mib": m, "makespan": c} for s, m, c in rows])
    assert least_enough(frame, 8) == 2
    assert least_enough(frame, 8, "mem-aware") == 4
    assert least_enough(frame[frame["makespan"] != 101], 8, "mem-aware") == math.inf


def test_the_best_of_each_ignores_what_failed() -> None:
    rows = [("B", 0, None), ("B", 1, 7), ("A", 0, 9), ("A", 1, 9), ("A", 2, 12)]
    frame = pd.DataFrame(
        [{**dict.fromkeys(solving._COLUMNS), "seq_len": 1, "scheme": s, "coarse": c, "makespan": m} for s, c, m in rows]
    ).astype({"makespan": "Int64"})
    frame["tiling"] = [f"{s}{c}" for s, c, _ in rows]
    best_rows = best_of_each(frame, ("seq_len",), ("A", "B"))
    assert list(best_rows["tiling"]) == ["A0", "B1"]


def test_an_optimum_is_never_worse_than_a_baseline_in_the_same_sram_or_less() -> None:
    rows = [
        ("A", 1, 7),
        (OPTIMUM, 1, 9),
        (BOUND, 1, 5),
        ("A", 2, 8),
        (OPTIMUM, 2, None),
        (BOUND, 2, 7),
        (OPTIMUM, 4, 6),
    ]
    frame = pd.DataFrame(
        [
            {**dict.fromkeys(solving._COLUMNS), "sram_mib": m, "seq_len": 1, "scheme": s, "makespan": c}
            for s, m, c in rows
        ]
    ).astype({"makespan": "Int64", "lower_bound": "Int64", "gap": "Float64"})
    frame["lower_bound"] = [5, 5, 5, 7, pd.NA, 7, 6]
    known = with_best_known(frame, ("seq_len", "sram_mib"))
    assert list(known["makespan"]) == [7, 7, 5, 8, 7, 7, 6]
    assert list(known["gap"].dropna()) == [2 / 5, 0]
    assert [row or None for row in known["taken_from"]] == [
        None,
        "A, sram_mib 1",
        None,
        None,
        "A, sram_mib 1",
        None,
        None,
    ]
    assert list(known["status"][[1, 4]]) == ["FEASIBLE", "OPTIMAL"]
    alone = with_best_known(frame[frame["scheme"] != "A"], ("seq_len", "sram_mib"))
    assert list(alone["makespan"].fillna(0)) == [9, 5, 9, 7, 6]


def test_a_signal_ends_a_figure_and_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "run_points", lambda *_, **__: SweepResult(("a",), (), pending=5, interrupted=15))
    with pytest.raises(FigureInterrupted, match="interrupted with 0 of") as stopped:
        fusion_schemes(**TINY, seq_lens=(1,))
    assert stopped.value.number == 15


def test_a_long_prompt_takes_the_tiling_that_was_best_for_a_short_one() -> None:
    frame = fusion_schemes(**TINY, seq_lens=(2, 65)).frame
    long = frame[(frame["seq_len"] == 65) & (frame["scheme"] == "mem-aware")]
    assert len(long) == 0
    for scheme in ("layer-by-layer", "fuse-all"):
        row = frame[(frame["seq_len"] == 65) & (frame["scheme"] == scheme)].iloc[0]
        makespans = {}
        for tokens in (2, 65):
            problem = FigureOptions(**TINY).problem(tokens)
            results = [ssmopt.solve(problem, tiling=t, solver=scheme, work_limit=0.5) for t in coarse_tilings(problem)]
            makespans[tokens] = [result.makespan or 0 for result in results]
        assert row["makespan"] == makespans[65][makespans[2].index(min(makespans[2]))]
