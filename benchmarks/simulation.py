"""One search on recorded curves: a simulated clock instead of training."""

import heapq
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from math import log, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState, create_trial

from archsearch.search import pruning
from archsearch.search.samplers import HALVING, PRUNERS, SAMPLERS, OptunaChooser
from archsearch.space.architecture import Task
from archsearch.space.load import Space, load_space
from archsearch.space.sample import Scalar, sample
from benchmarks.recorded import LONG, SEEDS, Architecture, Table

SPACES = Path(__file__).parents[1] / "search_spaces"
WORKERS = 2
SCREENED_TRIALS = 10
"""So many of the first trials are picked by a zero-cost score, each out of `SCREENED` candidates."""
SCREENED = 4
PARAMETERS = "parameters"
"""As a zero-cost score: the larger network is taken for the better one."""


@dataclass(frozen=True)
class Policy:
    """How a search spends its time.

    Attributes:
        sampler: A name in `SAMPLERS`.
        pruner: A name in `PRUNERS`; all but `halving` see every recorded point of the first fold.
        rungs: Shares of the first fold's training at which `halving` drops trials.
        reduction: One in so many goes on.
        race: Standard errors behind the best on the same folds at which a trial is dropped after a fold; None is never.
        paired: Whether those errors are of the paired differences over the folds, instead of binomial.
        folds: That a trial runs.
        length: `LONG` or `SHORT` training.
        finalists: How many run again with a fresh seed.
        final: The length of that run, which alone counts then; None is that of the others.
        screening: Zero-cost score by which the first candidates are picked; empty is none.
    """

    sampler: str = "random"
    pruner: str = HALVING
    rungs: tuple[float, ...] = (1 / 9, 1 / 3)
    reduction: int = 3
    race: float | None = pruning.STANDARD_ERRORS
    paired: bool = False
    folds: int = 3
    length: int = LONG
    finalists: int = 0
    final: int | None = None
    screening: str = ""

    @property
    def final_length(self) -> int:
        """That of the finalists' second run."""
        return self.length if self.final is None else self.final


@dataclass(eq=False)
class _Trial:
    """A training; a confirmation is told apart by `again`.

    Attributes:
        architecture: Its place in the table.
        began: When, in simulated seconds.
        rungs: Accuracy at each share of the first fold at which it was scored.
        scores: Accuracy at the end of each fold.
        ended: When all folds were done; None before.
    """

    architecture: int
    began: float
    again: bool = False
    dropped: bool = False
    rungs: dict[float, float] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long it took; 0.0 before it has ended."""
        return 0.0 if self.ended is None else self.ended - self.began


class Simulation:
    """A search of two workers.

    Of the seeds and folds that are recorded, chance decides which seed the search sees, which one confirms finalists,
    and which one says how good an architecture truly is: no policy is judged on scores that it has selected by. Chance
    is the same for all policies with the same `seed`, so that they can be compared in pairs.

    Args:
        table: What is recorded.
        policy: How time is spent.
        seconds: Simulated time.
        seed: Of everything random.
    """

    def __init__(self, table: Table, policy: Policy, seconds: float, seed: int) -> None:
        chance = random.Random(seed)
        self._table, self._policy, self._seconds = table, policy, seconds
        self._seen, self._fresh, self._true = chance.sample(range(SEEDS), SEEDS)
        self._folds = chance.sample(range(table.folds), table.folds)
        self._left = chance.sample(range(len(table.architectures)), len(table.architectures))
        self._trials: list[_Trial] = []
        self._sampler = None if policy.sampler == "random" else _Sampler(table, policy.sampler, seed)
        self._pruner = None if policy.pruner == HALVING else _Pruner(policy.pruner)
        self._run()

    def winner(self, at: float | None = None) -> int | None:
        """The architecture that would be picked `at` so many seconds, by default at the end; None before there is one.

        Only a policy without finalists can be asked for any time: the others arrange their work by when they end.
        """
        done = [t for t in self._trials if t.ended is not None and (at is None or t.ended <= at)]
        again = {t.architecture: t.scores for t in done if t.again}
        complete = [t for t in done if not t.again]
        ranked = [t for t in complete if t.architecture in again] or complete
        best = max(ranked, key=lambda trial: fmean(again.get(trial.architecture) or trial.scores), default=None)
        return None if best is None else best.architecture

    def truth(self, architecture: int) -> float:
        """How good an architecture is after the long training, by scores that the search has not seen."""
        return float(self._table.architectures[architecture].curves(LONG, self._true)[:, -1].mean())

    def _run(self) -> None:
        events: list[tuple[float, int, _Trial, Iterator[float]]] = []
        order = count()
        self._fill(events, order, 0.0)
        while events:
            now, _, trial, steps = heapq.heappop(events)
            if now > self._seconds:
                continue
            if (seconds := next(steps, None)) is not None:
                heapq.heappush(events, (now + seconds, next(order), trial, steps))
            else:
                self._end(trial, now)
                self._fill(events, order, now)

    def _fill(self, events: list[tuple[float, int, _Trial, Iterator[float]]], order: Iterator[int], now: float) -> None:
        """Gives each idle worker a trial: a candidate, or a finalist when there is only time for them."""
        while len(events) < WORKERS:
            finalists, left = self._finalists(), self._seconds - now
            if self._left and left >= self._kept_aside(finalists):
                chosen, screening = self._draw()
                trial = _Trial(chosen, began=now)
                steps = self._explore(trial, screening)
            else:
                begun = {t.architecture for t in self._trials if t.again}
                found = [t for t in finalists if t.architecture not in begun and t.seconds <= left]
                if not found:
                    return
                trial = _Trial(found[0].architecture, began=now, again=True)
                steps = self._confirm(trial)
            self._trials.append(trial)
            heapq.heappush(events, (now, next(order), trial, steps))

    def _kept_aside(self, finalists: Sequence[_Trial]) -> float:
        """With less time than this, no further candidate is started: the coordinator's rule."""
        if not finalists:
            return 0.0
        fastest = min(t.seconds for t in self._trials if t.ended is not None and not t.again)
        return fastest + sum(t.seconds for t in finalists) / WORKERS

    def _finalists(self) -> list[_Trial]:
        complete = [t for t in self._trials if t.ended is not None and not t.again]
        best = sorted(complete, key=lambda t: -fmean(t.scores))[: self._policy.finalists]
        return best if len(best) > 1 else []

    def _draw(self) -> tuple[int, float]:
        """An architecture, and the seconds that screening took."""
        score, known = self._policy.screening, self._table.architectures
        seconds = 0.0
        if self._sampler:
            chosen = self._sampler.ask(self._left)
        elif score and len(self._trials) < SCREENED_TRIALS:
            some = self._left[:SCREENED]
            chosen = max(some, key=lambda n: _screened(known[n], score)[0])
            seconds = sum(_screened(known[n], score)[1] for n in some)
        else:
            chosen = self._left[0]
        self._left.remove(chosen)
        return chosen, seconds

    def _explore(self, trial: _Trial, screening: float) -> Iterator[float]:
        """Seconds from one event of a trial to the next; decisions are made at events."""
        table, policy = self._table, self._policy
        recorded = table.architectures[trial.architecture]
        curves = recorded.curves(policy.length, self._seen)
        yield screening + recorded.start
        for number, fold in enumerate(self._folds[: policy.folds]):
            before = 0.0
            for share in self._stops() if number == 0 else ():
                yield table.train_seconds(recorded, policy.length, share - before) + recorded.score
                before = share
                trial.rungs[share] = float(curves[fold, _nearest(table.shares, share)])
                if self._is_dropped(trial, share):
                    trial.dropped = True
                    return
            yield table.train_seconds(recorded, policy.length, 1.0 - before) + recorded.score
            trial.scores.append(float(curves[fold, -1]))
            if number < policy.folds - 1 and self._is_lost(trial):
                trial.dropped = True
                return

    def _confirm(self, trial: _Trial) -> Iterator[float]:
        table, length = self._table, self._policy.final_length
        recorded = table.architectures[trial.architecture]
        yield recorded.start
        for fold in self._folds[: self._policy.folds]:
            yield table.train_seconds(recorded, length, 1.0) + recorded.score
            trial.scores.append(float(recorded.curves(length, self._fresh)[fold, -1]))

    def _stops(self) -> Sequence[float]:
        """When the first fold is scored on its way."""
        return self._table.shares[:-1] if self._pruner else self._policy.rungs

    def _is_dropped(self, trial: _Trial, share: float) -> bool:
        if self._pruner:
            return self._pruner.drops(trial, share)
        others = [t.rungs[share] for t in self._trials if t is not trial and not t.again and share in t.rungs]
        return pruning.halved(trial.rungs[share], others, self._policy.reduction)

    def _is_lost(self, trial: _Trial) -> bool:
        errors = self._policy.race
        rivals = {t.architecture: t.scores for t in self._trials if t is not trial and not t.again and not t.dropped}
        if errors is None:
            return False
        if self._policy.paired:
            return lost_in_pairs(trial.scores, list(rivals.values()), errors)
        return pruning.lost_to(trial.scores, rivals, self._table.held_out, errors) is not None

    def _end(self, trial: _Trial, now: float) -> None:
        if not trial.dropped:
            trial.ended = now
        if not trial.again and self._sampler:
            self._sampler.tell(trial)
        if not trial.again and self._pruner:
            self._pruner.end(trial)


def lost_in_pairs(scores: Sequence[float], rivals: Sequence[Sequence[float]], errors: float) -> bool:
    """Whether a trial is behind the best rival by more than `errors` standard errors of the difference over folds.

    Args:
        scores: The trial's accuracy on each fold it has finished; with less than two there is no such error.
        rivals: Those of others, on as many folds or more if they are to count.
        errors: How many are too many.
    """
    done = len(scores)
    level = [rival[:done] for rival in rivals if len(rival) >= done]
    if done < 2 or not level:
        return False
    gaps = [theirs - mine for theirs, mine in zip(max(level, key=fmean), scores, strict=True)]
    return fmean(gaps) > errors * stdev(gaps) / sqrt(done)


def _screened(architecture: Architecture, score: str) -> tuple[float, float]:
    return (architecture.parameters, 0.0) if score == PARAMETERS else architecture.screening[score]


def _nearest(shares: Sequence[float], share: float) -> int:
    return min(range(len(shares)), key=lambda i: abs(shares[i] - share))


class _Pruner:
    """One of Optuna's pruners."""

    def __init__(self, name: str) -> None:
        self._study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0), pruner=PRUNERS[name]()
        )
        self._asked: dict[_Trial, optuna.Trial] = {}

    def drops(self, trial: _Trial, share: float) -> bool:
        """Whether it drops a trial that has come to `share` of its first fold."""
        if trial not in self._asked:
            self._asked[trial] = self._study.ask()
        asked = self._asked[trial]
        asked.report(trial.rungs[share], round(100 * share))
        return asked.should_prune()

    def end(self, trial: _Trial) -> None:
        """Takes note of how a trial ended."""
        if trial in self._asked:
            state = TrialState.PRUNED if trial.dropped else TrialState.COMPLETE
            self._study.tell(self._asked[trial], None if trial.dropped else fmean(trial.scores), state)


class _Sampler:
    """One of Optuna's samplers; what it draws is matched to the nearest architecture that has not been tried.

    Near is the sum over all parameters of how far apart they are: 1 for other categories, or one that only one of them
    has; the share of the range for numbers.
    """

    def __init__(self, table: Table, sampler: str, seed: int) -> None:
        self._table = table
        self._study = optuna.create_study(direction="maximize", sampler=SAMPLERS[sampler](seed))

    def ask(self, left: Sequence[int]) -> int:
        """Which one of `left` it would try next."""
        trial = self._study.ask()
        _sample(self._table.name, trial)
        self._study.tell(trial, state=TrialState.FAIL)
        known = _all_distributions(self._table)
        return min(left, key=lambda n: distance(trial.params, self._table.architectures[n].point, known))

    def tell(self, trial: _Trial) -> None:
        """Takes note of how a trial ended, as the coordinator would."""
        point = self._table.architectures[trial.architecture].point
        seen = {round(100 * share): accuracy for share, accuracy in trial.rungs.items()}
        seen |= {100 + fold: fmean(trial.scores[: fold + 1]) for fold in range(len(trial.scores))}
        self._study.add_trial(
            create_trial(
                params=dict(point),
                distributions=_distributions(self._table.name, tuple(point.items())),
                state=TrialState.PRUNED if trial.dropped else TrialState.COMPLETE,
                value=None if trial.dropped else fmean(trial.scores),
                intermediate_values=seen,
            )
        )


def distance(
    one: Mapping[str, Scalar], other: Mapping[str, Scalar], distributions: Mapping[str, BaseDistribution]
) -> float:
    """How far apart two points are, 0 and up; see `_Sampler`."""
    total = float(len(one.keys() ^ other.keys()))
    for name in one.keys() & other.keys():
        found: Any = distributions.get(name)
        if found is None or isinstance(found, CategoricalDistribution):
            total += one[name] != other[name]
            continue
        low, high, a, b = (
            log(float(value)) if found.log else float(value)
            for value in (found.low, found.high, one[name], other[name])
        )
        total += abs(a - b) / (high - low)
    return total


@cache
def _space(name: str) -> Space:
    return load_space(SPACES / f"{name}.yaml")


TASKS = {
    "digits": Task(height=8, width=8, channels=1, classes=10),
    "mnist": Task(height=28, width=28, channels=1, classes=10),
}


def _sample(name: str, trial: optuna.Trial) -> None:
    sample(_space(name), OptunaChooser(trial), TASKS[name])


@cache
def _distributions(name: str, point: tuple[tuple[str, Scalar], ...]) -> dict[str, BaseDistribution]:
    """Of each parameter of a recorded point."""
    study = optuna.create_study()
    study.enqueue_trial(dict(point))
    trial = study.ask()
    _sample(name, trial)
    return trial.distributions


@cache
def _all_distributions(table: Table) -> dict[str, BaseDistribution]:
    points = [tuple(architecture.point.items()) for architecture in table.architectures]
    return {name: found for point in points for name, found in _distributions(table.name, point).items()}
