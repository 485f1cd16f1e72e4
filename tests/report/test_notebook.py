"""What a notebook shows."""

from report_studies import info, search, winner_of

from archsearch.report.collect import collect
from archsearch.report.notebook import ROWS, notebook_html
from archsearch.search.record import ranking


def test_the_answer_the_best_and_the_figure() -> None:
    kept = search(ROWS + 3)
    html = notebook_html("digits", collect(info(), kept, winner_of(ranking(kept)[0])))
    assert "gets 97.8\u00a0% of 360 test images" in html
    assert html.count("<tr>") == 1 + ROWS
    assert html.count("<svg") == 1


def test_before_there_is_anything() -> None:
    html = notebook_html("<b>", collect(info(), [], None))
    assert "&lt;b&gt;: no trials yet" in html
    assert "<table>" not in html
