"""What a plan becomes as trials show how fast they are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spaces import SMALL
from trials import trial

from archsearch.search.budget import RETRAINING_SPEED, Budget, Pace, closing_seconds, retraining_seconds
from archsearch.search.candidates import SpaceCandidates
from archsearch.search.images import SearchImages
from archsearch.search.plan import Given
from archsearch.search.planner import MOST_RETRAINING, RECENT, SHORTENED, WRONG, Planner
from archsearch.search.record import TrialRecord, joined
from archsearch.space.architecture import Task
from archsearch.space.load import parse_space
from archsearch.training.job import Report

UNPLANNED = SMALL.replace("  epochs: 2\n", "")
TASK = Task(height=8, width=8, channels=1, classes=10)
IMAGES = SearchImages(Path("images"), 1500, tuple(np.array_split(np.arange(1500, dtype=np.int32), 5)), 270)
IN_A_FOLD = 1200
TYPICAL = SpaceCandidates(parse_space(UNPLANNED), TASK).typical_work()
IMAGE_SECONDS = 0.001


class Spent:
    """Seconds, to be set."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def pace(image_seconds: float = IMAGE_SECONDS, start: float = 0.0) -> Pace:
    """By which a typical candidate takes so long."""
    return Pace(image_seconds / TYPICAL, start)


def planner(
    text: str = UNPLANNED, seconds: float | None = 300, begin: Pace | None = None, workers: int = 2, **given: Any
) -> tuple[Planner, Spent]:
    spent = Spent()
    made = Planner(
        candidates=SpaceCandidates(parse_space(text), TASK),
        images=IMAGES,
        workers=workers,
        budget=Budget(None, seconds),
        given=Given(**given),
        spent=spent,
    )
    made.begin(pace() if begin is None else begin)
    return made, spent


@pytest.fixture
def five_minutes() -> tuple[Planner, Spent]:
    return planner(seconds=300, finalists=3)


@pytest.fixture
def made(five_minutes: tuple[Planner, Spent]) -> Planner:
    return five_minutes[0]


@pytest.fixture
def spent(five_minutes: tuple[Planner, Spent]) -> Spent:
    return five_minutes[1]


def going(
    made: Planner, reports: int, image_seconds: float = IMAGE_SECONDS, folds: int = 0, **changes: Any
) -> TrialRecord:
    """A trial of typical work on its way: `folds` whole ones, and so many tenths of the next."""
    epochs = made.plan.epochs or 2.0
    told = []
    for fold in range(folds + 1):
        for point in range(1, 11 if fold < folds else reports + 1):
            epoch = epochs if point == 10 else epochs * point / 10
            images = round(epoch * IN_A_FOLD)
            seconds = epochs * IN_A_FOLD / 10 * image_seconds
            told.append(Report(0, fold, epoch, epochs, images, 0.1, 0.9, 0.1, 0.9, seconds))
    return trial(reports=tuple(told), work=TYPICAL, **({"state": "running"} | changes))


def full_seconds(made: Planner, image_seconds: float = IMAGE_SECONDS) -> float:
    return made.plan.folds * (made.plan.epochs or 0.0) * IN_A_FOLD * image_seconds


def left(made: Planner, image_seconds: float = IMAGE_SECONDS, share: float = SHORTENED) -> float:
    """What remains of five minutes when such a candidate is retrained, for a share of the epochs, and tested."""
    retraining = retraining_seconds(image_seconds, 1500, share * (made.plan.winner_epochs or 0.0), RETRAINING_SPEED)
    return 300 - min(retraining, MOST_RETRAINING * 300) - closing_seconds(300, image_seconds, 270)


# The first plan -------------------------------------------------------------------------------------------------------


def test_a_plan_is_for_the_time_that_is_left() -> None:
    early, _ = planner(seconds=300)
    late, spent = planner(seconds=1200)
    spent.seconds = 900 + closing_seconds(1200, IMAGE_SECONDS, 270) - closing_seconds(300, IMAGE_SECONDS, 270)
    late.begin(pace())
    assert late.plan == early.plan
    assert early.plan.images == IN_A_FOLD
    assert early.plan.image_seconds == pytest.approx(IMAGE_SECONDS)


def test_what_is_given_is_planned_around() -> None:
    made, _ = planner(epochs=1.5, folds=4, finalists=2, first_rung=300)
    assert (made.plan.epochs, made.plan.folds, made.plan.finalists) == (1.5, 4, 2)
    assert made.plan.rungs[0] * 1.5 * IN_A_FOLD == pytest.approx(300)


def test_epochs_of_the_space_stay_with_the_space() -> None:
    made, _ = planner(SMALL)
    assert made.plan.epochs is None


# How long the search may go on ----------------------------------------------------------------------------------------


def test_without_a_limit_there_is_always_time() -> None:
    made, spent = planner(seconds=None)
    spent.seconds = 1e9
    assert made.seconds_left([]) == float("inf")
    assert made.has_time_for(1e9, [])
    assert not made.is_too_slow(going(made, 5, image_seconds=1e6), [])


def test_what_the_leader_takes_to_retrain_is_kept_aside(made: Planner, spent: Spent) -> None:
    spent.seconds = 100
    leader = going(made, 0, image_seconds=0.002, folds=made.plan.folds, state="complete")
    assert made.seconds_left([leader]) == pytest.approx(left(made, 0.002, share=1.0) - 100)


def test_before_there_is_a_leader_a_shortened_typical_retraining_is(made: Planner, spent: Spent) -> None:
    spent.seconds = 100
    assert made.seconds_left([]) == pytest.approx(left(made) - 100)


def test_a_finalist_runs_again_for_as_long_as_the_winner_will_train(made: Planner) -> None:
    ratio = (made.plan.winner_epochs or 0.0) / (made.plan.epochs or 1.0)
    assert ratio > 1
    assert made.again_seconds(trial(seconds=10.0)) == pytest.approx(10 * ratio)
    assert planner(SMALL)[0].again_seconds(trial(seconds=10.0)) == 10


def test_there_is_time_for_what_can_run_all_its_folds_and_be_retrained(made: Planner, spent: Spent) -> None:
    made.begin(pace(start=1.0))
    spent.seconds = left(made) - full_seconds(made) - 2 * 1.0 - 0.01  # retraining starts, too
    assert made.has_time_for(TYPICAL, [])
    assert not made.has_time_for(1.1 * TYPICAL, [])
    spent.seconds += 0.02
    assert not made.has_time_for(TYPICAL, [])


def test_a_quick_candidate_does_not_take_the_leaders_time_to_retrain(made: Planner, spent: Spent) -> None:
    leader = going(made, 0, image_seconds=9 * IMAGE_SECONDS, folds=made.plan.folds, state="complete")
    leader = leader.model_copy(update={"work": 9 * TYPICAL})
    spent.seconds = left(made, 9 * IMAGE_SECONDS, share=1.0) - full_seconds(made) - 0.01
    assert made.has_time_for(TYPICAL, [leader])
    spent.seconds += 0.02
    assert not made.has_time_for(TYPICAL, [leader])


def test_the_finalists_have_their_time(made: Planner, spent: Spent) -> None:
    def done(number: int, seconds: float) -> TrialRecord:
        return going(made, 0, folds=made.plan.folds, state="complete", number=number, seconds=seconds)

    ratio = made.again_seconds(trial(seconds=1.0))
    three = [done(0, 10.0), done(1, 30.0), done(2, 12.0)]
    assert made.plan.finalists == 3
    assert made.confirming_seconds(three[:1]) == 0
    # Two workers: one has the second, the other one the rest.
    assert made.confirming_seconds(three) == pytest.approx(30 * ratio)
    assert made.confirming_seconds([done(number, 10.0) for number in range(4)]) == pytest.approx(20 * ratio)
    again = trial(9, three[1].fold_scores, state="confirmation", confirms=1)
    assert made.confirming_seconds(joined([*three, again])) == pytest.approx(12 * ratio)
    spent.seconds = left(made, share=1.0) - full_seconds(made) - 30 * ratio - 0.01
    assert made.has_time_for(TYPICAL, three)
    assert not made.is_too_slow(going(made, 2), three)
    spent.seconds += full_seconds(made)
    assert not made.has_time_for(TYPICAL, three)
    assert made.is_too_slow(going(made, 2), three)
    assert not made.is_too_slow(going(made, 9, confirms=0), three)


def test_the_time_left_is_the_budgets_or_that_of_the_trials_that_are_left(made: Planner, spent: Spent) -> None:
    spent.seconds = 100.0
    assert made.search_left([]) == pytest.approx(made.seconds_left([]))
    spent.seconds = 1000.0
    assert made.search_left([]) == 0.0

    counted, _ = planner(seconds=None, finalists=0)
    counted.budget = Budget(10, None)
    assert counted.search_left([]) is None, "nothing has ended"
    ended = [trial(0, (0.9,), seconds=30.0, state="complete"), trial(1, (0.8,), seconds=10.0, state="pruned")]
    running = trial(2, seconds=5.0, state="running")
    # Seven that are not begun take 20 s each and the running one 15 s, on two workers.
    assert counted.search_left([*ended, running]) == pytest.approx((7 * 20 + 15) / 2)
    both, since = planner(seconds=300)
    both.budget = Budget(1000, 300)
    since.seconds = 100.0
    assert both.search_left(ended) == pytest.approx(both.seconds_left(ended)), "whichever is spent first"


def test_without_a_final_nothing_is_kept_for_it() -> None:
    made, _ = planner(finalists=0)
    two = [going(made, 0, folds=made.plan.folds, state="complete", number=n, seconds=30.0) for n in range(2)]
    assert made.confirming_seconds(two) == 0


def test_the_newest_trials_say_how_fast_it_goes(made: Planner, spent: Spent) -> None:
    spent.seconds = left(made) - 1.5 * full_seconds(made)
    assert made.has_time_for(TYPICAL, [])
    slow = [going(made, 5, image_seconds=2 * IMAGE_SECONDS, number=number) for number in range(RECENT)]
    assert not made.has_time_for(TYPICAL, slow)
    assert not made.has_time_for(TYPICAL, [*[going(made, 5, number=99)] * 99, *slow])


def test_draws_that_never_trained_do_not_hide_the_pace(made: Planner) -> None:
    slow = going(made, 5, image_seconds=3 * IMAGE_SECONDS)
    in_vain = [trial(number=n, state="infeasible") for n in range(1, 2 * RECENT)]
    assert made.has_time_for(TYPICAL, [slow, *in_vain]) == made.has_time_for(TYPICAL, [slow])
    assert made._pace([slow, *in_vain]) == made._pace([slow])


def test_a_running_trial_that_cannot_finish_is_too_slow(made: Planner, spent: Spent) -> None:
    half = going(made, 5)
    remaining = full_seconds(made) - 0.5 * full_seconds(made) / made.plan.folds
    spent.seconds = left(made) - remaining - 0.01
    assert not made.is_too_slow(half, [half])
    spent.seconds += 0.02
    assert made.is_too_slow(half, [half])


def test_a_trial_may_take_its_time_to_start(made: Planner) -> None:
    first = going(made, 1)
    late = first.model_copy(update={"reports": (replace(first.reports[0], seconds=1.5 * 100),)})
    made.begin(pace(start=100.0))
    assert not made.is_too_slow(late, [])
    assert made.is_too_slow(going(made, 1, image_seconds=100.0), [])


# Planned again --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [WRONG * 1.01, 0.99 / WRONG])
def test_a_probe_that_was_wrong_is_corrected_once(made: Planner, spent: Spent, factor: float) -> None:
    before = made.plan
    spent.seconds = 5
    assert made.begin_again([going(made, 2, image_seconds=factor * IMAGE_SECONDS)])
    assert made.plan.image_seconds == pytest.approx(factor * IMAGE_SECONDS)
    assert ((made.plan.epochs or 0) > (before.epochs or 0)) == (factor < 1)
    assert not made.begin_again([going(made, 2, image_seconds=100 * factor * IMAGE_SECONDS)])


@pytest.mark.parametrize("factor", [0.99 * WRONG, 1.01 / WRONG])
def test_a_probe_that_was_nearly_right_is_left(made: Planner, factor: float) -> None:
    assert not made.begin_again([going(made, 2, image_seconds=factor * IMAGE_SECONDS)])


def test_what_a_candidate_is_slower_by_is_no_error_of_the_probe(made: Planner) -> None:
    large = going(made, 2, image_seconds=9 * IMAGE_SECONDS).model_copy(update={"work": 9 * TYPICAL})
    assert not made.begin_again([large])


def test_one_report_does_not_show_it(made: Planner) -> None:
    assert not made.begin_again([going(made, 1, image_seconds=1.0)])


@pytest.mark.parametrize("state", ["complete", "pruned"])
def test_once_a_trial_has_ended_epochs_stay(made: Planner, state: str) -> None:
    slow = going(made, 2, image_seconds=1.0)
    assert not made.begin_again([going(made, 2, state=state), slow])
    assert made.begin_again([slow])


@pytest.mark.parametrize(
    ("text", "seconds", "given"), [(SMALL, 300, {}), (UNPLANNED, 300, {"epochs": 3.0}), (UNPLANNED, None, {})]
)
def test_nothing_is_planned_again_where_epochs_are_decided(
    text: str, seconds: float | None, given: dict[str, Any]
) -> None:
    made, _ = planner(text, seconds, **given)
    assert not made.begin_again([going(made, 2, image_seconds=1.0)])


# Fewer folds ----------------------------------------------------------------------------------------------------------


def test_a_fold_is_taken_away_when_too_few_would_run_all() -> None:
    made, _ = planner(seconds=3600)
    assert made.plan.folds > 1
    folds = made.plan.folds
    assert not made.fewer_folds([going(made, 2)])
    slow = going(made, 2, image_seconds=3000 / full_seconds(made) * IMAGE_SECONDS)
    assert made.fewer_folds([slow])
    assert made.plan.folds == folds - 1
    while made.fewer_folds([slow]):
        pass
    assert 1 <= made.plan.folds < folds


def test_enough_complete_ones_keep_their_folds() -> None:
    made, spent = planner(seconds=3600)
    complete = [going(made, 0, folds=made.plan.folds, state="complete", number=n) for n in range(3)]
    spent.seconds = 3590
    assert not made.fewer_folds(complete)
    assert made.fewer_folds(complete[:2])


def test_folds_that_were_asked_for_stay() -> None:
    made, spent = planner(seconds=300, folds=5)
    spent.seconds = 290
    assert not made.fewer_folds([going(made, 2, image_seconds=1.0)])
    assert made.plan.folds == 5
