"""Study → `ReportData`: everything the report shows, as plain data, and the sentences that say how far to trust it."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from math import sqrt
from statistics import fmean, stdev
from typing import get_args

from pydantic import BaseModel, ConfigDict

from archsearch.search.folder import StudyInfo, TestScore, WinnerInfo
from archsearch.search.record import State, TrialRecord, find_baseline, ranking
from archsearch.space.architecture import Architecture, Block, Candidate, Custom, Optimizer, Stage
from archsearch.space.hyper import HyperCandidate

CURVES = 10
"""How many of the best trials have their learning curves shown."""

NAMED = 6
"""A remark names this many trials; of more it gives the number."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ranked(_Data):
    """A complete trial.

    Attributes:
        rank: From 1, the best.
        trial: Its number in the study.
        score: Mean validation accuracy over the folds, 0 to 1.
        standard_error: Of the score; None for one fold.
        fold_scores: Validation accuracy of each fold, 0 to 1.
        level: Whether the score is within one standard error of the best, so that the order of the two is not
            established (the one-standard-error rule, Breiman et al. 1984). Also true of the best.
        parameters: As Keras counts them.
        flops: For one image, forward; one multiply-add is 2; 0 if unknown.
        seconds: Wall time of the training.
        architecture: The network in one line; for a HyperModel its hyperparameters.
        optimizer: The optimizer in one line; empty for a HyperModel.
        candidate: Network and training, whole.
    """

    rank: int
    trial: int
    score: float
    standard_error: float | None
    fold_scores: tuple[float, ...]
    level: bool
    parameters: int
    flops: int
    seconds: float
    architecture: str
    optimizer: str
    candidate: Candidate | HyperCandidate


class Unranked(_Data):
    """A trial that has not run every fold.

    Attributes:
        trial: Its number in the study.
        state: Any but `complete`.
        reason: Why it ended; may be empty while it runs.
        epochs: Epochs it finished, over all folds.
        accuracy: The last validation accuracy it reported, 0 to 1; None if it reported none.
        parameters: As Keras counts them.
        seconds: Wall time of the training.
        architecture: The network in one line.
    """

    trial: int
    state: State
    reason: str
    epochs: int
    accuracy: float | None
    parameters: int
    seconds: float
    architecture: str


class Curve(_Data):
    """One fold of one trial, epoch by epoch; the three tuples are equally long, accuracies are 0 to 1."""

    rank: int
    trial: int
    fold: int
    epochs: tuple[int, ...]
    accuracy: tuple[float, ...]
    val_accuracy: tuple[float, ...]


class Finish(_Data):
    """A trial completed.

    Attributes:
        trial: Its number.
        seconds: Time into the search, pauses between runs left out.
        score: Its score, 0 to 1.
        best: The best score up to then.
    """

    trial: int
    seconds: float
    score: float
    best: float


class Contender(_Data):
    """The winner or the baseline; `score` is None for a baseline that did not complete, `state` says how it stands."""

    trial: int
    state: State
    score: float | None
    standard_error: float | None
    parameters: int
    flops: int
    candidate: Candidate | HyperCandidate


class Gain(_Data):
    """Winner minus baseline, fold by fold on the same images: mean and its standard error, in units of accuracy."""

    mean: float
    standard_error: float | None


class ReportData(_Data):
    """All that the page, the CSV and the JSON show.

    Attributes:
        info: What the study is.
        command: The command line that begins the same study again.
        counts: Trials by state; only states that occur.
        training_seconds: Wall time of all trials, added up.
        search_seconds: Time in which at least one trial ran.
        ranking: Complete trials, best first.
        others: All other trials, by number.
        curves: Learning curves of the best `CURVES` trials, by rank, then fold.
        progress: Complete trials in the order they completed.
        winner: The retrained trial, or the first of the ranking; None if there is neither.
        baseline: The newest trial of the space's baseline; None before the first.
        gain: None if either has no score, or both are the same trial.
        retrained: The retrained model; None before `retrain`.
        openings: Every opening of the test set, oldest first.
        remarks: What to keep in mind when reading the figures, one sentence or two each.
    """

    info: StudyInfo
    command: str
    counts: dict[State, int]
    training_seconds: float
    search_seconds: float
    ranking: tuple[Ranked, ...]
    others: tuple[Unranked, ...]
    curves: tuple[Curve, ...]
    progress: tuple[Finish, ...]
    winner: Contender | None
    baseline: Contender | None
    gain: Gain | None
    retrained: WinnerInfo | None
    openings: tuple[TestScore, ...]
    remarks: tuple[str, ...] = ()


def collect(info: StudyInfo, records: Sequence[TrialRecord], winner: WinnerInfo | None) -> ReportData:
    """Everything the report says about a study.

    Args:
        info: What the study is.
        records: Its trials, in any order.
        winner: The retrained model, if there is one.
    """
    records = sorted(records, key=lambda record: record.number)
    complete = ranking(records)
    best = _best(complete, winner)
    baseline = find_baseline(records)
    states = Counter(record.state for record in records)
    data = ReportData(
        info=info,
        command=_command(info, records),
        counts={state: states[state] for state in get_args(State) if states[state]},
        training_seconds=sum(record.seconds for record in records),
        search_seconds=active_seconds(_spans(records)),
        ranking=_rows(complete),
        others=tuple(_unranked(record) for record in records if record.state != "complete"),
        curves=tuple(
            curve for rank, record in enumerate(complete[:CURVES], start=1) for curve in _curves(rank, record)
        ),
        progress=_progress(records),
        winner=best,
        baseline=_contender(baseline) if baseline else None,
        gain=_gain(next((r for r in complete if best and r.number == best.trial), None), baseline),
        retrained=winner,
        openings=(*winner.tested_before, winner.test) if winner else (),
    )
    return data.model_copy(update={"remarks": tuple(text for remark in REMARKS for text in remark(data))})


def candidate_line(candidate: Candidate | HyperCandidate) -> str:
    """What is tried in one line: a network (`architecture_line`), or hyperparameters as in `units 32, rate 0.01`."""
    if isinstance(candidate, HyperCandidate):
        shown = {
            name: f"{value:.3g}" if isinstance(value, float) else value for name, value in candidate.values.items()
        }
        return ", ".join(f"{name} {value}" for name, value in shown.items()) or "no hyperparameters"
    return architecture_line(candidate.architecture)


def architecture_line(architecture: Architecture) -> str:
    """A network in one line: `conv3-16 ×2 ↓ → residual3-32 ↓ → average → dense 64`.

    Each block is kind, kernel and filters, each `↓` halves height and width; what a stage has around its blocks follows
    behind a `+`.
    """
    head = architecture.head
    hidden = [f"dense {head.hidden}"] if head.hidden else []
    return " → ".join([*map(_stage_line, architecture.stages), head.pool, *hidden])


def optimizer_line(optimizer: Optimizer) -> str:
    """An optimizer in one line: `sgd, rate 0.12, momentum 0.9`; what is 0 is left out."""
    settings = optimizer.model_dump(exclude={"kind"})
    words = [f"{name.split('_')[-1]} {value:.2g}" for name, value in settings.items() if value]
    return ", ".join([optimizer.kind, *words])


def active_seconds(spans: Sequence[tuple[float, float]]) -> float:
    """How long at least one of the (start, end) spans lasted: the length of their union."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _stage_line(stage: Stage) -> str:
    runs = [(name, len(list(run))) for name, run in groupby(map(_block_name, stage.blocks))]
    text = ", ".join(name if count == 1 else f"{name} ×{count}" for name, count in runs)
    around = [word for word, there in (("attention", stage.attention > 0), ("skip", stage.skip != "none")) if there]
    return " + ".join([text if stage.downsample == "none" else f"{text} ↓", *around])


def _block_name(block: Block) -> str:
    kind = block.code.rpartition(":")[2] if isinstance(block, Custom) else block.kind
    return f"{kind}{block.kernel}-{block.filters}".replace("_", " ")


def _rows(complete: Sequence[TrialRecord]) -> tuple[Ranked, ...]:
    if not complete:
        return ()
    best = complete[0]
    threshold = _score(best) - (best.standard_error or 0.0)
    return tuple(
        Ranked(
            rank=rank,
            trial=record.number,
            score=_score(record),
            standard_error=record.standard_error,
            fold_scores=record.fold_scores,
            level=_score(record) >= threshold,
            parameters=record.parameters,
            flops=record.flops,
            seconds=record.seconds,
            architecture=candidate_line(record.candidate),
            optimizer=""
            if isinstance(record.candidate, HyperCandidate)
            else optimizer_line(record.candidate.recipe.optimizer),
            candidate=record.candidate,
        )
        for rank, record in enumerate(complete, start=1)
    )


def _unranked(record: TrialRecord) -> Unranked:
    return Unranked(
        trial=record.number,
        state=record.state,
        reason=record.reason,
        epochs=len(record.reports),
        accuracy=record.reports[-1].val_accuracy if record.reports else None,
        parameters=record.parameters,
        seconds=record.seconds,
        architecture=candidate_line(record.candidate),
    )


def _curves(rank: int, record: TrialRecord) -> Iterator[Curve]:
    for fold in sorted({report.fold for report in record.reports}):
        reports = [report for report in record.reports if report.fold == fold]
        yield Curve(
            rank=rank,
            trial=record.number,
            fold=fold,
            epochs=tuple(report.epoch for report in reports),
            accuracy=tuple(report.accuracy for report in reports),
            val_accuracy=tuple(report.val_accuracy for report in reports),
        )


def _progress(records: Sequence[TrialRecord]) -> tuple[Finish, ...]:
    finished = sorted((r.ended, r.number, _score(r)) for r in ranking(records) if r.ended is not None)
    best = accumulate((score for _, _, score in finished), max)
    spans = _spans(records)
    return tuple(
        Finish(trial=trial, seconds=_seconds_into(spans, ended), score=score, best=so_far)
        for (ended, trial, score), so_far in zip(finished, best, strict=True)
    )


def _seconds_into(spans: Sequence[tuple[float, float]], moment: float) -> float:
    return active_seconds([(start, min(end, moment)) for start, end in spans if start < moment])


def _spans(records: Sequence[TrialRecord]) -> list[tuple[float, float]]:
    # A killed coordinator closes its trials only when the search goes on, perhaps days later: count what they trained.
    return [
        (r.started, r.started + r.seconds if r.ended is None or r.state == "interrupted" else r.ended) for r in records
    ]


def _best(complete: Sequence[TrialRecord], winner: WinnerInfo | None) -> Contender | None:
    if winner is None:
        return _contender(complete[0]) if complete else None
    return Contender(
        trial=winner.trial,
        state="complete",
        score=winner.score,
        standard_error=winner.standard_error,
        parameters=winner.parameters,
        flops=winner.flops,
        candidate=winner.candidate,
    )


def _contender(record: TrialRecord) -> Contender:
    complete = record.state == "complete"
    return Contender(
        trial=record.number,
        state=record.state,
        score=record.score if complete else None,
        standard_error=record.standard_error if complete else None,
        parameters=record.parameters,
        flops=record.flops,
        candidate=record.candidate,
    )


def _gain(winner: TrialRecord | None, baseline: TrialRecord | None) -> Gain | None:
    if winner is None or baseline is None or baseline.state != "complete" or winner.number == baseline.number:
        return None
    differences = [ours - theirs for ours, theirs in zip(winner.fold_scores, baseline.fold_scores, strict=True)]
    error = stdev(differences) / sqrt(len(differences)) if len(differences) > 1 else None
    return Gain(mean=fmean(differences), standard_error=error)


def _score(record: TrialRecord) -> float:
    return record.score or 0.0


def _command(info: StudyInfo, records: Sequence[TrialRecord]) -> str:
    hyper = next((r.candidate.recipe for r in records if isinstance(r.candidate, HyperCandidate)), None)
    options = {
        "data": info.data,
        "size": info.size,
        "folds": info.folds,
        "seed": info.seed,
        "sampler": info.sampler,
        "pruner": info.pruner,
        "trials": info.trials,
        "time": f"{info.seconds:.0f}s" if info.seconds else None,
        "epochs": hyper.epochs if hyper else None,
        "batch-size": hyper.batch_size if hyper else None,
        "out": info.out,
    }
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    trust = ["--trust-code"] if info.trust_code else []
    return shlex.join(["archsearch", "search", info.space_file, *trust, *words])


def _too_few(data: ReportData) -> Iterator[str]:
    if not data.ranking:
        yield "No trial has finished every fold, so nothing can be ranked."
    elif len(data.ranking) == 1:
        yield "Only one trial has finished every fold: there is nothing to rank it against."


def _ties(data: ReportData) -> Iterator[str]:
    level = [row.trial for row in data.ranking[1:] if row.level]
    if level:
        verb = "is" if len(level) == 1 else "are"
        yield (
            f"{_trials(level)} {verb} within one standard error of the best: the ranking among them is not established."
        )


def _selection(data: ReportData) -> Iterator[str]:
    count = len(data.ranking)
    if data.winner and count > 1:
        unbiased = " The test score is not." if len(data.openings) == 1 else ""
        yield (
            f"The winner was picked as the best of {count}, so its cross-validated score is likely a little "
            f"optimistic.{unbiased}"
        )


def _reopened(data: ReportData) -> Iterator[str]:
    if len(data.openings) > 1:
        yield (
            f"The test set has been opened {len(data.openings)} times. If any choice was made after the first, "
            "later test scores are optimistic too."
        )


def _overtaken(data: ReportData) -> Iterator[str]:
    if data.retrained and data.ranking and data.ranking[0].trial != data.retrained.trial:
        yield f"The retrained model is trial {data.retrained.trial}; trial {data.ranking[0].trial} now ranks first."


def _against_baseline(data: ReportData) -> Iterator[str]:
    if data.winner is None:
        return
    if data.baseline is None:
        yield "The baseline has not been tried, so there is nothing to compare the winner with."
    elif data.winner.trial == data.baseline.trial:
        yield "The winner is the baseline itself: the search found nothing better."
    elif data.baseline.score is None:
        yield f"The baseline did not complete (it is {data.baseline.state}), so the winner's gain is unknown."
    elif data.gain and data.gain.standard_error is not None and data.gain.mean < 2 * data.gain.standard_error:
        yield "The winner's gain over the baseline is less than two standard errors: it may be chance."


def _failures(data: ReportData) -> Iterator[str]:
    failed, total = data.counts.get("failed", 0), sum(data.counts.values())
    if failed:
        yield f"{failed} of {total} trials failed; their reasons are under “Other trials”."


def _trials(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"Trial {numbers[0]}"
    if len(numbers) > NAMED:
        return f"{len(numbers)} other trials"
    return f"Trials {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


REMARKS = (_too_few, _ties, _selection, _reopened, _overtaken, _against_baseline, _failures)
"""Each looks at the data and yields what a careful reader should know; in the order they are shown."""
