"""Study → `ReportData`: everything the report shows, as plain data, and the sentences that say how far to trust it."""

import shlex
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from math import hypot, sqrt
from statistics import fmean, stdev
from typing import get_args

from pydantic import BaseModel, ConfigDict

from archsearch.report.story import Story
from archsearch.report.verdict import Verdict
from archsearch.search.budget import learn_pace, remaining_seconds
from archsearch.search.folder import StudyInfo, TestScore, WinnerInfo
from archsearch.search.objectives import front, mean_latency
from archsearch.search.parameters import Parameter
from archsearch.search.plan import Plan
from archsearch.search.record import State, TrialRecord, find_baseline, level, pick_winner, ranking
from archsearch.space.architecture import Architecture, Block, Candidate, Custom, Optimizer, Stage
from archsearch.space.hyper import HyperCandidate

CURVES = 10
"""How many of the best trials have their learning curves shown."""

MOST_POINTS = 1000
"""Of more complete trials only the best are drawn as dots."""

MOST_SPANS = 1000

MOST_PARAMETERS = 12
"""The most important ones are shown."""

CUT_SHORT = 0.8
"""A retraining for less than this share of the planned epochs is worth a remark."""

NAMED = 6
"""A remark names this many trials; of more it gives the number."""

WORKER_TIMES = ((36_000.0, 3_600.0, "hours"), (600.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
"""From how many seconds on, divided by what, called what."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ranked(_Data):
    """A complete trial.

    Attributes:
        rank: From 1, the best.
        trial: Its number in the study.
        score: Mean validation accuracy over the folds, 0 to 1.
        standard_error: Of the score: over the folds, but no less than the binomial one; None if unknown.
        fold_scores: Validation accuracy of each fold, 0 to 1, in the run that counts.
        first_run: Mean of the folds before it ran again as a finalist, with a fresh seed and for as long as the winner
            trains, 0 to 1; None if it did not. The score is that of the second run then.
        level: Whether the score is within one standard error of the best, so that the order of the two is not
            established (the one-standard-error rule, Breiman et al. 1984). Also true of the best.
        front: Whether no other one is as good in all that is wanted and better in some (Pareto); False if only accuracy
            is wanted.
        parameters: As Keras counts them.
        flops: For one image, forward; one multiply-add is 2; 0 if unknown.
        latency: Seconds for one image on one thread; None if it was not measured.
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
    first_run: float | None = None
    level: bool
    front: bool = False
    parameters: int
    flops: int
    latency: float | None = None
    seconds: float
    architecture: str
    optimizer: str
    candidate: Candidate | HyperCandidate


class Unranked(_Data):
    """A trial that has not run every fold; those that confirm another one are in neither table.

    Attributes:
        trial: Its number in the study.
        state: Any but `complete` and `confirmation`.
        reason: Why it ended; may be empty while it runs.
        epochs: Passes over the images of a fold, over all folds.
        accuracy: The last validation accuracy it reported, 0 to 1; None if it reported none.
        parameters: As Keras counts them.
        seconds: Wall time of the training.
        architecture: The network in one line.
    """

    trial: int
    state: State
    reason: str
    epochs: float
    accuracy: float | None
    parameters: int
    seconds: float
    architecture: str


class Curve(_Data):
    """One fold of one trial, point by point; the three tuples are equally long, accuracies are 0 to 1."""

    rank: int
    trial: int
    fold: int
    epochs: tuple[float, ...]
    accuracy: tuple[float, ...]
    val_accuracy: tuple[float, ...]


class Finish(_Data):
    """A trial completed.

    Attributes:
        trial: Its number.
        seconds: Time into the search, pauses between runs left out.
        score: Mean over the folds of its first run, 0 to 1.
        best: The best one up to then.
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
    """Winner minus baseline, as both were trained in the search: fold by fold on the same images, in units of accuracy.

    The standard error is over the folds; for one fold it is that of two independent scores, and None if unknown.
    """

    mean: float
    standard_error: float | None


class Span(_Data):
    """When a trial ran.

    Attributes:
        trial: Its number.
        state: How it ended, or that it runs.
        worker: Who trained it, from 0: at any moment each trains one.
        began, ended: Seconds into the search, pauses between runs left out.
    """

    trial: int
    state: State
    worker: int
    began: float
    ended: float


class ReportData(_Data):
    """All that the page, the CSV and the JSON show.

    Attributes:
        info: What the study is.
        command: The command line that begins the same study again.
        counts: Trials by state; only states that occur.
        training_seconds: Wall time of all trials, added up.
        search_seconds: Time in which at least one trial ran.
        saved_seconds: Training that dropped trials did not cost, estimated from the pace of each.
        plan: What was done with the time; None for a study that has not begun.
        ranking: Complete trials, best first; once some are confirmed, those come first.
        leader: The trial that wins as things stand; None before one is complete.
        others: All other trials but confirmations, by number.
        curves: Learning curves of the best `CURVES` trials, by rank, then fold.
        progress: Complete trials in the order they completed.
        parameters: What was drawn for the complete trials that have a dot, the most important parameter first.
        timeline: When the newest `MOST_SPANS` trials ran, in the order they began.
        winner: The retrained trial, or the first of the ranking; None if there is neither.
        baseline: The newest trial of the space's baseline; None before the first.
        gain: None if either has no score, or both are the same trial.
        retrained: The retrained model; None before `retrain`.
        openings: Every opening of the test set, oldest first.
        verdict: What the retrained model gets right and wrong; None before `retrain`.
        story: How the winner came about; None if that was not measured, or of another winner.
        remarks: What to keep in mind when reading the figures, one sentence or two each.
    """

    info: StudyInfo
    command: str
    counts: dict[State, int]
    training_seconds: float
    search_seconds: float
    saved_seconds: float = 0.0
    plan: Plan | None = None
    ranking: tuple[Ranked, ...]
    leader: int | None = None
    others: tuple[Unranked, ...]
    curves: tuple[Curve, ...]
    progress: tuple[Finish, ...]
    parameters: tuple[Parameter, ...] = ()
    timeline: tuple[Span, ...] = ()
    winner: Contender | None
    baseline: Contender | None
    gain: Gain | None
    retrained: WinnerInfo | None
    openings: tuple[TestScore, ...]
    verdict: Verdict | None = None
    story: Story | None = None
    remarks: tuple[str, ...] = ()


def collect(
    info: StudyInfo,
    records: Sequence[TrialRecord],
    winner: WinnerInfo | None,
    plan: Plan | None = None,
    verdict: Verdict | None = None,
    parameters: Sequence[Parameter] = (),
    story: Story | None = None,
) -> ReportData:
    """Everything the report says about a study.

    Args:
        info: What the study is.
        records: Its trials, in any order.
        winner: The retrained model, if there is one.
        plan: What was done with the time, if that is known.
        verdict: That model's answers on the test set, if they are known.
        parameters: What was drawn, the most important first.
        story: What was measured of a winner.
    """
    records = sorted(records, key=lambda record: record.number)
    complete = ranking(records)
    clock = SearchClock(_spans(records))
    leader = pick_winner(records, info.prefer)
    best = _best(leader, complete, winner)
    baseline = find_baseline(records)
    states = Counter(record.state for record in records)
    data = ReportData(
        info=info,
        command=command_line(info),
        counts={state: states[state] for state in get_args(State) if states[state]},
        training_seconds=sum(record.seconds for record in records),
        search_seconds=clock.seconds,
        saved_seconds=_saved_seconds(records, plan) if plan else 0.0,
        plan=plan,
        ranking=_rows(complete, info.objectives),
        leader=leader.number if leader else None,
        others=tuple(_unranked(r) for r in records if r.state not in ("complete", "confirmation")),
        curves=tuple(
            curve for rank, record in enumerate(complete[:CURVES], start=1) for curve in _curves(rank, record)
        ),
        progress=_progress(complete, clock),
        parameters=_of_the_best(parameters, complete),
        timeline=_timeline(records, clock),
        winner=best,
        baseline=_contender(baseline) if baseline else None,
        gain=_gain(next((r for r in complete if best and r.number == best.trial), None), baseline),
        retrained=winner,
        openings=(*winner.tested_before, winner.test) if winner else (),
        verdict=verdict if winner else None,
        story=story if story and best and story.winner == best.trial else None,
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


class SearchClock:
    """Time into a search, in which at least one trial ran.

    Args:
        spans: When each trial ran, as (start, end) in seconds since 1970.
    """

    def __init__(self, spans: Sequence[tuple[float, float]]) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []
        for start, end in sorted(spans):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)
        lengths = (end - start for start, end in zip(self._starts, self._ends, strict=True))
        self._before = [0.0, *accumulate(lengths)]

    @property
    def seconds(self) -> float:
        """How long it ran in all."""
        return self._before[-1]

    def at(self, moment: float) -> float:
        """Seconds into the search at a moment."""
        run = bisect_right(self._starts, moment) - 1
        if run < 0:
            return 0.0
        return self._before[run] + min(moment, self._ends[run]) - self._starts[run]


def savings(data: ReportData) -> str:
    """What dropping candidates early has saved, as in `22 of 41 worker minutes`; empty if nothing."""
    if not data.saved_seconds:
        return ""
    whole = data.saved_seconds + data.training_seconds
    size, unit = next((size, unit) for start, size, unit in WORKER_TIMES if whole >= start)
    return f"{data.saved_seconds / size:.0f} of {whole / size:.0f} worker {unit}"


def _stage_line(stage: Stage) -> str:
    runs = [(name, len(list(run))) for name, run in groupby(map(_block_name, stage.blocks))]
    text = ", ".join(name if count == 1 else f"{name} ×{count}" for name, count in runs)
    around = [word for word, there in (("attention", stage.attention > 0), ("skip", stage.skip != "none")) if there]
    return " + ".join([text if stage.downsample == "none" else f"{text} ↓", *around])


def _block_name(block: Block) -> str:
    kind = block.code.rpartition(":")[2] if isinstance(block, Custom) else block.kind
    return f"{kind}{block.kernel}-{block.filters}".replace("_", " ")


def _rows(complete: Sequence[TrialRecord], objectives: Sequence[str]) -> tuple[Ranked, ...]:
    unbeaten = {record.number for record in front(complete, objectives)} if len(objectives) > 1 else set()
    return tuple(
        Ranked(
            rank=rank,
            trial=record.number,
            score=_score(record),
            standard_error=record.standard_error,
            fold_scores=record.counted,
            first_run=fmean(record.fold_scores) if record.confirmed else None,
            level=level(record, complete[0]),
            front=record.number in unbeaten,
            parameters=record.parameters,
            flops=record.flops,
            latency=mean_latency(record),
            seconds=record.seconds,
            architecture=candidate_line(record.candidate),
            optimizer=""
            if isinstance(record.candidate, HyperCandidate)
            else optimizer_line(record.candidate.recipe.optimizer),
            candidate=record.candidate,
        )
        for rank, record in enumerate(complete, start=1)
    )


def _saved_seconds(records: Sequence[TrialRecord], plan: Plan) -> float:
    dropped = [record for record in records if record.state == "pruned" and record.reports]
    pace = learn_pace(records)
    start = pace.start_seconds if pace else 0.0
    return sum(remaining_seconds(record, plan.folds, plan.images, start) for record in dropped)


def _unranked(record: TrialRecord) -> Unranked:
    return Unranked(
        trial=record.number,
        state=record.state,
        reason=record.reason,
        epochs=record.epochs_done,
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


def _progress(complete: Sequence[TrialRecord], clock: SearchClock) -> tuple[Finish, ...]:
    finished = sorted((r.ended, r.number, fmean(r.fold_scores)) for r in complete if r.ended is not None)
    best = accumulate((score for _, _, score in finished), max)
    return tuple(
        Finish(trial=trial, seconds=clock.at(ended), score=score, best=so_far)
        for (ended, trial, score), so_far in zip(finished, best, strict=True)
    )


def _timeline(records: Sequence[TrialRecord], clock: SearchClock) -> tuple[Span, ...]:
    ran = [(span, record) for span, record in zip(_spans(records), records, strict=True) if record.reports]
    found, free = [], list[float]()
    for (start, end), record in sorted(ran[-MOST_SPANS:], key=lambda pair: pair[0]):
        worker = next((number for number, until in enumerate(free) if until <= start), len(free))
        free[worker : worker + 1] = [end]
        found.append(
            Span(trial=record.number, state=record.state, worker=worker, began=clock.at(start), ended=clock.at(end))
        )
    return tuple(found)


def _of_the_best(parameters: Sequence[Parameter], complete: Sequence[TrialRecord]) -> tuple[Parameter, ...]:
    shown = [record.number for record in complete[:MOST_POINTS]]
    kept = (
        each.model_copy(update={"values": {number: each.values[number] for number in shown if number in each.values}})
        for each in parameters
    )
    return tuple(each for each in kept if each.values)[:MOST_PARAMETERS]


def _spans(records: Sequence[TrialRecord]) -> list[tuple[float, float]]:
    # A killed coordinator closes its trials only when the search goes on, perhaps days later: count what they trained.
    return [
        (r.started, r.started + r.seconds if r.ended is None or r.state == "interrupted" else r.ended) for r in records
    ]


def _best(picked: TrialRecord | None, complete: Sequence[TrialRecord], winner: WinnerInfo | None) -> Contender | None:
    if winner is None:
        return _contender(picked) if picked else None
    for record in complete:  # it may have run again since it was retrained
        if record.number == winner.trial:
            return _contender(record)
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
    differences = [ours - theirs for ours, theirs in zip(winner.fold_scores, baseline.fold_scores, strict=False)]
    if len(differences) > 1:
        error: float | None = stdev(differences) / sqrt(len(differences))
    elif winner.standard_error is None or baseline.standard_error is None:
        error = None
    else:
        error = hypot(winner.standard_error, baseline.standard_error)
    return Gain(mean=fmean(differences), standard_error=error)


def _score(record: TrialRecord) -> float:
    return record.score or 0.0


def command_line(info: StudyInfo) -> str:
    """The command that begins the study again."""
    options = {
        "data": info.data,
        "size": info.size,
        "folds": info.folds if info.all_folds else None,
        "seed": info.seed,
        "sampler": info.sampler,
        "pruner": info.pruner,
        "trials": info.trials,
        "time": f"{info.seconds:.0f}s" if info.seconds else None,
        "epochs": f"{info.epochs:g}" if info.epochs else None,
        "batch-size": info.batch_size,
        "first-rung": info.first_rung,
        "finalists": info.finalists,
        "objective": ",".join(info.objectives) if len(info.objectives) > 1 else None,
        "prefer": info.prefer if info.prefer != "accuracy" else None,
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
    if data.winner is None or count == 1:
        return
    unbiased = " The test score is not." if len(data.openings) == 1 else ""
    finalists = sum(row.first_run is not None for row in data.ranking)
    if finalists > 1:
        yield (
            f"The {finalists} best ran again before one of them won, with a fresh seed and for as long as the winner "
            "trains. Only that run counts for them."
        )
    if data.winner.trial == data.leader != data.ranking[0].trial:
        yield "The winner is the smallest of those that are within one standard error of the best, as was asked for."
    yield (
        f"The winner was picked as the best of {count}, so its cross-validated score is likely a little "
        f"optimistic.{unbiased}"
    )


def _shorter(data: ReportData) -> Iterator[str]:
    plan = data.plan
    if data.ranking and plan is not None and plan.epochs != plan.winner_epochs:
        who = "All but the finalists" if any(row.first_run is not None for row in data.ranking) else "Candidates"
        done = data.retrained.epochs if data.retrained else None
        winner = f"was retrained for {done:.3g}" if done else f"is retrained for about {plan.winner_epochs:g}"
        yield (
            f"{who} trained for {plan.epochs:g} epochs, and the winner {winner}: scores after the shorter training say "
            "who is better, not how good the winner will be."
        )


def _cut_short(data: ReportData) -> Iterator[str]:
    planned = data.plan.winner_epochs if data.plan else None
    if data.retrained and planned and data.retrained.epochs < CUT_SHORT * planned:
        yield (
            f"There was time to retrain the winner for {data.retrained.epochs:.3g} epochs only, instead of "
            f"{planned:g}: with more --time it would likely be better."
        )
    if data.plan and data.plan.finalists and data.retrained and not any(row.first_run for row in data.ranking):
        yield "There was no time to run finalists again, so no score is free of the luck of the search but the test's."


def _savings(data: ReportData) -> Iterator[str]:
    if saved := savings(data):
        dropped = data.counts["pruned"]
        yield f"Dropping {dropped} candidate{'s' if dropped > 1 else ''} early saved about {saved}."


def _reopened(data: ReportData) -> Iterator[str]:
    if len(data.openings) > 1:
        yield (
            f"The test set has been opened {len(data.openings)} times. If any choice was made after the first, "
            "later test scores are optimistic too."
        )


def _overtaken(data: ReportData) -> Iterator[str]:
    if data.retrained and data.leader is not None and data.leader != data.retrained.trial:
        yield f"The retrained model is trial {data.retrained.trial}; trial {data.leader} would win now."


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


REMARKS = (
    _too_few,
    _ties,
    _selection,
    _shorter,
    _cut_short,
    _savings,
    _reopened,
    _overtaken,
    _against_baseline,
    _failures,
)
"""Each looks at the data and yields what a careful reader should know; in the order they are shown."""
