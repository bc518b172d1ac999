"""The map of a memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ssmopt
from ssmopt.errors import InputError
from ssmopt.export.memory_map import _Boxes, _pixels, plot_memory_map, save_buffer_map, save_memory_map
from ssmopt.files.buffers import BufferTable
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule


@pytest.fixture(scope="module")
def placed() -> tuple[Instance, Schedule]:
    instance = ssmopt.build_instance("mamba-tiny", "tiny", seq_len=4)
    schedule = ssmopt.solve(instance, solver="fuse-block", allocate=True).schedule
    assert schedule is not None
    return instance, schedule


def test_every_residency_with_bytes_is_a_rectangle(placed: tuple[Instance, Schedule]) -> None:
    instance, schedule = placed
    axes = plot_memory_map(instance, schedule).axes[0]
    (boxes,) = axes.collections
    table = schedule.residencies
    some = instance.tensor_bytes[table.tensor] > 0
    corners = np.array([path.vertices[:4] for path in boxes.get_paths()])
    assert np.array_equal(corners[:, 0, 0], table.start[some])
    assert np.array_equal(corners[:, 1, 0], table.end[some])
    assert table.offset is not None
    low, high = corners[:, 0, 1], corners[:, 2, 1]
    assert np.allclose(
        low / high.max(), table.offset[some] / (table.offset + instance.tensor_bytes[table.tensor]).max()
    )


def test_a_schedule_without_addresses_is_refused(placed: tuple[Instance, Schedule]) -> None:
    instance, schedule = placed
    bare = replace(schedule, residencies=replace(schedule.residencies, offset=None))
    with pytest.raises(InputError, match="no addresses"):
        plot_memory_map(instance, bare)


def test_pixels_show_what_covers_their_middle() -> None:
    boxes = _Boxes(*(np.array([v]) for v in (0, 50, 25, 100, 0)))
    picture = _pixels(boxes, np.array([[0.0, 0.0, 0.0]]), 100, 100)
    rows, columns, _ = picture.shape
    dark = (picture == 0).all(axis=2)
    assert dark.sum() == rows * 3 // 4 * (columns // 2)
    assert dark[-1, 0]
    assert not dark[0, 0]
    assert not dark[-1, -1]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_files(placed: tuple[Instance, Schedule], tmp_path: Path, suffix: str) -> None:
    save_memory_map(tmp_path / f"m.{suffix}", *placed)
    assert (tmp_path / f"m.{suffix}").stat().st_size > 1000


def test_thousands_of_buffers_become_pixels(tmp_path: Path) -> None:
    count = 5_000
    lower = np.arange(count)
    table = BufferTable(tuple(map(str, range(count))), lower, lower + 10, np.full(count, 8))
    save_buffer_map(tmp_path / "b.svg", table, lower % 10 * 8, 100, title="many")
    assert (tmp_path / "b.svg").stat().st_size < 1_000_000
    none = np.zeros(0, dtype=np.int64)
    save_buffer_map(tmp_path / "none.png", BufferTable((), none, none, none), none, 10, title="none")
