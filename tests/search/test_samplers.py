"""What a sampler sees of a long study."""

import random
from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from archsearch.search.record import ATTRIBUTE, State
from archsearch.search.samplers import SAMPLERS, SHOWN_BEST, SHOWN_NEWEST, as_bad, as_others, shown_trials

RATE = optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)
KIND = optuna.distributions.CategoricalDistribution(("adam", "sgd"))
MOMENTUM = optuna.distributions.FloatDistribution(0.0, 1.0)


def study_of(trials: Sequence[FrozenTrial], sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(trials)
    return study


def past(count: int) -> list[FrozenTrial]:
    """Trials of a conditional space: most are pruned, some are complete, one in twenty breaks a limit."""
    chance = random.Random(0)
    trials = []
    for number in range(count):
        params: dict[str, object] = {"rate": 10 ** chance.uniform(-4, -1), "kind": chance.choice(KIND.choices)}
        distributions: dict[str, optuna.distributions.BaseDistribution] = {"rate": RATE, "kind": KIND}
        if params["kind"] == "sgd":
            params["momentum"], distributions["momentum"] = chance.random(), MOMENTUM
        complete = chance.random() < 0.25
        trials.append(
            create_trial(
                state=TrialState.COMPLETE if complete else TrialState.PRUNED,
                value=chance.random() if complete else None,
                params=params,
                distributions=distributions,
                intermediate_values={11: chance.random()},
                system_attrs={"constraints:flops": 0.1 if number % 20 == 19 else -0.1},
            )
        )
    return trials


def drawn(study: optuna.Study, count: int) -> list[dict[str, object]]:
    """What the next trials draw while those before them run."""
    found = []
    for _ in range(count):
        trial = study.ask()
        trial.suggest_float("rate", RATE.low, RATE.high, log=True)
        if trial.suggest_categorical("kind", KIND.choices) == "sgd":
            trial.suggest_float("momentum", MOMENTUM.low, MOMENTUM.high)
        found.append(trial.params)
    return found


def test_a_short_study_is_seen_whole() -> None:
    trials = study_of(past(SHOWN_BEST + SHOWN_NEWEST)).get_trials()
    assert shown_trials(trials, [StudyDirection.MAXIMIZE]) == trials


def test_of_a_long_study_the_best_the_newest_and_the_running_are_seen() -> None:
    study = study_of(past(300))
    running = study.ask().number
    study.add_trials(past(1500))
    trials = study.get_trials()
    shown = {trial.number for trial in shown_trials(trials, study.directions)}
    older = [t for t in trials[:-SHOWN_NEWEST] if t.state == TrialState.COMPLETE]
    best = sorted(older, key=lambda t: t.value or 0.0, reverse=True)[:SHOWN_BEST]
    assert shown == {running, *(t.number for t in best), *range(len(trials) - SHOWN_NEWEST, len(trials))}


def test_what_is_seen_is_in_the_order_of_the_trials() -> None:
    numbers = [trial.number for trial in shown_trials(study_of(past(1500)).get_trials(), [StudyDirection.MAXIMIZE])]
    assert numbers == sorted(numbers)


def test_with_several_objectives_the_best_are_good_in_all_of_them() -> None:
    chance = random.Random(0)
    directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    study = optuna.create_study(directions=directions)
    middling = [(chance.uniform(0.4, 0.6), chance.uniform(0.4, 0.6)) for _ in range(SHOWN_NEWEST + 200)]
    good = [(chance.uniform(0.7, 0.9), chance.uniform(0.1, 0.3)) for _ in range(SHOWN_BEST)]
    study.add_trials([create_trial(values=pair) for pair in (*good, *middling)])
    shown = {trial.number for trial in shown_trials(study.get_trials(), directions)}
    assert set(range(SHOWN_BEST)) <= shown


def test_a_long_study_without_a_complete_trial_shows_the_newest() -> None:
    trials = study_of([create_trial(state=TrialState.PRUNED) for _ in range(600)]).get_trials()
    assert shown_trials(trials, [StudyDirection.MAXIMIZE]) == trials[-SHOWN_NEWEST:]


@pytest.mark.parametrize("count", [40, 1200])
def test_tpe_draws_as_if_there_were_no_other_trials(count: int) -> None:
    trials = past(count)
    bounded = study_of(trials, SAMPLERS["tpe"](3))
    shown = shown_trials(bounded.get_trials(), bounded.directions)
    plain = study_of(shown, TPESampler(seed=3, multivariate=True, group=True, constant_liar=True))
    assert drawn(bounded, 1) == drawn(plain, 1)


def test_tpe_sees_what_is_under_way() -> None:
    bounded = study_of(past(40), SAMPLERS["tpe"](3))
    plain = study_of(past(40), TPESampler(seed=3, multivariate=True, group=True, constant_liar=True))
    assert drawn(bounded, 8) == drawn(plain, 8)


def dropped(curve: dict[int, float]) -> FrozenTrial:
    return pruned(curve, "pruned")


def pruned(curve: dict[int, float], state: State) -> FrozenTrial:
    """What Optuna has been told was pruned; `state` says what really became of it."""
    return create_trial(state=TrialState.PRUNED, intermediate_values=curve, user_attrs={ATTRIBUTE: {"state": state}})


def test_a_baseline_is_seen_as_dropped_where_a_better_one_was() -> None:
    spared = create_trial(value=0.9, intermediate_values={11: 0.5, 33: 0.7, 100: 0.9})
    seen = as_others(spared, [dropped({11: 0.4}), dropped({11: 0.6, 33: 0.8}), dropped({11: 0.5, 33: 0.6})])
    assert (seen.state, seen.values) == (TrialState.PRUNED, None)
    assert seen.intermediate_values == {11: 0.5, 33: 0.7}
    assert (spared.state, spared.value, len(spared.intermediate_values)) == (TrialState.COMPLETE, 0.9, 3)


def test_a_good_baseline_is_seen_as_it_is() -> None:
    spared = create_trial(value=0.9, intermediate_values={11: 0.5, 33: 0.7, 100: 0.9})
    better_but_complete = create_trial(value=0.95, intermediate_values={11: 0.9, 33: 0.9, 100: 0.95})
    too_slow = pruned({11: 0.9}, "interrupted")
    assert as_others(spared, [dropped({11: 0.4}), dropped({22: 0.6}), better_but_complete, too_slow]) is spared


def test_tpe_looks_for_more_like_a_poor_baseline_no_longer() -> None:
    chance = random.Random(0)
    kept: dict[str, Any] = {"params": {"rate": 1e-4}, "distributions": {"rate": RATE}}
    baseline = create_trial(
        value=0.2, intermediate_values={11: 0.1}, user_attrs={ATTRIBUTE: {"baseline": True}}, **kept
    )
    others = [
        create_trial(
            state=TrialState.PRUNED,
            params={"rate": 10 ** chance.uniform(-4, -1)},
            distributions={"rate": RATE},
            intermediate_values={11: chance.uniform(0.3, 0.5)},
            user_attrs={ATTRIBUTE: {"state": "pruned"}},
        )
        for _ in range(20)
    ]
    best = create_trial(value=0.9, intermediate_values={11: 0.6}, params={"rate": 1e-2}, distributions={"rate": RATE})
    study = study_of([baseline, *others, best], SAMPLERS["tpe"](0))
    rates = []
    for _ in range(30):
        trial = study.ask()
        rates.append(trial.suggest_float("rate", RATE.low, RATE.high, log=True))
        study.tell(trial, state=TrialState.FAIL)
    assert sum(rate < 3e-4 for rate in rates) < 5


def test_what_confirms_another_trial_is_not_seen() -> None:
    again = create_trial(
        value=1.0, user_attrs={ATTRIBUTE: {"confirms": 0}}, params={"rate": 0.1}, distributions={"rate": RATE}
    )
    with_it, without = (study_of([*past(40), *more], SAMPLERS["tpe"](3)) for more in ([again], []))
    assert drawn(with_it, 1) == drawn(without, 1)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_seed_gives_the_same_draws_again(sampler: str) -> None:
    first, second = (drawn(study_of(past(700), SAMPLERS[sampler](5)), 3) for _ in range(2))
    assert first == second


def test_a_sampler_avoids_what_fails() -> None:
    """Were failures overlooked, as Optuna does, it would draw the one that fails about as often as the other."""
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS["tpe"](0))
    drawn = []
    for _ in range(60):
        trial = study.ask()
        drawn.append(trial.suggest_categorical("block", ["conv", "ghost"]))
        fails = drawn[-1] == "ghost"
        trial.set_user_attr(ATTRIBUTE, {"state": "failed" if fails else "complete", "cause": "exception"})
        study.tell(trial, None if fails else 0.9, TrialState.FAIL if fails else TrialState.COMPLETE)
    assert drawn[30:].count("ghost") <= 6


def test_a_lost_worker_says_nothing_of_what_it_tried() -> None:
    lost = create_trial(state=TrialState.FAIL, user_attrs={ATTRIBUTE: {"state": "failed", "cause": "worker lost"}})
    assert as_bad(lost) is lost
