"""Each check of the soak test finds what it is there for, in records that are whole otherwise."""

from collections.abc import Iterator
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from soak import checks
from soak.checks import Note
from soak.command import Sample
from trials import trial

from archsearch.search.record import TrialRecord

CUT_OFF = "the search was killed"


def whole() -> list[TrialRecord]:
    """Trial 1 is cut off after a fold; trial 3 goes on from there. Trial 2 is lost, and trial 4 tries it again."""
    lost = {"state": "failed", "reason": "the worker process was killed", "cause": "worker lost"}
    return [
        trial(0, (0.8, 0.9)),
        trial(1, (0.7,), state="interrupted", reason=CUT_OFF, digest="a"),
        trial(2, (), digest="b", **lost),
        trial(3, (0.7, 0.6), digest="a", carried=1),
        trial(4, (0.5, 0.5), digest="b", retries=2),
        trial(5, (0.7,), state="pruned", reason="9 standard errors behind"),
    ]


def in_optuna(records: list[TrialRecord]) -> list[FrozenTrial]:
    made = []
    for each in records:
        state = next(iter(checks.OPTUNA_STATES[each.state]))
        values = [0.5] if state == TrialState.COMPLETE else None
        frozen = create_trial(state=state, values=values)
        frozen.number = each.number
        made.append(frozen)
    return made


def changed(number: int, **changes: Any) -> list[TrialRecord]:
    return [each.model_copy(update=changes) if each.number == number else each for each in whole()]


def noted() -> list[Note]:
    """What the workers of `whole` have written down."""
    return [
        Note("begun", 0, 0, 0.0),
        *(Note(what, 0, fold, score) for fold, score in ((0, 0.8), (1, 0.9)) for what in ("trained", "told")),
        *(Note("begun", 1, 0, 0.0), Note("trained", 1, 0, 0.7), Note("told", 1, 0, 0.7)),
        *(Note("begun", 2, 0, 0.0),),
        *(Note("begun", 3, 1, 0.0), Note("trained", 3, 1, 0.6), Note("told", 3, 1, 0.6)),
        *(Note("begun", 4, 0, 0.0), Note("trained", 4, 0, 0.5), Note("trained", 4, 1, 0.5)),  # killed in telling
        *(Note("begun", 5, 0, 0.0), Note("trained", 5, 0, 0.7), Note("told", 5, 0, 0.7)),
    ]


def test_what_is_whole_passes() -> None:
    records = whole()
    found: list[Iterator[str]] = [
        checks.states(records),
        checks.numbers(in_optuna(records), records, deaths=0),
        checks.budget(records, 4),
        checks.folds(records),
        checks.trained(records, noted(), cut_off=0),
        checks.repeated(records[0], records[0].reports),
    ]
    assert [wrong for check in found for wrong in check] == []


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"state": "running"}, "trial 5 runs for ever"),
        ({"reason": ""}, "trial 5 is pruned without a reason"),
        ({"state": "failed"}, "trial 5 is failed with the cause None"),
    ],
)
def test_a_trial_that_has_not_ended_well(changes: dict[str, Any], wrong: str) -> None:
    assert [*checks.states(changed(5, **changes))] == [wrong]


def test_a_trial_that_optuna_sees_otherwise() -> None:
    records = whole()
    trials = in_optuna(records)
    trials[0].state = TrialState.FAIL
    trials[5].state = TrialState.RUNNING
    found = [*checks.numbers(trials, records, deaths=0)]
    assert found == ["trial 0 is FAIL in Optuna and complete here", "trial 5 is RUNNING in Optuna"]


def test_gaps_and_trials_without_a_record() -> None:
    records = whole()
    assert [*checks.numbers(in_optuna(records), records[1:], deaths=1)] == []
    (found,) = checks.numbers(in_optuna(records), records[1:], deaths=0)
    assert found == "1 trials have no record, but a coordinator died only 0 times"
    assert "the numbers have gaps" in next(checks.numbers(in_optuna(records)[:2] + in_optuna(records)[3:], records, 0))


def test_a_budget_that_is_not_kept_and_a_trial_that_is_lost_or_doubled() -> None:
    assert [*checks.budget(whole(), 5)] == ["4 trials are over, 5 were wanted"]
    assert [*checks.budget(changed(4, digest="c"), 4)] == ["trial 2 was cut off and never tried again"]
    assert [*checks.budget(changed(5, digest="a"), 4)] == ["2 trials of one candidate: [3, 5]"]


def test_a_fold_that_was_trained_again_or_came_out_otherwise() -> None:
    assert [*checks.folds(changed(3, carried=0))] == ["trial 3 carries 0 folds on, 1 were finished"]
    (found,) = checks.folds(changed(1, reports=trial(1, (0.71,)).reports))
    assert found == "trial 3 has (0.7, 0.6), trial 1 (0.71,)"


def test_workers_that_say_otherwise() -> None:
    def said(*notes: Note, records: list[TrialRecord] | None = None) -> list[str]:
        return [*checks.trained(records or whole(), notes, cut_off=0)]

    assert said(*noted(), Note("begun", 3, 1, 0.0)) == ["trial 3 was begun 2 times"]
    from_the_start = [Note("begun", 3, 0, 0.0) if note[:2] == ("begun", 3) else note for note in noted()]
    assert said(*from_the_start) == ["trial 3 carries 1 folds on, and was trained from fold 0 on"]
    otherwise = [note._replace(score=0.81) if note[:3] == ("trained", 0, 0) else note for note in noted()]
    assert said(*otherwise) == ["trial 0 has scored (0.8, 0.9), its worker [0.81, 0.9]"]
    assert said(*noted(), Note("begun", 9, 0, 0.0)) == ["trials [9] were trained, and nobody knows of them"]


def test_a_finished_fold_that_was_never_written_down() -> None:
    (wrong,) = checks.trained(changed(0, reports=trial(0, (0.8,)).reports), noted(), cut_off=0)
    assert wrong == "trial 0 is complete, and 1 folds that it was told of are not in it"
    cut_off = [each.model_copy(update={"reports": (), "carried": 0}) if each.number == 1 else each for each in whole()]
    assert [*checks.trained(cut_off, noted(), cut_off=1)] == []
    (wrong,) = checks.trained(cut_off, noted(), cut_off=0)
    assert wrong == "1 finished folds were never written down, at most 0 can have been cut off"


def test_nothing_that_is_carried_on() -> None:
    assert [*checks.carried_on(whole(), 50)] == []
    assert [*checks.carried_on(changed(3, carried=0), 7)] == []
    assert [*checks.carried_on(changed(3, carried=0), 8)] == ["no trial carries a fold on, after 8 kills"]


def test_a_score_that_is_not_repeated() -> None:
    one, other = trial(0, (0.8, 0.9)), trial(0, (0.8, 0.9000001))
    assert [*checks.repeated(one, other.reports)] == ["trial 0 has scored (0.8, 0.9), without faults (0.8, 0.9000001)"]


def test_memory_and_files_that_grow() -> None:
    seconds = range(60)
    even = [Sample(each, 200_000_000, 7) for each in seconds]
    assert [*checks.flat(even, 10)] == []
    assert [*checks.flat([each._replace(memory=200_000_000 + 500_000 * int(each.seconds)) for each in even], 0)] == []
    leaking = [each._replace(memory=200_000_000 + 1_000_000 * int(each.seconds)) for each in even]
    assert [*checks.flat(leaking, 0)] == ["memory grew by 26.0 MB beyond what the trials may cost"]
    (found,) = checks.flat([each._replace(files=7 + int(each.seconds) // 5) for each in even], 10)
    assert found == "5 more files are open"
    assert [*checks.flat(even[:20], 10)] == ["no coordinator lived long enough to tell"]
