"""Images trained a core-second on the same networks: archsearch's workers against the peers' `fit`.

Usage: python -m benchmarks.peers.same_networks [--data ../shared/data/mnist.npz] [--networks 6] [--seed 0]

archsearch trains as many networks at once as there are cores, `fit` one after the other with TensorFlow's own threads.
Importing is not counted; building, tracing and scoring are.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from archsearch.training.environment import TENSORFLOW

os.environ.update(TENSORFLOW | os.environ)

import numpy as np
from sklearn.model_selection import train_test_split

from archsearch.data.dataset import ImageSet
from archsearch.data.sources import load_data
from archsearch.search.executors.local import LocalExecutor
from archsearch.space.architecture import Candidate
from archsearch.space.cost import cost
from archsearch.space.sample import RandomChooser
from archsearch.training.job import Outcome, TrialJob
from benchmarks.peers.family import BATCH_SIZE, HELD_OUT, compiled, draw, training_images
from benchmarks.peers.tools import MNIST, npz

EPOCHS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=npz, default=MNIST)
    parser.add_argument("--networks", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the networks that are drawn")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    chooser = RandomChooser(random.Random(options.seed))
    candidates = [draw(chooser) for _ in range(options.networks)]
    # The longest first: no core is idle for long at the end.
    candidates.sort(key=lambda candidate: -cost(candidate.architecture).flops)
    images = load_data(str(options.data)).train
    ours = _archsearch(candidates, images, cores) / cores
    theirs = _fit(candidates, options.data) / cores
    print(f"archsearch {ours:,.0f}, fit {theirs:,.0f} images a core-second: {ours / theirs:.2f} times")


def _archsearch(candidates: Sequence[Candidate], images: ImageSet, workers: int) -> float:
    """Images a second."""
    _, held_out = train_test_split(np.arange(len(images)), test_size=HELD_OUT, stratify=images.labels, random_state=0)
    recipes = (candidate.recipe.model_copy(update={"epochs": float(EPOCHS)}) for candidate in candidates)
    jobs = [
        TrialJob(
            trial=number,
            candidate=candidate.model_copy(update={"recipe": recipe}),
            images=images.path,
            folds=(held_out.astype(np.int32),),
            points=(1 / EPOCHS, 1.0),
            seed=0,
        )
        for number, (candidate, recipe) in enumerate(zip(candidates, recipes, strict=True))
    ]
    executor = LocalExecutor(workers)
    # The server that workers are forked from starts with the first job.
    executor.submit(jobs[-1])
    executor.stop(jobs[-1].trial)
    _wait(executor)
    started, running = time.perf_counter(), 0
    for job in jobs:
        if running == workers:
            running -= _wait(executor)
        executor.submit(job)
        running += 1
    while running:
        running -= _wait(executor)
    seconds = time.perf_counter() - started
    executor.close()
    return len(jobs) * EPOCHS * (len(images) - len(held_out)) / seconds


def _wait(executor: LocalExecutor) -> int:
    """How many jobs have ended; at least one has."""
    while True:
        outcomes = [event for event in executor.events(1.0) if isinstance(event, Outcome)]
        for outcome in outcomes:
            if outcome.state == "failed":
                sys.exit(f"network {outcome.trial}: {outcome.error}")
        if outcomes:
            return len(outcomes)


def _fit(candidates: Sequence[Candidate], data: Path) -> float:
    """Images a second."""
    x, y, held_out, labels = training_images(data, 0)
    started = time.perf_counter()
    for candidate in candidates:
        model = compiled(candidate, len(x), EPOCHS, candidate.recipe.schedule)
        model.fit(x, y, BATCH_SIZE, EPOCHS, validation_data=(held_out, labels), verbose=0)
    return len(candidates) * EPOCHS * len(x) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
