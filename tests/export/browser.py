"""A headless Chromium for tests of pages; without one these tests are skipped."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str | None:
    """Path of a Chromium that runs; some packages only put a stub in its place."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is None:
            continue
        try:
            works = subprocess.run([path, "--version", "--no-sandbox"], capture_output=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if works.returncode == 0:
            return path
    return None


@contextmanager
def browser(profile: Path) -> Iterator[Any]:
    """A browser with a profile of its own; yields its context."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine (on Debian: apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=path, headless=True, args=list(FLAGS), viewport={"width": 1300, "height": 900}
        )
        try:
            yield context
        finally:
            context.close()


class Page:
    """A page opened from a file, with whatever it complained about or asked the network for."""

    def __init__(self, context: Any, file: Path) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready], html[data-failed]")

    def data(self, name: str) -> str:
        """A data attribute of the picture."""
        return str(self.page.evaluate("name => document.getElementById('canvas').dataset[name]", name))

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def settled(self, action: Any) -> None:
        """Do something that draws the picture anew, and wait until it has."""
        before = int(self.data("drawn"))
        action()
        self.page.wait_for_function("n => +document.getElementById('canvas').dataset.drawn > n", arg=before)
