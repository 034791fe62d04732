"""Visits of the map page in a real browser, for the tests of the page."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install it")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",  # in a container without user namespaces chromium does not start otherwise
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--use-angle=swiftshader",  # machines that test have no graphics card
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PATIENCE_MS = 20_000
"""Software rendering on two loaded cores boots a map in 5 to 7 s."""


@contextmanager
def running_browser(*more: str) -> Iterator[Any]:
    """Chromium without a window, with more flags if needed; the test is left out where none is installed."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: the map page is tested where one is installed")
    with playwright_api.sync_playwright() as play:
        running = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *more])
        yield running
        running.close()


class Visit:
    """One visit of the page, with what the browser complained of. site: `url`, `red_cell`, `red_lonlat`."""

    def __init__(self, browser: Any, site: Any, **context: Any) -> None:
        self.site = site
        self.context = browser.new_context(**{"viewport": WIDE, "locale": "en-GB", **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.page.on("console", lambda m: self.complaints.extend([m.text] if m.type == "error" else []))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))

    def open(self, place: str = "", *, ready: bool = True) -> Any:
        self.page.goto(self.site.url.rstrip("/") + "/" + place)
        if ready:
            self.page.wait_for_selector("html[data-ready]")
        return self.page

    def await_text(self, selector: str, text: str, *, there: bool = True) -> None:
        """Until a part of the page has the text, or has it no more."""
        asked = playwright_api.expect(self.page.locator(selector))
        (asked.to_contain_text if there else asked.not_to_contain_text)(text, timeout=PATIENCE_MS)

    def on_red(self, zoom: float = 20) -> str:
        lon, lat = self.site.red_lonlat
        return f"#{zoom}/{lat}/{lon}"

    def middle(self) -> tuple[float, float]:
        box = self.page.locator("#map").bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def middle_has(self, colour: tuple[int, int, int], reach: int = 5) -> bool:
        """Whether a pixel near the middle of the map has the colour; rings of cases are further out."""
        x, y = self.middle()
        clip = {"x": x - reach, "y": y - reach, "width": 2 * reach, "height": 2 * reach}
        pixels = np.asarray(Image.open(io.BytesIO(self.page.screenshot(clip=clip))).convert("RGB")).astype(int)
        return bool((np.abs(pixels - colour).max(axis=2) <= 12).any())

    def await_middle(self, colour: tuple[int, int, int], *, there: bool = True, reach: int = 5) -> None:
        for _ in range(100):
            if self.middle_has(colour, reach) == there:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the middle of the map {'never shows' if there else 'still shows'} {colour}")


@contextmanager
def visits_of(browser: Any, site: Any) -> Iterator[Callable[..., Visit]]:
    """A function that begins a visit; all are closed at the end."""
    visits: list[Visit] = []

    def begin(**context: Any) -> Visit:
        visits.append(Visit(browser, site, **context))
        return visits[-1]

    yield begin
    for each in visits:
        each.context.close()
