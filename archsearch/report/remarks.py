"""ReportData → the sentences that say how far to trust it."""

from collections.abc import Iterator, Sequence

from archsearch.report.data import ReportData
from archsearch.report.stress import stress_sentence

CUT_SHORT = 0.8
"""A retraining for less than this share of the planned epochs is worth a remark."""

NAMED = 6
"""A remark names this many trials; of more it gives the number."""

WORKER_TIMES = ((36_000.0, 3_600.0, "hours"), (600.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
"""From how many seconds on, divided by what, called what."""


def remarks(data: ReportData) -> tuple[str, ...]:
    """What a careful reader should know, a sentence or two each, in the order in which they are shown."""
    return tuple(text for remark in REMARKS for text in remark(data))


def savings(data: ReportData) -> str:
    """What dropping candidates early has saved, as in `22 of 41 worker minutes`; empty if nothing."""
    if not data.saved_seconds:
        return ""
    whole = data.saved_seconds + data.training_seconds
    size, unit = next((size, unit) for start, size, unit in WORKER_TIMES if whole >= start)
    return f"{data.saved_seconds / size:.0f} of {whole / size:.0f} worker {unit}"


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


def _stress(data: ReportData) -> Iterator[str]:
    if data.stress:
        yield stress_sentence(data.stress)


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
    _stress,
    _failures,
)
