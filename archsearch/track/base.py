"""What a tracker is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from archsearch.search.folder import StudyInfo
from archsearch.search.record import TrialRecord
from archsearch.space.hyper import HyperCandidate
from archsearch.training.job import Report


@dataclass(frozen=True)
class About:
    """What goes with a study.

    Attributes:
        name: Of the study.
        folder: Where it lies.
        info: What it is: versions, commit, data, seed.
        command: The command line that begins it again.
        space: Text of the space.
    """

    name: str
    folder: Path
    info: StudyInfo
    command: str
    space: str


class Tracker(Protocol):
    """Called in a thread of its own, in the order in which things happened; it may raise whatever it likes."""

    def begin(self, about: About) -> None:
        """The search begins, or goes on."""

    def report(self, record: TrialRecord, report: Report) -> None:
        """A trial has come to a point."""

    def end_trial(self, record: TrialRecord) -> None:
        """A trial has ended, in whatever state."""

    def finish(self, about: About) -> None:
        """The search is over, and its report is written."""


def settings(record: TrialRecord) -> dict[str, float | int | str]:
    """What a trial tried, flat: what tables of hyperparameters show."""
    candidate = record.candidate
    if isinstance(candidate, HyperCandidate):
        return dict(candidate.values)
    blocks = [block for stage in candidate.architecture.stages for block in stage.blocks]
    optimizer = candidate.recipe.optimizer.model_dump()
    return {
        "stages": len(candidate.architecture.stages),
        "blocks": len(blocks),
        "filters": max(block.filters for block in blocks),
        "kinds": ", ".join(dict.fromkeys(block.kind for block in blocks)),
        "pool": candidate.architecture.head.pool,
        "hidden": candidate.architecture.head.hidden,
        "optimizer": optimizer.pop("kind"),
        **{name: value for name, value in optimizer.items() if isinstance(value, float | int | str)},
        "batch_size": candidate.recipe.batch_size,
        "epochs": candidate.recipe.epochs,
        "parameters": record.parameters,
        "flops": record.flops,
    }


def steps(record: TrialRecord, report: Report) -> int:
    """Images that the trial has trained on by then, over all folds: the x axis that all trials share."""
    earlier = {r.fold: r.images for r in record.reports if r.fold < report.fold}
    return sum(earlier.values()) + report.images
