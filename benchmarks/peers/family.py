"""The networks of search_spaces/mnist.yaml as plain Keras models, and the images that every peer gets."""

from functools import cache
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from archsearch.model.build import build
from archsearch.space.architecture import Candidate, Task
from archsearch.space.cost import cost
from archsearch.space.load import Space, load_space
from archsearch.space.sample import Chooser, FixedChooser, RecordingChooser, sample

TASK = Task(height=28, width=28, channels=1, classes=10)
EPOCHS = 10
"""At most, for one network: as many as KerasTuner's tutorial gives Hyperband."""
BATCH_SIZE = 128
SCHEDULES = ("constant", "cosine")
"""As the peers' documentation has it, and as archsearch trains."""
HELD_OUT = 0.2
NORM_MOMENTUM = 0.9
"""With Keras's 0.99 the scores of the first epoch are noise."""
SMALLER: tuple[dict[str, int], ...] = ({}, {"width": 12}, {"width": 8}, {"width": 8, "stages.0.depth": 1})

Pixels = NDArray[np.float32]
Labels = NDArray[np.int64]


def draw(chooser: Chooser) -> Candidate:
    """A network of the family.

    The tools know nothing of limits, so that half of what they draw would be too large for those of the file: it is
    made narrower, and then shallower, until it fits.

    Args:
        chooser: Who decides.
    """
    recording = RecordingChooser(chooser)
    sample(_space(), recording, TASK)
    for change in SMALLER:
        candidate = sample(_space(), FixedChooser({**recording.point, **change}), TASK)
        size = cost(candidate.architecture)
        if all(getattr(size, name) <= most for name, most in _space().limits.items()):
            break
    return candidate


@cache
def _space() -> Space:
    return load_space(Path(__file__).with_name("family.yaml"))


def compiled(candidate: Candidate, images: int, epochs: int, schedule: str) -> keras.Model:
    """A Keras model for `fit`, from pixels (N, 28, 28, 1), 0 to 255, to probabilities; labels are whole numbers.

    Args:
        candidate: What to build.
        images: That an epoch goes over.
        epochs: For which it trains, if nothing stops it; a cosine schedule is over by then.
        schedule: Of the learning rate, one of `SCHEDULES`.
    """
    model = build(candidate.architecture, NORM_MOMENTUM)
    rate = candidate.recipe.optimizer.learning_rate
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, -(-images // BATCH_SIZE) * epochs)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def training_images(path: Path, seed: int) -> tuple[Pixels, Labels, Pixels, Labels]:
    """Images (N, 28, 28, 1), 0 to 255, and labels (N,) to train on, and a stratified fifth of all to select by."""
    x, y = _read(path, "train")
    trained, held_out = train_test_split(np.arange(len(y)), test_size=HELD_OUT, stratify=y, random_state=seed)
    return x[trained], y[trained], x[held_out], y[held_out]


def test_images(path: Path) -> tuple[Pixels, Labels]:
    """Images (N, 28, 28, 1), 0 to 255, and labels (N,) that nobody selects by."""
    return _read(path, "test")


def _read(path: Path, part: str) -> tuple[Pixels, Labels]:
    with np.load(path) as file:
        return file[f"x_{part}"][..., None].astype(np.float32), file[f"y_{part}"].astype(np.int64)
