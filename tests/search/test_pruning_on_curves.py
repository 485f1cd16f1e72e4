"""The race on real curves: what it saves, and what it costs (`benchmarks/record.py`)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from archsearch.search.plan import FIRST_RUNG, REDUCTION
from archsearch.search.pruning import halved, lost_to

CURVES = Path(__file__).parents[2] / "benchmarks" / "curves"
RUNGS = (FIRST_RUNG, FIRST_RUNG * REDUCTION)
ORDERS = 40


class Recorded(NamedTuple):
    """Architectures that were trained to the end on every fold.

    Attributes:
        rungs: Accuracy in the first fold at each of `RUNGS`, (architectures, rungs).
        folds: At the end of each fold, (architectures, folds).
        held_out: Images in a fold.
    """

    rungs: np.ndarray
    folds: np.ndarray
    held_out: int


@pytest.fixture(scope="module", params=["digits", "mnist"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    folder = CURVES / request.param
    runs, drawn = pd.read_csv(folder / "runs.csv"), pd.read_csv(folder / "architectures.csv")
    runs = runs[(runs.seed == 0) & (runs.epochs == runs.epochs.max())].drop_duplicates(["architecture", "fold"])
    ends = runs.pivot(index="architecture", columns="fold", values="at 1.000").dropna()
    first = runs[runs.fold == 0].set_index("architecture").loc[ends.index]
    columns = [f"at {rung:.3f}" for rung in RUNGS]
    return Recorded(first[columns].to_numpy(), ends.to_numpy(), int(drawn.held_out.iloc[0]))


def race(recorded: Recorded, order: np.ndarray) -> tuple[int, float]:
    """One architecture after the other.

    Returns:
        The winner, and the share of all training that was spent.
    """
    at_rung: list[list[float]] = [[] for _ in RUNGS]
    finished: dict[int, tuple[float, ...]] = {}
    spent = 0.0
    count = recorded.folds.shape[1]
    for number in map(int, order):
        dropped_at = None
        for rung, others in enumerate(at_rung):
            value = float(recorded.rungs[number, rung])
            dropped = halved(value, others, REDUCTION)
            others.append(value)
            if dropped:
                dropped_at = RUNGS[rung]
                break
        if dropped_at is not None:
            spent += dropped_at
            continue
        scores = tuple(map(float, recorded.folds[number]))
        done = next((n for n in range(1, count + 1) if lost_to(scores[:n], finished, recorded.held_out)), count)
        spent += done
        finished[number] = scores[:done]
    complete = {number: np.mean(scores) for number, scores in finished.items() if len(scores) == count}
    return max(complete, key=lambda number: complete[number]), spent / (len(order) * count)


def test_most_of_the_training_is_saved_and_hardly_any_accuracy_lost(recorded: Recorded) -> None:
    means = recorded.folds.mean(axis=1)
    drawn = np.random.default_rng(0)
    found = [race(recorded, drawn.permutation(len(means))) for _ in range(ORDERS)]
    lost = [means.max() - means[winner] for winner, _ in found]
    # A standard error of the best one's score: what cannot be told apart anyway.
    error = np.sqrt(means.max() * (1 - means.max()) / recorded.held_out / recorded.folds.shape[1])
    assert np.mean([spent for _, spent in found]) < 0.3
    assert np.mean(lost) < error
    # Who is drawn at random instead, with as many folds trained to the end, does worse.
    full = round(len(means) * np.mean([spent for _, spent in found]))
    at_random = [means.max() - means[drawn.permutation(len(means))[:full]].max() for _ in range(ORDERS)]
    assert np.mean(lost) < np.mean(at_random)
