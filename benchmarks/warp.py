"""What augmentation costs the smallest useful model, in processor time of one thread; the warp may take 15 %.

Usage: python benchmarks/warp.py

The baseline of search_spaces/mnist.yaml (width 8, about 1 MFLOP) and that of cifar.yaml, on noise, in batches of 128.
Each kind of change has its own training step; they take turns, and the best of their turns counts.
"""

import time
from pathlib import Path

import numpy as np

from archsearch.search.executors.processes import configure_tensorflow
from archsearch.space.architecture import Augment, Task
from archsearch.space.load import load_space
from archsearch.space.sample import FixedChooser, baseline_point, sample
from archsearch.training.fit import Trainer

SPACES = Path(__file__).parents[1] / "search_spaces"
TASKS = {
    "mnist": Task(height=28, width=28, channels=1, classes=10),
    "cifar": Task(height=32, width=32, channels=3, classes=10),
}
CHANGES = {
    "warp": Augment(rotate=10.0, shift=0.08, zoom=0.08, shear=5.0, flip=0.5),
    "flip": Augment(flip=0.5),
    "cutout": Augment(cutout=0.2),
    "erase": Augment(erase=0.5),
    "mixup": Augment(mixup=0.2),
}
BATCH, TURNS, STEPS = 128, 10, 30


def main() -> None:
    configure_tensorflow(1)
    print(f"{'model':<8}{'change':<8}{'ms a step':>10}{'of it':>8}{'first step s':>14}")
    for name, task in TASKS.items():
        measured, first = _measured(name, task)
        plain = measured.pop("none")
        print(f"{name:<8}{'none':<8}{plain * 1e3:>10.2f}{'':>8}{first['none']:>14.2f}")
        for change, seconds in measured.items():
            print(f"{name:<8}{change:<8}{seconds * 1e3:>10.2f}{1 - plain / seconds:>8.1%}{first[change]:>14.2f}")


def _measured(name: str, task: Task) -> tuple[dict[str, float], dict[str, float]]:
    """Processor seconds of a step, and of tracing, compiling and taking the first one, by the kind of change."""
    space = load_space(SPACES / f"{name}.yaml")
    candidate = sample(space, FixedChooser(baseline_point(space, task)), task)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (BATCH, task.height, task.width, task.channels), dtype=np.uint8)
    labels = generator.integers(0, task.classes, BATCH).astype(np.int32)
    trainers, first = {}, {}
    for change, augment in {"none": Augment(), **CHANGES}.items():
        recipe = candidate.recipe.model_copy(update={"augment": augment})
        trainers[change] = Trainer(candidate.model_copy(update={"recipe": recipe}), 50_000, 0)
        first[change] = _seconds(trainers[change], pixels, labels, 1)
    turns = [
        {change: _seconds(trainer, pixels, labels, STEPS) / STEPS for change, trainer in trainers.items()}
        for _ in range(TURNS)
    ]
    return {change: min(turn[change] for turn in turns) for change in trainers}, first


def _seconds(trainer: Trainer, pixels: np.ndarray, labels: np.ndarray, steps: int) -> float:
    started = time.process_time()
    for _ in range(steps):
        trainer._step(pixels, labels, 1e-3)
    return time.process_time() - started


if __name__ == "__main__":
    main()
