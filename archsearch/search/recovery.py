"""What a search that was interrupted or killed left behind."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from archsearch.search import objectives
from archsearch.search import record as records
from archsearch.search.failures import is_tried_again
from archsearch.search.objectives import ACCURACY
from archsearch.search.record import TrialRecord
from archsearch.search.storage import RETRIES, enqueue, point_of
from archsearch.space.sample import Scalar
from archsearch.training.job import Report

KILLED = "the search was killed"


def recover(study: optuna.Study) -> int:
    """Queues what was begun and not finished: trials that were interrupted, left running by a dead coordinator, or
    that failed and get another chance.

    Call it while holding the study's lock: then no running trial can be anybody's.

    Returns:
        How many there were.
    """
    end(study, study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)), KILLED)
    return requeue(study, records.read(study))


def unbegun(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that run in Optuna and have no record: they were drawn, and not begun."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial for trial in running if records.ATTRIBUTE not in trial.user_attrs]


def end(study: optuna.Study, lost: Iterable[FrozenTrial], reason: str) -> None:
    """Ends running trials whose coordinator is gone.

    What it had taken from the queue and not begun goes back there; what it had ended, but not told so, is told.
    """
    for trial in lost:
        kept = trial.user_attrs.get(records.ATTRIBUTE)
        state, values = TrialState.FAIL, None
        if kept is None:
            if (point := point_of(trial)) is not None:
                _queue(study, point, trial.user_attrs.get(RETRIES))
        elif kept["state"] == "running":
            update = {"state": "interrupted", "reason": reason, "ended": time.time()}
            # The trial object that could set this died with its coordinator; or it lives, and has ended the trial.
            with suppress(UpdateFinishedTrialError):
                study._storage.set_trial_user_attr(trial._trial_id, records.ATTRIBUTE, {**kept, **update})
        elif kept["state"] in ("complete", "confirmation"):
            wanted = study.metric_names or [ACCURACY]
            state, values = TrialState.COMPLETE, objectives.values(TrialRecord.model_validate(kept), wanted)
        elif kept["state"] in ("pruned", "infeasible"):
            state = TrialState.PRUNED
        study.tell(trial.number, values, state, skip_if_finished=True)


def requeue(study: optuna.Study, found: Sequence[TrialRecord], reasons: Collection[str] = ()) -> int:
    """Queues what was interrupted or gets another chance, and is neither queued nor begun again; says how many.

    Args:
        study: The study.
        found: All its trials.
        reasons: Only what was interrupted for one of these; empty is whatever was.
    """
    tried = [each for each in found if each.confirms is None and each.state != "duplicate"]
    newest = {each.digest: each for each in tried}
    interrupted = [
        each for each in newest.values() if each.state == "interrupted" and (not reasons or each.reason in reasons)
    ]
    begun_again = {each.retries for each in tried}
    lost = [each for each in tried if is_tried_again(each) and each.number not in begun_again]
    if not interrupted and not lost:
        return 0
    drawn = study.get_trials(deepcopy=False)
    for each in (*interrupted, *lost):
        _queue(study, drawn[each.number].params, each.number if each.state == "failed" else each.retries)
    return len(interrupted) + len(lost)


def _queue(study: optuna.Study, point: Mapping[str, Scalar], retries: int | None) -> None:
    """Has `point` drawn next, unless it waits for that already."""
    if point not in map(point_of, study.get_trials(deepcopy=False, states=(TrialState.WAITING,))):
        enqueue(study, point, retries)


def finished_folds(begun: TrialRecord, earlier: Sequence[TrialRecord]) -> tuple[Report, ...]:
    """What the earlier try of the same candidate with the same seed that came furthest has reported of whole folds.

    Args:
        begun: What is to be tried.
        earlier: All trials; only what was cut off or has failed counts.
    """
    cut_off = [
        each
        for each in earlier
        if each.state in ("interrupted", "failed") and each.seed == begun.seed and each.candidate == begun.candidate
    ]
    furthest = max(cut_off, key=lambda each: len(each.fold_scores), default=None)
    if furthest is None:
        return ()
    return tuple(report for report in furthest.reports if report.fold < len(furthest.fold_scores))
