"""How large a report of 60 thousand tiles is, how fast it is made, and how fast a headless Chromium opens and draws it.

Times are medians; a ratio is measured over target, so at most 1 is good. Needs the package playwright and a Chromium.

    python benchmarks/reports.py
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from size_and_speed import MANY_TOKENS, TILING, problem_of

from ssmopt.decode import decode
from ssmopt.explain import explain
from ssmopt.export.report import save_report
from ssmopt.export.trace import write_trace
from ssmopt.heuristics.fuse_block import block_order
from ssmopt.workload.tiles import build_tiles

_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")

_ZOOM = """async () => {
  const canvas = document.getElementById("canvas"), times = [];
  for (let i = 0; i < 12; i++) {
    const drawn = +canvas.dataset.drawn, begin = performance.now();
    canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: i < 6 ? -100 : 100, clientX: 600, clientY: 250 }));
    while (+canvas.dataset.drawn === drawn) await new Promise((next) => requestAnimationFrame(next));
    times.push(performance.now() - begin);
  }
  return times;
}"""


def measure_page(file: Path, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds from the request until the page is ready for the user, and from a turn of the wheel until it is drawn."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("no Chromium on this machine (on Debian: apt install chromium)")
    ready, zoom = [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, headless=True, args=list(_FLAGS))
        for _ in range(repeats):
            page = browser.new_page(viewport={"width": 1300, "height": 900})
            begin = time.perf_counter()
            page.goto(file.as_uri())
            page.wait_for_selector("html[data-ready]", timeout=60_000)
            ready.append(time.perf_counter() - begin)
            zoom += [ms / 1e3 for ms in page.evaluate(_ZOOM)]
            page.close()
        browser.close()
    return ready, zoom


def timed(work: Callable[[], object], repeats: int) -> list[float]:
    """Processor seconds of several calls."""
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each measurement")
    repeats = parser.parse_args().repeats
    instance = build_tiles(problem_of(MANY_TOKENS), TILING)
    schedule = decode(instance, block_order(instance))
    with tempfile.TemporaryDirectory() as folder:
        page, trace = Path(folder) / "report.html", Path(folder) / "trace.json.gz"
        work: dict[str, Callable[[], object]] = {
            "explain": lambda: explain(instance, schedule, gains=False),
            "write report": lambda: save_report(page, instance, schedule),
            "write trace": lambda: write_trace(trace, instance, schedule),
        }
        rows: list[tuple[str, float, float | None, str]] = [
            (f"{what}, processor time", statistics.median(timed(do, repeats)), None, "s") for what, do in work.items()
        ]
        ready, zoom = measure_page(page, repeats)
        rows += [
            ("size of report", page.stat().st_size / 1e6, 10.0, "MB"),
            ("open in Chromium", statistics.median(ready), 3.0, "s"),
            ("zoom, one step", statistics.median(zoom), None, "s"),
            ("size of trace", trace.stat().st_size / 1e6, None, "MB"),
        ]
    print(f"{instance.n_tiles:,} tiles\n\n| what | measured | target | ratio |\n|---|---:|---:|---:|")
    for what, measured, target, unit in rows:
        wanted = ("-", "-") if target is None else (f"{target:g} {unit}", f"{measured / target:.2f}")
        print(f"| {what} | {measured:.2f} {unit} | {wanted[0]} | {wanted[1]} |")


if __name__ == "__main__":
    main()
