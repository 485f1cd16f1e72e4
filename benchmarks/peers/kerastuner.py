"""The family as KerasTuner wants it, and what its tuners share."""

from collections.abc import Sequence
from typing import Any, cast

import keras
import keras_tuner

from archsearch.space.sample import Scalar
from benchmarks.peers.family import BATCH_SIZE, EPOCHS, compiled, draw, training_images
from benchmarks.peers.progress import Options, Progress

PATIENCE = 5
"""Of early stopping, as in KerasTuner's tutorial."""


class HpChooser:
    """Draws from KerasTuner's `hp`."""

    def __init__(self, hp: keras_tuner.HyperParameters) -> None:
        self._hp = hp

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        return cast("Scalar", self._hp.Choice(name, list(options)))

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        return int(self._hp.Int(name, low, high, step))

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        return float(self._hp.Float(name, low, high, sampling="log" if log else "linear"))


class Family(keras_tuner.HyperModel):  # type: ignore[misc]
    """A HyperModel whose schedule fits the epochs that the tuner gives a network."""

    def __init__(self, images: int, schedule: str, progress: Progress) -> None:
        super().__init__()
        self._images = images
        self._schedule = schedule
        self._progress = progress

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        given = hp.values.get("tuner/epochs", EPOCHS) - hp.values.get("tuner/initial_epoch", 0)
        return compiled(draw(HpChooser(hp)), self._images, given, self._schedule)

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, callbacks: list[Any], **kwargs: Any
    ) -> keras.callbacks.History:
        # Not handed to `search`: tuners copy the callbacks that they are given.
        return model.fit(*args, callbacks=[*callbacks, self._progress], **kwargs)


def search(kind: type[keras_tuner.Tuner], options: Options, **settings: Any) -> None:
    """Has a tuner of `kind` search until the time is over, as KerasTuner's tutorial does.

    https://www.tensorflow.org/tutorials/keras/keras_tuner

    Args:
        kind: The tuner.
        options: Of the process.
        settings: Of the tuner.
    """
    x, y, held_out, labels = training_images(options.data, options.seed)
    model = Family(len(x), options.schedule, Progress(options.log))
    tuner = kind(model, objective="val_accuracy", seed=options.seed, directory=options.log.parent, **settings)
    tuner.search(
        x,
        y,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=(held_out, labels),
        callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE)],
        verbose=0,
    )
