"""Keeps a search's plan true to what its trials show, and says what there is still time for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heapreplace
from math import isfinite
from statistics import fmean

from archsearch.search.budget import (
    Budget,
    Pace,
    closing_seconds,
    image_seconds,
    learn_pace,
    remaining_seconds,
    retraining_seconds,
    retraining_speed,
    trained,
)
from archsearch.search.candidates import Candidates
from archsearch.search.images import SearchImages
from archsearch.search.plan import MOST_CONFIRMING, Given, Plan, Workload, fewer_folds, make_plan
from archsearch.search.record import TrialRecord, finalists, leader
from archsearch.training.job import CHECKED

WRONG = 1.6
"""A plan whose pace was wrong by more than this factor is made again."""
SHORTENED = 0.6
"""A candidate is still worth trying if there is time to retrain it for this share of the winner's epochs."""
STARTING = 1.5
"""So many times as long as usual may a trial have taken to start; only its later reports show how fast it is."""
MOST_RETRAINING = 0.4
"""Share of the budget that is kept for retraining a leader; one that needs more goes through its recipe faster."""
RECENT = 50
"""The pace is that of so many of the newest trials."""


@dataclass
class Planner:
    """The plan of one search.

    Attributes:
        candidates: What is tried.
        images: What is trained on.
        workers: Candidates that train at once.
        budget: What the search may use.
        given: What the user has decided.
        spent: Seconds spent on the study so far.
        probed: The pace before the first trial; None if it was not measured.
        plan: As it stands.
    """

    candidates: Candidates
    images: SearchImages
    workers: int
    budget: Budget
    given: Given
    spent: Callable[[], float]
    probed: Pace | None = None
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self._typical = self.candidates.typical_work()

    def begin(self, pace: Pace | None) -> None:
        """Makes the plan, for the time that is left."""
        self.probed = pace
        typical = pace.image_seconds(self._typical) if pace else None
        work = Workload(
            images=self.images.in_a_fold,
            checked=min(self.images.held_out, CHECKED),
            parts=len(self.images.folds),
            workers=self.workers,
            own_epochs=self.candidates.most_epochs,
            image_seconds=typical,
            start_seconds=pace.start_seconds if pace else 0.0,
            retraining_speed=retraining_speed(self.workers, self.candidates.hyper),
        )
        seconds = self.budget.seconds
        if seconds is not None:
            seconds -= self.spent() + closing_seconds(seconds, typical or 0.0, self.images.test)
        self.plan = make_plan(work, seconds, self.given)

    def begin_again(self, records: Sequence[TrialRecord]) -> bool:
        """Makes the plan anew if the first reports show that the probe was wrong; whether it did.

        That is only so before a trial has ended, and at most once: scores after other epochs are not comparable.
        """
        pace = learn_pace(records)
        decided = self.given.epochs is not None or self.candidates.most_epochs is not None
        if pace is None or self.probed is None or decided or self.budget.seconds is None:
            return False
        if any(record.state in ("complete", "pruned") for record in records):
            return False
        if 1 / WRONG < pace.unit_seconds / self.probed.unit_seconds < WRONG:
            return False
        self.begin(pace)
        self.probed = None
        return True

    def fewer_folds(self, records: Sequence[TrialRecord]) -> bool:
        """Takes a fold away if too few candidates would run all of them; whether it did."""
        pace = self._pace(records)
        if self.given.folds is not None or pace is None or self.budget.seconds is None:
            return False
        complete = sum(record.state == "complete" for record in records)
        affordable = max(0.0, self.seconds_left(records)) * self.workers / self._full_seconds(pace, self._typical)
        before, self.plan = self.plan, fewer_folds(self.plan, complete, affordable)
        return self.plan != before

    def seconds_left(self, records: Sequence[TrialRecord]) -> float:
        """How long the search may go on so that the leader can be retrained and tested; infinite without a limit."""
        pace = self._pace(records)
        best = leader(records)
        if best is not None:
            return self._seconds_left(image_seconds(best) or 0.0, pace, batch_size=best.candidate.recipe.batch_size)
        image = pace.image_seconds(self._typical) if pace else 0.0
        # Without a winner there is nothing to retrain; and if need be a retraining can be shortened.
        return self._seconds_left(image, pace, SHORTENED)

    def search_left(self, records: Sequence[TrialRecord]) -> float | None:
        """About how long the search will go on, until retraining begins; None while that cannot be said.

        With a limit of time, as long as it may. With one of trials, as long as those take that are left, each as long
        as those before, and then the finalists.
        """
        by_time = max(0.0, self.seconds_left(records))
        ended = [r.seconds for r in records if r.state in ("complete", "pruned", "failed")]
        if self.budget.trials is None or not ended:
            return by_time if isfinite(by_time) else None
        usual = fmean(ended)
        running = sum(max(0.0, usual - r.seconds) for r in records if r.state == "running" and r.confirms is None)
        exploring = running + usual * max(0, self.budget.trials - trained(records))
        again = [r for r in self.finalists(records) if not r.confirmed]
        return min(by_time, exploring / self.workers + self._side_by_side(again))

    def confirming_seconds(self, records: Sequence[TrialRecord]) -> float:
        """About how long the finalists will take to run again; 0.0 while there are not two, or time does not count."""
        if self.budget.seconds is None:
            return 0.0
        return self._side_by_side([r for r in self.finalists(records) if not r.confirmed])

    def finalists(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Who runs again at the end, the best first: as many as planned, if there is time; none, or two and more."""
        found = finalists(records, self.plan.finalists)
        if self.budget.seconds is not None and self.given.finalists is None:
            while found and self._side_by_side(found) > MOST_CONFIRMING * self.budget.seconds:
                found = finalists(records, len(found) - 1)
        return found

    def again_seconds(self, finalist: TrialRecord) -> float:
        """How long a finalist takes to run again, for as long as the winner will train."""
        return finalist.seconds * (self._winner_epochs / self._epochs if self._epochs else 1.0)

    def _side_by_side(self, again: Sequence[TrialRecord]) -> float:
        """How long they take, each begun by the first worker that is free."""
        free = [0.0] * self.workers
        for record in again:
            heapreplace(free, free[0] + self.again_seconds(record))
        return max(free)

    def has_time_for(self, work: float, records: Sequence[TrialRecord]) -> bool:
        """Whether a new candidate of so much `work` could run its folds before the finalists do, and be retrained."""
        pace = self._pace(records)
        if pace is None:
            return True
        own = self._seconds_left(pace.image_seconds(work), pace, SHORTENED)
        left = min(own, self.seconds_left(records)) - self.confirming_seconds(records)
        return self._full_seconds(pace, work) <= left

    def is_too_slow(self, running: TrialRecord, records: Sequence[TrialRecord]) -> bool:
        """Whether a running trial cannot run all its folds and win any more; the finalists have their time."""
        pace = self._pace(records)
        if not running.reports or (pace is None and len(running.reports) < 2):
            return False
        start = STARTING * pace.start_seconds if pace else 0.0
        batch = running.candidate.recipe.batch_size
        own = self._seconds_left(image_seconds(running, start) or 0.0, pace, SHORTENED, batch)
        remaining = remaining_seconds(running, self.plan.folds, self.plan.images, start)
        confirming = self.confirming_seconds(records) if running.confirms is None else 0.0
        return remaining + confirming > min(own, self.seconds_left(records))

    @property
    def _epochs(self) -> float:
        return self.plan.epochs or self.candidates.most_epochs or 0.0

    @property
    def _winner_epochs(self) -> float:
        return self.plan.winner_epochs or self._epochs

    def _seconds_left(
        self, image_seconds: float, pace: Pace | None, share: float = 1.0, batch_size: int | None = None
    ) -> float:
        """How long the search may go on so that what takes so long can be retrained, for a share of its epochs."""
        if self.budget.seconds is None:
            return float("inf")
        speed = retraining_speed(self.workers, self.candidates.hyper, batch_size)
        retraining = retraining_seconds(image_seconds, self.images.count, share * self._winner_epochs, speed)
        retraining = min(retraining, MOST_RETRAINING * self.budget.seconds)
        closing = closing_seconds(self.budget.seconds, image_seconds, self.images.test)
        start = pace.start_seconds if pace else 0.0
        return self.budget.seconds - closing - start - retraining - self.spent()

    def _pace(self, records: Sequence[TrialRecord]) -> Pace | None:
        return learn_pace([record for record in records if record.reports][-RECENT:]) or self.probed

    def _full_seconds(self, pace: Pace, work: float) -> float:
        """How long a candidate runs if it is never dropped."""
        images = self.plan.folds * self._epochs * self.plan.images
        return pace.start_seconds + images * pace.image_seconds(work)
