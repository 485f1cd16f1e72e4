"""Simulated searches on tables that are small enough to say by hand what should come out."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from archsearch.space.sample import Scalar
from benchmarks.recorded import LONG, SHORT, Architecture, Table, read_table
from benchmarks.replay import correlations, interval, lines, planned, qualities, rungs
from benchmarks.simulation import Policy, Simulation, distance, lost_in_pairs

ALL = Policy(rungs=(), race=None, folds=2)
"""Runs everything to the end."""


def architecture(ends: Sequence[float], seconds: float = 1.0, score: float = 0.0) -> Architecture:
    """One of two folds that reaches `ends` with each seed, a third of it after a third of the training.

    It takes one second to start and `seconds` a fold; a zero-cost `score` takes none.
    """
    curve = np.array([1 / 3, 1.0])
    accuracy = np.array([[[end * curve] * 2 for end in ends]] * 2)
    return Architecture({}, 1, {"score": (score, 0.0)}, accuracy, 1.0, (seconds / 10, seconds / 10), 0.0)


def table(*architectures: Architecture) -> Table:
    return Table("digits", architectures, (1 / 3, 1.0), (1.0, 1.0), images=10, held_out=1000)


def test_a_trial_takes_what_was_recorded() -> None:
    slow_and_good, fast_and_bad = architecture([0.9] * 3, seconds=5.0), architecture([0.5] * 3)
    search = Simulation(table(slow_and_good, fast_and_bad), ALL, 100.0, seed=0)
    assert search.winner(2.9) is None
    assert search.winner(3.0) == search.winner(10.9) == 1
    assert search.winner(11.0) == search.winner() == 0


def test_what_is_not_done_in_time_does_not_win() -> None:
    slow_and_good, fast_and_bad = architecture([0.9] * 3, seconds=5.0), architecture([0.5] * 3)
    assert Simulation(table(slow_and_good, fast_and_bad), ALL, 10.9, seed=0).winner() == 1


def found_after(policy: Policy, known: Table, best: int) -> float:
    """Mean seconds until the best is found."""
    times = np.arange(0.0, 300.0, 0.5)
    searches = [Simulation(known, policy, 300.0, seed) for seed in range(30)]
    return float(np.mean([min(t for t in times if search.winner(t) == best) for search in searches]))


@pytest.mark.parametrize(
    "policy", [replace(ALL, rungs=(1 / 3,)), replace(ALL, race=2.0), replace(ALL, pruner="median")]
)
def test_dropping_the_hopeless_finds_the_best_sooner(policy: Policy) -> None:
    known = table(architecture([0.9] * 3), *[architecture([0.8 - n / 50] * 3, seconds=10.0) for n in range(20)])
    assert found_after(policy, known, 0) < found_after(ALL, known, 0)


def test_screening_tries_the_promising_first() -> None:
    known = table(*[architecture([n / 20] * 3, score=n) for n in range(20)])
    assert found_after(replace(ALL, screening="score"), known, 19) < found_after(ALL, known, 19)


def test_finalists_show_whose_score_was_luck() -> None:
    lucky, steady = architecture([0.9, 0.5, 0.5]), architecture([0.8] * 3)
    known = table(lucky, steady)
    alone = [Simulation(known, ALL, 100.0, seed) for seed in range(20)]
    picked = [search.winner() for search in alone]
    assert 0 in picked
    assert 1 in picked
    assert all(search.truth(0) == 0.5 for search in alone if search.winner() == 0)
    confirmed = [Simulation(known, replace(ALL, finalists=2), 100.0, seed).winner() for seed in range(20)]
    # A second run that counts alone takes the luck of the first one away.
    assert {again for first, again in zip(picked, confirmed, strict=True) if first == 0} == {1}


def test_time_for_finalists_is_kept_aside() -> None:
    many = table(*[architecture([0.5 + n / 100] * 3) for n in range(40)])
    search = Simulation(many, replace(ALL, finalists=2), 30.0, seed=0)
    again = [trial for trial in search._trials if trial.again]
    assert len(again) == 2
    assert all(trial.ended is not None and trial.ended <= 30.0 for trial in again)


def test_short_trainings_are_judged_after_long_ones() -> None:
    learns_late = architecture([0.9] * 3)
    learns_late.accuracy[SHORT] = 0.1
    known = table(learns_late, architecture([0.5] * 3))
    search = Simulation(known, replace(ALL, length=SHORT), 100.0, seed=0)
    assert search.winner() == 1
    assert search.truth(1) == 0.5
    assert Simulation(known, ALL, 100.0, seed=0).winner() == 0


def test_an_architecture_with_one_seed_has_it_everywhere() -> None:
    once = architecture([0.7, np.nan, np.nan])
    assert {Simulation(table(once), ALL, 10.0, seed).truth(0) for seed in range(10)} == {0.7}
    assert once.quality == pytest.approx(0.7)


def test_paired_race() -> None:
    # Behind by 1, 2 and 3 per cent: 2 on average, with a standard error of 1 / sqrt(3).
    mine, best = [0.90, 0.90, 0.90], [0.91, 0.92, 0.93]
    assert lost_in_pairs(mine, [best, [0.89, 0.90, 0.91]], 3.4)
    assert not lost_in_pairs(mine, [best], 3.5)
    assert not lost_in_pairs(mine[:1], [best], 1.0)
    assert not lost_in_pairs(mine, [[0.99]], 1.0)


def test_distance() -> None:
    known: dict[str, BaseDistribution] = {
        "kind": CategoricalDistribution(["conv", "separable"]),
        "rate": FloatDistribution(1e-4, 1e-2, log=True),
        "share": FloatDistribution(0.0, 2.0),
    }
    here: dict[str, Scalar] = {"kind": "conv", "rate": 1e-4, "share": 0.0}
    assert distance(here, here, known) == 0.0
    there: dict[str, Scalar] = {"kind": "conv", "rate": 1e-3, "share": 0.5}
    other: dict[str, Scalar] = {"kind": "separable", "rate": 1e-4, "momentum": 0.9}
    assert distance(here, there, known) == pytest.approx(0.75)
    assert distance(here, other, known) == 3.0


def test_optuna_tries_each_recorded_architecture_once() -> None:
    recorded = read_table("digits")
    few = replace(recorded, architectures=recorded.architectures[:12])
    search = Simulation(few, Policy(sampler="tpe"), 1000.0, seed=0)
    assert sorted(trial.architecture for trial in search._trials) == list(range(12))


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_committed_tables(name: str) -> None:
    recorded = read_table(name)
    accuracy = np.array([a.accuracy for a in recorded.architectures])
    assert len(recorded.architectures) > 100
    assert recorded.shares[-1] == 1.0
    assert np.nanmin(accuracy) >= 0.0
    assert np.nanmax(accuracy) <= 1.0
    assert not np.isnan(accuracy[:, :, 0]).any()
    assert all(a.start > 0.0 and min(a.train) > 0.0 and a.score > 0.0 for a in recorded.architectures)
    every = correlations(recorded, np.arange(len(recorded.architectures)))
    assert every[-1] > every[0] > 0.0
    assert planned(recorded, 5 * recorded.typical_seconds()).folds <= recorded.folds


def write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_what_is_not_complete_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    numbers = range(2)
    write(
        tmp_path / "tiny" / "architectures.csv",
        [{"architecture": n, "parameters": 7, "images": 100, "held_out": 50, "point": '{"width": 8}'} for n in numbers],
    )
    write(tmp_path / "tiny" / "screening.csv", [{"architecture": n, "a": 2, "a seconds": 0.5} for n in numbers])
    runs = [(0, 5.0), (0, 20.0), (1, 5.0)]
    times = {"start": 1.5, "train": 2.0, "score": 0.25}
    write(
        tmp_path / "tiny" / "runs.csv",
        [
            {"architecture": n, "epochs": epochs, "seed": 0, "fold": 0, **times, "at 0.5": 0.25, "at 1.000": 0.75}
            for n, epochs in runs
        ],
    )
    found = read_table("tiny", tmp_path)
    (only,) = found.architectures
    assert only.point == {"width": 8}
    assert only.screening == {"a": (2.0, 0.5)}
    assert only.accuracy[LONG, 0].tolist() == [[0.25, 0.75]]
    assert np.isnan(only.accuracy[LONG, 1]).all()
    # 20 epochs of 100 images at 2 seconds for 1,000.
    assert found.train_seconds(only, LONG, 0.5) == pytest.approx(2.0)
    assert found.typical_seconds() == pytest.approx(1.5 + 4.0 + 0.25)


def test_rungs() -> None:
    assert rungs(1 / 9, 3) == pytest.approx((1 / 9, 1 / 3))
    assert rungs(1 / 9, 2) == pytest.approx((1 / 9, 2 / 9, 4 / 9))


def test_a_question_is_answered_against_its_first_policy() -> None:
    known = table(*[architecture([0.5 + n / 100] * 3, score=n) for n in range(40)])
    found = {"as drawn": qualities(known, ALL, 20), "screened": qualities(known, replace(ALL, screening="score"), 20)}
    assert found["as drawn"].shape == (20, 4)
    assert (np.diff(found["as drawn"].mean(axis=0)) >= 0).all()
    text = list(lines("screening", found, 0.89))
    quality, difference = [line for line in text if line.startswith("| screened")]
    assert quality.endswith("| 89.00% (89.00% to 89.00%); 0.00% |")
    # In the end every architecture has been tried either way.
    assert "*" in difference.split("|")[2]
    assert difference.endswith("| +0 (+0 to +0) |")


def test_interval_covers_the_mean() -> None:
    values = np.random.default_rng(1).normal(5.0, 1.0, 400)
    low, high = interval(values, np.mean)
    assert low < values.mean() < high
    # 1.645 standard errors either way.
    assert high - low == pytest.approx(2 * 1.645 / 20, rel=0.2)
    assert interval(np.full(3, 0.4), np.mean) == (0.4, 0.4)
