"""The study as its coordinator keeps it: whatever is written to the study is written here."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any
from uuid import uuid4

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from archsearch.errors import SearchError
from archsearch.search import record, recovery
from archsearch.search.company import Alone, Company
from archsearch.search.database import GRACE_SECONDS, Database
from archsearch.search.failures import explanation, given_up
from archsearch.search.record import State, TrialRecord
from archsearch.search.recovery import finished_folds
from archsearch.search.sessions import PREFIX, Session, sessions_of, spent
from archsearch.search.storage import enqueue, retried_by, same_again
from archsearch.space.sample import Scalar
from archsearch.training.job import Cause, Report

logger = logging.getLogger(__name__)

PLAN = "plan"
"""Study attribute: the `Plan` as JSON."""
GONE = "its coordinator is gone"
TURN_SECONDS = 2.0
LONGEST_FAREWELL = 3.0 * GRACE_SECONDS
"""That others are waited for in the end; a database that restarts meanwhile gives all of them their time anew."""
SIGN_SECONDS = 10.0
"""Between two signs of life: what is searched after the last is not counted when a search is killed."""
ENDED_FIRST = "the search ended before it did"
LEFT = (GONE, ENDED_FIRST)
"""Why trials were interrupted that another coordinator goes on with."""


def take_over(study: optuna.Study, company: Company) -> int:
    """Ends the trials of coordinators that are gone, and what was drawn and never begun; returns how many. In a turn.

    Trials are drawn and begun in one turn, so whoever drew those has died, or lost its turn and will notice.
    """
    lost = {trial.number: trial for trial in (*company.dead(study), *recovery.unbegun(study))}
    recovery.end(study, lost.values(), GONE)
    return len(lost)


def end_the_dead(study: optuna.Study, database: Database, interrupted: Callable[[], bool]) -> int:
    """Takes over what machines that have died left running, when nobody searches any more who would do it.

    Waits until all that run trials have given a sign of life, or are known to be dead.

    Returns:
        How many trials it has ended.
    """
    began, ended, is_said = time.monotonic(), 0, False
    try:
        while not interrupted():
            with database.turn(TURN_SECONDS) as ours:
                ended += take_over(study, database) if ours else 0
            waited = time.monotonic() - began
            unheard = database.unheard(study, waited)
            if not unheard or waited > LONGEST_FAREWELL:
                break
            if not is_said:
                logger.warning("other machines run %d trials: waiting until they are heard of, or dead", unheard)
                is_said = True
            time.sleep(database.pause)
    except SearchError as error:
        logger.warning("%s: trials of machines that have died are left; the same command takes them up", error)
    if ended:
        logger.warning("%d trials of machines that have died were ended; the same command takes them up", ended)
    return ended


@dataclass
class Ledger:
    """All trials of a study, and those of them that run.

    Attributes:
        study: The Optuna study.
        began: When this search began, by `time.monotonic`.
        company: Whoever else searches the study.
        records: All trials that have been drawn, by number.
        running: Those that run here.
    """

    study: optuna.Study
    began: float
    company: Company = field(default_factory=Alone)
    records: dict[int, TrialRecord] = field(init=False)
    running: dict[int, optuna.Trial] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.records = {kept.number: kept for kept in record.read(self.study)}
        self._session = f"{PREFIX}{uuid4().hex}"
        self._others = sessions_of(self.study.user_attrs)
        self._looked = time.monotonic()
        self._zero = self.company.now() - time.monotonic()
        self._signed = -inf

    def all(self) -> list[TrialRecord]:
        """All trials, by number."""
        return [self.records[number] for number in sorted(self.records)]

    def plan(self) -> Mapping[str, Any] | None:
        """The plan as it was kept, or None."""
        kept: Mapping[str, Any] | None = self.study.user_attrs.get(PLAN)
        return kept

    def keep_plan(self, plan: Mapping[str, Any]) -> None:
        """Keeps the plan in place of another."""
        self.study.set_user_attr(PLAN, plan)

    # Others -----------------------------------------------------------------------------------------------------------

    @property
    def others_run(self) -> bool:
        """Whether trials run elsewhere."""
        return any(r.state == "running" and r.number not in self.running for r in self.records.values())

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Begins trials while no other coordinator does, knowing what they have done; takes up what others have left.

        Yields:
            Whether it is our turn: the others may take a while, and what trains here has to be listened to.
        """
        with self.company.turn(TURN_SECONDS) as ours:
            if ours and self.company.pause:
                take_over(self.study, self.company)
                self._look()
                recovery.requeue(self.study, self.all(), LEFT)
            yield ours

    def listen(self) -> bool:
        """Says that this coordinator is alive, and looks at times at what others have done; whether it did."""
        self.company.beat(self.running.values())
        if time.monotonic() - self._signed > SIGN_SECONDS:
            self.sign_of_life()
        if not self.company.pause or time.monotonic() - self._looked < self.company.pause:
            return False
        self._look()
        return True

    def _look(self) -> None:
        self._looked = time.monotonic()
        attributes = self.study.user_attrs
        self._others = sessions_of({name: kept for name, kept in attributes.items() if name != self._session})
        for trial in self.study.get_trials(deepcopy=False):
            known, kept = self.records.get(trial.number), trial.user_attrs.get(record.ATTRIBUTE)
            if trial.number in self.running and trial.state.is_finished():
                logger.warning("trial %d was taken over by another coordinator", trial.number)
                del self.running[trial.number]
            if kept is None or trial.number in self.running:
                continue
            if known is None or known.state == "running" or known.state != kept["state"]:
                self.records[trial.number] = TrialRecord.model_validate(kept)
        self.records = {each.number: each for each in record.joined(self.all())}

    @contextmanager
    def unless_taken_over(self) -> Iterator[None]:
        """A block that ends as soon as it writes to a trial that others have taken over; the next look finds out which.

        They do so if this coordinator was not heard of for a while, as when it was stopped.
        """
        try:
            yield
        except UpdateFinishedTrialError:
            self._looked = -inf

    # Trials begin, go on and end --------------------------------------------------------------------------------------

    def ask(self) -> tuple[optuna.Trial, TrialRecord | None]:
        """A new trial, and the one that it tries again, if it does so."""
        trial = self.study.ask()
        retries = retried_by(trial)
        return trial, None if retries is None else self.records[retries]

    def ask_again(self, number: int) -> optuna.Trial:
        """A new trial with the parameters of another, whatever waits in the queue."""
        return same_again(self.study, number)

    def enqueue(self, point: Mapping[str, Scalar], retries: int | None = None) -> None:
        """Has `point` drawn next: as another try of the trial `retries`, if that is given."""
        enqueue(self.study, point, retries)

    def give_up(self, trial: optuna.Trial, reason: str) -> None:
        """Ends a trial of which nothing could be made."""
        trial.set_user_attr(record.UNDRAWN, reason)
        self.study.tell(trial, state=TrialState.FAIL)

    def explanation(self) -> str:
        """What many failures have in common (`failures.explanation`)."""
        trials = self.study.get_trials(deepcopy=False)
        undrawn = {t.number: str(t.user_attrs[record.UNDRAWN]) for t in trials if record.UNDRAWN in t.user_attrs}
        failed = dict(sorted((undrawn | given_up(self.all())).items()))
        well = [each.number for each in self.records.values() if each.fold_scores]
        return explanation(failed, well, {trial.number: trial.params for trial in trials})

    def begin(self, trial: optuna.Trial, begun: TrialRecord) -> TrialRecord:
        """Begins a trial.

        Returns:
            It, with the folds that an earlier try of the same has finished: they need not be trained again.
        """
        found = finished_folds(begun, self.all())
        reports = tuple(replace(report, trial=begun.number) for report in found)
        carried = sum(report.is_last for report in reports)
        seconds = sum(report.seconds for report in reports)
        begun = begun.model_copy(update={"reports": reports, "carried": carried, "seconds": seconds})
        record.write(trial, begun)
        self.running[begun.number] = trial
        self.records[begun.number] = begun
        self.company.beat(self.running.values())
        return begun

    def tell_pruner(self, number: int, step: int, value: float) -> None:
        """Passes a score on to Optuna's trial."""
        with self.unless_taken_over():
            self.running[number].report(value, step)

    def add(self, report: Report) -> TrialRecord:
        """Takes a running trial's report in, which is kept at the end of its fold; returns the trial."""
        now = self.records[report.trial]
        now = now.model_copy(update={"reports": (*now.reports, report), "seconds": now.seconds + report.seconds})
        self.records[now.number] = now
        return now

    def keep(self, number: int) -> None:
        """Writes a running trial as it is."""
        with self.unless_taken_over():
            record.write(self.running[number], self.records[number])
        self.sign_of_life()

    def change(self, number: int, **changes: object) -> TrialRecord:
        """Sets fields of a trial; they are kept when it is."""
        self.records[number] = self.records[number].model_copy(update=changes)
        return self.records[number]

    def end(
        self,
        number: int,
        state: State,
        reason: str,
        optuna_state: TrialState,
        values: Sequence[float] | None = None,
        cause: Cause | None = None,
    ) -> None:
        """Ends a running trial.

        Args:
            number: The trial.
            state, reason, cause: As in its record.
            optuna_state: As in Optuna's.
            values: Of the objectives, if it is complete.
        """
        trial = self.running.pop(number)
        now = self.change(number, state=state, reason=reason, cause=cause, ended=self.now())
        with self.unless_taken_over():
            record.write(trial, now)
            self.study.tell(trial, values, optuna_state, skip_if_finished=True)
        if now.confirms is not None:
            self.records = {each.number: each for each in record.joined(self.all())}
        self.sign_of_life()

    def leave(self) -> None:
        """Ends what still runs. If nothing can be written any more, the next search does that."""
        try:
            for number in list(self.running):
                self.end(number, "interrupted", ENDED_FIRST, TrialState.FAIL)
            self.sign_of_life()
        except (OSError, SearchError) as error:
            logger.warning("%s: trials that were running are left so; the same command takes them up", error)

    # Time -------------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """In seconds since 1970, by the clock as it stood at first: it may be set, and that is no time that passes."""
        return self._zero + time.monotonic()

    def sign_of_life(self) -> None:
        """Keeps that the search still runs."""
        self._signed = time.monotonic()
        self.study.set_user_attr(self._session, self._own)

    def seconds(self) -> float:
        """That the study has been searched, by whomever and whenever."""
        return spent([*self._others, self._own], self.company.pause > 0)

    @property
    def is_first(self) -> bool:
        """Whether nobody has searched before."""
        return not self._others

    @property
    def began_at(self) -> float:
        """When this search began, in seconds since 1970."""
        return self._zero + self.began

    @property
    def _own(self) -> Session:
        return Session(self.began_at, self.now())
