"""Several studies → one page that sets them side by side."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from archsearch.report import figures
from archsearch.report.data import ReportData
from archsearch.report.diagram import architecture_svg
from archsearch.report.numbers import percent
from archsearch.report.page import amount, binomial_error, duration, environment
from archsearch.space.hyper import HyperCandidate

COLUMNS = (
    ("study", False),
    ("data", False),
    ("space", False),
    ("trials", True),
    ("search", True),
    ("winner", True),
    ("cross-validated", True),
    ("test", True),
    ("parameters", True),
    ("FLOPs", True),
)
"""Names, and whether a column has numbers."""


@dataclass(frozen=True)
class Cell:
    """What stands in a table, and the number that it is sorted by; None is by the text."""

    text: str
    value: float | None = None


def table(studies: Mapping[str, ReportData]) -> list[list[Cell]]:
    """A row a study, with a cell for each of `COLUMNS`.

    Args:
        studies: By name.
    """
    return [_row(name, data) for name, data in studies.items()]


def answer(studies: Mapping[str, ReportData]) -> str:
    """Which study's winner is best, if they can be compared at all, and whether that is established."""
    if len({data.info.fingerprint for data in studies.values()}) > 1:
        return "These studies searched on different images, so their scores say nothing about each other."
    tested = {name: data.retrained.test for name, data in studies.items() if data.retrained}
    if len(tested) < len(studies):
        return "Not all of them have a tested winner yet."
    first, second = sorted(tested, key=lambda name: -tested[name].accuracy)[:2]
    gap = tested[first].accuracy - tested[second].accuracy
    error = hypot(*(binomial_error(tested[name]) or 0.0 for name in (first, second)))
    if gap < 2 * error or not gap:
        return (
            f"{first} and {second} cannot be told apart by the test set: {percent(tested[first].accuracy)} and "
            f"{percent(tested[second].accuracy)} of {tested[first].images:,} images."
        )
    return (
        f"{first} is best: {percent(tested[first].accuracy)} of {tested[first].images:,} test images, against "
        f"{percent(tested[second].accuracy)} of {second}."
    )


def remarks(studies: Mapping[str, ReportData]) -> Iterator[str]:
    """What to keep in mind when comparing."""
    infos = [data.info for data in studies.values()]
    if len({info.folds_hash for info in infos}) > 1:
        yield "They cut the images into different folds, so cross-validated scores are not paired."
    plans = {(data.plan.epochs, data.plan.folds) for data in studies.values() if data.plan}
    if len(plans) > 1:
        yield "Their candidates trained for different epochs or folds: compare test scores, not cross-validated ones."
    if len({round(data.search_seconds / 60) for data in studies.values()}) > 1:
        yield "They searched for different times."


def render(studies: Mapping[str, ReportData]) -> str:
    """The page, as one HTML document that loads nothing.

    Args:
        studies: By name, two or more.
    """
    ran = {name: data for name, data in studies.items() if data.ranking}
    drawn = {"progress": json.loads(figures.races(ran).to_json())} if ran else {}
    winners = {name: data.winner for name, data in studies.items() if data.winner}
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            names=list(studies),
            answer=answer(studies),
            remarks=list(remarks(studies)),
            columns=COLUMNS,
            rows=table(studies),
            diagrams=[
                (name, Markup(architecture_svg(winner.candidate.architecture)))
                for name, winner in winners.items()
                if not isinstance(winner.candidate, HyperCandidate)
            ],
            commands=[data.command for data in studies.values()],
            figures=drawn,
            plotly=Markup(get_plotlyjs()) if drawn else "",
            shown=len(studies),
        )
    )


def _row(name: str, data: ReportData) -> list[Cell]:
    winner, test = data.winner, data.retrained.test if data.retrained else None
    nothing = Cell("–", -1.0)
    return [
        Cell(name),
        Cell(data.info.data),
        Cell(data.info.space),
        Cell(f"{sum(data.counts.values()):,}", sum(data.counts.values())),
        Cell(duration(data.search_seconds), data.search_seconds),
        Cell(f"trial {winner.trial}", winner.trial) if winner else nothing,
        Cell(percent(winner.score, winner.standard_error), winner.score)
        if winner and winner.score is not None
        else nothing,
        Cell(percent(test.accuracy, binomial_error(test)), test.accuracy) if test else nothing,
        Cell(f"{winner.parameters:,}", winner.parameters) if winner else nothing,
        Cell(amount(winner.flops), winner.flops) if winner and winner.flops else nothing,
    ]


def names_of(folders: Sequence[str]) -> list[str]:
    """Names to tell folders apart: their last part, or all of it where two end alike."""
    last = [folder.rstrip("/").rpartition("/")[2] for folder in folders]
    return [folder if last.count(name) > 1 else name for folder, name in zip(folders, last, strict=True)]
