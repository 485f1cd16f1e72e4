"""What a worker's whole life costs beside a bare training loop of the same network, in processor time of one thread.

Usage: python benchmarks/engine.py [--data ../shared/data/mnist.npz] [--folds 1] [--epochs 3] [--seed 1]
       python benchmarks/engine.py --study reports/mnist

The bare loop has the batches in memory, a step that is traced and warm, a constant learning rate, and nothing to score
or report: it is timed before and after each life, and what the network does in a step is the same. A life is what the
local executor starts: a fork of a server, TensorFlow's start, building, tracing, training, scoring, reporting.

With --study, the same for all trials of a finished search together: how long bare loops, as many at once as there are
cores, would have taken to train on the images that it has trained on, as a share of the workers' wall time.
"""

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.data.sources import load_data
from archsearch.data.splits import make_splits
from archsearch.search.executors.processes import configure_tensorflow, start
from archsearch.space.architecture import Candidate
from archsearch.space.cost import cost
from archsearch.space.load import load_space
from archsearch.space.sample import FixedChooser, RandomChooser, baseline_point, sample
from archsearch.study import Study
from archsearch.training.job import Report, TrialJob

ROOT = Path(__file__).parents[1]
POINTS = (1 / 27, 1 / 9, 2 / 9, 1 / 3, 2 / 3)
RUNGS = (1 / 27, 1 / 9, 1 / 3, 1.0)
WARM_UP, TIMED = 5, 60
"""Steps of the bare loop."""
STAGES = ("start", "build", "trace", "steps", "scoring", "rest")


class Life(NamedTuple):
    """Processor seconds by stage, and at each rung of the first fold the images trained on and the seconds so far."""

    images: int
    seconds: float
    wall: float
    stages: dict[str, float]
    rungs: dict[float, tuple[int, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "mnist.npz")
    parser.add_argument("--folds", type=int, default=1, help="of ten, that each candidate is trained on")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1, help="of the candidates that are drawn")
    parser.add_argument("--study", type=Path, help="a study's folder")
    options = parser.parse_args()
    if options.study:
        _look_back(Study(options.study))
        return
    if not options.data.is_file():
        sys.exit(f"{options.data}: no such file; give any .npz in Keras's layout (x_train, y_train, ...) with --data")
    heads = "".join(f"{stage:>9}" for stage in STAGES) + "".join(f"{f'at {rung:.2f}':>9}" for rung in RUNGS)
    print(f"{'candidate':<14}{'MFLOP':>6}{'bare/s':>8}{'seconds':>9}{'wall':>7}{heads}")
    with tempfile.TemporaryDirectory() as folder:
        for space, images, folds in _data(options.data, Path(folder)):
            for name, candidate in _candidates(space, images, options.epochs, options.seed):
                job = TrialJob(0, candidate, images.path, folds[: options.folds], POINTS, seed=0)
                before = _in_child(_bare, job)
                life: Life = _in_child(_live, job)
                bare = (before + _in_child(_bare, job)) / 2
                flops = cost(candidate.architecture).flops / 1e6
                shares = "".join(f"{life.stages[stage] / life.seconds:>9.1%}" for stage in STAGES)
                rates = {**life.rungs, 1.0: (life.images, life.seconds)}
                reached = "".join(f"{rates[rung][0] / rates[rung][1] / bare:>9.1%}" for rung in RUNGS)
                print(
                    f"{name:<14}{flops:>6.1f}{bare:>8.0f}{life.seconds:>9.1f}{life.wall:>7.1f}{shares}{reached}",
                    flush=True,
                )


def _look_back(study: Study) -> None:
    trained = [trial for trial in study.trials() if trial.reports and isinstance(trial.candidate, Candidate)]
    splits, cores = study.splits(), len(os.sched_getaffinity(0))
    jobs = [TrialJob(0, trial.candidate, splits.train.path, splits.folds[:1], (1.0,), seed=0) for trial in trained]
    with ThreadPoolExecutor(cores) as pool:
        rates: list[float] = list(pool.map(lambda job: _in_child(_bare, job, time.perf_counter), jobs))
    images = [trial.images for trial in trained]
    bare = sum(count / rate for count, rate in zip(images, rates, strict=True))
    lives = sum(trial.seconds for trial in study.trials())
    span = max(trial.ended or 0.0 for trial in trained) - min(trial.started for trial in trained)
    print(f"{len(trained)} trials, {sum(images):,} images; bare loops would have taken {bare:.0f} s of a core,")
    print(f"workers lived for {lives:.0f} s: {bare / lives:.1%}; all cores' time: {bare / cores / span:.1%}")


def _data(path: Path, folder: Path) -> Iterator[tuple[str, ImageSet, tuple[NDArray[np.int32], ...]]]:
    """The names of spaces, each with its images and ten folds; CIFAR's images are noise."""
    splits = make_splits(load_data(str(path)), 10, 0)
    yield "mnist", splits.train, splits.folds
    generator = np.random.default_rng(0)
    noise = ((generator.integers(0, 256, (32, 32, 3), dtype=np.uint8), label % 10) for label in range(10_000))
    images = ImageSet.write(folder / "noise", (32, 32, 3), noise)
    yield "cifar", images, tuple(np.split(np.arange(len(images), dtype=np.int32), 10))


def _candidates(name: str, images: ImageSet, epochs: float, seed: int) -> Iterator[tuple[str, Candidate]]:
    """The space's baseline and three that are drawn."""
    from archsearch.space.architecture import Task

    _, height, width, channels = images.images.shape
    task = Task.model_validate({"height": height, "width": width, "channels": channels, "classes": 10})
    space = load_space(ROOT / "search_spaces" / f"{name}.yaml")
    drawn = RandomChooser(random.Random(seed))
    for number, chooser in enumerate((FixedChooser(baseline_point(space, task)), drawn, drawn, drawn)):
        found = sample(space, chooser, task)
        recipe = found.recipe.model_copy(update={"epochs": epochs})
        yield f"{name} {number or 'baseline'}", found.model_copy(update={"recipe": recipe})


def _in_child(work: Callable[..., None], *arguments: Any) -> Any:
    """What `work` sends last from a child like the executor's."""
    process, connection = start(work, arguments, work.__name__)
    last = None
    try:
        while True:
            last = connection.recv()
    except EOFError:
        process.join()
        return last


def _bare(connection: Connection, job: TrialJob, clock: Callable[[], float] = time.process_time) -> None:
    """Sends images trained in a second by the clock."""
    configure_tensorflow(1)
    import tensorflow as tf

    from archsearch.model.build import build_for_training
    from archsearch.training.optimizer import LeanOptimizer
    from archsearch.training.pipeline import augmented

    recipe = job.candidate.recipe
    model = build_for_training(job.candidate.architecture, 0.9)
    weights = model.trainable_variables
    optimizer = LeanOptimizer(recipe.optimizer, weights)
    randoms = tf.random.Generator.from_seed(0)
    source = ImageSet.open(job.images)
    images = tf.cast(source.images[: 16 * recipe.batch_size], tf.float32)
    batches = list(zip(tf.split(images, 16), tf.split(source.labels[: 16 * recipe.batch_size], 16), strict=True))

    @tf.function(autograph=False)
    def step(pixels: Any, labels: Any) -> None:
        pixels = augmented(pixels, recipe.augment, randoms)
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(pixels, training=True))
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, weights), 1e-3)

    for number in range(WARM_UP + TIMED):
        if number == WARM_UP:
            started = clock()
        step(*batches[number % 16])
    connection.send(TIMED * recipe.batch_size / (clock() - started))


def _live(connection: Connection, job: TrialJob) -> None:
    """Sends a `Life`."""
    wall = time.perf_counter()
    configure_tensorflow(1)
    from archsearch.training import crossval, fit

    stages = dict.fromkeys(STAGES, 0.0)
    rungs: dict[float, tuple[int, float]] = {}
    images = 0

    @contextmanager
    def clock(stage: str) -> Iterator[None]:
        begun = time.process_time()
        yield
        stages[stage] += time.process_time() - begun

    def timed(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """`function`, whose first call compiles: that it also does a step's work is a small error."""
        names = iter(("trace",))

        def call(*arguments: Any) -> None:
            with clock(next(names, stage)):
                function(*arguments)

        return call

    class Timed(fit.Trainer):
        def __init__(self, *arguments: Any) -> None:
            with clock("build"):
                super().__init__(*arguments)
            with clock("trace"):
                step, score = self._step, self._score
            self._step, self._score = timed(step, "steps"), timed(score, "scoring")

    def report(said: Report) -> None:
        nonlocal images
        connection.send(said)
        if said.is_last:
            images += said.images
        rung = min(RUNGS, key=lambda rung: abs(rung - said.share))
        if said.fold == 0 and abs(rung - said.share) < 0.01:
            rungs[rung] = said.images, _seconds()

    crossval.Trainer = Timed  # type: ignore[misc]
    stages["start"] = _seconds()
    crossval.cross_validate(job, report, lambda: None if not connection.poll() else sys.exit())
    seconds = _seconds()
    stages["rest"] = seconds - sum(stages.values())
    connection.send(Life(images, seconds, time.perf_counter() - wall, stages, rungs))


def _seconds() -> float:
    """Of this process's processor time, from its fork on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
