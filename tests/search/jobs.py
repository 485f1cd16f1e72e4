"""Jobs on the built-in digits, and waiting for them."""

import time
from typing import Any

from candidates import candidate

from archsearch.data.splits import Splits
from archsearch.search.executors.base import Executor
from archsearch.training.job import Outcome, Report, TrialJob


def job(splits: Splits, trial: int, epochs: int = 1, **recipe: Any) -> TrialJob:
    points = tuple(epoch / epochs for epoch in range(1, min(epochs, 100) + 1))
    return TrialJob(trial, candidate(epochs=epochs, **recipe), splits.train.path, splits.folds, points, seed=0)


def until_over(executor: Executor, count: int, seconds: float = 90) -> list[Report | Outcome]:
    """Events until `count` jobs are over."""
    found: list[Report | Outcome] = []
    deadline = time.monotonic() + seconds
    while sum(isinstance(event, Outcome) for event in found) < count:
        assert time.monotonic() < deadline, f"still waiting, with {found}"
        found += executor.events(0.5)
    return found
