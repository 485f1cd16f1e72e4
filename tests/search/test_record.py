from math import sqrt
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
from trials import report, trial

from archsearch.search import record
from archsearch.search.folder import StudyFolder
from archsearch.search.record import State, TrialRecord, finalists, find_baseline, joined, level, pick_winner, ranking
from archsearch.search.storage import STUDY_NAME, create_study, open_storage


def confirmed(number: int, scores: tuple[float, ...], again: tuple[float, ...], **changes: Any) -> TrialRecord:
    """A finalist and what it scored the second time."""
    found, _ = joined([trial(number, scores, **changes), confirmation(100 + number, number, again)])
    return found


def confirmation(number: int, of: int, scores: tuple[float, ...]) -> TrialRecord:
    return trial(number, scores, state="confirmation", confirms=of)


def numbers(records: list[TrialRecord]) -> list[int]:
    return [r.number for r in records]


# Scores ---------------------------------------------------------------------------------------------------------------


def test_before_the_first_fold_there_is_no_score() -> None:
    begun = trial(state="running", reports=(report(0, 0.5),))
    assert (begun.fold_scores, begun.score, begun.standard_error) == ((), None, None)
    assert begun.epochs_done == 2


def test_the_score_is_the_mean_and_its_error_that_over_the_folds() -> None:
    three = trial(scores=(0.90, 0.92, 0.97))
    assert three.score == pytest.approx(0.93)
    # Deviations of -0.03, -0.01 and 0.04 around the mean.
    assert three.standard_error == pytest.approx(sqrt((0.0009 + 0.0001 + 0.0016) / 2 / 3))
    assert three.epochs_done == 12


def test_what_a_trial_learns_changes_its_score() -> None:
    before = trial(state="running", reports=(report(0, 1.0, 0.9),), held_out=400)
    assert before.score == 0.9
    assert before.standard_error == pytest.approx(sqrt(0.9 * 0.1 / 400))
    after = before.model_copy(update={"reports": (*before.reports, report(1, 1.0, 0.7))})
    assert after.fold_scores == (0.9, 0.7)
    assert after.score == pytest.approx(0.8)
    assert after.standard_error == pytest.approx(0.1)


def test_only_the_end_of_a_fold_counts() -> None:
    reports = (report(0, 0.5, 0.1), report(0, 1.0, 0.9), report(1, 0.25, 0.2))
    half = trial(state="running", reports=reports)
    assert half.fold_scores == (0.9,)
    assert half.epochs_done == 5


def test_one_fold_has_the_error_of_a_share_of_its_images() -> None:
    assert trial(scores=(0.9,), held_out=400).standard_error == pytest.approx(sqrt(0.9 * 0.1 / 400))
    assert trial(scores=(0.9,)).standard_error is None


def test_what_is_confirmed_counts_alone() -> None:
    found = confirmed(0, (0.98, 0.99), (0.90, 0.94))
    assert found.fold_scores == (0.98, 0.99)
    assert found.confirmed == (0.90, 0.94)
    assert found.score == pytest.approx(0.92)
    assert found.standard_error == pytest.approx(stdev([0.90, 0.94]) / sqrt(2))


def test_a_confirmation_may_have_fewer_folds() -> None:
    # A search that runs out of time takes folds away, also between a trial and its confirmation.
    found = confirmed(0, (0.90, 0.94, 0.95), (0.96,), held_out=400)
    assert found.score == 0.96
    assert found.standard_error == pytest.approx(sqrt(0.96 * 0.04 / 400))


def test_only_whole_confirmations_are_joined_each_to_its_trial() -> None:
    records = [
        trial(0, (0.7,)),
        trial(1, (0.8,)),
        confirmation(2, 1, (0.85,)),
        trial(3, (0.99,), state="interrupted", confirms=0),
    ]
    assert [r.confirmed for r in joined(records)] == [(), (0.85,), (), ()]
    assert joined(joined(records)) == joined(records)


# Points ---------------------------------------------------------------------------------------------------------------


def test_the_report_at_a_rung_may_be_a_step_off() -> None:
    reports = (report(0, 0.11), report(0, 0.2), report(0, 0.33), report(0, 1.0), report(1, 0.5))
    found = trial(reports=reports)
    assert [found.at(rung) for rung in (1 / 9, 0.2, 1 / 3, 1.0)] == list(reports[:4])


def test_who_has_not_come_so_far_has_no_report() -> None:
    assert trial(reports=(report(0, 0.11),)).at(1 / 3) is None
    assert trial(reports=()).at(0.1) is None
    assert trial(reports=(report(0, 0.3),)).at(1 / 3) is None


def test_early_rungs_are_told_apart() -> None:
    reports = (report(0, 0.01), report(0, 0.03), report(0, 0.09), report(0, 0.27))
    found = trial(reports=reports)
    assert [found.at(rung) for rung in (0.01, 0.03, 0.09, 0.27)] == list(reports)


# Order ----------------------------------------------------------------------------------------------------------------


def test_the_ranking_is_by_score_then_size_then_age() -> None:
    records = [
        trial(0, (0.8,)),
        trial(1, (0.9,), parameters=200),
        trial(2, (0.9,), parameters=100),
        trial(3, (0.9,), parameters=100),
        trial(4, (0.99,), state="pruned"),
        confirmation(5, 9, (1.0,)),
    ]
    assert numbers(ranking(records)) == [2, 3, 1, 0]


def test_who_is_confirmed_comes_before_who_only_was_lucky() -> None:
    tried = [trial(0, (0.9,)), trial(1, (0.95,)), trial(2, (0.99,))]
    records = joined([*tried, confirmation(3, 0, (0.92,)), confirmation(4, 1, (0.8,))])
    assert numbers(ranking(records)) == [0, 1, 2]


@pytest.mark.parametrize("state", ["interrupted", "failed"])
def test_what_is_confirmed_does_not_count_while_a_better_one_s_second_run_is_broken_off(state: State) -> None:
    tried = [trial(0, (0.9,)), trial(1, (0.95,)), trial(2, (0.99,))]
    broken = confirmation(3, 1, ()).model_copy(update={"state": state})
    records = joined([*tried, broken, confirmation(4, 0, (0.92,))])
    assert numbers(ranking(records)) == [2, 1, 0]
    best_is_confirmed = joined([*records, confirmation(5, 2, (0.98,))])
    assert numbers(ranking(best_is_confirmed)) == [2, 1, 0]
    assert [bool(r.confirmed) for r in best_is_confirmed[:3]] == [False, False, True]
    all_of_them = joined([*best_is_confirmed, confirmation(6, 1, (0.8,))])
    assert numbers(ranking(all_of_them)) == [2, 0, 1]


def test_finalists_are_the_best_by_their_own_scores() -> None:
    records = joined([trial(0, (0.9,)), trial(1, (0.8,)), trial(2, (0.7,)), confirmation(3, 0, (0.1,))])
    assert numbers(finalists(records, 2)) == [0, 1]
    assert numbers(finalists(records, 9)) == [0, 1, 2]


@pytest.mark.parametrize("count", [0, 1])
def test_one_finalist_is_none(count: int) -> None:
    assert finalists([trial(0, (0.9,)), trial(1, (0.8,))], count) == []
    assert finalists([trial(0, (0.9,)), trial(1, (0.99,), state="pruned")], 4) == []


def test_who_is_within_one_standard_error_is_level() -> None:
    best = trial(scores=(0.90, 0.94))  # 0.92 ± 0.02
    assert level(best, best)
    assert level(trial(scores=(0.9001, 0.9001)), best)
    assert not level(trial(scores=(0.8999, 0.8999)), best)


def test_the_smallest_that_is_level_wins_if_small_is_preferred() -> None:
    records = [
        trial(0, (0.90, 0.94), parameters=300),
        trial(1, (0.91, 0.91), parameters=200),
        trial(2, (0.5, 0.5), parameters=100),
    ]
    winners = [pick_winner(records, prefer) for prefer in ("accuracy", "small")]
    assert [w.number for w in winners if w] == [0, 1]
    assert pick_winner([], "small") is None


def test_only_confirmed_ones_win_once_there_are_some() -> None:
    records = joined(
        [
            trial(0, (0.90, 0.94), parameters=300),
            trial(1, (0.91, 0.91), parameters=100),
            confirmation(2, 0, (0.9, 0.94)),
        ]
    )
    winner = pick_winner(records, "small")
    assert winner is not None
    assert winner.number == 0


# Kept -----------------------------------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written_with_its_confirmation(tmp_path: Path) -> None:
    study = create_study(open_storage(StudyFolder(tmp_path)), STUDY_NAME, ("accuracy",))
    records = [trial(0, (0.9, 0.8)), confirmation(1, 0, (0.7, 0.6))]
    for kept in records:
        record.write(study.ask(), kept)
    study.ask()  # died before it was sampled
    assert record.read(study) == joined(records)
    assert record.read(study)[0].confirmed == (0.7, 0.6)
    assert "confirmed" not in study.trials[0].user_attrs[record.ATTRIBUTE]


def test_the_baseline_drawn_again_is_no_try_of_it() -> None:
    first = trial(0, (0.9,), baseline=True)
    again = trial(5, baseline=True, state="duplicate")
    assert find_baseline([first, trial(1, (0.95,)), again]) == first
    assert find_baseline([again]) is None
