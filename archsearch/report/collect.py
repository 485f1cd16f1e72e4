"""Study → `ReportData`."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import hypot, sqrt
from statistics import fmean, stdev
from typing import get_args

from archsearch.report.data import Contender, Curve, Finish, Gain, Ranked, ReportData, Span, Unranked
from archsearch.report.lines import candidate_line, command_line, optimizer_line
from archsearch.report.remarks import remarks
from archsearch.report.story import Story
from archsearch.report.stress import StressReport
from archsearch.report.verdict import Verdict
from archsearch.search.budget import learn_pace, remaining_seconds
from archsearch.search.certificate import Exports
from archsearch.search.folder import StudyInfo, TestScore, WinnerInfo
from archsearch.search.objectives import front, mean_latency, mean_robustness
from archsearch.search.parameters import Parameter
from archsearch.search.plan import Plan
from archsearch.search.record import State, TrialRecord, find_baseline, level, pick_winner, ranking
from archsearch.space.hyper import HyperCandidate

CURVES = 10
"""How many of the best trials have their learning curves shown."""

MOST_POINTS = 1000
"""Of more complete trials only the best are drawn as dots."""

MOST_SPANS = 1000

MOST_PARAMETERS = 12
"""The most important ones are shown."""


def collect(
    info: StudyInfo,
    records: Sequence[TrialRecord],
    winner: WinnerInfo | None,
    plan: Plan | None = None,
    verdict: Verdict | None = None,
    parameters: Sequence[Parameter] = (),
    story: Story | None = None,
    stress: StressReport | None = None,
    exports: Exports | None = None,
    openings: Sequence[TestScore] = (),
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
        stress: How that model stands what happens to images, if it was tested.
        exports: What it was exported to, if it was.
        openings: Of the test set, in any order; that of the winner need not be among them.
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
        openings=_in_order({*openings, *([winner.test] if winner else [])}),
        verdict=verdict if winner else None,
        stress=stress if winner else None,
        exports=exports if winner else None,
        story=story if story and best and story.winner == best.trial else None,
    )
    return data.model_copy(update={"remarks": remarks(data)})


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
            robustness=mean_robustness(record),
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
        (r.started, max(r.started, r.ended) if r.ended and r.state != "interrupted" else r.started + r.seconds)
        for r in records
    ]


def _in_order(openings: Iterable[TestScore]) -> tuple[TestScore, ...]:
    return tuple(sorted(openings, key=lambda test: (test.opened, test.trial)))


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
        first_run=fmean(record.fold_scores) if complete and record.confirmed else None,
        standard_error=record.standard_error if complete else None,
        parameters=record.parameters,
        flops=record.flops,
        latency=mean_latency(record),
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
