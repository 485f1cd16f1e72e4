from typing import Any

import pytest
from trials import IMAGES, report, trial

from archsearch.search.budget import (
    REPORT_SECONDS,
    RETRAINING_SPEED,
    TESTING,
    WHOLE_SPEED,
    Budget,
    closing_seconds,
    image_seconds,
    learn_pace,
    remaining_seconds,
    retraining_seconds,
    retraining_speed,
    trained,
)
from archsearch.search.record import State, TrialRecord

POINTS = (0.25, 0.5, 1.0)


def running(done: int, start: float = 0.0, image: float = 0.002, **changes: Any) -> TrialRecord:
    """A trial whose folds of four epochs are reported at `POINTS`, `done` times so far."""
    reports, before = [], 0.0
    for number in range(done):
        fold, point = divmod(number, len(POINTS))
        before = POINTS[point - 1] if point else 0.0
        seconds = (POINTS[point] - before) * 4 * IMAGES * image + (0 if number else start)
        reports.append(report(fold, POINTS[point], seconds=seconds))
    return trial(state="running", reports=tuple(reports), **changes)


@pytest.mark.parametrize("done", [2, 3, 4, 5, 9])
def test_the_pace_of_a_trial_leaves_its_start_out(done: int) -> None:
    assert image_seconds(running(done, start=50.0)) == pytest.approx(0.002)


def test_before_the_second_report_there_is_only_the_first() -> None:
    assert image_seconds(running(0)) is None
    assert image_seconds(running(1, start=3.0)) == pytest.approx(0.002 + 3.0 / IMAGES)


def test_what_remains_of_a_trial() -> None:
    assert remaining_seconds(running(0), 3, IMAGES) == 0
    assert remaining_seconds(running(2, start=5.0), 3, IMAGES) == pytest.approx(2.5 * 4 * IMAGES * 0.002)
    assert remaining_seconds(running(3), 3, IMAGES) == pytest.approx(2 * 4 * IMAGES * 0.002)
    assert remaining_seconds(running(4), 3, IMAGES) == pytest.approx(1.75 * 4 * IMAGES * 0.002)
    assert remaining_seconds(running(9), 3, IMAGES) == 0
    assert remaining_seconds(running(9), 2, IMAGES) == 0  # a fold was taken away since


def test_the_pace_is_that_of_the_trial_in_the_middle() -> None:
    trials = [running(5, start=start, image=image) for start, image in ((1.0, 0.001), (2.0, 0.002), (9.0, 0.9))]
    pace = learn_pace(trials)
    assert pace is not None
    assert (pace.unit_seconds, pace.start_seconds) == pytest.approx((0.002, 2.0))


def test_the_pace_is_for_a_unit_of_work() -> None:
    pace = learn_pace([running(5, image=0.004, work=2e-6)])
    assert pace is not None
    assert pace.unit_seconds == pytest.approx(0.002e6)
    assert pace.image_seconds(3e-6) == pytest.approx(0.006)


def test_one_report_teaches_no_pace() -> None:
    assert learn_pace([running(1), running(0)]) is None
    assert learn_pace([]) is None


def test_a_start_never_takes_less_than_nothing() -> None:
    pace = learn_pace([running(5, start=-0.5)])
    assert pace is not None
    assert pace.start_seconds == 0


def test_retraining_sees_all_images_and_has_all_cores() -> None:
    assert retraining_seconds(0.002, 1500, 4, retraining_speed(1, hyper=False)) == pytest.approx(12)
    for hyper, speed in ((False, RETRAINING_SPEED), (True, WHOLE_SPEED)):
        assert retraining_seconds(0.002, 1500, 0.5, retraining_speed(2, hyper)) == pytest.approx(1.5 / speed)
    assert retraining_speed(1, hyper=True) == 1.0
    assert retraining_speed(2, hyper=False, batch_size=128) == RETRAINING_SPEED
    assert retraining_speed(2, hyper=False, batch_size=32) == 1.0, "it cannot be split"


def test_closing_takes_longer_with_more_to_test_but_at_most_a_fifth() -> None:
    assert closing_seconds(600, 0.003, 1000) == pytest.approx(REPORT_SECONDS + 3 * TESTING)
    assert closing_seconds(10, 0.003, 1000) == 2


def test_the_share_is_of_what_runs_out_first() -> None:
    assert Budget(10, 100).share(5, 20) == 0.5
    assert Budget(10, 100).share(5, 80) == 0.8
    assert Budget(None, 100).share(5, 80) == 0.8
    assert Budget(10, None).share(20, 80) == 1.0


def test_what_counts_as_trained() -> None:
    states: tuple[State, ...] = (
        "running",
        "complete",
        "confirmation",
        "pruned",
        "failed",
        "infeasible",
        "duplicate",
        "interrupted",
    )
    assert trained([trial(state=state) for state in states]) == 4
    assert trained([trial(state="running", confirms=0), trial(state="confirmation", confirms=0)]) == 0
