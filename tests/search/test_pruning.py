"""Verdicts on scores that are given."""

import random

import optuna
import pytest
from optuna.pruners import SuccessiveHalvingPruner
from trials import report

from archsearch.search.pruning import behind, halved, lost_to, optuna_point

# The first fold -------------------------------------------------------------------------------------------------------


def test_the_first_at_a_rung_goes_on() -> None:
    assert not halved(0.1, [], 3)


def test_among_the_first_few_only_the_best_goes_on() -> None:
    assert halved(0.8, [0.9], 3)
    assert not halved(0.9, [0.8], 3)
    assert not halved(0.9, [0.9], 3)  # as good as the best


@pytest.mark.parametrize(("others", "places"), [(2, 1), (4, 1), (5, 2), (7, 2), (8, 3), (29, 10)])
def test_one_in_three_goes_on(others: int, places: int) -> None:
    scores = [0.5 + 0.01 * number for number in range(others)]
    assert [halved(0.495 + 0.01 * rank, scores, 3) for rank in range(others + 1)] == [
        others - rank >= places for rank in range(others + 1)
    ]


@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_optuna_halves_alike(reduction: int) -> None:
    """Trial after trial, on three rungs: nobody is asked that would not have come so far."""
    study = optuna.create_study(
        direction="maximize",
        pruner=SuccessiveHalvingPruner(min_resource=1, reduction_factor=reduction, bootstrap_count=0),
    )
    drawn = random.Random(reduction)
    rungs: list[list[float]] = [[], [], []]
    verdicts = []
    for _ in range(200):
        trial = study.ask()
        for rung, others in enumerate(rungs):
            value = round(drawn.random(), 2)  # now and then a tie
            trial.report(value, reduction**rung)
            verdict = halved(value, others, reduction)
            others.append(value)
            assert trial.should_prune() == verdict
            verdicts.append(verdict)
            if verdict:
                break
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    assert set(verdicts) == {True, False}
    assert len(rungs[2]) > 5


# What Optuna is told --------------------------------------------------------------------------------------------------


def test_fold_0_is_told_in_per_cent() -> None:
    assert optuna_point(report(0, 1 / 9, 0.8), ()) == (11, 0.8)
    assert optuna_point(report(0, 1.0, 0.9), (0.9,)) == (100, 0.9)


def test_a_later_fold_is_told_when_it_is_done_and_as_the_running_mean() -> None:
    assert optuna_point(report(1, 0.5), (0.9,)) is None
    assert optuna_point(report(1, 1.0, 0.8), (0.9, 0.8)) == pytest.approx((101, 0.85))
    assert optuna_point(report(2, 1.0, 0.7), (0.9, 0.8, 0.7)) == pytest.approx((102, 0.8))


def test_steps_never_repeat() -> None:
    shares = (1 / 9, 0.2, 1 / 3, 0.5, 0.9, 1.0)
    points = [optuna_point(report(fold, share), (0.9,) * 3) for fold in range(3) for share in shares]
    steps = [point[0] for point in points if point]
    assert len(steps) == 8
    assert steps == sorted(set(steps))


# After a fold ---------------------------------------------------------------------------------------------------------


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
