"""A trial as the rest of archsearch sees it, kept whole in one user attribute of its Optuna trial."""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Literal

from optuna.study import Study
from optuna.trial import Trial
from pydantic import BaseModel, ConfigDict

from archsearch.space.architecture import Candidate
from archsearch.space.hyper import HyperCandidate
from archsearch.training.job import Report

State = Literal["running", "complete", "pruned", "infeasible", "duplicate", "interrupted", "failed"]

ATTRIBUTE = "archsearch"


class TrialRecord(BaseModel):
    """What is known of one trial.

    Attributes:
        number: Of the trial in the study, from 0.
        state: How it stands or ended; only `complete` trials have run every fold and are ranked.
        reason: One sentence on why it ended early; empty for running and complete trials.
        candidate: What it tried.
        digest: Of the candidate (`Drawn`).
        baseline: Whether this is the space's baseline: trial 0, and again if that was interrupted.
        parameters: As Keras counts them.
        flops: For one image, forward; one multiply-add is 2; 0 if unknown.
        reports: One for each finished epoch, in the order they came.
        seconds: Wall time of the worker so far.
        started: When the trial began, in seconds since 1970 (UTC).
        ended: The same for its end; None while it runs.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    state: State = "running"
    reason: str = ""
    candidate: Candidate | HyperCandidate
    digest: str
    baseline: bool = False
    parameters: int
    flops: int
    reports: tuple[Report, ...] = ()
    seconds: float = 0.0
    started: float = 0.0
    ended: float | None = None

    @property
    def fold_scores(self) -> tuple[float, ...]:
        """Validation accuracy after the last epoch of each finished fold, in the folds' order."""
        return tuple(r.val_accuracy for r in self.reports if r.epoch == r.epochs)

    @property
    def score(self) -> float | None:
        """Mean of `fold_scores`; None before the first fold is done."""
        return fmean(self.fold_scores) if self.fold_scores else None

    @property
    def standard_error(self) -> float | None:
        """Standard error of `score` over the folds; None for fewer than two."""
        scores = self.fold_scores
        return stdev(scores) / sqrt(len(scores)) if len(scores) > 1 else None


def write(trial: Trial, record: TrialRecord) -> None:
    """Keeps `record` in `trial`, in place of what was kept before."""
    trial.set_user_attr(ATTRIBUTE, record.model_dump(mode="json"))


def read(study: Study) -> list[TrialRecord]:
    """All trials that have a record, by number. A trial that died before it was sampled has none."""
    return [
        TrialRecord.model_validate(trial.user_attrs[ATTRIBUTE])
        for trial in study.get_trials(deepcopy=False)
        if ATTRIBUTE in trial.user_attrs
    ]


def ranking(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Complete trials, best score first; among equals the one with fewer parameters, then the older."""
    complete = [record for record in records if record.state == "complete"]
    return sorted(complete, key=lambda r: (-(r.score or 0.0), r.parameters, r.number))


def find_baseline(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The baseline's newest try, or None before the first."""
    return next((record for record in reversed(records) if record.baseline), None)
