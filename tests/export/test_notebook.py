"""What notebooks show of the objects, and pictures drawn into axes of one's own."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from handmade import INSTANCES, schedule_of
from matplotlib.figure import Figure

import ssmopt
from ssmopt.decode import decode
from ssmopt.errors import InputError
from ssmopt.experiments.compare import Comparison, Row
from ssmopt.export.svg import schedule_svg
from ssmopt.export.units import percent
from ssmopt.ids import Ids
from ssmopt.instance import Instance
from ssmopt.result import Bound, Result
from ssmopt.schedule import Schedule

from .synthetic import many_tiles, six_tiles


def feasible() -> tuple[Instance, Schedule]:
    instance, _ = six_tiles()
    return instance, decode(instance, instance.topological_order)


def result(instance: Instance, schedule: Schedule | None) -> Result:
    return Result(
        instance, schedule, "by <hand>", "FEASIBLE" if schedule else "UNKNOWN", Bound(900, "work & time"),
        Bound(950, "tiles"), 1.5,
    )  # fmt: skip


def parsed(text: str) -> ET.Element:
    """The markup as a tree, which only well-formed markup becomes."""
    return ET.fromstring(text)


def words(text: str) -> str:
    return "|".join(parsed(text).itertext())


def test_a_result_shows_its_numbers_and_a_picture() -> None:
    instance, schedule = feasible()
    shown = result(instance, schedule)._repr_html_()
    told = words(shown)
    assert f"{schedule.makespan:,} cycles" in told
    assert "by <hand>" in told
    assert "work & time" in told
    assert "<svg" in shown
    assert "svg" not in result(instance, None)._repr_html_()


def test_hostile_names_stay_text() -> None:
    instance, schedule = feasible()
    evil = "</td><script>alert(1)</script>&\"'"
    instance = dataclasses.replace(
        instance, name=evil, core_ids=(evil, "b"), channel_ids=(evil,), memory_ids=(evil,),
        tile_ids=Ids.of([f"{evil}{i}" for i in range(6)]),
    )  # fmt: skip
    comparison = Comparison(evil, Bound(1, evil), (Row(result(instance, schedule), None),), ((evil, evil),))
    for shown in (instance, result(instance, schedule), comparison, dataclasses.replace(schedule, solver=evil)):
        text = shown._repr_html_()
        assert "<script" not in text
        assert evil in words(text)


def test_a_schedule_alone_shows_how_busy_everything_is() -> None:
    _, schedule = many_tiles(3_000, 64)
    told = words(schedule._repr_html_())
    assert "core 0" in told
    assert "and 25 more" in told
    mine = schedule.tiles.core == 3
    busy = int((schedule.tiles.end - schedule.tiles.start)[mine].sum()) / schedule.makespan
    assert percent(busy) in told


def test_an_instance_shows_its_operators_and_machine() -> None:
    instance, _ = six_tiles()
    told = words(instance._repr_html_())
    for part in ("in_proj", "sram 160 KiB", "dma 256 bytes/cycle", "array, vector"):
        assert part in told


def test_a_comparison_shows_every_solver() -> None:
    instance, schedule = feasible()
    rows = (Row(result(instance, schedule), 2.5), Row(result(instance, None), None))
    told = words(Comparison("x", Bound(900, "traffic"), rows, (("heft", "no room"),))._repr_html_())
    for part in (f"{schedule.makespan:,}", "2.50x", "traffic", "no room"):
        assert part in told


def test_an_explanation_shows_chain_idle_times_and_gains() -> None:
    instance, schedule = feasible()
    found = ssmopt.explain(instance, schedule)
    told = words(found._repr_html_())
    for part in ("critical chain", "nothing left", "SRAM x2", f"{found.gains[0].bound.cycles:,}"):
        assert part in told
    assert found.gains[0].change in told


@pytest.mark.parametrize("n", [600, 60_000])
def test_the_small_picture_stays_small_and_keeps_the_shares(n: int) -> None:
    instance, schedule = many_tiles(n, 2)
    text = schedule_svg(instance, schedule, 10)
    assert len(text) < 200_000
    assert parsed(text).tag.endswith("svg")
    assert len(schedule_svg(*many_tiles(6_000, 32, lanes=32, memories=32))) < 200_000


@pytest.mark.parametrize("which", sorted(INSTANCES))
def test_everything_can_be_shown(which: str) -> None:
    instance, schedule = INSTANCES[which][0], schedule_of(which)
    for shown in (instance, schedule, result(instance, schedule)):
        parsed(shown._repr_html_())


def test_plots_go_into_the_given_axes_and_return_them() -> None:
    instance, schedule = feasible()
    above, below = Figure(figsize=(9, 5)).subplots(2, 1)
    assert schedule.plot(instance, ax=above, lower_bound=900) is above
    assert schedule.plot_memory(instance, "sram", ax=below) is below
    assert [label.get_text() for label in above.get_yticklabels()] == ["array", "vector", "dma"]
    assert any(np.allclose(line.get_xdata(), 900) for line in above.lines)
    assert {"in_proj", "lower bound"} <= {text.get_text() for text in above.get_legend().get_texts()}
    assert any(np.allclose(line.get_ydata(), 160) for line in below.lines)
    assert "capacity" in {text.get_text() for text in below.get_legend().get_texts()}


def test_results_plot_themselves() -> None:
    instance, schedule = feasible()
    above, below = Figure().subplots(2, 1)
    assert result(instance, schedule).plot(above) is above
    assert result(instance, schedule).plot_memory(0, below) is below
    with pytest.raises(InputError, match="no schedule"):
        result(instance, None).plot(above)
    for memory in ("sarm", 3, -1):
        with pytest.raises(InputError, match="no memory"):
            result(instance, schedule).plot_memory(memory, below)


def test_without_axes_pyplot_makes_some_and_only_then() -> None:
    code = (
        "import matplotlib; matplotlib.use('Agg'); import sys, ssmopt; assert 'matplotlib.pyplot' not in sys.modules; "
        "result = ssmopt.solve(ssmopt.load_instance('tiny-state-L4-scan'), solver='fuse-block', work_limit=1); "
        "axes = result.plot(); from matplotlib import pyplot; assert axes in pyplot.gcf().axes"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_sixty_thousand_tiles_are_drawn_as_shares() -> None:
    instance, schedule = many_tiles(60_000)
    axes = schedule.plot(instance, ax=Figure().subplots())
    assert sum(len(c.get_paths()) for c in axes.collections) < 60


def test_the_public_names_are_there() -> None:
    instance, schedule = feasible()
    assert isinstance(ssmopt.explain(instance, schedule, gains=False), ssmopt.Explanation)
