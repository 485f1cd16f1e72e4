"""A real browser, and a look at what a page complains of or asks for outside."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import ConsoleMessage, Error, Page, Route, sync_playwright

CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, as in 'apt-get install chromium'")
in_turn = pytest.mark.xdist_group("browser")


@contextmanager
def chromium() -> Iterator[Page]:
    """An empty page of a browser that ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser.new_page()
        browser.close()


@contextmanager
def watched(page: Page, own: str = "nothing") -> Iterator[None]:
    """Fails if, within the block, the page writes an error or asks for anything that does not begin with `own`."""
    complaints: list[str] = []
    asked: list[str] = []

    def hear(said: ConsoleMessage) -> None:
        if said.type == "error":
            complaints.append(said.text)

    def fail(error: Error) -> None:
        complaints.append(str(error))

    def look(route: Route) -> None:
        if route.request.url.startswith(own):
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    page.on("console", hear)
    page.on("pageerror", fail)
    page.route(re.compile("^https?:"), look)
    yield
    page.unroute_all(behavior="wait")
    page.remove_listener("console", hear)
    page.remove_listener("pageerror", fail)
    assert complaints == []
    assert asked == []
