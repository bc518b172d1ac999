"""Pictures of schedules: what is drawn agrees with the schedule, at every size, and files are written whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from workload import elements2

from ssmopt.csr import Csr
from ssmopt.errors import InputError
from ssmopt.export.bins import busy_share, peak_samples
from ssmopt.export.gantt import plot_schedule, save_plot
from ssmopt.export.palette import is_dark, operator_styles
from ssmopt.ids import Ids
from ssmopt.instance import Instance
from ssmopt.schedule import ResidencyTable, Schedule, TileTable, TransferTable

from .synthetic import OPERATORS, many_tiles, six_tiles


def polygons(axes: Axes) -> list[np.ndarray]:
    """Vertices of every polygon of the rows."""
    shapes = [c for c in axes.collections if isinstance(c, PolyCollection)]
    return [path.vertices for shape in shapes for path in shape.get_paths()]


def boxes(axes: Axes, row: int) -> set[tuple[int, int]]:
    """Start and end of every box in a row."""
    found = set()
    for vertices in polygons(axes):
        if abs(vertices[:, 1].mean() - row) < 0.5:
            found.add((round(vertices[:, 0].min()), round(vertices[:, 0].max())))
    return found


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_tile_and_transfer_of_a_small_schedule_is_a_box() -> None:
    instance, schedule = six_tiles()
    gantt = plot_schedule(instance, schedule).axes[0]
    for core in (0, 1):
        mine = schedule.tiles.core == core
        expected = zip(schedule.tiles.start[mine].tolist(), schedule.tiles.end[mine].tolist(), strict=True)
        assert boxes(gantt, core) == set(expected)
    transfers = schedule.transfers
    assert boxes(gantt, 2) == set(zip(transfers.start.tolist(), transfers.end.tolist(), strict=True))
    assert [label.get_text() for label in gantt.get_yticklabels()] == ["array", "vector", "dma"]
    assert "scan.0" in {text.get_text() for text in gantt.texts}


def test_title_legend_and_bound() -> None:
    instance, schedule = six_tiles()
    figure = plot_schedule(instance, schedule, lower_bound=1000)
    summary = figure.axes[0].get_title(loc="left")
    for part in ("by hand", "makespan 1,084 cycles", "lower bound 1,000 cycles", "gap 8.40 %"):
        assert part in summary
    assert figure.get_suptitle() == instance.name
    labels = texts(figure)
    assert labels.index("Projections") < labels.index("in_proj") < labels.index("State update") < labels.index("scan")
    assert {"weight", "intermediate", "load", "store", "lower bound", "capacity"} <= set(labels)
    assert "move" not in labels
    for axes in figure.axes:
        assert any(np.allclose(line.get_xdata(), 1000) for line in axes.lines)


def test_without_a_bound_there_is_no_gap() -> None:
    figure = plot_schedule(*six_tiles())
    assert "gap" not in figure.axes[0].get_title(loc="left")
    assert "lower bound" not in texts(figure)


def test_memory_panel_shows_peak_and_capacity() -> None:
    instance, schedule = six_tiles()
    memory = plot_schedule(instance, schedule).axes[1]
    assert memory.get_ylabel() == "sram (KiB)"
    assert memory.get_title(loc="right") == "capacity 160 KiB, peak 120 KiB (75%)"
    total = next(line for line in memory.lines if len(line.get_xdata()) > 2)
    assert max(total.get_ydata()) * 1024 == schedule.peak_memory_bytes(instance.tensor_bytes)
    assert any(np.allclose(line.get_ydata(), 160) for line in memory.lines)


@pytest.mark.parametrize("cores", [1, 4])
def test_many_tiles_become_shares_that_keep_the_total_work(cores: int) -> None:
    instance, schedule = many_tiles(60_000, cores)
    figure = plot_schedule(instance, schedule)
    shapes = polygons(figure.axes[0])
    assert len(shapes) < 40 * (cores + 1)
    area = 0.0
    for vertices in shapes:
        if vertices[:, 1].mean() < cores - 0.5:
            x, y = vertices[:-1].T
            area += abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    work = int((schedule.tiles.end - schedule.tiles.start).sum())
    assert area / 0.8 == pytest.approx(work, rel=1e-6)
    assert "crowded rows" in figure.axes[-1].get_xlabel()
    total = next(line for line in figure.axes[1].lines if len(line.get_xdata()) > 2)
    peak = schedule.peak_memory_bytes(instance.tensor_bytes)
    assert max(total.get_ydata()) * 2**20 == pytest.approx(peak)


def test_more_than_32_cores_share_a_row() -> None:
    gantt = plot_schedule(*many_tiles(640, 64)).axes[0]
    assert [label.get_text() for label in gantt.get_yticklabels()] == ["64 x pe", "dma"]


def test_32_cores_have_a_row_each_and_32_memories_share_a_heat_map() -> None:
    figure = plot_schedule(*many_tiles(960, 32, lanes=32, memories=32))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [f"pe.{i}" for i in range(32)] + ["dma", "noc (32 lanes)"]
    assert len(figure.axes) == 3  # Gantt, heat map, its colour bar
    assert "move" in texts(figure)


def job_shop(n: int) -> tuple[Instance, Schedule]:
    """A problem without memories to speak of, its ids given whole as in a file; ``n`` tiles on one machine."""
    instance = Instance(
        name="shop", memory_ids=("any",), memory_capacity=np.array([1]),
        core_ids=("m0",), core_memory=np.array([0]), core_kind=np.array([0]),
        channel_ids=(), channel_bandwidth=np.zeros(0, np.int64), channel_lanes=np.zeros(0, np.int64),
        channel_connects=(), tensor_ids=Ids.of([]), tensor_bytes=np.zeros(0, np.int64),
        tensor_kind=np.zeros(0, np.int8), tile_ids=Ids.of([f"job{i}.{i}" for i in range(n)]),
        duration=np.full((n, 1), 5), inputs=Csr.empty(n), outputs=Csr.empty(n), accumulates=Csr.empty(n),
    )  # fmt: skip
    start = 5 * np.arange(n)
    tiles = TileTable(np.arange(n), np.zeros(n, np.int64), start, start + 5)
    return instance, Schedule(tiles, TransferTable.empty(), ResidencyTable.empty(), 5 * n)


def test_a_job_shop_has_no_memory_panel_and_takes_colours_from_the_ids() -> None:
    figure = plot_schedule(*job_shop(20))
    assert len(figure.axes) == 1
    labels = texts(figure)
    assert labels[:3] == ["Tiles", "job0", "job1"]
    assert labels[-1] == "others"  # more kinds of tile than colours


def test_an_empty_schedule_can_be_drawn(tmp_path: Path) -> None:
    save_plot(tmp_path / "empty.png", *job_shop(0), lower_bound=0)


def test_a_given_figure_is_drawn_into() -> None:
    figure = Figure(figsize=(5, 4))
    assert plot_schedule(*six_tiles(), figure=figure) is figure


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")])
@pytest.mark.parametrize("n", [0, 60_000])
def test_formats(tmp_path: Path, suffix: str, magic: bytes, n: int) -> None:
    path = tmp_path / f"plot.{suffix}"
    instance, schedule = many_tiles(n) if n else six_tiles()
    save_plot(path, instance, schedule, lower_bound=900)
    assert path.read_bytes().startswith(magic)
    assert path.stat().st_size < 2_000_000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "words"), [("plot.jpg", "'png'"), ("plot", "pdf, png, svg"), ("a.sgv", "'svg'")])
def test_unknown_formats_are_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(InputError, match="unknown picture format") as caught:
        save_plot(tmp_path / name, *six_tiles())
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_path_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        save_plot(tmp_path / "missing" / "plot.png", *six_tiles())


def test_no_global_state_of_pyplot_is_touched(tmp_path: Path) -> None:
    code = "import sys, ssmopt.export.gantt; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_busy_share_agrees_with_counting_cycles() -> None:
    random = np.random.default_rng(1)
    start = random.integers(0, 200, 50)
    end = start + random.integers(1, 40, 50)
    covered = np.zeros(240)
    for s, e in zip(start, end, strict=True):
        covered[s:e] += 1
    edges = np.linspace(0, 240, 25)
    np.testing.assert_allclose(busy_share(start, end, edges), covered.reshape(24, 10).mean(axis=1), atol=1e-9)


def test_peak_samples_find_the_highest_level_of_each_bin() -> None:
    moments, level = np.array([5, 12, 14, 30]), np.array([3, 9, 1, 0])
    best = peak_samples(moments, level, np.array([0.0, 5, 10, 20, 30, 40]))
    assert best.tolist() == [-1, 0, 1, 2, 3]


@pytest.mark.parametrize(
    "names",
    [
        [*OPERATORS, "scan"],
        [*elements2.FRONT, *elements2.RECURRENT, "scan", *elements2.BACK],
        [*elements2.FRONT, *elements2.CHUNKED, *elements2.BACK],
    ],
    ids=["mamba", "mamba2", "chunked"],
)
def test_operators_of_a_block_have_different_colours(names: list[str]) -> None:
    styles = operator_styles(names)
    assert len({style.colour for style in styles}) == len(styles)
    assert "Tiles" not in {style.heading for style in styles}  # all of them are known to the palette
    assert is_dark("#000000")
    assert not is_dark("#ffffff")
