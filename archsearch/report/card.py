"""ReportData → the model's card: what it is, how good, where it fails and how to use it, in Markdown."""

import shlex
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from scipy.stats import binomtest

from archsearch.report.classes import CONFIDENCE_LEVEL, class_scores
from archsearch.report.data import ReportData
from archsearch.report.lines import architecture_line
from archsearch.report.markdown import code, fenced, line, plain
from archsearch.report.numbers import percent, signed
from archsearch.report.stress import Rows, outsider_rows, stress_rows, stress_sentences
from archsearch.space.architecture import Candidate
from archsearch.space.outline import recipe_line

MOST_CLASSES = 30
"""With more, those that are named right least often have a row."""


def card(study: str, data: ReportData) -> str:
    """The card of a retrained model.

    Args:
        study: Its name.
        data: With a retrained model, and as much as is known of it: verdict, stress test, exported files.
    """
    winner = data.retrained
    if winner is None:
        raise ValueError("nothing was retrained")
    test = winner.test
    span = binomtest(round(test.accuracy * test.images), test.images).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    candidate = winner.candidate
    return _template().render(
        study=study,
        data=data,
        info=data.info,
        winner=winner,
        test=test,
        low=float(span.low),
        high=float(span.high),
        folder=shlex.quote(data.info.out),
        class_rows=class_scores(data.verdict)[:MOST_CLASSES] if data.verdict else (),
        most_classes=MOST_CLASSES,
        stress_sentences=stress_sentences(data.stress) if data.stress else (),
        stress_rows=stress_rows(data.stress) if data.stress else (),
        outsider_rows=outsider_rows(data.stress) if data.stress else (),
        architecture=architecture_line(candidate.architecture) if isinstance(candidate, Candidate) else "",
        trained=_trained(candidate, winner.epochs) if isinstance(candidate, Candidate) else "",
        values=() if isinstance(candidate, Candidate) else candidate.values.items(),
    )


def _trained(candidate: Candidate, epochs: float) -> str:
    return recipe_line(candidate.trained_for(float(f"{epochs:.3g}")).recipe)


def table(rows: Rows) -> str:
    """Rows as a Markdown table; the first has the headings."""
    heads, *others = [[plain(each) for each in row] for row in rows]
    return "\n".join([line(heads), line(["---", *["--:"] * (len(heads) - 1)]), *map(line, others)])


@cache
def _template() -> Template:
    made = Environment(
        loader=PackageLoader("archsearch.report", ""),
        autoescape=False,  # it is Markdown: `plain` does it
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        {"percent": percent, "points": signed, "plain": plain, "code": code, "fenced": fenced, "table": table}
    )
    return made.get_template("card.md.j2")
