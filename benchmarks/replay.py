"""Judges search policies on recorded curves (`record.py`): no training, hundreds of searches a minute.

Usage: python -m benchmarks.replay {digits,mnist} [--seeds 300] [--questions "first rung" reduction ...]

For each question, a table of policies after the time that 5, 10, 20 and 40 trainings of a typical architecture on all
folds take: the median of the true quality of the architecture that is picked, in per cent, with its 90 % interval; and
behind it the mean regret, how far that is below the best one's. A second table has the mean difference in quality to
the question's first policy, in hundredths of a per cent, with its 90 % interval; a star where that is on one side of 0.
Intervals are bootstrapped over seeds; both policies of a difference had the same ones.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from math import log
from statistics import median
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.stats import bootstrap, spearmanr

from archsearch.search.plan import FIRST_RUNG, LAST_RUNG, REDUCTION, Given, Workload, make_plan
from archsearch.search.samplers import HALVING, PRUNERS
from archsearch.training.job import CHECKED
from benchmarks.recorded import LONG, SHORT, Table, read_table
from benchmarks.simulation import PARAMETERS, TASKS, WORKERS, Policy, Simulation

BUDGETS = (5, 10, 20, 40)
"""In trainings of a typical architecture on all folds, from start to end."""
BEST = 1 / 3
"""Share of the architectures that a search has to tell apart in the end."""
OPTUNA_SEEDS = 60
"""Optuna's samplers and pruners take a while."""


def rungs(first: float, reduction: int = REDUCTION) -> tuple[float, ...]:
    """As `search.plan` sets them: each so many times as far as the one before, until the last one."""
    found = []
    while first <= LAST_RUNG:
        found.append(first)
        first *= reduction
    return tuple(found)


def planned(table: Table, seconds: float, epochs: bool = False) -> Policy:
    """What the project's planner does with so much time.

    Args:
        table: What is recorded.
        seconds: Wall time.
        epochs: Whether it decides them too, of which the nearest recorded length is taken; they are the long one's
            otherwise.
    """
    typical = table.architectures
    work = Workload(
        images=table.images,
        checked=min(table.held_out, CHECKED),
        parts=table.folds,
        workers=WORKERS,
        image_seconds=median(a.train[LONG] for a in typical),
        start_seconds=median(a.start for a in typical),
    )
    plan = make_plan(work, seconds, Given(epochs=None if epochs else table.epochs[LONG]))
    length, final = (
        min((SHORT, LONG), key=lambda length: abs(log(table.epochs[length] / (epochs or 1.0))))
        for epochs in (plan.epochs, plan.winner_epochs)
    )
    return Policy(rungs=plan.rungs, folds=plan.folds, finalists=plan.finalists, length=length, final=final)


Rule = Policy | Callable[[Table, float], Policy]
"""A policy, or how one is made for a table and a time in seconds."""
NOW = Policy(rungs=rungs(FIRST_RUNG), reduction=REDUCTION)
ONE_FOLD = replace(NOW, folds=1)
SHORT_FOLD = replace(ONE_FOLD, length=SHORT)
QUESTIONS: dict[str, Mapping[str, Rule]] = {
    "first rung": {
        "1/9": replace(NOW, rungs=rungs(1 / 9)),
        "1/27": replace(NOW, rungs=rungs(1 / 27)),
        "1/18": replace(NOW, rungs=rungs(1 / 18)),
        "1/6": replace(NOW, rungs=rungs(1 / 6)),
        "1/3": replace(NOW, rungs=rungs(1 / 3)),
        "none": replace(NOW, rungs=()),
    },
    "first rung of one short fold": {
        name: replace(SHORT_FOLD, rungs=rungs(first))
        for name, first in (("1/9", 1 / 9), ("1/27", 1 / 27), ("1/6", 1 / 6), ("1/3", 1 / 3), ("none", 1.0))
    },
    "reduction": {
        f"1 in {reduction}": replace(NOW, rungs=rungs(FIRST_RUNG, reduction), reduction=reduction)
        for reduction in (3, 2, 4, 6)
    },
    "pruner": {name: replace(NOW, pruner=name) for name in (HALVING, *sorted(PRUNERS.keys() - {HALVING}))},
    "race over folds": {
        "2 errors": replace(NOW, race=2.0),
        "0.5 errors": replace(NOW, race=0.5),
        "1 error": replace(NOW, race=1.0),
        "1.5 errors": replace(NOW, race=1.5),
        "3 errors": replace(NOW, race=3.0),
        "none": replace(NOW, race=None),
        "paired, 1 error": replace(NOW, race=1.0, paired=True),
        "paired, 2 errors": replace(NOW, race=2.0, paired=True),
        "paired, 3 errors": replace(NOW, race=3.0, paired=True),
    },
    "folds": {f"{folds}": replace(NOW, folds=folds) for folds in (3, 1, 2)},
    "length": {
        f"{name}, {folds} {'folds' if folds > 1 else 'fold'}": replace(NOW, length=length, folds=folds)
        for folds in (3, 1)
        for name, length in (("long", LONG), ("short", SHORT))
    },
    "finalists after three folds": {f"{count}": replace(NOW, finalists=count) for count in (0, 2, 3, 5)},
    "finalists after one fold": {f"{count}": replace(ONE_FOLD, finalists=count) for count in (0, 2, 3, 5)},
    "finalists after one short fold": {
        "0": SHORT_FOLD,
        **{
            f"{n}, {word}": replace(SHORT_FOLD, finalists=n, final=length)
            for n in (2, 3, 5)
            for word, length in (("short", SHORT), ("long", LONG))
        },
    },
    "finalists after three short folds": {
        "0": replace(NOW, length=SHORT),
        **{
            f"{n}, {word}": replace(NOW, length=SHORT, finalists=n, final=length)
            for n in (2, 3, 5)
            for word, length in (("short", SHORT), ("long", LONG))
        },
    },
    "screening": {
        "none": NOW,
        **{name: replace(NOW, screening=name) for name in ("gradient norm", "NASWOT", "synflow", PARAMETERS)},
    },
    "planner": {
        "three folds, no finalists": NOW,
        "planned": planned,
        "planned, epochs too": partial(planned, epochs=True),
    },
    "sampler": {name: replace(NOW, sampler=name) for name in ("random", "tpe")},
}


def qualities(table: Table, rule: Rule, seeds: int) -> NDArray[np.float64]:
    """True quality of what is picked, (seeds, budgets) float64; of a middling architecture where nothing is."""
    ends = [trainings * table.typical_seconds() / WORKERS for trainings in BUDGETS]
    untried = median(a.quality for a in table.architectures)
    found = np.empty((seeds, len(ends)))
    for seed in range(seeds):
        if isinstance(rule, Policy) and not rule.finalists:
            search = Simulation(table, rule, ends[-1], seed)
            searches = [(search, search.winner(end)) for end in ends]
        else:
            policies = [rule if isinstance(rule, Policy) else rule(table, end) for end in ends]
            runs = [Simulation(table, policy, end, seed) for policy, end in zip(policies, ends, strict=True)]
            searches = [(search, search.winner()) for search in runs]
        found[seed] = [untried if winner is None else search.truth(winner) for search, winner in searches]
    return found


def correlations(table: Table, among: NDArray[np.int64]) -> list[float]:
    """Spearman's rank correlation of a fold's accuracy at each share with the mean at the end of all others.

    Args:
        table: What is recorded.
        among: Which architectures, (n,).

    Returns:
        One for each share, the mean over folds of the first seed.
    """
    curves = np.array([table.architectures[n].accuracy[LONG] for n in among])
    ends = curves[..., -1].copy()
    found = []
    for fold in range(table.folds):
        others = ends.copy()
        others[:, 0, fold] = np.nan
        final = np.nanmean(others, axis=(1, 2))
        found.append([spearmanr(curves[:, 0, fold, i], final).statistic for i in range(len(table.shares))])
    return [float(mean) for mean in np.mean(found, axis=0)]


def interval(values: NDArray[np.float64], statistic: Callable[..., Any]) -> tuple[float, float]:
    """90 % interval of a statistic of `values`, (n,): percentiles of 1,000 bootstrap samples."""
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = bootstrap(
        (values,), statistic, n_resamples=1000, confidence_level=0.9, method="percentile", rng=np.random.default_rng(0)
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def lines(question: str, found: Mapping[str, NDArray[np.float64]], best: float) -> Iterator[str]:
    """Both tables of a question, in Markdown.

    Args:
        question: Its name.
        found: By policy, what `qualities` gave.
        best: Quality of the best architecture.
    """
    heading = [f"| {question} | " + " | ".join(f"{n} trainings" for n in BUDGETS) + " |", "|---" * 5 + "|"]
    yield from heading
    for name, values in found.items():
        cells = []
        for column in values.T:
            low, high = interval(column, np.median)
            cells.append(f"{np.median(column):.2%} ({low:.2%} to {high:.2%}); {best - column.mean():.2%}")
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    yield from heading
    first, *others = found
    for name in others:
        cells = []
        for column in (found[name] - found[first]).T * 1e4:
            low, high = interval(column, np.mean)
            cells.append(f"{column.mean():+.0f} ({low:+.0f} to {high:+.0f}){' *' if low > 0 or high < 0 else ''}")
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=TASKS)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--questions", nargs="*", default=list(QUESTIONS), choices=QUESTIONS)
    told = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = read_table(told.name)
    quality = np.array([architecture.quality for architecture in table.architectures])
    again = sum(not np.isnan(a.accuracy[LONG]).any() for a in table.architectures)
    print(
        f"{told.name}: {len(quality)} architectures, {again} of them with three seeds; the best reaches "
        f"{quality.max():.2%}, half of them {np.median(quality):.2%}; a typical training on {table.folds} folds takes "
        f"{table.typical_seconds():.1f} s\n"
    )
    ranked = np.argsort(-quality)
    print("| rank correlation with the final score | " + " | ".join(f"{share:.2f}" for share in table.shares) + " |")
    print("|---" * (1 + len(table.shares)) + "|")
    for name, among in (("all", ranked), ("the best third", ranked[: round(BEST * len(ranked))])):
        print(f"| {name} | " + " | ".join(f"{found:.2f}" for found in correlations(table, among)) + " |")
    print("\n| untrained | all | the best third |\n|---|---|---|")
    for score in (*table.architectures[0].screening, PARAMETERS):
        said = np.array([a.screening[score][0] if score != PARAMETERS else a.parameters for a in table.architectures])
        found = [spearmanr(said[among], quality[among]).statistic for among in (ranked, ranked[: len(ranked) // 3])]
        print(f"| {score} | " + " | ".join(f"{value:.2f}" for value in found) + " |")
    print()
    for question in told.questions:
        seeds = min(told.seeds, OPTUNA_SEEDS) if question in ("sampler", "pruner") else told.seeds
        compared = {name: qualities(table, rule, seeds) for name, rule in QUESTIONS[question].items()}
        print("\n".join(lines(question, compared, quality.max())), flush=True)


if __name__ == "__main__":
    main()
