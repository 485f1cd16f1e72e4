"""A trial, trained again as it was: does its score come out the same?"""

from collections.abc import Callable
from dataclasses import dataclass

from archsearch.data.splits import Splits
from archsearch.errors import StudyError, TrialError
from archsearch.search.config import TRIAL_TIMEOUT
from archsearch.search.executors.choose import local_executor
from archsearch.search.record import TrialRecord
from archsearch.space.code import trusted_folder
from archsearch.training.job import Outcome, Report, TrialJob

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Replayed:
    """A trial and its repetition, report by report.

    Attributes:
        recorded: What the study says.
        again: What has come now, as many.
    """

    recorded: tuple[Report, ...]
    again: tuple[Report, ...]

    @property
    def differences(self) -> tuple[float, ...]:
        """Validation accuracy now minus then, at each report; in units of accuracy."""
        return tuple(now.val_accuracy - then.val_accuracy for then, now in zip(self.recorded, self.again, strict=True))


def replay(
    record: TrialRecord,
    splits: Splits,
    on_report: Callable[[Report], None] = lambda report: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Replayed | None:
    """Trains `record`'s candidate again, from its seed, on the same folds, up to where it came.

    Args:
        record: A trial that has reported something.
        splits: The study's data.
        on_report: Told each report as it comes.
        interrupted: Asked a few times a second; True ends the training.

    Returns:
        Both trainings; None if interrupted.

    Raises:
        StudyError: The trial has reported nothing.
        TrialError: The training broke down.
    """
    if not record.reports:
        raise StudyError(
            f"trial {record.number}: {record.state} before it had trained ({record.reason}); choose another one"
        )
    job = TrialJob(
        trial=record.number,
        candidate=record.candidate,
        images=splits.train.path,
        folds=splits.folds[: record.reports[-1].fold + 1],
        points=tuple(report.share for report in record.reports if report.fold == 0),
        seed=record.seed,
        code=trusted_folder(),
    )
    executor = local_executor(workers=1, timeout=TRIAL_TIMEOUT)
    again: list[Report] = []
    try:
        executor.submit(job)
        while len(again) < len(record.reports):
            if interrupted():
                return None
            for event in executor.events(POLL_SECONDS)[: len(record.reports) - len(again)]:
                if isinstance(event, Outcome):
                    raise TrialError(f"trial {record.number}, again: {event.error}")
                again.append(event)
                on_report(event)
    finally:
        executor.close()
    return Replayed(record.reports, tuple(again))
