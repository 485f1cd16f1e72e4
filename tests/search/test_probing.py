from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted import IMAGES, Clock, ScriptedExecutor
from spaces import SMALL

from archsearch.data.sources import load_data
from archsearch.data.splits import make_splits
from archsearch.search import probing
from archsearch.search.budget import Pace, image_seconds
from archsearch.search.candidates import SpaceCandidates
from archsearch.search.executors.base import Executor
from archsearch.search.executors.local import LocalExecutor
from archsearch.search.images import SearchImages
from archsearch.search.probing import BATCH, LEAST_STEPS, MOST_SECONDS, PROBE_SECONDS, probe
from archsearch.search.record import TrialRecord
from archsearch.space.architecture import Task
from archsearch.space.load import parse_space
from archsearch.space.sample import FixedChooser
from archsearch.training.job import Outcome, Report, TrialJob

CANDIDATES = SpaceCandidates(
    parse_space(SMALL.replace("  epochs: 2\n", "")), Task(height=8, width=8, channels=1, classes=10)
)
LARGE = SpaceCandidates(
    parse_space("name: large\nstages: [{depth: 3, filters: 256}]\ntraining: {}\n"),
    Task(height=128, width=128, channels=3, classes=10),
)
BASELINE = CANDIDATES.draw(FixedChooser(CANDIDATES.baseline), 1.0)
HELD_OUT = np.arange(300, dtype=np.int32)


def probed(executor: Executor, **changes: Any) -> Pace | None:
    fields: dict[str, Any] = {
        "candidates": CANDIDATES,
        "images": SearchImages(Path("images"), IMAGES, (HELD_OUT,), test=300),
        "seed": 3,
        "interrupted": lambda: False,
        "until": inf,
    }
    return probe(executor=executor, **(fields | changes))


def always(job: TrialJob, fold: int, share: float) -> float:
    return 0.5


def test_the_baseline_is_trained_on_all_workers_at_once() -> None:
    executor = ScriptedExecutor(always, workers=3, image_seconds=lambda job: 1e-4, start_seconds=0.7)
    found = probed(executor)
    assert found is not None
    assert found.image_seconds(BASELINE.work) == pytest.approx(1e-4, rel=0.01)
    assert found.start_seconds == pytest.approx(0.7, rel=0.05)
    assert executor.most_at_once == len(executor.submitted) == 3
    architectures = {job.candidate.model_dump_json(include={"architecture"}) for job in executor.submitted}
    assert architectures == {BASELINE.candidate.model_dump_json(include={"architecture"})}
    assert all(job.trial < 0 and job.seed == 3 for job in executor.submitted)


def test_it_takes_a_second_or_two_of_a_usual_machine() -> None:
    clock = Clock()
    began = clock.now
    probed(ScriptedExecutor(always, image_seconds=lambda job: BASELINE.work, clock=clock))
    assert clock.now - began == pytest.approx(PROBE_SECONDS, rel=0.3)


def test_a_slow_machine_is_not_probed_for_long() -> None:
    clock = Clock()
    began = clock.now
    found = probed(ScriptedExecutor(always, workers=2, image_seconds=lambda job: 100 * BASELINE.work, clock=clock))
    assert found is not None
    assert found.image_seconds(BASELINE.work) == pytest.approx(100 * BASELINE.work, rel=0.05)
    assert clock.now - began < 2 * MOST_SECONDS


def test_a_few_steps_are_trained_at_least() -> None:
    executor = ScriptedExecutor(always)
    probed(executor, candidates=LARGE, images=SearchImages(Path("images"), 400, (HELD_OUT,), test=100))
    assert executor.submitted[0].candidate.recipe.epochs * 400 >= LEAST_STEPS * BATCH


def test_it_ends_when_it_is_told_to() -> None:
    clock = Clock()
    began = clock.now
    executor = ScriptedExecutor(always, image_seconds=lambda job: 10.0, clock=clock)
    assert probed(executor, interrupted=lambda: clock.now > began + 1) is None
    assert clock.now - began < 2


def test_a_probe_that_hangs_is_over_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    began = clock.now
    monkeypatch.setattr(probing, "time", clock)
    executor = ScriptedExecutor(always, workers=2, start_seconds=1000.0, clock=clock)
    assert probed(executor, until=began + 20) is None
    assert clock.now - began < 22


def test_a_baseline_that_breaks_teaches_nothing() -> None:
    assert probed(ScriptedExecutor(lambda job, fold, share: "it broke")) is None


@pytest.mark.slow
@pytest.mark.xdist_group("executors")
def test_a_real_probe_is_about_right() -> None:
    splits = make_splits(load_data("digits"), folds=5, seed=0)
    executor = LocalExecutor(2)
    try:
        images = SearchImages(splits.train.path, len(splits.train), splits.folds, len(splits.test))
        found = probed(executor, images=images)
        drawn = CANDIDATES.draw(FixedChooser(CANDIDATES.baseline), 20.0)
        for trial in range(2):
            points = (0.25, 0.5, 0.75, 1.0)
            executor.submit(TrialJob(trial, drawn.candidate, splits.train.path, splits.folds[:1], points, seed=0))
        events: list[Report | Outcome] = []
        while sum(isinstance(event, Outcome) for event in events) < 2:
            events += executor.events(1.0)
    finally:
        executor.close()
    assert found is not None
    reports = tuple(event for event in events if isinstance(event, Report) and event.trial == 0)
    truth = image_seconds(
        TrialRecord(number=0, candidate=drawn.candidate, digest="", parameters=0, flops=0, reports=reports)
    )
    assert truth is not None
    # Machines that others use, too, are not always as fast.
    assert 1 / 5 < found.image_seconds(drawn.work) / truth < 5
    assert 0 < found.start_seconds < 60
