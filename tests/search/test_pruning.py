import pytest

from archsearch.search.pruning import behind, lost_to, optuna_point
from archsearch.training.job import Report


def report(fold: int, epoch: int, accuracy: float = 0.9) -> Report:
    return Report(0, fold, epoch, 5, 0.1, 0.95, 0.2, accuracy, 1.0)


def test_fold_0_is_told_epoch_by_epoch() -> None:
    assert optuna_point(report(0, 2, 0.8), ()) == (2, 0.8)
    assert optuna_point(report(0, 5, 0.9), (0.9,)) == (5, 0.9)


def test_a_later_fold_is_told_when_it_is_done_and_as_the_running_mean() -> None:
    assert optuna_point(report(1, 4), (0.9,)) is None
    assert optuna_point(report(1, 5, 0.8), (0.9, 0.8)) == pytest.approx((6, 0.85))
    assert optuna_point(report(2, 5, 0.7), (0.9, 0.8, 0.7)) == pytest.approx((7, 0.8))


def test_steps_never_repeat() -> None:
    points = [optuna_point(report(fold, epoch), (0.9,) * 3) for fold in range(3) for epoch in range(1, 6)]
    steps = [point[0] for point in points if point]
    assert steps == sorted(set(steps))


def test_behind_counts_binomial_standard_errors() -> None:
    # Two accuracies of 0.9 and 0.8 on 1,000 images: variances 0.09 / 1000 and 0.16 / 1000.
    assert behind([0.8], [0.9], 1000) == pytest.approx(0.1 / 0.00025**0.5)
    assert behind([0.9], [0.8], 1000) < 0


def test_only_shared_folds_count() -> None:
    assert behind([0.9], [0.9, 0.1, 0.1], 100) == 0
    assert behind([], [0.9], 100) == 0


def test_the_best_rival_on_the_same_folds_is_named() -> None:
    rivals = {0: (0.9, 0.99), 1: (0.95,), 2: (0.94, 0.9), 3: (), 7: (0.5,)}
    assert lost_to((0.5,), rivals, 1000) == (1, behind((0.5,), (0.95,), 1000))
    assert lost_to((0.5, 0.5), rivals, 1000) == (0, behind((0.5, 0.5), (0.9, 0.99), 1000))
    assert lost_to((0.5, 0.5, 0.5), rivals, 1000) is None


def test_more_folds_are_more_certain() -> None:
    assert behind([0.97, 0.97], [0.98, 0.98], 500) > behind([0.97], [0.98], 500)


@pytest.mark.parametrize(
    ("mine", "leader", "images", "verdict"),
    [
        ([0.98], [0.985, 0.985], 500, False),  # half a point on 500 images is luck
        ([0.98], [0.985, 0.985], 20_000, True),  # on 20,000 it is not
        ([0.5], [0.985], 500, True),
        ([1.0], [1.0], 500, False),
        ([0.99], [1.0], 100, False),
        ([0.999], [0.98], 500, False),
    ],
)
def test_a_trial_is_lost_when_the_best_is_out_of_reach(
    mine: list[float], leader: list[float], images: int, verdict: bool
) -> None:
    assert (lost_to(mine, {1: leader, 2: mine}, images) is not None) is verdict
