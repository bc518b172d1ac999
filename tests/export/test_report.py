"""The data and the tables of a report say what the schedule says."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from handmade import INSTANCES, schedule_of

import ssmopt
from ssmopt.csr import IntArray
from ssmopt.decode import decode
from ssmopt.export.report import report_html, save_report
from ssmopt.export.report.data import packed
from ssmopt.instance import Instance
from ssmopt.schedule import Schedule
from ssmopt.validate import InvalidScheduleError

from .synthetic import six_tiles


def feasible() -> tuple[Instance, Schedule]:
    """Six tiles, scheduled by the decoder."""
    instance, _ = six_tiles()
    return instance, decode(instance, instance.topological_order)


def unpacked(page: str) -> tuple[dict[str, Any], dict[str, IntArray]]:
    """What the page's script would read."""
    parts = dict(re.findall(r'<script type="[a-z/]+" id="(\w+)">(.*?)</script>', page, re.DOTALL))
    meta = json.loads(parts["meta"])
    block = gzip.decompress(base64.b64decode(parts["data"]))
    arrays = {}
    for name, (kind, offset, length) in meta["arrays"].items():
        array = np.frombuffer(block, dtype=np.dtype(kind).newbyteorder("<"), count=length, offset=offset)
        assert offset % array.dtype.itemsize == 0
        arrays[name] = array.astype(np.int64)
    return meta, arrays


@pytest.mark.parametrize("which", sorted(INSTANCES))
def test_the_page_holds_the_schedule(which: str) -> None:
    instance, schedule = INSTANCES[which][0], schedule_of(which)
    meta, arrays = unpacked(report_html(instance, schedule))
    assert arrays["start"].tolist() == [*schedule.tiles.start.tolist(), *schedule.transfers.start.tolist()]
    assert arrays["end"].tolist() == [*schedule.tiles.end.tolist(), *schedule.transfers.end.tolist()]
    names = [meta["tileIds"]["stems"][stem] for stem in arrays["tileStem"].tolist()]
    assert names == [instance.tile_ids[tile] for tile in schedule.tiles.tile.tolist()]
    for row, (first, last) in enumerate(zip(arrays["rowFirst"][:-1], arrays["rowFirst"][1:], strict=True)):
        members = arrays["rowOrder"][first:last]
        assert (arrays["row"][members] == row).all()
        assert (np.diff(arrays["start"][members]) >= 0).all()
    for memory, about in enumerate(meta["memories"]):
        level = sum(arrays[f"level{memory}.{kind}"] for kind in about["kinds"]) if about["kinds"] else np.zeros(1)
        assert max(level, default=0) == about["peak"]
        assert about["peak"] == schedule.peak_memory_bytes(instance.tensor_bytes, memory)


@pytest.mark.parametrize(
    ("values", "kind"),
    [([0, 255], "uint8"), ([-1, 100], "int8"), ([0, 65_535], "uint16"), ([-1, 32_767], "int16"),
     ([2**32 - 1], "uint32"), ([-1, 2**31 - 1], "int32"), ([2**40, -1], "float64"), ([], "uint8")],
)  # fmt: skip
def test_arrays_take_the_smallest_type_that_holds_them(values: list[int], kind: str) -> None:
    directory, block = packed({"a": np.array([1], dtype=np.int64), "b": np.array(values, dtype=np.int64)})
    assert directory["b"] == [kind, 8, len(values)]
    raw = gzip.decompress(base64.b64decode(block))
    found = np.frombuffer(raw, dtype=np.dtype(kind).newbyteorder("<"), count=len(values), offset=8)
    assert found.tolist() == values


def test_tables() -> None:
    instance, schedule = feasible()
    page = report_html(instance, schedule, explanation=ssmopt.explain(instance, schedule), note="a <note>")
    assert "a &lt;note&gt;" in page
    assert f"{schedule.makespan:,} cycles" in page
    for operator in ("in_proj", "conv1d", "scan"):
        assert f"</i>{operator}</td>" in page
    assert "compulsory traffic of channel dma" in page
    assert "cores twice as fast" in page
    assert "http" not in page.replace("http-equiv", "")  # nothing to load, nothing to follow


def test_a_comparison_marks_this_schedule() -> None:
    instance, schedule = feasible()

    layers = 2 * schedule.makespan

    def row(label: str, makespan: int) -> Any:
        fields = {"dram_bytes": 10, "peak_memory_bytes": 20}
        result = SimpleNamespace(makespan=makespan, as_dict=lambda: fields, note="")
        return SimpleNamespace(label=label, result=result, speedup=layers / makespan)

    comparison: Any = SimpleNamespace(
        rows=(row("layer-by-layer", layers), row("other", schedule.makespan - 1)), failures=(("<heft>", "too & small"),)
    )
    page = report_html(instance, schedule, comparison=comparison)
    rows = re.findall(r"<tr[^>]*>.*?</tr>", page.split('id="comparison"')[1])
    texts = [re.sub(r"<[^>]*>", "|", text) for text in rows]
    assert ["layer-by-layer" in texts[1], "this schedule" in texts[2], "other" in texts[3]] == [True] * 3
    assert "2.00x" in texts[2]
    assert 'class="this"' in rows[2]
    assert "&lt;heft&gt;: too &amp; small" in page


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    instance, schedule = feasible()
    save_report(tmp_path / "a.html", instance, schedule)
    save_report(tmp_path / "b.html", instance, schedule)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    wrong = schedule_of("moved", {"q": ("q", "c1", 5, 7)})
    with pytest.raises(InvalidScheduleError):
        save_report(tmp_path / "c.html", INSTANCES["moved"][0], wrong)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.html", "b.html"]
