"""What a search may use, what is spent, and how long things will take: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from archsearch.search.record import TrialRecord

REPORT_SECONDS = 20.0
"""What loading TensorFlow, scoring the test set and writing the report may take; of a short budget, a fifth."""


@dataclass(frozen=True)
class Budget:
    """What a search may use; None is no limit, and at least one of them is set.

    Attributes:
        trials: Trials that train, however they end.
        seconds: Wall time for the whole study, retraining and report included.
    """

    trials: int | None
    seconds: float | None

    def share(self, trained: int, seconds: float) -> float:
        """How much is spent, 0 to 1, of whichever runs out first."""
        by_trials = trained / self.trials if self.trials else 0.0
        by_time = seconds / self.seconds if self.seconds else 0.0
        return min(1.0, max(by_trials, by_time))


def trained(records: Sequence[TrialRecord]) -> int:
    """How many trials count against the budget: those that trained or are training and were not interrupted."""
    return sum(record.state in ("running", "complete", "pruned", "failed") for record in records)


def retraining_seconds(record: TrialRecord, folds: int) -> float:
    """How long retraining `record`'s candidate will take, by its own epochs so far; 0.0 before the first.

    Retraining sees folds / (folds - 1) times the images of a fold's training, and no validation.
    """
    if not record.reports:
        return 0.0
    return _epoch_seconds(record) * record.reports[-1].epochs * folds / (folds - 1)


def remaining_seconds(record: TrialRecord, folds: int) -> float:
    """How long a running trial still needs for all its folds, by its own epochs so far; 0.0 before the first."""
    if not record.reports:
        return 0.0
    return _epoch_seconds(record) * (folds * record.reports[-1].epochs - len(record.reports))


def search_seconds_left(budget: Budget, spent: float, leader: TrialRecord | None, folds: int) -> float:
    """How long the search may go on so that the leader can be retrained in time.

    Args:
        budget: What the study may use.
        spent: Seconds spent on the study so far.
        leader: The best complete trial, or None.
        folds: How many folds there are.

    Returns:
        Seconds; at most 0 when the search must end now, infinite without a limit of time.
    """
    if budget.seconds is None:
        return float("inf")
    aside = retraining_seconds(leader, folds) if leader else 0.0
    return budget.seconds - min(REPORT_SECONDS, budget.seconds / 5) - aside - spent


def too_slow(record: TrialRecord, budget: Budget, spent: float, folds: int) -> bool:
    """Whether a running trial could not be finished and then retrained before the time is up."""
    if len(record.reports) < 2:
        return False  # The first epoch's time is not that of the others: tracing is in it.
    need = remaining_seconds(record, folds)
    return need > search_seconds_left(budget, spent, record, folds)


def _epoch_seconds(record: TrialRecord) -> float:
    # The first epoch has the tracing in it.
    return fmean(report.seconds for report in record.reports[1:] or record.reports)
