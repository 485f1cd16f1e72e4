"""What a search may use, what is spent, and how long things will take: pure functions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from archsearch.search.failures import is_tried_again
from archsearch.search.record import TrialRecord
from archsearch.training.branches import branches_for
from archsearch.training.job import Report

REPORT_SECONDS = 2.5
"""What saving the model and writing the report may take; of a short budget, a fifth."""
TESTING = 1 / 3
"""Scoring an image takes so much of training on one."""
RETRAINING_SPEED = 1.6
"""Retraining has all cores, and splits its batches among them (`Trainer`)."""
WHOLE_SPEED = 1.15
"""That of a HyperModel, whose batches stay whole: TensorFlow's threads share each operation."""


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


@dataclass(frozen=True)
class Pace:
    """How fast this machine trains, learnt from the trials so far.

    Attributes:
        unit_seconds: Seconds that one worker trains on an image, for each unit of a candidate's work (`Drawn.work`).
        start_seconds: A trial's time before its first step.
    """

    unit_seconds: float
    start_seconds: float

    def image_seconds(self, work: float) -> float:
        """How long training on one image takes, for a candidate of so much `work`."""
        return self.unit_seconds * work


def trained(records: Sequence[TrialRecord]) -> int:
    """How many trials count against the budget: those that trained or are training, and were neither interrupted nor
    lost in a way that gives them another try.
    """
    counted = ("running", "complete", "pruned", "failed")
    return sum(r.state in counted and r.confirms is None and not is_tried_again(r) for r in records)


def image_seconds(record: TrialRecord, start: float = 0.0) -> float | None:
    """How long `record` takes to train on an image, scoring on the way included; None before it is known.

    Args:
        record: A trial. Its first report has its start in it and counts only when there is no other.
        start: What starting takes, in seconds.
    """
    first, *others = list(_spans(record.reports)) or [(0, 0.0)]
    spans = others or [(first[0], max(0.0, first[1] - start))]
    images = sum(images for images, _ in spans)
    return sum(seconds for _, seconds in spans) / images if images else None


def learn_pace(records: Sequence[TrialRecord]) -> Pace | None:
    """The pace of the trials so far, half of them slower and half faster; None before one has reported twice."""
    known = [record for record in records if len(record.reports) > 1]
    if not known:
        return None
    units = [(image_seconds(record) or 0.0) / record.work for record in known]
    starts = [record.reports[0].seconds - record.reports[0].images * (image_seconds(record) or 0.0) for record in known]
    return Pace(median(units), max(0.0, median(starts)))


def retraining_speed(workers: int, hyper: bool, batch_size: int | None = None) -> float:
    """How many times as fast as one worker retraining is.

    Args:
        workers: Whose cores it has.
        hyper: Whether it is of a HyperModel.
        batch_size: Images a step; None if that is not known yet, which is taken for enough to split a batch.
    """
    if workers == 1:
        return 1.0
    if hyper:
        return WHOLE_SPEED
    return 1.0 if batch_size is not None and branches_for(batch_size, workers) == 1 else RETRAINING_SPEED


def retraining_seconds(image_seconds: float, images: int, epochs: float, speed: float) -> float:
    """How long retraining will take.

    Args:
        image_seconds: That one worker takes to train on an image.
        images: All but the test set's.
        epochs: Passes over them.
        speed: `retraining_speed`.
    """
    return image_seconds * images * epochs / speed


def closing_seconds(budget_seconds: float, image_seconds: float, test_images: int) -> float:
    """How long it takes to open the test set, save the model and write the report once it is retrained.

    Args:
        budget_seconds: For everything; no more than a fifth of it is kept for this.
        image_seconds: That one worker takes to train on an image.
        test_images: In the test set.
    """
    return min(REPORT_SECONDS + TESTING * image_seconds * test_images, budget_seconds / 5)


def remaining_seconds(record: TrialRecord, folds: int, images: int, start: float = 0.0) -> float:
    """How long a running trial still needs, in seconds of its worker; 0.0 before its first report.

    Args:
        record: The trial.
        folds: That it is to run.
        images: That each of them trains on in an epoch.
        start: What starting takes, in seconds.
    """
    seconds = image_seconds(record, start)
    if seconds is None:
        return 0.0
    last = record.reports[-1]
    whole = last.epochs * images
    done = last.fold * whole + last.images
    return seconds * max(0.0, folds * whole - done)


def _spans(reports: Sequence[Report]) -> Iterator[tuple[int, float]]:
    """Images trained on from each report to the next, and the seconds that it took."""
    before = (-1, 0)
    for report in reports:
        yield report.images - (before[1] if before[0] == report.fold else 0), report.seconds
        before = report.fold, report.images
