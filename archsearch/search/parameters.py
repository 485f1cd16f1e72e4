"""What was drawn in a study, parameter by parameter, and how much each one matters."""

import warnings
from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import BaseModel, ConfigDict

from archsearch.search.record import TrialRecord
from archsearch.space.sample import Scalar

LEAST_TRIALS = 20
"""With fewer, or fewer that have a parameter at all, what sets the best ones apart is chance."""
MOST_TRIALS = 2000
"""Those that ran every fold, and the newest of the others: enough to see what matters."""
TOP_SHARE, LEAST_TOP = 0.1, 5
"""What the best tenth has in common is looked for, but of five trials at least (Optuna's advice)."""


class Parameter(BaseModel):
    """One parameter of a space.

    Attributes:
        name: Its path in the space.
        importance: How much it sets the best trials apart from the others, 0 to 1; all of them sum to 1. None if there
            are too few trials to say.
        log: Whether it is drawn on a logarithmic scale.
        options: What it is one of; empty for a number.
        values: What was drawn, by trial; trials in which it does not exist are not there.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    importance: float | None
    log: bool
    options: tuple[Scalar, ...]
    values: dict[int, Scalar]


def parameters(trials: Sequence[FrozenTrial], records: Sequence[TrialRecord]) -> list[Parameter]:
    """All parameters that were drawn for trials which trained, the most important first.

    Trials that were dropped count as worse than all that were not: what is compared is the best of all against all
    (PED-ANOVA, Watanabe et al. 2023, https://arxiv.org/abs/2304.10255).

    Args:
        trials: As Optuna has them.
        records: Of the same trials.
    """
    scored = [r for r in records if r.confirms is None and r.reports and r.state in ("complete", "pruned")]
    newest_last = sorted(scored, key=lambda r: (r.state == "complete", r.number))[-MOST_TRIALS:]
    drawn = {trial.number: trial for trial in trials}
    kept = [(record, drawn[record.number]) for record in newest_last if record.number in drawn]
    found: dict[str, BaseDistribution] = {}
    for _, trial in kept:
        found |= trial.distributions
    importance = _importances([_as_scored(record, trial) for record, trial in kept])
    described = [
        Parameter(
            name=name,
            importance=importance.get(name),
            log=isinstance(distribution, IntDistribution | FloatDistribution) and distribution.log,
            options=distribution.choices if isinstance(distribution, CategoricalDistribution) else (),
            values={trial.number: trial.params[name] for _, trial in kept if name in trial.params},
        )
        for name, distribution in found.items()
    ]
    return sorted(described, key=lambda parameter: (-(parameter.importance or 0.0), parameter.name))


def _as_scored(record: TrialRecord, trial: FrozenTrial) -> FrozenTrial:
    """The trial with what it is worth in comparison."""
    complete = record.state == "complete"
    value = record.score if complete else record.reports[-1].val_accuracy - 1.0
    return create_trial(state=TrialState.COMPLETE, value=value, params=trial.params, distributions=trial.distributions)


def _importances(trials: Sequence[FrozenTrial]) -> dict[str, float]:
    if len(trials) < LEAST_TRIALS:
        return {}
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # loads scikit-learn

    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(TOP_SHARE, LEAST_TOP / len(trials)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(study, evaluator=evaluator)
    told = {name: found[name] for name in found if sum(name in t.params for t in trials) >= LEAST_TRIALS}
    whole = sum(told.values())
    return {name: share / whole for name, share in told.items()} if whole else {}
