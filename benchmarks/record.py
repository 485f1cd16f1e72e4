"""Trains random architectures to the end, on every fold, and keeps their curves for `replay.py`.

Usage: python -m benchmarks.record {digits,mnist} [--architectures 150] [--data ../shared/data/mnist.npz]

Each architecture is trained for two lengths; the better half of them is trained for the longer one with two more seeds.
In benchmarks/curves/<name>/ a row of runs.csv is one fold of one training, a row of architectures.csv is what was drawn
and its costs, a row of screening.csv is what zero-cost scores say of it. Times are processor seconds of one thread.
Rows are added one by one: a recording that was stopped goes on.
"""

import argparse
import csv
import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import fmean, median
from typing import Any

from archsearch.training.environment import ONE_THREAD, TENSORFLOW

os.environ.update(TENSORFLOW | ONE_THREAD)

import numpy as np  # after the environment that its libraries read
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from archsearch.data.dataset import Dataset, ImageSet
from archsearch.data.sources import load_data
from archsearch.data.splits import Splits, make_splits
from archsearch.search.executors.processes import configure_tensorflow
from archsearch.space.architecture import Candidate, Task
from archsearch.space.cost import Cost, cost
from archsearch.space.load import Space, load_space
from archsearch.space.network import digest
from archsearch.space.sample import RandomChooser, RecordingChooser, Scalar, sample
from archsearch.training.fit import Fold, Trainer
from archsearch.training.job import Point, Score
from benchmarks.recorded import CURVES, SEEDS
from benchmarks.screening import screen

HERE = Path(__file__).parent
SPACES = HERE.parent / "search_spaces"
LENGTHS = {"digits": (5.0, 20.0), "mnist": (2.0, 8.0)}
"""Epochs, by the name of the space."""
SHARES = (1 / 27, 1 / 18, 1 / 12, 1 / 9, 1 / 6, 2 / 9, 1 / 3, 4 / 9, 5 / 9, 2 / 3, 5 / 6, 1.0)
FOLDS = 3
TENTH = 0.1
"""Of MNIST's training images are used."""
AGAIN = 1 / 2
"""This share of the architectures, the best, is trained with more seeds."""
SCREENED_IMAGES = 128


@dataclass(frozen=True)
class Drawn:
    """An architecture to record."""

    number: int
    candidate: Candidate
    point: Mapping[str, Scalar]
    size: Cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=LENGTHS)
    parser.add_argument("--architectures", type=int, default=150)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data" / "mnist.npz")
    told = parser.parse_args()
    if told.name == "mnist" and not told.data.is_file():
        parser.error(f"--data: found no file {told.data}; expected a .npz file in the layout of Keras's MNIST")
    data = _tenth(load_data(told.data)) if told.name == "mnist" else load_data("digits")
    splits = make_splits(data, FOLDS, seed=0)
    drawn = draw(load_space(SPACES / f"{told.name}.yaml"), data.task, told.architectures)
    recording = Recording(CURVES / told.name, splits)
    short, long = LENGTHS[told.name]
    for one in drawn:
        recording.describe(one)
        recording.train(one, short, seed=0)
        recording.train(one, long, seed=0)
        print(f"{one.number + 1} of {len(drawn)}", flush=True)
    best = sorted(drawn, key=lambda one: -recording.score(one, long))[: round(AGAIN * len(drawn))]
    for seed in range(1, SEEDS):
        for one in best:
            recording.train(one, long, seed)


def draw(space: Space, task: Task, count: int) -> list[Drawn]:
    """The first `count` random architectures that differ and keep the limits; always the same ones."""
    chooser = RandomChooser(random.Random(0))
    found: dict[str, Drawn] = {}
    while len(found) < count:
        recorder = RecordingChooser(chooser)
        candidate = sample(space, recorder, task)
        size = cost(candidate.architecture)
        if all(getattr(size, name) <= most for name, most in space.limits.items()):
            found.setdefault(digest(candidate), Drawn(len(found), candidate, recorder.point, size))
    return list(found.values())


def _tenth(data: Dataset) -> Dataset:
    """A stratified tenth of the training images."""
    labels = data.train.labels
    chosen, _ = train_test_split(np.arange(len(labels)), train_size=TENTH, stratify=labels, random_state=0)
    chosen = np.sort(chosen)
    images = ImageSet(data.train.path, data.train.images[chosen], labels[chosen])
    return Dataset(images, data.test, data.classes, data.fingerprint, data.source)


@dataclass(frozen=True)
class Recording:
    """Adds what is missing to the tables in `folder`."""

    folder: Path
    splits: Splits

    def describe(self, drawn: Drawn) -> None:
        """What was drawn, what it costs, and what zero-cost scores say of it."""
        images, held_out = self.splits.train, self.splits.folds[0]
        known = _rows(self.folder / "architectures.csv", architecture=drawn.number)
        if known and json.loads(known[0]["point"]) != drawn.point:
            raise RuntimeError(
                f"{self.folder}: architecture {drawn.number} was drawn from a space that has changed since; "
                "delete the folder to record anew"
            )
        if not known:
            row = {
                "architecture": drawn.number,
                "parameters": drawn.size.parameters,
                "flops": drawn.size.flops,
                "batch_size": drawn.candidate.recipe.batch_size,
                "images": len(images) - len(held_out),
                "held_out": len(held_out),
                "point": json.dumps(drawn.point),
            }
            _append(self.folder / "architectures.csv", row)
        if not _rows(self.folder / "screening.csv", architecture=drawn.number):
            batch = images.images[:SCREENED_IMAGES], images.labels[:SCREENED_IMAGES]
            found = _in_child(lambda: [screen(drawn.candidate.architecture, *batch)])[0]
            cells = {name: score for name, (score, _) in found.items()}
            times = {f"{name} seconds": seconds for name, (_, seconds) in found.items()}
            _append(self.folder / "screening.csv", {"architecture": drawn.number, **cells, **times})

    def train(self, drawn: Drawn, epochs: float, seed: int) -> None:
        """Trains on every fold."""
        if _rows(self.folder / "runs.csv", architecture=drawn.number, epochs=epochs, seed=seed):
            return
        recipe = drawn.candidate.recipe.model_copy(update={"epochs": epochs})
        candidate = drawn.candidate.model_copy(update={"recipe": recipe})
        for row in _in_child(lambda: _train(candidate, seed, self.splits.train, self.splits.folds)):
            _append(self.folder / "runs.csv", {"architecture": drawn.number, "epochs": epochs, "seed": seed, **row})

    def score(self, drawn: Drawn, epochs: float) -> float:
        """Mean accuracy over the folds at the end of the training with the first seed."""
        rows = _rows(self.folder / "runs.csv", architecture=drawn.number, epochs=epochs, seed=0)
        return fmean(float(row[_column(1.0)]) for row in rows)


class _TimedTrainer(Trainer):
    """Tells apart what processor time goes into: `steps` is when each began, `scoring` from when to when it scored."""

    def __init__(self, candidate: Candidate, images_per_epoch: int, seed: int) -> None:
        self.began = time.process_time()
        super().__init__(candidate, images_per_epoch, seed)
        self.steps: list[float] = []
        self.scoring: list[tuple[float, float]] = []

    def evaluate(self, images: ImageSet, indices: NDArray[np.int32]) -> Score:
        before = time.process_time()
        score = super().evaluate(images, indices)
        self.scoring.append((before, time.process_time()))
        return score


def _train(
    candidate: Candidate, seed: int, images: ImageSet, folds: tuple[NDArray[np.int32], ...]
) -> list[dict[str, Any]]:
    """A row for each fold."""
    everything = np.arange(len(images), dtype=np.int32)
    trainer = _TimedTrainer(candidate, len(images) - len(folds[0]), seed)
    rows = []
    for fold, held_out in enumerate(folds):
        trainer.steps.clear()
        trainer.scoring.clear()
        points: list[Point] = []
        training = np.setdiff1d(everything, held_out)
        between_steps = lambda: trainer.steps.append(time.process_time())  # noqa: E731
        trainer.train(Fold(images, training, held_out, SHARES, points.append, between_steps))
        rows.append({"fold": fold, **_times(trainer, fold), **_accuracies(points)})
    return rows


def _times(trainer: _TimedTrainer, fold: int) -> dict[str, str]:
    """Seconds to build and trace, which the first fold does; for 1,000 images of training; and for scoring."""
    scoring = [end - before for before, end in trainer.scoring]
    score = median(scoring)
    start = trainer.steps[1] - trainer.began + scoring[0] - score if fold == 0 else 0.0
    between = sum(end - before for before, end in trainer.scoring if before > trainer.steps[1])
    trained = (len(trainer.steps) - 1) * trainer.batch_size
    train = (trainer.scoring[-1][1] - trainer.steps[1] - between) / trained * 1000
    return {"start": f"{start:.3f}", "train": f"{train:.5f}", "score": f"{score:.4f}"}


def _accuracies(points: list[Point]) -> dict[str, str]:
    found = {}
    for share in SHARES:
        # A share may lie between two steps.
        point = min(points, key=lambda point: abs(point.epoch / point.epochs - share))
        found[_column(share)] = f"{point.scored.accuracy if point.scored else float('nan'):.4f}"
    return found


def _column(share: float) -> str:
    return f"at {share:.3f}"


def _in_child(work: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What `work` returns in a fork of this process, which has TensorFlow imported and not started."""
    ours, theirs = multiprocessing.Pipe()

    def child(connection: Connection) -> None:
        configure_tensorflow(1)
        connection.send(work())

    process = multiprocessing.get_context("fork").Process(target=child, args=(theirs,))
    process.start()
    theirs.close()
    try:
        found: list[dict[str, Any]] = ours.recv()
    except EOFError:
        raise RuntimeError("a training ended without a result; its error is above") from None
    finally:
        process.join()
    return found


def _rows(path: Path, **wanted: float) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if all(float(row[name]) == value for name, value in wanted.items())]


def _append(path: Path, row: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
