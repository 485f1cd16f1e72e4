"""Optuna's samplers and pruners by name, and what of a study a sampler is shown."""

import warnings
from collections.abc import Callable, Container, Sequence
from copy import copy
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from archsearch.search.failures import is_to_blame
from archsearch.search.record import ATTRIBUTE, UNDRAWN, TrialRecord
from archsearch.space.sample import Scalar

# What of Optuna is used here and called experimental has been in it for years.
warnings.filterwarnings("ignore", category=ExperimentalWarning, module=r"optuna|archsearch")


SHOWN_BEST, SHOWN_NEWEST = 100, 400
"""Of a long study the sampler is shown so many trials. TPE counts at most 25 as good, and old ones weigh little."""


def shown_trials(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
    """What a sampler needs to see of a study: all trials of a short one; of a long one the best, the newest and those
    under way.

    Args:
        trials: All of them, by number.
        directions: Of the objectives; with several of them the best are those with the lowest mean rank.
    """
    if len(trials) <= SHOWN_BEST + SHOWN_NEWEST:
        return list(trials)
    older, newest = trials[:-SHOWN_NEWEST], trials[-SHOWN_NEWEST:]
    complete = [trial for trial in older if trial.state == TrialState.COMPLETE]
    signs = [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions]
    losses = np.array([trial.values for trial in complete]).reshape(-1, len(signs)) * signs
    ranks = losses.argsort(axis=0, kind="stable").argsort(axis=0).sum(axis=1)
    best = {complete[place].number for place in ranks.argsort(kind="stable")[:SHOWN_BEST]}
    return [t for t in older if t.number in best or t.state == TrialState.RUNNING] + list(newest)


def as_others(spared: FrozenTrial, others: Sequence[FrozenTrial]) -> FrozenTrial:
    """A trial that nothing could drop, as it would have ended like any other: dropped where a better one was.

    Without this, a poor baseline is one of the few complete trials early on, and a sampler looks for more like it.

    Args:
        spared: It is not changed.
        others: All trials; those that were pruned count, each at its last step, unless they were only too slow.
    """
    for step, value in sorted(spared.intermediate_values.items()):
        dropped = (o for o in others if _was_dropped(o) and o.last_step == step)
        if any(other.intermediate_values[step] > value for other in dropped):
            seen = copy(spared)
            seen.state, seen.values = TrialState.PRUNED, None
            seen.intermediate_values = {at: v for at, v in spared.intermediate_values.items() if at <= step}
            return seen
    return spared


def as_bad(failed: FrozenTrial) -> FrozenTrial:
    """A trial that has failed for what it tried, as one that was dropped at once: samplers overlook failed ones, and
    would try the like again and again. Others are given back as they are.
    """
    kept = failed.user_attrs.get(ATTRIBUTE)
    blamed = UNDRAWN in failed.user_attrs or (kept is not None and is_to_blame(TrialRecord.model_construct(**kept)))
    if failed.state != TrialState.FAIL or not blamed:
        return failed
    seen = copy(failed)
    seen.state, seen.intermediate_values = TrialState.PRUNED, {}
    return seen


def _was_dropped(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.PRUNED and trial.user_attrs.get(ATTRIBUTE, {}).get("state") == "pruned"


class _Excerpt(optuna.Study):
    """A study as a sampler is to see it: some of the trials, the baseline as if it were any of them, what failed as if
    it were bad, and none that confirms another, since that has trained for longer.
    """

    def __init__(self, study: optuna.Study) -> None:
        super().__init__(study.study_name, study._storage, study.sampler, study.pruner)
        shown = shown_trials(study.get_trials(deepcopy=False), study.directions)
        kept = {trial.number: trial.user_attrs.get(ATTRIBUTE, {}) for trial in shown}
        self._shown = [
            as_others(trial, shown) if kept[trial.number].get("baseline") else as_bad(trial)
            for trial in shown
            if kept[trial.number].get("confirms") is None
        ]

    # What Optuna's samplers read trials with.
    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [trial for trial in self._shown if states is None or trial.state in states]


class _BoundedTPE(TPESampler):
    """TPE whose time for a trial does not grow with the study."""

    _excerpt: _Excerpt

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        self._excerpt = _Excerpt(study)  # Optuna calls this first for each trial
        return super().infer_relative_search_space(self._excerpt, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(self._excerpt, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return super().sample_independent(self._excerpt, trial, param_name, param_distribution)


def _tpe(seed: int) -> BaseSampler:
    # Grouped: each branch of a conditional space gets a model of its own.
    return _BoundedTPE(seed=seed, multivariate=True, group=True, constant_liar=True)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": _tpe,
    "random": lambda seed: RandomSampler(seed=seed),
    "qmc": lambda seed: QMCSampler(seed=seed),
}
"""Optuna's samplers by name: seed to sampler."""

HALVING = "halving"
"""The pruner that is ours: `pruning.halved` at the plan's rungs."""

PRUNERS: dict[str, Callable[[], BasePruner]] = {
    HALVING: NopPruner,
    "hyperband": lambda: HyperbandPruner(min_resource=10, max_resource=100),
    "median": lambda: MedianPruner(n_startup_trials=4),
    "none": NopPruner,
}
"""Pruners by name; Optuna's see a trial's first fold at steps from 1 to 100, per cent of its training."""


class OptunaChooser:
    """Draws from an Optuna trial."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """One of `options`."""
        return cast("Scalar", self._trial.suggest_categorical(name, options))

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """A whole number from `low` to `high`, both included."""
        return self._trial.suggest_int(name, low, high, step=step, log=log)

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        """A real number from `low` to `high`."""
        return self._trial.suggest_float(name, low, high, log=log)
