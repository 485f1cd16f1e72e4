"""The loop of a search: ask, sample, submit, report, prune, tell. The study's only writer."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import optuna
from optuna.trial import TrialState

from archsearch.errors import SearchError, TrialError
from archsearch.search import budget as timing
from archsearch.search import memory as memories
from archsearch.search import objectives, pruning, record
from archsearch.search.budget import Budget
from archsearch.search.candidates import Candidates, Drawn
from archsearch.search.company import Alone, Company
from archsearch.search.executors.base import Executor
from archsearch.search.failures import is_tried_again, needs_to_be_alone
from archsearch.search.images import SearchImages
from archsearch.search.ledger import ENDED_FIRST, Ledger
from archsearch.search.objectives import ACCURACY, ROBUSTNESS
from archsearch.search.plan import REDUCTION, Given, Plan
from archsearch.search.planner import Planner
from archsearch.search.probing import probe
from archsearch.search.record import State, TrialRecord
from archsearch.search.samplers import HALVING, OptunaChooser
from archsearch.space.architecture import Candidate
from archsearch.space.code import trusted_folder
from archsearch.space.cost import Cost
from archsearch.space.sample import FixedChooser
from archsearch.training.job import Outcome, Report, TrialJob

logger = logging.getLogger(__name__)

MOST_DRAWS_IN_VAIN = 200
"""So many infeasible or repeated draws on end, and there is nothing left to try."""
MOST_FAILURES_ON_END = 10
MOST_SLOW_DRAWS = 20
"""So many candidates on end that are too slow for the time that is left, and it is as good as spent."""
POLL_SECONDS = 0.25
PROBE_SHARE = 3 / 4
"""Of the time that is left, which a probe that hangs may take."""
TOO_SLOW = "too slow to be finished and retrained in the time that is left"
PLANNED_AGAIN: tuple[State, str] = ("interrupted", "planned again")
"""A trial's end, even if it has run all its folds: those after it train for other epochs."""
TRIED = ("running", "complete", "pruned")
"""States of trials whose candidate need not be tried again."""


@dataclass(frozen=True)
class Progress:
    """How a search stands, for whoever watches it.

    Attributes:
        seconds: Wall time spent on the study, earlier sessions included.
        budget: What it may use.
        records: All trials, by number.
        leader: The best complete trial, or None.
        plan: What is done with the time; None before it is known.
        parts: Into how many folds the images are cut.
        left: About how many seconds the search will go on, until retraining begins; None while that is not known.
    """

    seconds: float
    budget: Budget
    records: tuple[TrialRecord, ...]
    leader: TrialRecord | None
    plan: Plan | None = None
    parts: int = 0
    left: float | None = None


@dataclass
class Coordinator:
    """Runs trials of one study until its budget is spent.

    Attributes:
        study: The Optuna study; nobody else on this machine writes to it.
        candidates: Where they come from.
        images: What they train on.
        seed: Of every trial: candidates differ by what they are, not by their luck. Confirmations have the next one.
        budget: When to end.
        executor: Where jobs run.
        began: When the search began, by `time.monotonic`.
        given: What the planner has no say in.
        pruner: Name of the pruner.
        objectives: What is wanted: accuracy, and what is to be small (`objectives`).
        watch: Called after every event and a few times a second.
        interrupted: Asked between events; True ends the search cleanly.
        company: Whoever else searches the same study.
    """

    study: optuna.Study
    candidates: Candidates
    images: SearchImages
    seed: int
    budget: Budget
    executor: Executor
    began: float = field(default_factory=time.monotonic)
    given: Given = field(default_factory=Given)
    pruner: str = HALVING
    objectives: tuple[str, ...] = (ACCURACY,)
    watch: Callable[[Progress], None] = lambda progress: None
    interrupted: Callable[[], bool] = lambda: False
    company: Company = field(default_factory=Alone)
    _planner: Planner = field(init=False)
    _baseline: Drawn = field(init=False)
    _ledger: Ledger = field(init=False)
    _verdicts: dict[int, tuple[State, str]] = field(default_factory=dict, init=False)
    _waiting: int | None = field(default=None, init=False)
    _next_turn: float = field(default=0.0, init=False)
    _draws_in_vain: int = field(default=0, init=False)
    _slow_draws: int = field(default=0, init=False)
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
        self._ledger = Ledger(self.study, self.began, self.company)
        try:
            self._make_plan()
            while not (ended := self._over()) or self._running:
                if ended:
                    self._stop_all()
                elif len(self._running) < self.executor.workers and self._start_in_turn():
                    self.watch(self._progress())
                    continue
                self._listen()
                for event in self.executor.events(POLL_SECONDS):
                    self._on_report(event) if isinstance(event, Report) else self._on_outcome(event)
                self.watch(self._progress())
            return ended
        finally:
            self.executor.close()
            self._ledger.leave()

    # What is done with the time ---------------------------------------------------------------------------------------

    def _make_plan(self) -> None:
        images = self.images
        kept = self._ledger.plan()
        spent = self._ledger.seconds
        self._planner = Planner(self.candidates, images, self.executor.workers, self.budget, self.given, spent)
        if kept is not None:
            self._planner.plan = Plan.model_validate(kept)
        else:
            pace = None
            if self.budget.seconds is not None:
                until = time.monotonic() + PROBE_SHARE * (self.budget.seconds - spent())
                pace = probe(self.candidates, images, self.seed, self.executor, self.interrupted, until)
            self._planner.begin(pace)
            if pace is None and self.interrupted():
                return  # in the probe: what was planned without its pace is not worth keeping
        self._keep_plan()

    def _keep_plan(self) -> None:
        plan = self._planner.plan
        self._baseline = self.candidates.draw(FixedChooser(self.candidates.baseline), plan.epochs)
        self._ledger.keep_plan(plan.model_dump(mode="json"))
        self.watch(self._progress())

    def _correct_plan(self) -> None:
        records = self._all()
        if self._planner.begin_again(records):
            self._keep_plan()
            self._end_as_planned_again()
            self._ledger.enqueue(self.candidates.baseline)
        elif self._planner.fewer_folds(records):
            self._keep_plan()

    def _end_as_planned_again(self) -> None:
        for number in self._running:
            self._verdicts[number] = PLANNED_AGAIN
        self._stop_all()

    @property
    def _plan(self) -> Plan:
        return self._planner.plan

    @property
    def _running(self) -> dict[int, optuna.Trial]:
        return self._ledger.running

    def _all(self) -> list[TrialRecord]:
        return self._ledger.all()

    def _stop_all(self) -> None:
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._ledger.end(number, *self._verdicts.pop(number, ("interrupted", ENDED_FIRST)), TrialState.FAIL)
        for number in self._running:
            self.executor.stop(number)

    def _seconds_left(self) -> float:
        return self._planner.seconds_left(self._all())

    def _over(self) -> str:
        """Why the search must end now; empty while it goes on. Once over, it stays over."""
        if not self._ended:
            if self.interrupted():
                self._ended = "interrupted"
            elif self._seconds_left() <= 0:
                begun = any(each.started >= self._ledger.began_at for each in self._all())
                before = not begun and not self._ledger.is_first
                self._ended = "the time was spent already" if before else "the time is spent"
            elif not self._running and not self._ledger.others_run and self._to_confirm() is None:
                self._ended = self._start_no_more()
        return self._ended

    def _start_no_more(self) -> str:
        """Why no further candidate is worth starting; empty if one is."""
        if self.budget.trials is not None and timing.trained(self._all()) >= self.budget.trials:
            return "all trials are done"
        if self._exhausted:
            slow = any(r.reason == TOO_SLOW for r in self._all())
            return "nothing new is left to try" + " in the time that is left" * slow
        if self._slow_draws >= MOST_SLOW_DRAWS:
            return "the time is spent"
        complete = [r for r in self._all() if r.state == "complete"]
        fastest = min((r.seconds for r in complete), default=0.0)
        confirming = self._planner.confirming_seconds(self._all())
        return "the time is spent" if self._seconds_left() < fastest + confirming else ""

    def _to_confirm(self) -> TrialRecord | None:
        """The finalist that is to run again next, if no further candidate is worth starting; None if there is none."""
        if not self._start_no_more():
            return None
        records = self._all()
        begun = {r.confirms for r in records if r.state != "interrupted" and not is_tried_again(r)}
        finalists = self._planner.finalists(objectives.eligible(records, self.objectives))
        # Each candidate that still trains may turn out better than they, and take the last place among them.
        exploring = sum(r.state == "running" and r.confirms is None for r in records)
        waiting = [r for r in finalists[: max(0, len(finalists) - exploring)] if r.number not in begun]
        # In their order: a worse one that alone has run again would win by that.
        if waiting and self._planner.again_seconds(waiting[0]) < self._seconds_left():
            return waiting[0]
        return None

    # Others -----------------------------------------------------------------------------------------------------------

    def _start_in_turn(self) -> bool:
        """As `_start`, while no other coordinator starts anything."""
        if time.monotonic() < self._next_turn:
            return False
        before = set(self._running)
        with self._ledger.turn() as ours:
            self._let_go(before)
            self._adopt()
            started = ours and self._start()
        self._next_turn = 0.0 if started else time.monotonic() + self.company.pause
        return started

    def _listen(self) -> None:
        """Takes in what others have done meanwhile."""
        before = set(self._running)
        if self._ledger.listen():
            self._let_go(before)
            self._adopt()

    def _let_go(self, before: set[int]) -> None:
        """Ends what others have taken over, of what ran before."""
        for number in before - set(self._running):
            self.executor.stop(number)
        if self._waiting not in self._running:
            self._waiting = None

    def _adopt(self) -> None:
        """Goes by the plan as others have changed it."""
        kept = self._ledger.plan()
        if kept is None or (plan := Plan.model_validate(kept)) == self._plan:
            return
        if plan.epochs != self._plan.epochs:
            self._end_as_planned_again()
        self._planner.plan = plan
        self._baseline = self.candidates.draw(FixedChooser(self.candidates.baseline), plan.epochs)

    # Trials begin -----------------------------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Starts one job, or draws in vain; False if there is nothing to start now."""
        if self._waiting is not None:
            return self._submit_if_it_fits(self._waiting)
        finalist = self._to_confirm()
        if finalist is None and self._start_no_more():
            return False
        with self._ledger.unless_taken_over():
            self._explore() if finalist is None else self._confirm(finalist)
        return True

    def _explore(self) -> None:
        """Draws one candidate, and trains it if it is worth it."""
        trial, retried = self._ledger.ask()
        try:
            drawn = self.candidates.draw(OptunaChooser(trial), self._plan.epochs, self._is_over_meanwhile)
        except TrialError as error:
            logger.warning("trial %d: %s", trial.number, error)
            self._ledger.give_up(trial, str(error))
            self._end_if_explained()
            self._count_in_vain(str(error))
            return
        others = self._all()
        twin = next((r for r in others if r.digest == drawn.digest and r.state in TRIED and r != retried), None)
        excess = self._excess(trial, drawn.size)
        begun = self._ledger.begin(trial, self._begun(trial, drawn, retried))
        if excess:
            self._ledger.end(trial.number, "infeasible", excess, TrialState.PRUNED)
            self._count_in_vain(excess)
        elif twin is not None:
            same = f"the same as trial {twin.number}"
            self._ledger.end(trial.number, "duplicate", same, TrialState.FAIL)
            self._count_in_vain(same)
        elif not begun.baseline and not self._planner.has_time_for(drawn.work, others):
            self._ledger.end(trial.number, "interrupted", TOO_SLOW, TrialState.PRUNED)
            self._slow_draws += 1
        else:
            self._draws_in_vain = self._slow_draws = 0
            self._submit_if_it_fits(trial.number)

    def _is_over_meanwhile(self) -> bool:
        """Asked while a HyperModel builds for long: whether that is to end; others go on hearing from us."""
        self.company.beat(self._running.values())
        return bool(self._over())

    def _confirm(self, finalist: TrialRecord) -> None:
        """Runs a finalist again, with a fresh seed and for as long as the winner will train."""
        trial, candidate = self._ledger.ask_again(finalist.number), finalist.candidate
        lost = next((r.number for r in self._all() if r.confirms == finalist.number and is_tried_again(r)), None)
        if isinstance(candidate, Candidate) and self._plan.winner_epochs is not None:
            candidate = candidate.trained_for(self._plan.winner_epochs)
        again = TrialRecord(
            number=trial.number,
            candidate=candidate,
            digest=finalist.digest,
            work=finalist.work,
            seed=self.seed + 1,
            confirms=finalist.number,
            retries=lost,
            parameters=finalist.parameters,
            flops=finalist.flops,
            needs=finalist.needs,
            started=self._ledger.now(),
            held_out=self.images.held_out,
        )
        self._ledger.begin(trial, again)
        self._submit_if_it_fits(trial.number)

    def _begun(self, trial: optuna.Trial, drawn: Drawn, retried: TrialRecord | None) -> TrialRecord:
        size = drawn.size
        return TrialRecord(
            number=trial.number,
            candidate=drawn.candidate,
            digest=drawn.digest,
            work=drawn.work,
            seed=self.seed,
            retries=None if retried is None else retried.number,
            baseline=drawn.digest == self._baseline.digest,
            parameters=size.parameters,
            flops=size.flops,
            needs=self._needs(drawn),
            started=self._ledger.now(),
            held_out=self.images.held_out,
        )

    def _needs(self, drawn: Drawn) -> int:
        """As in a record: nothing is known of a HyperModel, nor of how much a GPU has in its own memory."""
        size = drawn.size
        if not size.activation_bytes or self.executor.has_gpus:
            return 0
        return memories.needed(size.activation_bytes, size.parameters, drawn.candidate.recipe.batch_size)

    def _submit_if_it_fits(self, number: int) -> bool:
        """Submits a trial that has begun; False if it has to wait until others have ended."""
        records = self._ledger.records
        begun = records[number]
        beside = [records[other] for other in self._running if other != number]
        crowded = beside and any(needs_to_be_alone(each, records) for each in (begun, *beside))
        fits = not crowded and memories.fits(begun.needs, beside, self._all(), self.executor.memory)
        self._waiting = None if fits else number
        if fits:
            self._submit(begun, alone=not beside)
        return fits

    def _submit(self, begun: TrialRecord, alone: bool) -> None:
        for other in self._running:
            self._ledger.change(other, alone=alone)
        for place, report in enumerate(begun.reports):
            scores = tuple(each.val_accuracy for each in begun.reports[: place + 1] if each.is_last)
            self._pass_on(report, scores)
        folds = self.images.folds[: self._plan.folds]
        job = TrialJob(
            trial=begun.number,
            candidate=begun.candidate,
            images=self.images.path,
            folds=folds,
            points=self._plan.points,
            seed=begun.seed,
            latency="latency" in self.objectives,
            robustness=ROBUSTNESS in self.objectives,
            code=trusted_folder(),
            begin=begun.carried,
        )
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

    # Trials go on, and end --------------------------------------------------------------------------------------------

    def _on_report(self, report: Report) -> None:
        number = report.trial
        if number not in self._running or number in self._verdicts:
            return
        trial = self._running[number]
        now = self._ledger.add(report)
        if report.is_last:
            self._ledger.keep(number)
        self._pass_on(report, now.fold_scores)
        if verdict := self._verdict(trial, now, report):
            self._verdicts[number] = verdict
            self.executor.stop(number)
        if now.baseline or report.is_last:
            self._correct_plan()

    def _pass_on(self, report: Report, scores: tuple[float, ...]) -> None:
        """Tells Optuna's trial what it can take; `scores` are of the folds that are done."""
        if len(self.objectives) == 1 and (point := pruning.optuna_point(report, scores)):
            self._ledger.tell_pruner(report.trial, *point)

    def _verdict(self, trial: optuna.Trial, now: TrialRecord, report: Report) -> tuple[State, str] | None:
        """How and why the trial should end after `report`; None if it should go on."""
        if len(now.fold_scores) >= self._plan.folds:
            return "complete", ""
        if now.baseline:
            return None
        if self._planner.is_too_slow(now, self._all()):
            return "interrupted", TOO_SLOW
        if now.confirms is not None:
            return None
        if report.fold == 0 and self._is_dropped(trial, now, report):
            where = f"{report.share:.0%} of the first fold"
            return "pruned", f"{report.val_accuracy:.2%} after {where}: others did better"
        if report.is_last:
            rivals = objectives.rivals(now, self._all(), self.objectives)
            level = {
                r.number: r.fold_scores for r in rivals if r.confirms is None and r.state in ("complete", "running")
            }
            if rival := pruning.lost_to(now.fold_scores, level, images=self.images.held_out):
                number, gap = rival
                folds = f"{len(now.fold_scores)} of {self._plan.folds} folds"
                return "pruned", f"{gap:.1f} standard errors behind trial {number} on {folds}"
        return None

    def _is_dropped(self, trial: optuna.Trial, now: TrialRecord, report: Report) -> bool:
        if self.pruner != HALVING:
            return trial.should_prune()
        for rung in self._plan.rungs:
            if now.at(rung) == report:
                rivals = objectives.rivals(now, self._all(), self.objectives)
                # What was too slow cannot win, so nobody has to be better.
                others = [r.at(rung) for r in rivals if r.confirms is None and r.state != "interrupted"]
                return pruning.halved(report.val_accuracy, [o.val_accuracy for o in others if o], REDUCTION)
        return False

    def _on_outcome(self, outcome: Outcome) -> None:
        number = outcome.trial
        if number not in self._running:
            return
        verdict = self._verdicts.pop(number, None)
        now = self._ledger.records[number]
        carried = sum(report.seconds for report in now.reports if report.fold < now.carried)
        now = self._ledger.change(number, seconds=carried + outcome.seconds, peak_memory=outcome.peak_memory)
        if len(now.fold_scores) >= self._plan.folds and verdict != PLANNED_AGAIN:
            self._complete(now)
        elif verdict is not None:
            # The sampler is to learn from what was too slow, too, so it is not told that the trial failed.
            self._ledger.end(number, *verdict, TrialState.PRUNED)
        elif outcome.state == "failed":
            self._fail(number, outcome)
            return
        else:
            self._ledger.end(number, "interrupted", ENDED_FIRST, TrialState.FAIL)
        self._failures_on_end = 0

    def _fail(self, number: int, outcome: Outcome) -> None:
        """What follows from a failure is in `failures`; many that are alike, or on end, end the search."""
        point = self._running[number].params
        self._ledger.end(number, "failed", outcome.error, TrialState.FAIL, cause=outcome.cause)
        failed = self._ledger.records[number]
        if is_tried_again(failed) and failed.confirms is None:
            self._ledger.enqueue(point, number)
        self._failures_on_end += 1
        self._end_if_explained()
        if self._failures_on_end >= MOST_FAILURES_ON_END:
            raise SearchError(f"{MOST_FAILURES_ON_END} trials on end have failed; the last one: {outcome.error}")

    def _end_if_explained(self) -> None:
        if why := self._ledger.explanation():
            raise SearchError(why)

    def _complete(self, now: TrialRecord) -> None:
        values = objectives.values(now, self.objectives)
        if now.confirms is None:
            self._ledger.end(now.number, "complete", "", TrialState.COMPLETE, values)
        else:
            again = f"trial {now.confirms} again, with a fresh seed: {now.score:.2%}"
            self._ledger.end(now.number, "confirmation", again, TrialState.COMPLETE, values)

    def _progress(self) -> Progress:
        records = self._all()
        return Progress(
            seconds=self._ledger.seconds(),
            budget=self.budget,
            records=tuple(records),
            leader=record.leader(records),
            plan=self._plan,
            parts=len(self.images.folds),
            left=self._planner.search_left(records),
        )
