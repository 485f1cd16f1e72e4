"""ReportData → report.html, leaderboard.csv and report.json in the study's folder. The page needs no network."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from math import sqrt
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from archsearch.files import write_whole
from archsearch.report import figures
from archsearch.report.card import card
from archsearch.report.classes import class_scores
from archsearch.report.collect import MOST_POINTS
from archsearch.report.data import Ranked, ReportData, Unranked
from archsearch.report.diagram import architecture_svg, side_by_side_svg
from archsearch.report.numbers import digits, signed
from archsearch.report.story import memory_sentence, told
from archsearch.report.stress import class_rows, outsider_rows, stress_sentences
from archsearch.report.stress_figure import stress_curves
from archsearch.search.folder import StudyFolder, TestScore
from archsearch.search.parameters import Parameter
from archsearch.space.hyper import HyperCandidate, Value

SHOWN = 20
"""Rows of a table that are seen before one asks for all."""
MOST_ROWS = 500
"""A table has so many rows; the other trials are in the files beside the page."""

MINUS = "\N{MINUS SIGN}"

SLICES = 6
"""So many parameters have a picture of their own."""
MOST_CLASSES = 30
"""With more classes, those that are named right least often have a row, and there is no matrix of all."""


def write_report(folder: StudyFolder, data: ReportData) -> None:
    """Writes report.html (one file, under 6 MB, works offline), leaderboard.csv and report.json, each in one go.

    Once there is a retrained model, its card is written, too.
    """
    write_whole(folder.report_data, data.model_dump_json(indent=2))
    write_whole(folder.leaderboard, leaderboard(data).to_csv(index=False))
    write_whole(folder.report, render(folder.path.resolve().name, data))
    if data.retrained and data.retrained == folder.read_winner():  # another one may have taken its place meanwhile
        write_whole(folder.card, card(folder.path.resolve().name, data))


def leaderboard(data: ReportData) -> pd.DataFrame:
    """One row a complete trial, best first; scores are 0 to 1, `fold_0`, `fold_1`, … the scores of the folds."""
    columns = ["rank", "trial", "score", "standard_error", "first_run"]
    folds = [f"fold_{fold}" for fold in range(max([_folds_run(data), *(len(row.fold_scores) for row in data.ranking)]))]
    after = [
        "parameters",
        "flops",
        "latency",
        "robustness",
        "seconds",
        "architecture",
        "optimizer",
        "batch_size",
        "epochs",
    ]
    rows = [
        row.model_dump(exclude={"fold_scores", "candidate"})
        | dict(zip(folds, row.fold_scores, strict=False))
        | {"batch_size": row.candidate.recipe.batch_size, "epochs": _epochs(data, row)}
        for row in data.ranking
    ]
    return pd.DataFrame(rows, columns=[*columns, *folds, *after])


def _epochs(data: ReportData, row: Ranked) -> float:
    """That the score is from: finalists run again for as long as the winner trains."""
    again = data.plan.winner_epochs if data.plan and row.first_run is not None else None
    return again or row.candidate.recipe.epochs


def render(study: str, data: ReportData) -> str:
    """The page of the study called `study`, as one HTML document that loads nothing."""
    drawn = {name: json.loads(figure.to_json()) for name, figure in page_figures(data)}
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            study=study,
            data=data,
            info=data.info,
            folds_run=_folds_run(data),
            winner_row=next((row for row in data.ranking if data.winner and row.trial == data.winner.trial), None),
            digits=digits(data.info.train_images),
            test_digits=digits(data.info.test_images),
            test=data.retrained.test if data.retrained else None,
            stress_sentences=stress_sentences(data.stress) if data.stress else (),
            stress_outsiders=outsider_rows(data.stress) if data.stress else (),
            stress_classes=class_rows(data.stress) if data.stress else (),
            class_rows=class_scores(data.verdict)[:MOST_CLASSES] if data.verdict else [],
            most_classes=MOST_CLASSES,
            diagram=diagram(data),
            values=_values(data),
            story_rows=told(data.story) if data.story else [],
            memory=memory_sentence(data.story.memory) if data.story and data.story.memory else "",
            slices=len(_varied(data)) if len(data.ranking) > 1 else 0,
            figures=drawn,
            costs=figures.known_costs(data),
            plotly=Markup(get_plotlyjs()) if drawn else "",
            shown=SHOWN,
            most_rows=MOST_ROWS,
            most_points=MOST_POINTS,
            most_lines=figures.MOST_LINES,
            others=listed(data.others),
        )
    )


def page_figures(data: ReportData) -> Iterator[tuple[str, go.Figure]]:
    """Each figure of the page with the name of its place, from top to bottom."""
    if data.ranking:
        yield "progress", figures.best_so_far(data)
        yield "curves", figures.learning_curves(data)
        for cost in figures.known_costs(data):
            yield f"score-{cost}", figures.score_against(data, cost)
    if data.story and len(data.story.steps) > 1:
        yield "story", figures.story(data.story)
    if any(parameter.importance for parameter in data.parameters):
        yield "importances", figures.importances(data)
    if len(data.ranking) > 1:
        for number, parameter in enumerate(_varied(data)):
            yield f"slice-{number}", figures.slice_of(data, parameter)
        if len(data.parameters) > 1:
            yield "parallel", figures.parallel(data)
    if data.timeline:
        yield "timeline", figures.timeline(data)
    if data.stress:
        yield "stress", stress_curves(data.stress)
    if data.verdict:
        if len(data.info.classes) <= MOST_CLASSES and data.verdict.mistakes:
            yield "confusion", figures.confusion(data)
        yield "calibration", figures.calibration(data)


def _varied(data: ReportData) -> list[Parameter]:
    return [parameter for parameter in data.parameters if len(parameter.values) > 1][:SLICES]


def listed(others: Sequence[Unranked]) -> list[Unranked]:
    """The trials of `others` that have a row on the page, by number: those that failed, then the newest."""
    wanted = sorted(others, key=lambda other: (other.state != "failed", -other.trial))[:MOST_ROWS]
    return sorted(wanted, key=lambda other: other.trial)


def _folds_run(data: ReportData) -> int:
    return data.plan.folds if data.plan else data.info.folds


def percent(share: float, decimals: int) -> str:
    """`0.9783` with 1 decimal as `97.8 %`, with a space that does not break."""
    return f"{100 * share:.{decimals}f}\u00a0%"


def points(share: float, decimals: int) -> str:
    """A difference of shares in signed percentage points, without the unit: `0.012` with 1 decimal as `+1.2`."""
    return signed(share, decimals).replace("-", MINUS)


def amount(number: float) -> str:
    """A count to three digits: `950`, `29.4 k`, `2.1 M`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}\u00a0{unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """`8.4 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.3g}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}\u00a0h {minutes_left}\u00a0min" if hours else f"{minutes}\u00a0min {rest}\u00a0s"


def moment(iso: str) -> str:
    """An ISO 8601 time as `2026-03-01 14:05 UTC`; what is not one stays as it is."""
    try:
        return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return iso


def binomial_error(test: TestScore) -> float | None:
    """Binomial standard error of a test score; None where it says nothing, at 0 and at 1."""
    spread = test.accuracy * (1 - test.accuracy)
    return sqrt(spread / test.images) if spread > 0 else None


def diagram(data: ReportData) -> Markup | None:
    """The winner's architecture as SVG, beside the baseline's if they differ; None of a HyperModel."""
    if data.winner is None or isinstance(data.winner.candidate, HyperCandidate):
        return None
    winner = data.winner.candidate.architecture
    baseline = data.baseline.candidate if data.baseline and data.baseline.trial != data.winner.trial else None
    if data.baseline is None or baseline is None or isinstance(baseline, HyperCandidate):
        return Markup(architecture_svg(winner))
    titles = (f"Baseline, trial {data.baseline.trial}", f"Winner, trial {data.winner.trial}")
    return Markup(side_by_side_svg(baseline.architecture, winner, titles))


def _values(data: ReportData) -> list[tuple[str, Value, Value | None]]:
    """A HyperModel's hyperparameters: name, the winner's value, the baseline's or None."""
    if data.winner is None or not isinstance(data.winner.candidate, HyperCandidate):
        return []
    baseline = data.baseline.candidate if data.baseline else None
    others = baseline.values if isinstance(baseline, HyperCandidate) else {}
    return [(name, value, others.get(name)) for name, value in data.winner.candidate.values.items()]


@cache
def environment() -> Environment:
    """The templates, which escape what they are given."""
    made = Environment(
        loader=PackageLoader("archsearch.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "percent": percent,
        "points": points,
        "amount": amount,
        "duration": duration,
        "moment": moment,
        "binomial_error": binomial_error,
    }
    made.filters.update(filters)
    return made
