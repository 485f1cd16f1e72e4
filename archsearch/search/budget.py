"""What a search may use, what is spent, and what must be kept aside: pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from archsearch.search.record import TrialRecord

REPORT_SECONDS = 20.0
"""What loading TensorFlow, scoring the test set and writing the report may take."""


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


def retraining_seconds(records: Sequence[TrialRecord], leader: TrialRecord | None, folds: int) -> float:
    """How long the retraining of the winner will take, as far as can be known now.

    Args:
        records: All trials.
        leader: The best complete one, or None.
        folds: How many folds there are; retraining sees folds / (folds - 1) times a fold's images.

    Returns:
        Seconds: from the leader's own epochs, or before there is one from the slowest running trial's.
    """
    known = [leader] if leader else [record for record in records if record.state == "running"]
    a_fold = [
        sum(report.seconds for report in record.reports) / len(record.reports) * record.reports[0].epochs
        for record in known
        if record.reports
    ]
    return max(a_fold, default=0.0) * folds / (folds - 1)
