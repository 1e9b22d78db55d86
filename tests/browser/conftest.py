"""A headless Chromium that has the report of a finished tiny run open, from disk and without a network."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"none of {', '.join(NAMES)} is on the PATH")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = playwright.chromium.launch(executable_path=found, args=arguments)
        yield running
        running.close()


class Report:
    """A page with the report open, and what went wrong on it."""

    def __init__(self, browser: Any, file: Path, width: int, scheme: str) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        self.page, self.file, self.wrong = self.context.new_page(), file, []
        self.page.on("console", lambda message: self.wrong.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", self._requested)
        self.open()

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self.file.as_uri(), "data:", "blob:")):
            self.wrong.append(f"request: {request.url}")

    def open(self, place: str = "") -> None:
        self.page.goto(self.file.as_uri() + place)

    def draw_all(self) -> None:
        self.page.evaluate("plots.forEach(draw)")
        self.page.wait_for_function("plots.every(plot => plot.querySelector('.main-svg'))")


@pytest.fixture
def open_report(browser: Any, tiny_run: Path) -> Iterator[Any]:
    """Open the report at a width, in a colour scheme; fails at the end if anything went wrong on a page."""
    opened: list[Report] = []

    def open_one(width: int = 1400, scheme: str = "light") -> Report:
        opened.append(Report(browser, tiny_run / "results/tiny/report/report.html", width, scheme))
        return opened[-1]

    yield open_one
    for report in opened:
        report.context.close()
    assert not [text for report in opened for text in report.wrong]
