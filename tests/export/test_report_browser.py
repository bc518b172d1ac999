"""Reports in a real browser: they load without a complaint, and hover, zoom, search, clicks and keys work."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ssmopt
from ssmopt.decode import decode
from ssmopt.explain.causes import find_causes
from ssmopt.export.report import save_report
from ssmopt.heuristics.fuse_block import block_order
from ssmopt.ids import Ids
from ssmopt.instance import Instance
from ssmopt.library import load_problem
from ssmopt.schedule import Schedule
from ssmopt.tiling import Tiling
from ssmopt.workload.tiles import build_tiles

from .browser import Page, browser
from .synthetic import six_tiles


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def mamba() -> tuple[Instance, Schedule]:
    problem, _ = load_problem("mamba-130m-marca-L16")
    instance = build_tiles(problem, Tiling(tokens=16, channel_splits=2))
    return instance, decode(instance, block_order(instance), solver="fuse-block")


@pytest.fixture(scope="module")
def block(context: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Instance, Schedule, Page]:
    instance, schedule = mamba()
    file = tmp_path_factory.mktemp("report") / "report.html"
    save_report(file, instance, schedule, explanation=ssmopt.explain(instance, schedule))
    return instance, schedule, Page(context, file)


def test_it_loads_without_complaint_and_asks_for_nothing_else(block: tuple[Instance, Schedule, Page]) -> None:
    instance, schedule, page = block
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [page.page.url]
    assert page.page.url.startswith("file:")
    assert instance.name in page.text("h1")
    assert f"{schedule.makespan:,} cycles" in page.text(".facts")
    for heading in ("Operators", "Where the time goes", "Critical chain", "What a larger machine could gain", "Bounds"):
        assert heading in page.text("body")


def test_the_picture_is_not_blank(block: tuple[Instance, Schedule, Page]) -> None:
    colours = block[2].page.evaluate(
        """() => { const c = document.getElementById('canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        const seen = new Set(); for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
        return [...seen]; }"""
    )
    # in_proj, out_proj and the weights in memory, as in the legend.
    assert {0x00507F, 0x56A9DD, 0x3F4A5C} <= set(colours)


def test_wheel_buttons_and_keys_zoom(block: tuple[Instance, Schedule, Page]) -> None:
    _, schedule, page = block
    page.settled(lambda: page.page.click("[data-action=all]"))
    assert float(page.data("from")) == 0
    assert float(page.data("to")) >= schedule.makespan
    page.page.hover("#canvas", position={"x": 400, "y": 60})
    page.settled(lambda: page.page.mouse.wheel(0, -100))
    seen = float(page.data("to")) - float(page.data("from"))
    assert seen < 0.9 * schedule.makespan
    page.page.focus("#canvas")
    page.settled(lambda: page.page.keyboard.press("+"))
    assert float(page.data("to")) - float(page.data("from")) == pytest.approx(seen / 2)
    before = float(page.data("from"))
    page.settled(lambda: page.page.keyboard.press("ArrowRight"))
    assert float(page.data("from")) == pytest.approx(before + 0.3 * seen / 2)
    page.settled(lambda: page.page.keyboard.press("0"))
    assert float(page.data("from")) == 0


def test_search_finds_a_tile_and_shows_why_it_starts_when_it_does(block: tuple[Instance, Schedule, Page]) -> None:
    instance, schedule, page = block
    causes = find_causes(instance, schedule)
    wanted = "add_h.7.1"
    row = schedule.tiles.tile.tolist().index(instance.tile_ids.lookup[wanted])
    page.page.fill("#search", wanted)
    page.settled(lambda: page.page.press("#search", "Enter"))
    assert page.data("selected") == wanted
    told = page.text("#details")
    assert f"{int(causes.start[row]):,} to {int(causes.end[row]):,}" in told
    decided = page.text("#details .decided")
    blocker = instance.tile_ids[int(schedule.tiles.tile[causes.waited_for[row]])]
    assert blocker in decided
    assert f"{int(causes.ready[row]):,}" in decided
    # "b" leads to what it waited for.
    page.page.focus("#canvas")
    page.settled(lambda: page.page.keyboard.press("b"))
    assert page.data("selected") == blocker


def test_what_is_not_there_is_not_found(block: tuple[Instance, Schedule, Page]) -> None:
    page = block[2]
    page.page.fill("#search", "no such tile")
    page.page.wait_for_function("() => document.getElementById('found').textContent === 'nothing found'")
    page.page.fill("#search", "")


def test_hover_tells_and_a_click_chooses(block: tuple[Instance, Schedule, Page]) -> None:
    instance, _, page = block
    page.page.fill("#search", "in_proj.0.0")
    page.settled(lambda: page.page.press("#search", "Enter"))
    # In the middle of the picture is now the tile that was found; its row is the first.
    box = page.page.locator("#canvas").bounding_box()
    x, y = 116 + (box["width"] - 126) / 2, 24 + 20
    page.page.keyboard.press("Escape")
    page.page.focus("#canvas")
    page.settled(lambda: page.page.keyboard.press("Escape"))
    assert page.data("selected") == ""
    page.page.hover("#canvas", position={"x": x, "y": y})
    page.page.wait_for_selector("#tip:not([hidden])")
    assert "in_proj.0.0" in page.text("#tip")
    page.settled(lambda: page.page.click("#canvas", position={"x": x, "y": y}))
    assert page.data("selected") == "in_proj.0.0"
    assert "Why it starts then" in page.text("#details")
    page.page.hover("#canvas", position={"x": x, "y": float(box["height"]) - 40})
    page.page.wait_for_function("() => document.getElementById('tip').textContent.includes(' of ')")
    assert instance.memory_ids[0] in page.text("#tip")
    assert page.complaints == []


def test_a_stretch_of_the_chain_is_shown_by_a_click(block: tuple[Instance, Schedule, Page]) -> None:
    page = block[2]
    link = page.page.locator("[data-zoom]").first
    start, end = (int(n) for n in str(link.get_attribute("data-zoom")).split(","))
    page.settled(link.click)
    assert float(page.data("from")) <= start
    assert float(page.data("to")) >= end
    page.settled(lambda: page.page.keyboard.press("c"))
    assert page.page.is_checked("#chain")
    assert page.complaints == []


def test_hostile_ids_stay_text(context: Any, tmp_path: Path) -> None:
    instance, _ = six_tiles()
    evil = "</script><img src=x onerror=alert(1)>\"'&<!--\u2028"
    ids = [f"{evil}{i}" for i in range(6)]
    instance = dataclasses.replace(
        instance, name=evil, tile_ids=Ids.of(ids), core_ids=(evil, "b"), channel_ids=(evil,), memory_ids=(evil,),
        tensor_ids=Ids.of([f"{evil}t{i}" for i in range(instance.n_tensors)]),
    )  # fmt: skip
    schedule = decode(instance, instance.topological_order)
    save_report(tmp_path / "evil.html", instance, schedule, note=evil)
    page = Page(context, tmp_path / "evil.html")
    page.page.fill("#search", f"{evil[:-1]}")
    page.settled(lambda: page.page.press("#search", "Enter"))
    assert evil[:-1] in page.text("#details")
    assert page.page.locator("img").count() == 0
    assert page.page.title().startswith(evil[:20])
    assert page.complaints == []


def test_sixty_thousand_tiles_make_a_small_page_that_opens(context: Any, tmp_path: Path) -> None:
    problem, _ = load_problem("mamba1-2.7b-n64-marca-L1024")
    instance = build_tiles(problem, Tiling(tokens=256, state_tokens=1, channel_splits=8))
    schedule = decode(instance, block_order(instance))
    assert len(schedule.tiles) > 57_000
    file = tmp_path / "large.html"
    save_report(file, instance, schedule)
    assert file.stat().st_size < 10_000_000
    page = Page(context, file)
    assert page.complaints == []
    assert page.data("crowdedRows") == "2"  # drawn as shares
    page.page.fill("#search", "mul_hC.1000.5")
    page.settled(lambda: page.page.press("#search", "Enter"))
    assert page.data("selected") == "mul_hC.1000.5"
    assert page.data("crowdedRows") == "0"  # drawn as boxes
