"""The report in a real browser: what moves, moves; nothing is asked for outside; it fits a phone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browsers import chromium, in_turn, needs_chromium, watched
from playwright.sync_api import Page, expect
from report_studies import PLAN, info, search, winner_of

from archsearch.report import page as pages
from archsearch.report.collect import collect
from archsearch.report.verdict import judge
from archsearch.search.parameters import Parameter
from archsearch.search.record import ranking

pytestmark = [pytest.mark.slow, in_turn, needs_chromium]
COMPLETE = 40


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it."""
    kept = search(COMPLETE, 12)
    labels = np.arange(360, dtype=np.int32) % 10
    probabilities = np.full((360, 10), 0.01, np.float32)
    probabilities[np.arange(360), np.where(labels == 3, 8, labels)] = 0.91
    verdict = judge(np.full((360, 8, 8, 1), 128, np.uint8), labels, probabilities)
    drawn = [
        Parameter(name="depth", importance=0.7, log=False, options=(), values={r.number: r.number % 4 for r in kept}),
        Parameter(
            name="rate", importance=0.3, log=True, options=(), values={r.number: 0.1 ** (r.number % 3) for r in kept}
        ),
    ]
    data = collect(info(), kept, winner_of(ranking(kept)[0], 324 / 360), PLAN, verdict, drawn)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(pages.render("digits", data))
    return path


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture
def opened(browser_page: Page, report: Path) -> Iterator[Page]:
    """The report, drawn; whatever it complains of or asks for outside fails the test."""
    with watched(browser_page):
        browser_page.set_viewport_size({"width": 1280, "height": 900})
        browser_page.goto(report.as_uri())
        browser_page.wait_for_selector("#calibration .plot-container")
        yield browser_page


def column(page: Page, number: int) -> list[str]:
    return page.locator(f"#ranking tbody tr:visible td:nth-child({number})").all_inner_texts()


def test_the_ranking_is_sorted_by_a_click_both_ways(opened: Page) -> None:
    assert [int(rank) for rank in column(opened, 1)] == list(range(1, pages.SHOWN + 1))
    parameters = opened.locator("#ranking thead button", has_text="parameters")
    parameters.click()
    sizes = [int(text.replace(",", "")) for text in column(opened, 5)]
    assert sizes == sorted(sizes)
    parameters.click()
    sizes = [int(text.replace(",", "")) for text in column(opened, 5)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_ranking_is_filtered_as_one_types(opened: Page) -> None:
    opened.get_by_label("Filter the ranking").fill("residual flatten")
    found = opened.locator("#ranking tbody tr:visible").all_inner_texts()
    every = opened.locator("#ranking tbody tr").all_inner_texts()
    assert len(found) == sum("residual" in row and "flatten" in row for row in map(str.lower, every)) > 0
    opened.get_by_label("Filter the ranking").fill("")
    assert len(column(opened, 1)) == pages.SHOWN


def test_all_rows_are_shown_on_demand(opened: Page) -> None:
    opened.get_by_role("button", name=f"Show all {COMPLETE}").click()
    assert len(column(opened, 1)) == COMPLETE
    expect(opened.get_by_role("button", name=f"Show all {COMPLETE}")).to_have_count(0)


def test_dropped_candidates_are_found_by_what_they_were(opened: Page) -> None:
    opened.get_by_label("Filter the other trials").fill("pruned")
    found = opened.locator("#other-trials tbody tr:visible").all_inner_texts()
    assert found
    assert all("pruned" in row for row in found)
    opened.locator("#other-trials thead button", has_text="parameters").click()
    sizes = opened.locator("#other-trials tbody tr:visible td:nth-child(6)").all_inner_texts()
    assert [int(size.replace(",", "")) for size in sizes] == sorted(int(size.replace(",", "")) for size in sizes)


def test_a_curve_is_hidden_by_a_click_on_its_name(opened: Page) -> None:
    shown = opened.locator("#curves .scatterlayer .trace:visible")
    before = shown.count()
    opened.locator("#curves .legendtoggle").first.click()
    opened.wait_for_timeout(600)  # plotly waits whether a second click comes
    assert shown.count() < before


def test_every_figure_is_drawn(opened: Page) -> None:
    places = opened.locator(".plot").evaluate_all("places => places.map(place => place.id)")
    assert {
        "progress",
        "curves",
        "score-parameters",
        "score-flops",
        "importances",
        "slice-0",
        "parallel",
        "timeline",
        "confusion",
    } <= set(places)
    drawn = opened.locator(".plot .plot-container").count()
    assert drawn == len(places)


@pytest.mark.parametrize("width", [360, 820, 1600])
def test_nothing_sticks_out(opened: Page, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 900})
    opened.wait_for_timeout(500)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    higher = """() => [...document.querySelectorAll(".plot")].filter(
        place => place.querySelector(".svg-container").offsetHeight > place.offsetHeight + 1
    ).map(place => place.id)"""
    assert opened.evaluate(higher) == [], "they cover what is below them"


def test_dark_is_drawn_anew(opened: Page) -> None:
    def ink() -> str:
        return str(opened.locator("#progress .xtitle").first.evaluate("text => getComputedStyle(text).fill"))

    light = ink()
    opened.emulate_media(color_scheme="dark")
    opened.wait_for_timeout(300)
    assert ink() != light
    opened.emulate_media(color_scheme="light")
