"""The study in its folder."""

from pathlib import Path

from optuna.trial import TrialState

from archsearch.search.folder import StudyFolder
from archsearch.search.storage import STUDY_NAME, create_study, open_storage, same_again


def test_the_same_again_passes_the_queue_by(tmp_path: Path) -> None:
    study = create_study(open_storage(StudyFolder(tmp_path)), STUDY_NAME, ["accuracy"])
    first = study.ask()
    rate = first.suggest_float("rate", 1e-4, 1e-1)
    study.tell(first, 0.5)
    study.enqueue_trial({"rate": 1e-2})
    again = same_again(study, first.number)
    assert again.suggest_float("rate", 1e-4, 1e-1) == rate
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.WAITING, TrialState.RUNNING]
    study.tell(again, 0.6)
    assert study.ask().suggest_float("rate", 1e-4, 1e-1) == 1e-2
