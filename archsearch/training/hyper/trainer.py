"""Training and scoring the models of a `HyperModel`."""

import time
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.errors import Diverged
from archsearch.space.hyper import HyperCandidate
from archsearch.training.environment import all_of_float32
from archsearch.training.fit import Fold
from archsearch.training.hyper.fit import call_fit, fit_result
from archsearch.training.hyper.loading import load_hypermodel, trains_itself
from archsearch.training.hyper.model import build_model, fit_labels, input_shape, scales_itself, shipped
from archsearch.training.job import Point, Score
from archsearch.training.pipeline import ordered_batches

EVALUATION_BATCH = 250
ACCURACIES = ("accuracy", "acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy")
"""Under which of these names Keras logs the training accuracy depends on how the model was compiled."""


class _Watch(keras.callbacks.Callback):
    """Looks up before each step, and says when an epoch is over."""

    def __init__(self, fold: Fold, over: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._between_steps = fold.between_steps
        self._progress = fold.progress
        self._over = over
        self.steps = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._between_steps()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1
        if self._progress(0.0) >= 1.0:  # the time is over, wherever the user's recipe is
            self.model.stop_training = True

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._between_steps()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._between_steps()
        self._over(logs or {})


class HyperTrainer:
    """Trains one candidate, each time from the start.

    Args:
        candidate: What to build, and how long to train it.
        seed: Of initial weights, order and dropout.
    """

    def __init__(self, candidate: HyperCandidate, seed: int) -> None:
        self._candidate = candidate
        self._seed = seed
        self._hypermodel = load_hypermodel(candidate.code, candidate.task)
        self._shipped: Any = None

    def train(self, fold: Fold) -> None:
        """Builds the model anew and trains it.

        `fold.on_point` is called after each epoch, whatever `fold.points` says: the user's `fit` decides what an epoch
        is. The last call has the number of epochs that there were; it is that of the end, even if `fit` has never
        called its callbacks. `fold.between_steps` is called before each step that Keras's callbacks know of.

        Raises:
            TrialError: `fit` returned something that says nothing; Diverged if the loss is no number.
            Exception: Whatever `build` and `fit` raise.
        """
        hp = self._build()
        if trains_itself(self._hypermodel):
            self._fit_own(hp, fold)
        else:
            self._fit_plain(fold)

    def evaluate(self, images: ImageSet, indices: NDArray[np.int32]) -> Score:
        """Scores the model as it is on `indices`, (n,) int32."""
        loss, right = 0.0, 0
        for pixels, labels in ordered_batches(images, indices, EVALUATION_BATCH):
            given = self._shipped.predict_on_batch(pixels.astype(np.float32))
            loss -= float(np.log(np.clip(given[np.arange(len(labels)), labels], 1e-7, 1.0)).sum())
            right += int((given.argmax(axis=1) == labels).sum())
        return Score(loss / len(indices), right / len(indices))

    def probabilities(self, images: ImageSet, indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """What the model as it is says of each image: (n, classes) float32."""
        batches = ordered_batches(images, indices, EVALUATION_BATCH)
        with all_of_float32():
            return np.concatenate([self._shipped.predict_on_batch(pixels.astype(np.float32)) for pixels, _ in batches])

    def model(self) -> keras.Model:
        """The model as it is, as the one to ship (`shipped`); untrained before `train`."""
        if self._shipped is None:
            self._build()
        return self._shipped

    def _build(self) -> keras_tuner.HyperParameters:
        keras.utils.clear_session()
        keras.utils.set_random_seed(self._seed)
        hp = keras_tuner.HyperParameters()
        hp.values = dict(self._candidate.values)
        self._hypermodel.declare_hyperparameters(hp)
        self._model = build_model(self._hypermodel, hp, self._candidate.task)
        self._shipped = shipped(self._model, self._candidate.task)
        return hp

    def _fit_plain(self, fold: Fold) -> None:
        epochs = self._candidate.recipe.epochs
        clock = _Clock()

        def over(logs: Mapping[str, Any]) -> None:
            fitted = self._fitted(logs, fold)
            scored = self.evaluate(fold.images, fold.held_out)
            point = _point(fold, clock.count + 1, epochs, fitted, scored, clock.lap())
            trained = watch.steps * self._candidate.recipe.batch_size  # of an epoch that was cut short, a part
            fold.on_point(point._replace(images=min(point.images, trained)))

        watch = _Watch(fold, over)
        self._model.fit(
            self._dataset(fold.images, fold.training),
            epochs=epochs,
            callbacks=[watch],
            verbose=0,
            shuffle=False,
        )

    def _fit_own(self, hp: Any, fold: Fold) -> None:
        clock = _Clock()
        # Which epoch is the last shows only when `fit` returns, perhaps with other weights: one is always kept back.
        kept: list[tuple[Score, Score, float]] = []

        def over(logs: Mapping[str, Any]) -> None:
            pass_on()
            fitted = self._fitted(logs, fold)
            scored = self.evaluate(fold.images, fold.held_out)
            kept.append((fitted, scored, clock.lap()))

        def pass_on() -> None:
            if kept:
                expected = max(self._candidate.recipe.epochs, clock.count + 1)
                fold.on_point(_point(fold, clock.count, expected, *kept.pop()))

        data, held = self._arrays(fold.images, fold.training), self._arrays(fold.images, fold.held_out)
        watch = _Watch(fold, over)
        returned = fit_result(
            call_fit(self._hypermodel.fit, hp, self._model, *data, held, self._candidate.recipe, watch)
        )
        scored = self.evaluate(fold.images, fold.held_out)
        scored = Score(returned.get("val_loss", scored.loss), returned.get("val_accuracy", scored.accuracy))
        if not kept:
            kept.append((self._fitted(returned, fold), scored, clock.lap()))
        fitted, _, seconds = kept.pop()
        fold.on_point(_point(fold, clock.count, clock.count, fitted, scored, seconds))

    def _fitted(self, logs: Mapping[str, Any], fold: Fold) -> Score:
        """The training score: as logged, or measured on some of the images where it is not."""
        loss = logs.get("loss")
        if loss is not None and not isfinite(loss):
            raise Diverged(f"the training loss became {loss}")
        accuracy = next((logs[name] for name in ACCURACIES if name in logs), None)
        if loss is None or accuracy is None:
            measured = self.evaluate(fold.images, fold.training[:EVALUATION_BATCH])
            loss = measured.loss if loss is None else loss
            accuracy = measured.accuracy if accuracy is None else accuracy
        return Score(float(loss), float(accuracy))

    def _arrays(self, images: ImageSet, indices: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        task = self._candidate.task
        x = images.images[indices].astype(np.float32).reshape(-1, *input_shape(self._model, task))
        return x if scales_itself(self._model) else x / np.float32(255), fit_labels(
            self._model, images.labels[indices], task
        )

    def _dataset(self, images: ImageSet, indices: NDArray[np.int32]) -> tf.data.Dataset:
        """Shuffled batches without autotune, which would have `fit` wait at its end."""
        task = self._candidate.task
        shape = input_shape(self._model, task)
        scale = 1.0 if scales_itself(self._model) else 1 / 255
        pixels = tf.constant(images.images[indices])
        labels = tf.constant(fit_labels(self._model, images.labels[indices], task))

        def batch(chosen: Any) -> tuple[Any, Any]:
            x = tf.cast(tf.gather(pixels, chosen), tf.float32) * scale
            return tf.reshape(x, (-1, *shape)), tf.gather(labels, chosen)

        options = tf.data.Options()
        options.autotune.enabled = False
        order = tf.data.Dataset.range(len(indices)).shuffle(len(indices), seed=self._seed)
        return order.batch(self._candidate.recipe.batch_size).map(batch).with_options(options)


def _point(fold: Fold, epoch: int, epochs: int, fitted: Score, scored: Score, seconds: float) -> Point:
    return Point(epoch, epochs, epoch * len(fold.training), fitted, scored, seconds)


class _Clock:
    """Counts epochs and takes their time."""

    def __init__(self) -> None:
        self.count = 0
        self._since = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        self.count += 1
        return seconds
