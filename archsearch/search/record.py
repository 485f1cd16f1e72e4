"""A trial as the rest of archsearch sees it, kept whole in one user attribute of its Optuna trial."""

from collections.abc import Sequence
from functools import cached_property
from math import sqrt
from statistics import fmean, stdev
from typing import Literal, Self

from optuna.study import Study
from optuna.trial import Trial
from pydantic import BaseModel, ConfigDict, Field

from archsearch.space.architecture import Candidate
from archsearch.space.hyper import HyperCandidate
from archsearch.training.job import Cause, Report

State = Literal["running", "complete", "confirmation", "pruned", "infeasible", "duplicate", "interrupted", "failed"]

ATTRIBUTE = "archsearch"
UNDRAWN = "undrawn"
"""Attribute of a trial that has no record, since nothing could be made of what was chosen: why."""


class TrialRecord(BaseModel):
    """What is known of one trial.

    Attributes:
        number: Of the trial in the study, from 0.
        state: How it stands or ended; only `complete` trials have run every fold and are ranked. A `confirmation` is
            a complete run of what another trial tried.
        reason: One sentence on why it ended early; empty for running and complete trials.
        cause: What kind of failure it was, if it has failed.
        candidate: What it tried.
        digest: Of the candidate (`Drawn`).
        work: About how much it takes to train on an image, compared with other candidates (`Drawn.work`).
        seed: Of its training.
        confirms: The trial whose candidate this one trains again, with a fresh seed; None for all others.
        retries: The trial that this one tries again, since it was lost; None for all others.
        confirmed: What such a trial has scored on each fold (`joined`).
        held_out: Images that are scored at the end of a fold; 0 if unknown.
        baseline: Whether this is the space's baseline: trial 0, and again if that was interrupted.
        parameters: As Keras counts them.
        flops: For one image, forward; one multiply-add is 2; 0 if unknown.
        needs: Bytes that its training takes beyond a bare worker, by arithmetic (`memory.needed`); 0 if unknown.
        peak_memory: Largest resident size of its worker, in bytes; 0 if unknown.
        alone: Whether nothing else trained beside it, from its beginning to its end.
        reports: One for each point of each fold, in the order they came.
        carried: So many folds were trained by an earlier try of the same, which was cut off.
        seconds: Wall time of the worker so far, and of those folds.
        started: When the trial began, in seconds since 1970 (UTC).
        ended: The same for its end; None while it runs.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    state: State = "running"
    reason: str = ""
    cause: Cause | None = None
    candidate: Candidate | HyperCandidate
    digest: str
    work: float = 1.0
    seed: int = 0
    confirms: int | None = None
    retries: int | None = None
    confirmed: tuple[float, ...] = Field(default=(), exclude=True)
    held_out: int = 0
    baseline: bool = False
    parameters: int
    flops: int
    needs: int = 0
    peak_memory: int = 0
    alone: bool = False
    reports: tuple[Report, ...] = ()
    carried: int = 0
    seconds: float = 0.0
    started: float = 0.0
    ended: float | None = None

    def __copy__(self) -> Self:
        """A copy that works out its scores anew: `model_copy` may change what they come from."""
        copied = super().__copy__()
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    @cached_property
    def fold_scores(self) -> tuple[float, ...]:
        """Validation accuracy at the end of each finished fold, in the folds' order."""
        return tuple(r.val_accuracy for r in self.reports if r.is_last)

    @property
    def epochs_done(self) -> float:
        """Passes over the training images of a fold, over all folds so far."""
        return sum(r.epochs for r in self.reports if r.is_last) + next(
            (r.epoch for r in self.reports[-1:] if not r.is_last), 0.0
        )

    @property
    def images(self) -> int:
        """Trained on, over all folds so far, each as often as it was."""
        return sum({r.fold: r.images for r in self.reports}.values())

    @property
    def counted(self) -> tuple[float, ...]:
        """What counts of each fold: `confirmed`, which nothing was selected by, once it is there."""
        return self.confirmed or self.fold_scores

    @cached_property
    def score(self) -> float | None:
        """Mean of `counted`; None before the first fold is done."""
        return fmean(self.counted) if self.counted else None

    @cached_property
    def standard_error(self) -> float | None:
        """Standard error of `score`: over the folds, but no less than that of a share of all images held out.

        Few folds may agree by chance.
        """
        if self.score is None:
            return None
        errors = [stdev(self.counted) / sqrt(len(self.counted))] if len(self.counted) > 1 else []
        if self.held_out:
            errors.append(sqrt(self.score * (1 - self.score) / (self.held_out * len(self.counted))))
        return max(errors, default=None)

    def at(self, share: float) -> Report | None:
        """The report of the first fold when `share` of its training was over; None if it has not come so far."""
        near = min(POINTS_APART, share) / 2  # points are rounded to whole steps
        return next((r for r in self.reports if r.fold == 0 and r.share > share - near), None)


POINTS_APART = 0.05
"""Points at which a fold is scored lie further apart than this share of its training, but for the earliest rungs."""


def write(trial: Trial, record: TrialRecord) -> None:
    """Keeps `record` in `trial`, in place of what was kept before."""
    trial.set_user_attr(ATTRIBUTE, record.model_dump(mode="json"))


def read(study: Study) -> list[TrialRecord]:
    """All trials that have a record, by number. A trial that died before it was sampled has none."""
    return joined(
        [
            TrialRecord.model_validate(trial.user_attrs[ATTRIBUTE])
            for trial in study.get_trials(deepcopy=False)
            if ATTRIBUTE in trial.user_attrs
        ]
    )


def joined(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The same records, each with what others have confirmed of it.

    While a better one's second run is broken off, those of worse ones do not count: they would win by that alone.
    """
    scores = {record.confirms: record.fold_scores for record in records if record.state == "confirmation"}
    ended = {record.confirms for record in records if record.state in ("interrupted", "failed")}
    broken = min((_first_run(r) for r in records if r.number in ended - scores.keys()), default=None)
    found = []
    for record in records:
        counts = record.number in scores and (broken is None or _first_run(record) < broken)
        confirmed = scores[record.number] if counts else ()
        found.append(record if record.confirmed == confirmed else record.model_copy(update={"confirmed": confirmed}))
    return found


def ranking(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Complete trials: those that are confirmed first, then by score; among equals the smaller, then the older."""
    return sorted((record for record in records if record.state == "complete"), key=_order)


def leader(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The first of the ranking, or None before there is one."""
    return min((record for record in records if record.state == "complete"), key=_order, default=None)


def _order(record: TrialRecord) -> tuple[bool, float, int, int]:
    return not record.confirmed, -(record.score or 0.0), record.parameters, record.number


def finalists(records: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """The `count` best complete trials by their own scores, before any confirmation; none if there are not two."""
    complete = [record for record in records if record.state == "complete"]
    best = sorted(complete, key=_first_run)[:count]
    return best if len(best) > 1 else []


def _first_run(record: TrialRecord) -> tuple[float, int, int]:
    return -fmean(record.fold_scores), record.parameters, record.number


def level(record: TrialRecord, best: TrialRecord) -> bool:
    """Whether `record` is within one standard error of `best`, so that the order of the two is not established.

    The one-standard-error rule (Breiman et al. 1984). If only one of them is confirmed, what both scored before counts:
    finalists train for longer when they run again.
    """
    alike = bool(record.confirmed) == bool(best.confirmed)
    mine, theirs = (r.counted if alike else r.fold_scores for r in (record, best))
    return fmean(mine) >= fmean(theirs) - (best.standard_error or 0.0)


def pick_winner(records: Sequence[TrialRecord], prefer: str) -> TrialRecord | None:
    """The trial that wins: the first of the ranking, or the smallest that is level with it; None before there is one.

    Args:
        records: All trials.
        prefer: `accuracy` or `small`. Once some are confirmed, only those can win.
    """
    best = leader(records)
    if best is None or prefer == "accuracy":
        return best
    rivals = [r for r in ranking(records) if level(r, best) and bool(r.confirmed) == bool(best.confirmed)]
    return min(rivals, key=lambda r: (r.parameters, -(r.score or 0.0), r.number))


def find_baseline(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The baseline's newest try, or None before the first; drawn again by the sampler it is a duplicate, and no try."""
    return next((record for record in reversed(records) if record.baseline and record.state != "duplicate"), None)
