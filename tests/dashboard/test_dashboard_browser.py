"""Optuna's dashboard on a real study, in a real browser."""

import json
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from browsers import chromium, needs_chromium, watched
from dashboards import serving
from playwright.sync_api import Page, expect
from searches import Searched

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("study"), needs_chromium]


@pytest.fixture(scope="module")
def study_page(searched: Searched) -> Iterator[tuple[Page, str]]:
    """An empty page, and where the study is served."""
    with serving(searched.study.path) as url, chromium() as page:
        with urlopen(f"{url}/api/studies", timeout=30) as answer:
            (study,) = json.loads(answer.read())["study_summaries"]
        yield page, f"{url}/dashboard/studies/{study['study_id']}"


def test_the_study_is_shown_with_the_reports_figures(study_page: tuple[Page, str]) -> None:
    page, url = study_page
    with watched(page, url.split("/dashboard")[0]):
        page.goto(url)
        expect(page.get_by_text("best so far").first).to_be_visible(timeout=30_000)
        expect(page.get_by_text("worker 0").first).to_be_visible()
        expect(page.get_by_text("Best Trial").first).to_be_visible()


def test_the_note_of_the_study_has_its_ranking_and_its_space(study_page: tuple[Page, str], searched: Searched) -> None:
    page, url = study_page
    with watched(page, url.split("/dashboard")[0]):
        page.goto(f"{url}/note")
        expect(page.get_by_role("heading", name=searched.study.path.name)).to_be_visible(timeout=30_000)
        expect(page.get_by_role("table").first).to_contain_text("parameters")
        expect(page.get_by_text("stages:").first).to_be_visible()


def test_a_trial_has_its_note_and_its_pictures(study_page: tuple[Page, str]) -> None:
    page, url = study_page
    with watched(page, url.split("/dashboard")[0]):
        page.goto(f"{url}/trials?numbers=0")
        expect(page.get_by_role("heading", name="Trial 0, the baseline: complete")).to_be_visible(timeout=30_000)
        pictures = page.locator("img[src*='/artifacts/']")
        expect(pictures).to_have_count(2)
        for picture in pictures.all():
            picture.scroll_into_view_if_needed()
            page.wait_for_function("image => image.complete", arg=picture.element_handle())
            assert picture.evaluate("image => image.naturalWidth") > 0, "it is drawn"
