"""What the dashboard says of a study and of each trial, in Markdown."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from archsearch.report.data import ReportData
from archsearch.report.lines import candidate_line
from archsearch.report.markdown import fenced, line, markdown, plain
from archsearch.report.numbers import percent
from archsearch.search.record import TrialRecord
from archsearch.space.architecture import Candidate
from archsearch.space.outline import recipe_line, rows
from archsearch.training.job import Report

MOST_SPACE = 20_000
"""Characters of a space that a note shows."""


def study_note(name: str, data: ReportData, space: str) -> str:
    """The answer so far, and the space that is searched.

    Args:
        name: Of the study.
        data: How it stands.
        space: The text of the space file, or of the HyperModel.
    """
    language = "python" if data.info.space_file.endswith(".py") else "yaml"
    return f"{markdown(name, data)}\n\n### The space\n\n{fenced(space[:MOST_SPACE], language)}\n"


def trial_note(record: TrialRecord) -> str:
    """What a trial tried, how each fold went, and why it ended."""
    return "\n".join(_trial(record)) + "\n"


def facts(record: TrialRecord) -> dict[str, float | str]:
    """What the dashboard's table of trials shows, by column."""
    found: dict[str, float | str] = {"state": record.state}
    if record.reason:
        found["reason"] = record.reason
    if record.score is not None and record.state == "complete":
        found["score"] = record.score
        found["standard error"] = record.standard_error or 0.0
    return found | {
        "architecture": candidate_line(record.candidate),
        "parameters": record.parameters,
        "FLOPs": record.flops,
        "seconds": round(record.seconds, 2),
    }


def _trial(record: TrialRecord) -> Iterator[str]:
    role = ", the baseline" if record.baseline else ""
    yield f"## Trial {record.number}{role}: {record.state}"
    yield ""
    if record.reason:
        yield f"{plain(record.reason)}."
    if record.score is not None:
        folds = f"{len(record.counted)} fold{'s' * (len(record.counted) != 1)}"
        again = ", with a fresh seed as a finalist" if record.confirmed else ""
        yield f"**{percent(record.score, record.standard_error)}** over {folds}{again}"
    yield ""
    if isinstance(record.candidate, Candidate):
        yield from _network(record.candidate)
    else:
        yield line(["hyperparameter", "value"])
        yield line(["---", "--:"])
        yield from (line([plain(name), plain(value)]) for name, value in record.candidate.values.items())
    yield ""
    yield f"{record.parameters:,} parameters, {record.flops:,} FLOPs an image, seed {record.seed}."
    yield ""
    if record.reports:
        yield from _folds(record.reports)


def _network(candidate: Candidate) -> Iterator[str]:
    yield line(["part", "blocks", "filters", "kernel", "downsample", "out", "parameters"])
    yield line(["---", "---", "--:", "--:", "---", "--:", "--:"])
    for row in rows(candidate.architecture):
        yield line(
            [row.part, plain(row.blocks), row.filters, row.kernel, row.downsample, row.shape, f"{row.parameters:,}"]
        )
    yield ""
    yield f"Trained with {recipe_line(candidate.recipe)}."


def _folds(reports: Sequence[Report]) -> Iterator[str]:
    yield line(["fold", "epochs", "validation", "training", "seconds"])
    yield line(["--:"] * 5)
    for fold, group in groupby(reports, key=lambda report: report.fold):
        points = list(group)
        last = points[-1]
        yield line(
            [
                str(fold),
                f"{last.epoch:.3g} of {last.epochs:g}",
                percent(last.val_accuracy),
                percent(last.accuracy),
                f"{sum(point.seconds for point in points):.1f}",
            ]
        )
