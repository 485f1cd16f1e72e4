"""A trial that is trained again from its seed is the same trial."""

import pytest
from searches import Searched, contents

from archsearch.errors import StudyError, TrialError
from archsearch.replay import replay
from archsearch.training.job import Report

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("study")]


def test_a_complete_trial_comes_out_the_same_and_the_study_is_left_alone(searched: Searched) -> None:
    before = contents(searched.study.path)
    best = searched.study.best()
    assert best is not None
    told: list[Report] = []
    again = searched.study.replay(best.number, told.append)
    assert again is not None
    assert [(r.fold, r.epoch, r.val_accuracy) for r in again.again] == [
        (r.fold, r.epoch, r.val_accuracy) for r in best.reports
    ]
    assert set(again.differences) == {0.0}
    assert tuple(told) == again.again
    assert contents(searched.study.path) == before


def test_a_trial_that_was_given_up_is_trained_as_far_as_it_came(searched: Searched) -> None:
    best = searched.study.best()
    assert best is not None
    early = best.model_copy(update={"reports": best.reports[:1], "state": "pruned"})
    again = replay(early, searched.study.splits())
    assert again is not None
    assert len(again.again) == 1


def test_an_interrupted_repetition_has_no_result(searched: Searched) -> None:
    assert searched.study.replay(0, interrupted=lambda: True) is None


def test_what_has_reported_nothing_cannot_be_trained_again(searched: Searched) -> None:
    nothing = searched.study.trial(0).model_copy(update={"reports": (), "state": "infeasible", "reason": "too large"})
    with pytest.raises(StudyError, match=r"trial 0: infeasible before it had trained \(too large\)"):
        replay(nothing, searched.study.splits())


def test_a_training_that_breaks_down_says_why(searched: Searched) -> None:
    first = searched.study.trial(0)
    assert first.reports
    broken = first.model_copy(update={"seed": -1})  # NumPy takes none below 0
    with pytest.raises(TrialError, match=r"trial 0, again: .*Seed must be"):
        replay(broken, searched.study.splits())


def test_a_trial_that_is_not_there(searched: Searched) -> None:
    last = searched.study.trials()[-1].number
    with pytest.raises(StudyError, match=f"trial {last + 1} is not there; found trials 0 to {last}"):
        searched.study.trial(last + 1)
