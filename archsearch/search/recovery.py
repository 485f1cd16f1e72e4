"""What a search that was killed left behind."""

import time

import optuna
from optuna.trial import TrialState

from archsearch.search import record as records


def recover(study: optuna.Study) -> int:
    """Ends the trials that a dead coordinator left running, and queues their parameters again.

    Call it while holding the study's lock: then no running trial can be anybody's.

    Returns:
        How many there were.
    """
    lost = study.get_trials(states=(TrialState.RUNNING,))
    for trial in lost:
        kept = trial.user_attrs.get(records.ATTRIBUTE)
        if kept is not None:
            update = {"state": "interrupted", "reason": "the search was killed", "ended": time.time()}
            # The trial object that could set this died with its coordinator.
            study._storage.set_trial_user_attr(trial._trial_id, records.ATTRIBUTE, {**kept, **update})
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params, skip_if_exists=False)
    return len(lost)
