"""Several studies on one page."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from report_studies import PLAN, info, search, winner_of

from archsearch.report.collect import collect
from archsearch.report.compare import COLUMNS, answer, names_of, remarks, render, table
from archsearch.report.data import ReportData
from archsearch.search.record import ranking


def study(accuracy: float | None = 352 / 360, complete: int = 4, **changes: Any) -> ReportData:
    kept = search(complete)
    winner = winner_of(ranking(kept)[0], accuracy) if accuracy else None
    return collect(info(**changes), kept, winner, PLAN)


def two(first: float | None, second: float | None, **changes: Any) -> Mapping[str, ReportData]:
    return {"a": study(first), "b": study(second, **changes)}


@pytest.mark.parametrize(
    ("studies", "said"),
    [
        (two(0.98, 0.80), "a is best: 98.00 % of 360 test images, against 80.00 % of b."),
        (two(0.80, 0.98), "b is best: 98.00 % of 360 test images, against 80.00 % of a."),
        (two(0.98, 0.97), "a and b cannot be told apart by the test set: 98.00 % and 97.00 % of 360 images."),
        (two(1.0, 1.0), "a and b cannot be told apart"),
        (two(0.98, None), "Not all of them have a tested winner yet."),
        (two(0.98, 0.80, fingerprint="other"), "These studies searched on different images"),
    ],
)
def test_the_best_one_is_named_only_if_it_is_established(studies: Mapping[str, ReportData], said: str) -> None:
    assert answer(studies).startswith(said)


def test_what_spoils_a_comparison_is_said() -> None:
    assert list(remarks(two(0.9, 0.9))) == []
    assert "different folds" in " ".join(remarks(two(0.9, 0.9, folds_hash="other")))


def test_a_row_has_what_the_study_says() -> None:
    studies = two(0.98, None)
    first, second = table(studies)
    assert len(first) == len(second) == len(COLUMNS)
    by_name = {name: cell for (name, _), cell in zip(COLUMNS, first, strict=True)}
    winner = studies["a"].winner
    assert winner is not None
    assert by_name["winner"].text == f"trial {winner.trial}"
    assert by_name["test"].text == "98.00 ± 0.74 %"
    assert by_name["parameters"].value == winner.parameters
    assert dict(zip(COLUMNS, second, strict=True))[("test", True)].text == "–"


def test_the_page_shows_both_and_loads_nothing() -> None:
    html = render(two(0.98, 0.80))
    assert html.split("<script>")[0].count("<svg") == 2
    assert 'id="progress"' in html
    assert not re.search(r'(src|href)="(?!data:)', html.split("<script>")[0])
    assert html.count("archsearch search ") == 2


def test_names_are_escaped() -> None:
    hostile = "<img src=x>"
    assert hostile not in render({hostile: study(), "b": study()})


def test_studies_without_a_complete_trial_have_a_page() -> None:
    empty = {"a": study(None, complete=0), "b": study(None, complete=0)}
    assert "Not all of them have a tested winner yet." in render(empty)


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["reports/a", "reports/b/"], ["a", "b"]),
        (["x/a", "y/a", "b"], ["x/a", "y/a", "b"]),
    ],
)
def test_names_tell_folders_apart(folders: list[str], names: list[str]) -> None:
    assert names_of(folders) == names
