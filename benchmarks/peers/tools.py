"""Runs one tool, and says what it had to show, and when."""

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import keras

from archsearch.study import Study
from benchmarks.peers.curves import Point
from benchmarks.peers.family import test_images

ROOT = Path(__file__).parents[2]
PEERS = ("kerastuner_hyperband", "plain_optuna", "random_search")
MNIST = str(ROOT.parent / "shared" / "data" / "mnist.npz")


def npz(text: str) -> Path:
    """The value of `--data`, absolute."""
    path = Path(text).resolve()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{path}: no such file; expected MNIST, or any .npz in Keras's layout")
    return path


def run_archsearch(data: Path, seed: int, seconds: float, folder: Path) -> list[Point]:
    """One whole command with so much `--time`: a point, or none if it found no winner."""
    space = ROOT / "search_spaces" / "mnist.yaml"
    wall = search(space, data, seconds, seed, folder)
    winner = Study(folder).winner()
    if winner is None:
        return []
    searched = wall - winner.seconds
    return [Point("archsearch", seed, wall, images_trained(folder), searched, winner.score, winner.test.accuracy)]


def search(space: Path, data: Path, seconds: float, seed: int, folder: Path, *options: str) -> float:
    """Runs `archsearch search`; wall seconds of the whole command."""
    command = str(Path(sys.executable).with_name("archsearch"))
    given = ("--data", str(data), "--time", f"{seconds:g}s", "--seed", str(seed), "--out", str(folder))
    return _run((command, "search", str(space), *given, *options), folder.with_suffix(".txt"))


def images_trained(folder: Path) -> int:
    """Images that a study's trials have trained on, as far as they have told."""
    trials = Study(folder).trials()
    return sum(trial.images for trial in trials)


def run_peer(tool: str, schedule: str, data: Path, seed: int, seconds: float, folder: Path) -> list[Point]:
    """One run, and what its models make of the test set, which costs it no time."""
    log = folder / "log.csv"
    options = ("--data", str(data), "--seconds", f"{seconds:g}", "--seed", str(seed), "--log", str(log))
    _run(
        (sys.executable, "-m", f"benchmarks.peers.{tool}", *options, "--schedule", schedule), folder.with_suffix(".txt")
    )
    return list(_points(f"{tool}, {schedule} rate", seed, log, data)) if log.is_file() else []


def _run(command: tuple[str, ...], output: Path) -> float:
    """Wall seconds; what has failed is said, and the others go on."""
    output.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with output.open("w") as file:
        code = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        print(f"{output}: ended with exit code {code}; its last lines say why", file=sys.stderr)
    return time.perf_counter() - started


def _points(tool: str, seed: int, log: Path, data: Path) -> Iterator[Point]:
    x, y = test_images(data)
    tested: dict[str, float] = {}
    with log.open(newline="") as file:
        for seconds, images, validation, name in csv.reader(file):
            if name not in tested:
                model = keras.saving.load_model(log.with_name(name))
                tested[name] = float((model.predict(x, batch_size=1000, verbose=0).argmax(axis=1) == y).mean())
            yield Point(tool, seed, float(seconds), int(images), float(seconds), float(validation), tested[name])
