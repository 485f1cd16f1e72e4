"""What was drawn, and what it mattered."""

import random
from typing import Any

import optuna
import pytest
from candidates import candidate
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from archsearch.search.parameters import LEAST_TRIALS, parameters
from archsearch.search.record import TrialRecord
from archsearch.training.job import Report


def records(count: int) -> tuple[list[FrozenTrial], list[TrialRecord]]:
    """Trials whose score hangs on `good` alone; the worse half is dropped, with scores that look better."""
    study, found, chance = optuna.create_study(direction="maximize"), [], random.Random(0)
    kinds = {
        "good": IntDistribution(0, 9),
        "idle": FloatDistribution(1e-4, 1e-1, log=True),
        "kind": CategoricalDistribution(["a", "b"]),
        "only with b": IntDistribution(1, 3),
    }
    for number in range(count):
        drawn: dict[str, Any] = {
            "good": chance.randint(0, 9),
            "idle": 10 ** chance.uniform(-4, -1),
            "kind": chance.choice(["a", "b"]),
        }
        if drawn["kind"] == "b":
            drawn["only with b"] = chance.randint(1, 3)
        complete = drawn["good"] >= 5
        score = drawn["good"] / 10 if complete else 0.99
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if complete else TrialState.PRUNED,
                value=score if complete else None,
                params=drawn,
                distributions={name: kinds[name] for name in drawn},
            )
        )
        found.append(
            TrialRecord(
                number=number,
                state="complete" if complete else "pruned",
                candidate=candidate(),
                digest=str(number),
                parameters=1,
                flops=1,
                reports=(Report(number, 0, 1 if complete else 0.5, 1, 10, 0.1, 0.9, 0.1, score, 1.0),),
            )
        )
    return study.get_trials(), found


def test_what_sets_the_best_apart_comes_first_though_dropped_ones_looked_better() -> None:
    trials, found = records(100)
    first, *others = parameters(trials, found)
    assert first.name == "good"
    assert first.importance is not None
    assert first.importance > 0.6
    assert sum(parameter.importance or 0.0 for parameter in (first, *others)) == pytest.approx(1.0)


def test_each_parameter_has_its_kind_and_the_trials_that_have_it() -> None:
    trials, found = records(100)
    by_name = {parameter.name: parameter for parameter in parameters(trials, found)}
    assert by_name["idle"].log
    assert by_name["kind"].options == ("a", "b")
    with_b = {number for number, kind in by_name["kind"].values.items() if kind == "b"}
    assert set(by_name["only with b"].values) == with_b
    assert len(by_name["good"].values) == 100


def test_few_trials_say_nothing_about_importance() -> None:
    trials, found = records(LEAST_TRIALS - 1)
    assert {parameter.importance for parameter in parameters(trials, found)} == {None}


def test_confirmations_and_what_never_trained_do_not_count() -> None:
    trials, found = records(30)
    found[3] = found[3].model_copy(update={"confirms": 1, "state": "confirmation"})
    found[4] = found[4].model_copy(update={"reports": (), "state": "infeasible"})
    (good,) = [parameter for parameter in parameters(trials, found) if parameter.name == "good"]
    assert set(good.values) == set(range(30)) - {3, 4}


def test_a_study_without_trials() -> None:
    assert parameters([], []) == []


def test_what_few_trials_have_is_not_said_to_matter() -> None:
    trials, found = records(30)
    having = sum("only with b" in trial.params for trial in trials)
    assert 0 < having < LEAST_TRIALS
    told = {parameter.name: parameter.importance for parameter in parameters(trials, found)}
    assert told["only with b"] is None
    assert sum(share or 0.0 for share in told.values()) == pytest.approx(1.0)
