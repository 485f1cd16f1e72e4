"""The loop of a search: ask, sample, submit, report, prune, tell. The study's only writer."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import TrialState

from archsearch.errors import SearchError, TrialError
from archsearch.search import pruning, record
from archsearch.search.budget import Budget, search_seconds_left, too_slow, trained
from archsearch.search.candidates import Candidates
from archsearch.search.executors.base import Executor
from archsearch.search.record import State, TrialRecord
from archsearch.search.storage import OptunaChooser
from archsearch.space.code import trusted_folder
from archsearch.space.cost import Cost
from archsearch.training.job import Outcome, Report, TrialJob

logger = logging.getLogger(__name__)

MOST_DRAWS_IN_VAIN = 200
"""So many infeasible or repeated draws on end, and there is nothing left to try."""
MOST_FAILURES_ON_END = 10
POLL_SECONDS = 0.25
ENDED_FIRST = "the search ended before it did"
TRIED = ("running", "complete", "pruned")
"""States of trials whose candidate need not be tried again."""
SESSIONS = "sessions"
"""Study attribute: when the search ran, as [start, last sign of life] in seconds since 1970."""


@dataclass(frozen=True)
class Progress:
    """How a search stands, for whoever watches it.

    Attributes:
        seconds: Wall time spent on the study, earlier sessions included.
        budget: What it may use.
        records: All trials, by number.
        leader: The best complete trial, or None.
    """

    seconds: float
    budget: Budget
    records: tuple[TrialRecord, ...]
    leader: TrialRecord | None


@dataclass
class Coordinator:
    """Runs trials of one study until its budget is spent.

    Attributes:
        study: The Optuna study; nobody else writes to it.
        candidates: Where they come from.
        images: Folder of the training images.
        folds: Validation indices of each fold.
        seed: Of every trial: candidates differ by what they are, not by their luck.
        budget: When to end.
        executor: Where jobs run.
        watch: Called after every event and a few times a second.
        interrupted: Asked between events; True ends the search cleanly.
    """

    study: optuna.Study
    candidates: Candidates
    images: Path
    folds: tuple[NDArray[np.int32], ...]
    seed: int
    budget: Budget
    executor: Executor
    watch: Callable[[Progress], None] = lambda progress: None
    interrupted: Callable[[], bool] = lambda: False
    _trials: dict[int, optuna.Trial] = field(default_factory=dict, init=False)
    _records: dict[int, TrialRecord] = field(default_factory=dict, init=False)
    _verdicts: dict[int, tuple[State, str]] = field(default_factory=dict, init=False)
    _started: float = field(default_factory=time.time, init=False)
    _earlier: list[list[float]] = field(default_factory=list, init=False)
    _draws_in_vain: int = field(default=0, init=False)
    _failures_on_end: int = field(default=0, init=False)
    _exhausted: bool = field(default=False, init=False)
    _ended: str = field(default="", init=False)

    def run(self) -> str:
        """Runs the search.

        Returns:
            Why it ended, as a few words: the trials or the time are spent, nothing new is left to try, or interrupted.

        Raises:
            SearchError: Trial after trial fails, or no draw keeps the limits. What is finished is kept.
        """
        self._earlier = self.study.user_attrs.get(SESSIONS, [])
        self._records = {kept.number: kept for kept in record.read(self.study)}
        try:
            while not (ended := self._over()) or self._trials:
                if ended:
                    for number in self._trials:
                        self.executor.stop(number)
                elif len(self._trials) < self.executor.workers and not self._start_no_more():
                    self._start()
                    self.watch(self._progress())
                    continue
                for event in self.executor.events(POLL_SECONDS):
                    self._on_report(event) if isinstance(event, Report) else self._on_outcome(event)
                self.watch(self._progress())
            return ended
        finally:
            self.executor.close()
            for number in list(self._trials):
                self._tell(number, "interrupted", ENDED_FIRST, TrialState.FAIL)
            self._sign_of_life()

    def _over(self) -> str:
        """Why the search must end now; empty while it goes on. Once over, it stays over."""
        if not self._ended:
            if self.interrupted():
                self._ended = "interrupted"
            elif self._seconds_left() <= 0:
                self._ended = "the time is spent"
            elif not self._trials:
                self._ended = self._start_no_more()
        return self._ended

    def _start_no_more(self) -> str:
        """Why no further trial is worth starting; empty if one is."""
        if self.budget.trials is not None and trained(self._all()) >= self.budget.trials:
            return "all trials are done"
        if self._exhausted:
            return "nothing new is left to try"
        fastest = min((r.seconds for r in self._all() if r.state == "complete"), default=0.0)
        return "the time is spent" if self._seconds_left() < fastest else ""

    def _seconds_left(self) -> float:
        return search_seconds_left(self.budget, self._seconds(), self._leader(), len(self.folds))

    def _start(self) -> None:
        """Draws one candidate, and trains it if it is worth it."""
        trial = self.study.ask()
        try:
            drawn = self.candidates.draw(OptunaChooser(trial))
        except TrialError as error:
            logger.warning("trial %d: %s", trial.number, error)
            self.study.tell(trial, state=TrialState.FAIL)
            self._count_in_vain(str(error))
            return
        begun = TrialRecord(
            number=trial.number,
            candidate=drawn.candidate,
            digest=drawn.digest,
            baseline=drawn.digest == self.candidates.baseline.drawn.digest,
            parameters=drawn.size.parameters,
            flops=drawn.size.flops,
            started=time.time(),
        )
        self._trials[trial.number] = trial
        twin = next((r for r in self._all() if r.digest == drawn.digest and r.state in TRIED), None)
        self._records[trial.number] = begun
        if excess := self._excess(trial, drawn.size):
            self._tell(trial.number, "infeasible", excess, TrialState.PRUNED)
            self._count_in_vain(excess)
        elif twin is not None:
            same = f"the same as trial {twin.number}"
            self._tell(trial.number, "duplicate", same, TrialState.FAIL)
            self._count_in_vain(same)
        else:
            self._draws_in_vain = 0
            record.write(trial, begun)
            job = TrialJob(trial.number, drawn.candidate, self.images, self.folds, self.seed, code=trusted_folder())
            self.executor.submit(job)

    def _excess(self, trial: optuna.Trial, size: Cost) -> str:
        """Tells the sampler how the limits are kept; says which one is not."""
        excess = ""
        for name, limit in self.candidates.limits.items():
            found = getattr(size, name)
            trial.set_constraint(name, found / limit - 1.0)
            if found > limit:
                excess = excess or f"{found:,} {name}, the limit is {limit:,}"
        return excess

    def _count_in_vain(self, reason: str) -> None:
        self._draws_in_vain += 1
        if self._draws_in_vain < MOST_DRAWS_IN_VAIN:
            return
        self._exhausted = True
        if not any(r.state in TRIED for r in self._all()):
            raise SearchError(
                f"{self.candidates.file}: {MOST_DRAWS_IN_VAIN} candidates were drawn and none could be trained; "
                f"the last one: {reason}. Raise the limits or make the space smaller."
            )

    def _on_report(self, report: Report) -> None:
        number = report.trial
        if number not in self._trials or number in self._verdicts:
            return
        trial = self._trials[number]
        now = self._records[number]
        now = now.model_copy(update={"reports": (*now.reports, report), "seconds": now.seconds + report.seconds})
        self._records[number] = now
        if point := pruning.optuna_point(report, now.fold_scores):
            step, value = point
            trial.report(value, step)
        if verdict := self._verdict(trial, now, report):
            self._verdicts[number] = verdict
            self.executor.stop(number)
        elif report.epoch == report.epochs:
            record.write(trial, now)
            self._sign_of_life()

    def _verdict(self, trial: optuna.Trial, now: TrialRecord, report: Report) -> tuple[State, str] | None:
        """How and why the trial should end after `report`; None if it should go on."""
        last = report.fold == len(self.folds) - 1 and report.epoch == report.epochs
        if now.baseline or last:
            return None
        if too_slow(now, self.budget, self._seconds(), len(self.folds)):
            return "interrupted", "too slow to be finished and retrained in the time that is left"
        if report.fold == 0 and trial.should_prune():
            where = f"epoch {report.epoch} of {report.epochs} in fold 0"
            return "pruned", f"{report.val_accuracy:.2%} after {where}: others did better"
        if report.epoch == report.epochs:
            rivals = {r.number: r.fold_scores for r in self._all() if r.state in ("complete", "running")}
            if rival := pruning.lost_to(now.fold_scores, rivals, images=min(map(len, self.folds))):
                number, gap = rival
                done = len(now.fold_scores)
                return "pruned", f"{gap:.1f} standard errors behind trial {number} on {done} of {len(self.folds)} folds"
        return None

    def _on_outcome(self, outcome: Outcome) -> None:
        number = outcome.trial
        self._records[number] = self._records[number].model_copy(update={"seconds": outcome.seconds})
        verdict = self._verdicts.pop(number, None)
        now = self._records[number]
        if len(now.fold_scores) == len(self.folds):
            self._tell(number, "complete", "", TrialState.COMPLETE, now.score)
        elif verdict is not None:
            # The sampler is to learn from what was too slow, too, so it is not told that the trial failed.
            self._tell(number, *verdict, TrialState.PRUNED)
        elif outcome.state == "failed":
            self._tell(number, "failed", outcome.error, TrialState.FAIL)
            self._failures_on_end += 1
            if self._failures_on_end >= MOST_FAILURES_ON_END:
                raise SearchError(f"{MOST_FAILURES_ON_END} trials on end have failed; the last one: {outcome.error}")
            return
        else:
            self._tell(number, "interrupted", ENDED_FIRST, TrialState.FAIL)
        self._failures_on_end = 0

    def _tell(
        self, number: int, state: State, reason: str, optuna_state: TrialState, value: float | None = None
    ) -> None:
        trial = self._trials.pop(number)
        self._records[number] = self._records[number].model_copy(
            update={"state": state, "reason": reason, "ended": time.time()}
        )
        record.write(trial, self._records[number])
        self.study.tell(trial, value, optuna_state)
        self._sign_of_life()

    def _sign_of_life(self) -> None:
        self.study.set_user_attr(SESSIONS, [*self._earlier, [self._started, time.time()]])

    def _seconds(self) -> float:
        return sum(end - start for start, end in self._earlier) + time.time() - self._started

    def _all(self) -> Sequence[TrialRecord]:
        return list(self._records.values())

    def _leader(self) -> TrialRecord | None:
        return next(iter(record.ranking(self._all())), None)

    def _progress(self) -> Progress:
        return Progress(self._seconds(), self.budget, tuple(self._all()), self._leader())
