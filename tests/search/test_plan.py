from itertools import pairwise
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.search.budget import retraining_seconds
from archsearch.search.plan import (
    FINALISTS,
    FULL_TRIALS,
    LEAST_TRIALS,
    LONGEST,
    MOST_CONFIRMING,
    MOST_EPOCHS,
    MOST_POINTS,
    REDUCTION,
    SCORING,
    SCORING_COST,
    Given,
    Plan,
    Workload,
    fewer_folds,
    make_plan,
    planned_epochs,
    planned_folds,
    untimed_epochs,
)

NOTHING = Given()


@st.composite
def workloads(draw: st.DrawFn, own: bool = False) -> Workload:
    """From 1,000 to 1,000,000 images on machines of all kinds."""
    parts = draw(st.integers(2, 10))
    every = draw(st.integers(1000, 1_000_000))
    return Workload(
        images=every - every // parts,
        checked=min(every // parts, 2000),
        parts=parts,
        workers=draw(st.integers(1, 64)),
        own_epochs=draw(st.sampled_from([0.5, 1.0, 3.0, 20.0])) if own else None,
        image_seconds=1 / draw(st.floats(10, 100_000)),
        start_seconds=draw(st.floats(0.0, 10.0)),
    )


times = st.one_of(st.none(), st.floats(120, 8 * 3600))
decided = st.builds(
    Given,
    epochs=st.none() | st.floats(0.01, 100),
    folds=st.none() | st.integers(2, 10),
    first_rung=st.none() | st.integers(1, 100_000),
    finalists=st.none() | st.sampled_from([0, 2, 3, 10]),
)


def work(images: int, pace: float, workers: int = 2, parts: int = 10, start: float = 0.5) -> Workload:
    training = images - images // parts
    checked = min(images // parts, 2000)
    return Workload(
        images=training, checked=checked, parts=parts, workers=workers, image_seconds=1 / pace, start_seconds=start
    )


def candidate_seconds(plan: Plan, work: Workload) -> float:
    """A typical candidate's time, if it is never dropped."""
    assert work.image_seconds is not None
    return (plan.epochs or 0.0) * plan.folds * work.images * work.image_seconds


# Any time, data and machine -------------------------------------------------------------------------------------------


@given(workloads(), times, decided)
def test_a_plan_can_be_carried_out(work: Workload, seconds: float | None, given: Given) -> None:
    plan = make_plan(work, seconds, given)
    assert plan.epochs is not None
    assert plan.epochs > 0
    assert plan.folds >= 1
    assert list(plan.points) == sorted(set(plan.points))
    assert plan.points[0] > 0
    assert plan.points[-1] == 1.0
    assert list(plan.rungs) == sorted(set(plan.rungs))
    assert set(plan.rungs) < set(plan.points)
    assert plan.finalists != 1


@given(workloads(), times, decided)
def test_what_is_given_is_kept(work: Workload, seconds: float | None, given: Given) -> None:
    plan = make_plan(work, seconds, given)
    for name in ("epochs", "folds", "finalists"):
        if (told := getattr(given, name)) is not None:
            assert getattr(plan, name) == told
    if given.epochs is not None:
        assert plan.winner_epochs == plan.most_epochs == given.epochs
    if given.first_rung is not None and plan.rungs:
        assert plan.rungs[0] * (plan.epochs or 0) * work.images == pytest.approx(given.first_rung)


@given(workloads(), st.floats(120, 8 * 3600))
def test_the_winner_of_a_plan_can_be_found_and_retrained_in_time(work: Workload, seconds: float) -> None:
    plan = make_plan(work, seconds, NOTHING)
    image, epochs = work.image_seconds or 0.0, plan.winner_epochs or 0.0
    retraining = retraining_seconds(image, work.images, epochs, work.retraining_speed)
    assert candidate_seconds(plan, work) + retraining < seconds
    assert 0 < (plan.epochs or 0) <= (plan.winner_epochs or 0) <= (plan.most_epochs or 0)
    assert 1 <= plan.folds <= work.parts
    assert (plan.epochs or 0) <= MOST_EPOCHS


@given(workloads(), st.floats(120, 8 * 3600), st.integers(2, 10))
def test_so_can_it_with_as_many_folds_as_are_asked_for(work: Workload, seconds: float, folds: int) -> None:
    plan = make_plan(work, seconds, Given(folds=folds))
    assert candidate_seconds(plan, work) * (1 + 1 / folds) < seconds


@given(workloads(own=True), times)
def test_epochs_of_the_candidates_are_not_planned(work: Workload, seconds: float | None) -> None:
    assert make_plan(work, seconds, NOTHING).epochs is None


@given(workloads(), st.floats(120, 8 * 3600))
def test_twice_the_time_is_no_shorter_training(work: Workload, seconds: float) -> None:
    short, long = (make_plan(work, s, NOTHING) for s in (seconds, 2 * seconds))
    assert (long.winner_epochs or 0) >= (short.winner_epochs or 0)


@given(workloads(), times, decided)
def test_scoring_on_the_way_costs_little(work: Workload, seconds: float | None, given: Given) -> None:
    plan = make_plan(work, seconds, given)
    between = len(plan.points) - len(plan.rungs) - 1
    assert between <= MOST_POINTS
    assert between * SCORING_COST * work.checked <= SCORING * (plan.epochs or 0) * work.images


@given(workloads(), times)
def test_points_lie_apart_so_that_a_rung_is_found_again(work: Workload, seconds: float | None) -> None:
    points = make_plan(work, seconds, NOTHING).points
    assert all(after - before > 0.05 for before, after in pairwise(points))


# Known examples -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [1000, 3000, 6000])
def test_on_60_000_images_the_first_decision_comes_within_an_epoch(pace: float) -> None:
    for minutes in (3, 10):
        plan = make_plan(work(60_000, pace), 60 * minutes, NOTHING)
        assert 0 < plan.rungs[0] * (plan.epochs or 0) < 1


def test_on_1_800_images_it_comes_after_several() -> None:
    plan = make_plan(work(1_800, 10_000, parts=5), 600, NOTHING)
    assert plan.rungs[0] * (plan.epochs or 0) > 2


def test_ten_minutes_on_mnist() -> None:
    plan = make_plan(work(60_000, 5000), 590, NOTHING)
    assert (plan.epochs, plan.winner_epochs, plan.most_epochs) == (2, 9, 9 * LONGEST)
    assert plan.folds == 1
    assert plan.rungs == pytest.approx((5 / 27,))  # eight times as long as it takes to start
    assert plan.finalists == 2
    assert plan.line(10) == (
        "plan: 2 epochs (9 for the winner), 1 of 10 folds, first ones dropped after 19% of a fold (20,000 images), "
        "2 finalists; a typical candidate trains on 5,000 images/s"
    )


def test_a_slow_machine_does_not_get_through_an_epoch() -> None:
    plan = make_plan(work(1_000_000, 100), 120, NOTHING)
    assert plan.winner_epochs is not None
    assert plan.winner_epochs * 900_000 / 100 < 60
    assert plan.winner_epochs * 900_000 > 1000


def test_folds_come_with_time() -> None:
    folds = [make_plan(work(1_800, 5_000, parts=5), 60 * minutes, NOTHING).folds for minutes in (2, 60, 480)]
    assert folds == sorted(folds)
    assert folds[0] < folds[-1]


def test_workers_share_the_time_and_each_must_get_through() -> None:
    alone, many = (make_plan(work(60_000, 2000, workers=n), 600, NOTHING) for n in (2, 64))
    assert (many.epochs or 0) > (alone.epochs or 0)
    assert candidate_seconds(many, work(60_000, 2000)) < 600 * 0.45


def test_without_a_limit_there_is_no_hurry() -> None:
    plan = make_plan(work(60_000, 2000), None, NOTHING)
    assert (plan.epochs, plan.folds, plan.finalists) == (4, 3, 0)
    assert make_plan(work(60_000, 2000, parts=2), None, NOTHING).folds == 2


def test_finalists_are_planned_only_if_one_can_run_again_on_one_worker() -> None:
    busy = make_plan(work(60_000, 3_400, workers=8), 600, NOTHING)
    one = busy.folds * (busy.winner_epochs or 0.0) * busy.images / 3_400
    assert one > MOST_CONFIRMING * 600
    assert busy.finalists == 0
    assert make_plan(work(60_000, 3_400, workers=8), 24 * 3600, NOTHING).finalists == FINALISTS


@pytest.mark.parametrize(
    ("start", "epochs", "rungs"), [(0.0, 1, (1 / 9, 1 / 3)), (0.25, 1, (0.2,)), (9.0, 1, (1 / 3,))]
)
def test_nobody_is_dropped_before_starting_has_paid(start: float, epochs: float, rungs: tuple[float, ...]) -> None:
    plan = make_plan(work(60_000, 5400, start=start), 120, NOTHING)
    assert plan.epochs == epochs
    assert plan.rungs == pytest.approx(rungs)


def test_where_there_is_time_for_many_candidates_they_train_as_long_as_the_winner() -> None:
    short, long = (make_plan(work(1_800, 10_000, parts=5), seconds, NOTHING) for seconds in (100, 3600))
    assert (short.epochs or 0) < (short.winner_epochs or 0)
    assert long.epochs == long.winner_epochs == MOST_EPOCHS


def test_a_first_rung_beyond_the_middle_is_none() -> None:
    plan = make_plan(work(60_000, 5000), 600, Given(epochs=1, first_rung=50_000))
    assert plan.rungs == ()
    assert "nobody dropped in the first fold" in plan.line(10)


def test_the_line_of_a_plan_that_knows_little() -> None:
    plan = make_plan(work(60_000, 5000).model_copy(update={"own_epochs": 3, "image_seconds": None}), None, NOTHING)
    assert plan.line(10) == (
        "plan: epochs as the space has them, 3 of 10 folds, first ones dropped after 11% of a fold, no finalists"
    )


# Parts of a plan ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passes", "workers", "epochs"),
    [
        (1, 1, 0.33),
        (0.0123, 2, 0.0037),
        (3, 1, 1.0),
        (5, 1, 1.5),
        (16, 2, 4),
        (100, 2, 10),
        (1e6, 2, 50),
        (10, 8, 0.75),
    ],
)
def test_epochs_are_round_figures(passes: float, workers: int, epochs: float) -> None:
    assert planned_epochs(passes, workers) == epochs


@pytest.mark.parametrize(
    ("trainings", "workers", "parts", "folds"),
    [
        (-5, 2, 5, 1),
        (0, 2, 5, 1),
        (11, 1, 5, 1),
        (4 * FULL_TRIALS, 1, 5, 2),
        (1e6, 1, 5, 5),
        (4 * FULL_TRIALS, 16, 5, 1),
    ],
)
def test_folds_are_there_once_there_are_enough_candidates(
    trainings: float, workers: int, parts: int, folds: int
) -> None:
    assert planned_folds(trainings, workers, parts) == folds


@pytest.mark.parametrize(("images", "epochs"), [(1_000_000, 4), (60_000, 4), (10_000, 15), (1_500, 30), (10, 30)])
def test_few_images_are_gone_over_more_often(images: int, epochs: float) -> None:
    assert untimed_epochs(images) == epochs


def test_each_rung_is_that_much_later() -> None:
    rungs = make_plan(work(60_000, 5000), 3600, Given(first_rung=1000)).rungs
    assert len(rungs) > 3
    assert rungs[-1] == pytest.approx(rungs[0] * prod([REDUCTION] * (len(rungs) - 1)))


@settings(max_examples=50)
@given(st.integers(1, 10), st.integers(0, 5), st.floats(0, 10))
def test_folds_go_one_by_one_while_too_few_would_run_all(folds: int, complete: int, affordable: float) -> None:
    plan = make_plan(work(60_000, 5000), 600, Given(folds=folds))
    after = fewer_folds(plan, complete, affordable)
    taken = folds > 1 and complete + affordable < LEAST_TRIALS
    assert after == plan.model_copy(update={"folds": folds - taken})
