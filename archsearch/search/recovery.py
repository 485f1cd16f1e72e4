"""What a search that was interrupted or killed left behind."""

import time

import optuna
from optuna.trial import TrialState

from archsearch.search import record as records


def recover(study: optuna.Study) -> int:
    """Queues what was begun and not finished: trials that were interrupted, or left running by a dead coordinator.

    Call it while holding the study's lock: then no running trial can be anybody's.

    Returns:
        How many there were.
    """
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        kept = trial.user_attrs.get(records.ATTRIBUTE)
        if kept is not None:
            update = {"state": "interrupted", "reason": "the search was killed", "ended": time.time()}
            # The trial object that could set this died with its coordinator.
            study._storage.set_trial_user_attr(trial._trial_id, records.ATTRIBUTE, {**kept, **update})
        study.tell(trial.number, state=TrialState.FAIL)
    newest = {record.digest: record for record in records.read(study) if record.confirms is None}
    unfinished = [record.number for record in newest.values() if record.state == "interrupted"]
    waiting = [trial.system_attrs.get("fixed_params") for trial in study.get_trials(states=(TrialState.WAITING,))]
    for number in unfinished:
        parameters = study.trials[number].params
        if parameters not in waiting:
            study.enqueue_trial(parameters)
    return len(unfinished)
