from dataclasses import replace

import pytest
from candidates import candidate

from archsearch.search.budget import (
    REPORT_SECONDS,
    Budget,
    remaining_seconds,
    retraining_seconds,
    search_seconds_left,
    too_slow,
    trained,
)
from archsearch.search.record import State, TrialRecord
from archsearch.training.job import Report


def record(done: int, seconds: float, state: State = "running") -> TrialRecord:
    """A trial of three folds with four epochs each, `done` of them over."""
    steps = [(fold, epoch) for fold in range(3) for epoch in range(1, 5)][:done]
    reports = tuple(Report(0, fold, epoch, 4, 0.1, 0.9, 0.1, 0.9, seconds) for fold, epoch in steps)
    made = candidate(epochs=4)
    return TrialRecord(number=0, state=state, candidate=made, digest="x", parameters=1, flops=1, reports=reports)


def test_retraining_sees_all_images() -> None:
    assert retraining_seconds(record(12, 2.0), folds=3) == pytest.approx(4 * 2.0 * 3 / 2)
    assert retraining_seconds(record(1, 2.0), folds=5) == pytest.approx(4 * 2.0 * 5 / 4)
    assert retraining_seconds(record(0, 2.0), folds=3) == 0


def test_what_remains_of_a_trial() -> None:
    assert remaining_seconds(record(5, 2.0), folds=3) == pytest.approx(7 * 2.0)
    assert remaining_seconds(record(12, 2.0), folds=3) == 0
    assert remaining_seconds(record(0, 2.0), folds=3) == 0


def test_the_leaders_retraining_is_kept_aside() -> None:
    budget = Budget(trials=None, seconds=100)
    assert search_seconds_left(budget, 10, None, 3) == 90 - REPORT_SECONDS
    assert search_seconds_left(budget, 10, record(12, 2.0, "complete"), 3) == pytest.approx(90 - REPORT_SECONDS - 12)
    assert search_seconds_left(budget, 200, None, 3) < 0
    assert search_seconds_left(Budget(trials=3, seconds=None), 1e9, None, 3) == float("inf")


def test_a_trial_that_cannot_be_finished_and_retrained_is_too_slow() -> None:
    budget = Budget(trials=None, seconds=100)
    # After two epochs of 2 s: 10 more, and 12 s of retraining.
    assert not too_slow(record(2, 2.0), budget, spent=100 - REPORT_SECONDS - 33, folds=3)
    assert too_slow(record(2, 2.0), budget, spent=100 - REPORT_SECONDS - 31, folds=3)
    assert not too_slow(record(2, 1e6), Budget(trials=3, seconds=None), spent=0, folds=3)


def test_the_first_epoch_says_little_since_tracing_is_in_it() -> None:
    budget = Budget(trials=None, seconds=100)
    assert not too_slow(record(1, 1e6), budget, spent=0, folds=3)
    first, *others = record(4, 2.0).reports
    slow_start = record(4, 2.0).model_copy(update={"reports": (replace(first, seconds=50.0), *others)})
    assert retraining_seconds(slow_start, folds=3) == pytest.approx(12)


def test_the_share_is_of_what_runs_out_first() -> None:
    assert Budget(10, 100).share(5, 20) == 0.5
    assert Budget(10, 100).share(5, 80) == 0.8
    assert Budget(None, 100).share(5, 80) == 0.8
    assert Budget(10, None).share(20, 80) == 1.0


def test_what_counts_as_trained() -> None:
    states: tuple[State, ...] = ("running", "complete", "pruned", "failed", "infeasible", "duplicate", "interrupted")
    assert trained([record(0, 1.0, state) for state in states]) == 4
