from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import report, trial

from archsearch.search.objectives import costs, eligible, front, mean_latency, mean_robustness, rivals, values
from archsearch.search.record import TrialRecord, joined

BOTH = ("accuracy", "parameters")
THREE = ("accuracy", "parameters", "flops")


def numbers(records: list[TrialRecord]) -> list[int]:
    return [r.number for r in records]


def timed(number: int, *latencies: float | None) -> TrialRecord:
    reports = tuple(replace(report(fold, 1.0), latency=latency) for fold, latency in enumerate(latencies))
    return trial(number, reports=reports)


@st.composite
def studies(draw: st.DrawFn) -> list[TrialRecord]:
    """Trials with scores and costs from so few values that ties are common."""
    drawn = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(1, 4)), max_size=12))
    return [
        trial(number, (0.9 + score / 100,), parameters=parameters, flops=flops)
        for number, (score, parameters, flops) in enumerate(drawn)
    ]


def beats(one: TrialRecord, other: TrialRecord, objectives: tuple[str, ...]) -> bool:
    """By the definition: as good in everything, and better in something."""
    mine, its = (
        [-v.score, *(getattr(v, name) for name in objectives[1:])] for v in (one, other) if v.score is not None
    )
    return mine != its and all(a <= b for a, b in zip(mine, its, strict=True))


@given(studies(), st.sampled_from([BOTH, THREE, ("accuracy", "flops")]))
def test_the_front_is_what_nobody_beats(records: list[TrialRecord], objectives: tuple[str, ...]) -> None:
    found = front(records, objectives)
    for record in records:
        beaten = any(beats(other, record, objectives) for other in records)
        # Of several that are the same in all, one is enough.
        alike = [f for f in found if values(f, objectives) == values(record, objectives)]
        assert len(alike) == (0 if beaten else 1)
    scores = [record.score for record in found]
    assert scores == sorted(scores, key=lambda score: -(score or 0.0))


def test_only_complete_trials_are_in_front() -> None:
    records = [trial(0, (0.9,), parameters=100), trial(1, (0.99,), parameters=1, state="pruned")]
    assert numbers(front(records, BOTH)) == [0]
    assert front([], BOTH) == []


def test_for_accuracy_alone_the_best_is_the_front() -> None:
    records = [trial(0, (0.9,), parameters=1), trial(1, (0.95,), parameters=100)]
    assert numbers(front(records, ("accuracy",))) == [1]


def test_the_front_is_of_first_runs() -> None:
    """Finalists train for longer when they run again, and would beat others by that alone."""
    tried = [trial(0, (0.95,), parameters=200), trial(1, (0.94,), parameters=100)]
    again = trial(2, (0.97,), state="confirmation", confirms=1)
    assert numbers(front(joined([*tried, again]), BOTH)) == numbers(front(tried, BOTH)) == [0, 1]


def test_rivals_cost_no_more_in_anything() -> None:
    me = trial(0, (0.9,), parameters=100, flops=100)
    others = [
        trial(1, (0.9,), parameters=100, flops=100),
        trial(2, (0.9,), parameters=50, flops=101),
        trial(3, (0.9,), parameters=50, flops=1),
    ]
    assert numbers(rivals(me, [me, *others], THREE)) == [1, 3]
    assert numbers(rivals(me, [me, *others], BOTH)) == [1, 2, 3]
    assert numbers(rivals(me, [me, *others], ("accuracy",))) == [1, 2, 3]


def test_finalists_come_from_the_front() -> None:
    records = [trial(0, (0.95,), parameters=200), trial(1, (0.94,), parameters=300), trial(2, (0.9,), parameters=1)]
    assert numbers(eligible(records, BOTH)) == [0, 2]
    assert numbers(eligible(records, ("accuracy",))) == [0, 1, 2]


def test_latency_is_the_mean_of_what_was_measured() -> None:
    assert mean_latency(timed(0, 1e-3, 3e-3)) == pytest.approx(2e-3)
    assert mean_latency(timed(0, None)) is None
    assert costs(timed(0, None), ("accuracy", "latency")) is None


def test_before_the_latency_is_known_nobody_is_compared() -> None:
    objectives = ("accuracy", "latency")
    known, unknown = timed(0, 1e-3), timed(1, None)
    assert rivals(unknown, [known], objectives) == []
    assert rivals(known, [unknown], objectives) == []
    assert numbers(front([known, unknown], objectives)) == [0]


def test_robustness_is_wanted_large() -> None:
    objectives = ("accuracy", "robustness")

    def kept(number: int, score: float, *robustness: float | None) -> TrialRecord:
        reports = tuple(replace(report(fold, 1.0, score), robustness=r) for fold, r in enumerate(robustness))
        return trial(number, reports=reports)

    strong, weak, best = kept(0, 0.9, 0.8, 0.7), kept(1, 0.9, 0.5, 0.5), kept(2, 0.95, 0.6, 0.6)
    assert mean_robustness(strong) == pytest.approx(0.75)
    assert values(strong, objectives) == pytest.approx([0.9, 0.75])
    assert costs(strong, objectives) == pytest.approx((0.25,))
    assert numbers(front([strong, weak, best], objectives)) == [2, 0]
    assert numbers(rivals(best, [strong, weak], objectives)) == [0]
    assert rivals(kept(3, 0.9, None), [strong], objectives) == []


def test_optuna_is_told_all_of_it_in_order() -> None:
    assert values(trial(0, (0.9, 0.8), parameters=7, flops=5), THREE) == pytest.approx([0.85, 7, 5])
    assert values(trial(0, (0.9,)), ("accuracy",)) == [0.9]
