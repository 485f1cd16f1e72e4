"""Training one network: a lean step that is traced once and serves every fold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.errors import TrialError
from archsearch.model.build import build, build_for_training
from archsearch.space.architecture import SGD, Adam, AdamW, Candidate, Recipe
from archsearch.training.pipeline import ordered_batches, shuffled_batches, warp

EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy in nats, and share of images whose class was named right."""

    loss: float
    accuracy: float


class Trainer:
    """Trains a candidate on some images, from the start as often as `reset` is called.

    Args:
        candidate: What to train, and how.
        images_per_epoch: How many images one epoch goes over; the learning rate's schedule is laid out for them.
        seed: Of initial weights, order, dropout and augmentation.
    """

    def __init__(self, candidate: Candidate, images_per_epoch: int, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        self._candidate = candidate
        self._random = np.random.default_rng(seed)
        recipe = candidate.recipe
        self.batch_size = min(recipe.batch_size, images_per_epoch)
        steps = images_per_epoch // self.batch_size
        self._model = build_for_training(candidate.architecture, norm_momentum(steps))
        self._optimizer = _optimizer(recipe, steps * recipe.epochs)
        self._optimizer.build(self._model.trainable_variables)
        self._start = [v.numpy() for v in (*self._model.weights, *self._optimizer.variables)]
        self._totals = tf.Variable(tf.zeros(2))
        pixels = tf.TensorSpec((None, *self._model.input_shape[1:]), tf.uint8)
        labels = tf.TensorSpec((None,), tf.int32)
        # Autograph has no Python control flow to find here, only time to spend.
        self._step = tf.function(self._train_step, input_signature=(pixels, labels), autograph=False)
        self._score = tf.function(self._score_step, input_signature=(pixels, labels), autograph=False)

    def reset(self) -> None:
        """Back to the initial weights and a fresh optimizer, without tracing again."""
        for variable, value in zip((*self._model.weights, *self._optimizer.variables), self._start, strict=True):
            variable.assign(value)

    def epoch(self, images: ImageSet, indices: NDArray[np.int32], between_steps: Callable[[], None]) -> Score:
        """Trains once over `indices`.

        Args:
            images: Where the indices point.
            indices: Of the training images, (n,) int32.
            between_steps: Called before each step; what it raises ends the epoch.

        Returns:
            Means over the images as they were trained on, augmented, while the weights changed.

        Raises:
            TrialError: The loss is no longer a number.
        """
        self._totals.assign([0.0, 0.0])
        for pixels, labels in shuffled_batches(images, indices, self.batch_size, self._random):
            between_steps()
            self._step(pixels, labels)
        score = self._mean(len(indices) // self.batch_size * self.batch_size)
        if not np.isfinite(score.loss):
            rate = self._candidate.recipe.optimizer.learning_rate
            raise TrialError(f"the training loss became {score.loss}; the learning rate was {rate:.3g}")
        return score

    def evaluate(self, images: ImageSet, indices: NDArray[np.int32]) -> Score:
        """Scores the network as it is on `indices`, (n,) int32, without augmentation."""
        self._totals.assign([0.0, 0.0])
        for pixels, labels in ordered_batches(images, indices, EVALUATION_BATCH):
            self._score(pixels, labels)
        return self._mean(len(indices))

    def model(self) -> keras.Model:
        """The network as it is, as the model to ship (`build`)."""
        model = build(self._candidate.architecture)
        model.set_weights(self._model.get_weights())
        return model

    def _train_step(self, pixels: Any, labels: Any) -> None:
        images = warp(tf.cast(pixels, tf.float32), self._candidate.recipe.augment)
        with tf.GradientTape() as tape:
            logits = self._model(images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        variables = self._model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        self._count(losses, logits, labels)

    def _score_step(self, pixels: Any, labels: Any) -> None:
        logits = self._model(tf.cast(pixels, tf.float32), training=False)
        self._count(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), logits, labels)

    def _count(self, losses: Any, logits: Any, labels: Any) -> None:
        right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
        self._totals.assign_add([tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))])

    def _mean(self, count: int) -> Score:
        loss, right = self._totals.numpy() / count
        return Score(float(loss), float(right))


def norm_momentum(steps_per_epoch: int) -> float:
    """Momentum of batch normalisation's moving averages that has caught up within a tenth of an epoch.

    Keras's 0.99 is meant for thousands of steps: scores of short runs made with it are noise.
    """
    return 1.0 - 1.0 / float(np.clip(steps_per_epoch / 10, 2, 100))


def _optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    settings = recipe.optimizer
    rate: Any = settings.learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    match settings:
        case Adam():
            return keras.optimizers.Adam(rate)
        case AdamW():
            return keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
        case SGD():
            return keras.optimizers.SGD(rate, momentum=settings.momentum, nesterov=True)
