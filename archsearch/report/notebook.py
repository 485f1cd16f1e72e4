"""ReportData → what a notebook shows of a study: the answer, the best of the ranking, the best score so far."""

from markupsafe import Markup

from archsearch.report.curve import best_so_far_svg
from archsearch.report.data import ReportData
from archsearch.report.numbers import digits
from archsearch.report.page import environment, percent

ROWS = 5


def notebook_html(study: str, data: ReportData) -> str:
    """A piece of HTML that loads nothing.

    Args:
        study: Its name.
        data: How it stands.
    """
    return (
        environment()
        .get_template("notebook.html.j2")
        .render(
            answer=_answer(study, data),
            rows=data.ranking[:ROWS],
            digits=digits(data.info.train_images),
            curve=Markup(best_so_far_svg(data)) if data.ranking else "",
        )
    )


def _answer(study: str, data: ReportData) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in data.counts.items()) or "no trials yet"
    if data.retrained:
        test = data.retrained.test
        right = percent(test.accuracy, digits(test.images))
        return (
            f"{study}: trial {data.retrained.trial}, retrained, gets {right} of {test.images:,} test images; {counts}"
        )
    return f"{study}: {counts}"
