from pathlib import Path
from typing import Any

import pytest

from archsearch.errors import InputError
from archsearch.search.config import SearchConfig, parse_duration
from archsearch.search.plan import Given


def config(**changes: Any) -> SearchConfig:
    return SearchConfig(space=Path("space.yaml"), data="digits", out=Path("out"), **changes)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1h2m3s", 3723),
        (" 2M ", 120),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "ten", "-5m", "5x", "1m1h", "1..5h", "nan", "1e3"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InputError, match=f"time: found '{text}', expected a length of time such as 90s, 10m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 0}, "trials: found 0, expected at least 1"),
        ({"seconds": 0.5}, "time: found 0.5, expected at least 1"),
        ({"workers": 0}, "workers: found 0, expected at least 1"),
        ({"folds": 1}, "folds: found 1, expected at least 2"),
        ({"seed": -1}, "seed: found -1, expected at least 0"),
        ({"seed": 2**32}, "seed: found 4294967296, expected at most 2147483647"),
        ({"workers": 100_000}, "workers: found 100000, expected at most 1000"),
        ({"size": 0}, "size: found 0, expected at least 1"),
        ({"sampler": "tpee"}, "sampler: found 'tpee', expected one of tpe, random, qmc; did you mean 'tpe'?"),
        ({"pruner": "asha"}, "pruner: found 'asha', expected one of halving, hyperband, median, none"),
        ({"epochs": 0.0}, "epochs: found 0, expected more than 0"),
        ({"epochs": -0.5}, "epochs: found -0.5, expected more than 0"),
        ({"epochs": float("nan")}, "epochs: found nan, expected more than 0"),
        ({"first_rung": 0}, "first-rung: found 0, expected at least 1"),
        ({"finalists": -1}, "finalists: found -1, expected at least 0"),
        ({"prefer": "smal"}, "prefer: found 'smal', expected one of accuracy, small; did you mean 'small'?"),
        (
            {"objectives": ("parameters",)},
            "objective: found 'parameters' first, expected 'accuracy', such as in 'accuracy,parameters'",
        ),
        (
            {"objectives": ("accuracy", "flop")},
            "objective: found 'flop', expected one of parameters, flops, latency, robustness; did you mean 'flops'?",
        ),
        (
            {"objectives": ("accuracy", "flops", "flops")},
            "objective: found 'accuracy,flops,flops', expected each name once",
        ),
        (
            {"objectives": ("accuracy", "flops"), "pruner": "median"},
            "pruner: 'median' is Optuna's and takes one objective; expected 'halving' or 'none'",
        ),
        ({"executor": "slurm"}, "executor: found 'slurm', expected one of local, ray"),
        ({"cpus_per_trial": 2}, "cpus-per-trial: only for a cluster, with --executor ray"),
        ({"gpus_per_trial": 1}, "gpus-per-trial: only for a cluster, with --executor ray"),
        ({"executor": "ray", "cpus_per_trial": 0}, "cpus-per-trial: found 0, expected at least 0.0001"),
        ({"executor": "ray", "cpus_per_trial": float("nan")}, "cpus-per-trial: found nan, expected at least 0.0001"),
        *(
            (
                {"executor": "ray", "gpus_per_trial": found},
                f"gpus-per-trial: found {found}, expected 0, a part of one such as 0.5, or whole ones",
            )
            for found in (-1, 1.5, float("inf"), float("nan"))
        ),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        config(**changes)
    assert str(caught.value) == message


def test_without_a_limit_ten_minutes_are_one() -> None:
    assert (config().budget.trials, config().budget.seconds) == (None, 600)
    assert (config(trials=5).budget.trials, config(trials=5).budget.seconds) == (5, None)
    assert (config(trials=5, seconds=60).budget.trials, config(trials=5, seconds=60).budget.seconds) == (5, 60)


def test_what_is_not_given_is_left_to_the_planner() -> None:
    assert config().given == Given()
    told = config(epochs=0.5, folds=4, first_rung=2000, finalists=0)
    assert told.given == Given(epochs=0.5, folds=4, first_rung=2000, finalists=0)
