"""What a search that was interrupted or killed left behind."""

import time
from collections.abc import Iterable, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from archsearch.search import record as records
from archsearch.search.failures import is_tried_again
from archsearch.search.record import TrialRecord
from archsearch.search.storage import enqueue, point_of
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
    return requeue(study)


def end(study: optuna.Study, lost: Iterable[FrozenTrial], reason: str) -> None:
    """Ends running trials whose coordinator is gone."""
    for trial in lost:
        kept = trial.user_attrs.get(records.ATTRIBUTE)
        if kept is not None:
            update = {"state": "interrupted", "reason": reason, "ended": time.time()}
            # The trial object that could set this died with its coordinator.
            study._storage.set_trial_user_attr(trial._trial_id, records.ATTRIBUTE, {**kept, **update})
        study.tell(trial.number, state=TrialState.FAIL)


def requeue(study: optuna.Study) -> int:
    """Queues what was interrupted or gets another chance, and is neither queued nor begun again; says how many."""
    found = [each for each in records.read(study) if each.confirms is None]
    newest = {each.digest: each for each in found}
    interrupted = [each for each in newest.values() if each.state == "interrupted"]
    begun_again = {each.retries for each in found}
    lost = [each for each in found if is_tried_again(each) and each.number not in begun_again]
    trials = study.get_trials(deepcopy=False)
    waiting = [point_of(trial) for trial in trials if trial.state == TrialState.WAITING]
    for each in (*interrupted, *lost):
        point = trials[each.number].params
        if point not in waiting:
            enqueue(study, point, each.number if each.state == "failed" else None)
            waiting.append(point)
    return len(interrupted) + len(lost)


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
