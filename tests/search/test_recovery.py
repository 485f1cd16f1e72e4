"""What a coordinator that was killed leaves, at each point where it may have been."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from trials import trial

from archsearch.search import record
from archsearch.search.folder import StudyFolder
from archsearch.search.record import TrialRecord
from archsearch.search.recovery import KILLED, recover, requeue
from archsearch.search.storage import RETRIES, create_study, enqueue, open_storage, point_of


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return create_study(open_storage(StudyFolder(tmp_path)), "archsearch", ("accuracy",))


def begun(study: optuna.Study, value: int, **changes: Any) -> TrialRecord:
    """A trial whose parameter `x` is `value`, which runs in Optuna, with a record."""
    asked = study.ask()
    asked.suggest_int("x", 0, 9)
    fields: dict[str, Any] = {"digest": str(value), "state": "running"} | changes
    made = trial(asked.number, fields.pop("scores", ()), **fields)
    made = made.model_copy(update={"reports": tuple(replace(r, trial=asked.number) for r in made.reports)})
    record.write(asked, made)
    return made


def drawn(study: optuna.Study, *values: int) -> None:
    """Has these values drawn next."""
    for value in values:
        enqueue(study, {"x": value})


def queue(study: optuna.Study) -> list[tuple[Any, int | None]]:
    """What waits, and what it tries again."""
    waiting = study.get_trials(states=(TrialState.WAITING,))
    return [((point_of(each) or {}).get("x"), each.user_attrs.get(RETRIES)) for each in waiting]


def told(study: optuna.Study) -> Sequence[TrialState]:
    return [each.state for each in study.get_trials()]


def test_a_trial_that_ran_is_interrupted_and_waits_again(study: optuna.Study) -> None:
    drawn(study, 3)
    begun(study, 3)
    assert recover(study) == 1
    (kept,) = record.read(study)
    assert (kept.state, kept.reason) == ("interrupted", KILLED)
    assert queue(study) == [(3, None)]
    assert recover(study) == 1
    assert queue(study) == [(3, None)]


def test_what_was_taken_from_the_queue_and_not_begun_goes_back_there(study: optuna.Study) -> None:
    drawn(study, 3)
    enqueue(study, {"x": 4}, retries=0)
    study.ask()
    study.ask()
    recover(study)
    assert queue(study) == [(3, None), (4, 0)]
    assert told(study)[:2] == [TrialState.FAIL, TrialState.FAIL]


def test_what_a_sampler_drew_and_nobody_began_is_gone(study: optuna.Study) -> None:
    study.ask().suggest_int("x", 0, 9)
    assert recover(study) == 0
    assert told(study) == [TrialState.FAIL]


@pytest.mark.parametrize(
    ("state", "in_optuna"),
    [
        ("complete", TrialState.COMPLETE),
        ("pruned", TrialState.PRUNED),
        ("infeasible", TrialState.PRUNED),
        ("duplicate", TrialState.FAIL),
    ],
)
def test_what_had_ended_and_was_not_told_so_is_told(study: optuna.Study, state: str, in_optuna: TrialState) -> None:
    drawn(study, 3)
    made = begun(study, 3, state=state, scores=(0.8, 0.9), reason="" if state == "complete" else "as it was")
    assert recover(study) == 0
    assert record.read(study) == [made]
    (kept,) = study.get_trials()
    assert kept.state == in_optuna
    if state == "complete":
        assert kept.value == pytest.approx(0.85)


def test_a_duplicate_does_not_hide_what_it_is_the_same_as(study: optuna.Study) -> None:
    drawn(study, 3, 3)
    begun(study, 3)
    begun(study, 3, state="duplicate")
    recover(study)
    assert queue(study) == [(3, None)]


def test_a_second_try_that_is_cut_off_remains_a_second_try(study: optuna.Study) -> None:
    drawn(study, 3, 3)
    begun(study, 3, state="failed", cause="out of memory")
    begun(study, 3, retries=0)
    recover(study)
    assert queue(study) == [(3, 0)]


def test_what_was_tried_again_by_now_does_not_wait(study: optuna.Study) -> None:
    drawn(study, 3, 3)
    begun(study, 3, state="interrupted", reason=KILLED)
    begun(study, 3, state="complete", scores=(0.9,))
    assert requeue(study, record.read(study)) == 0
    assert queue(study) == []


def test_a_second_try_that_was_taken_for_a_duplicate_waits_again(study: optuna.Study) -> None:
    drawn(study, 3, 3)
    begun(study, 3, state="failed", reason="lost", cause="worker lost")
    begun(study, 3, state="duplicate", retries=0)
    assert recover(study) == 1
    assert queue(study) == [(3, 0)]
