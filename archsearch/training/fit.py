"""Training one network: a lean step that is traced once and serves every fold."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.errors import TrialError
from archsearch.model.build import build, build_for_training
from archsearch.space.architecture import SGD, Adam, AdamW, Candidate, Lion, Optimizer, Recipe
from archsearch.training.pipeline import augmented, mixup, ordered_batches, shuffled_batches

EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Score:
    """Mean loss in nats, and share of images whose class was named right."""

    loss: float
    accuracy: float


class Fold(NamedTuple):
    """What a network is trained and scored on, and who is told.

    Attributes:
        images: Where the indices point.
        training: Images to train on, (n,) int32.
        held_out: Images to score after each epoch, (m,) int32.
        on_epoch: Called after each epoch with its number from 1, how many there will be, the scores on training and on
            held-out images, and the seconds that it took.
        between_steps: Called before each step; what it raises ends the training.
    """

    images: ImageSet
    training: NDArray[np.int32]
    held_out: NDArray[np.int32]
    on_epoch: Callable[[int, int, Score, Score, float], None]
    between_steps: Callable[[], None]


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
        self._optimizer = build_optimizer(recipe.optimizer, self._model.trainable_variables)
        self._schedule = learning_rate(recipe, steps * recipe.epochs)
        self._start = [v.numpy() for v in (*self._model.weights, *self._optimizer.variables)]
        self._totals = tf.Variable(tf.zeros(2))
        self._classes = candidate.architecture.task.classes
        self._weights = tf.Variable(tf.ones(self._classes)) if recipe.class_weights == "balanced" else None
        pixels = tf.TensorSpec((None, *self._model.input_shape[1:]), tf.uint8)
        labels = tf.TensorSpec((None,), tf.int32)
        # Autograph has no Python control flow to find here, only time to spend.
        self._step = tf.function(self._train_step, input_signature=(pixels, labels), autograph=False)
        self._score = tf.function(self._score_step, input_signature=(pixels, labels), autograph=False)

    def reset(self) -> None:
        """Back to the initial weights and a fresh optimizer, without tracing again."""
        for variable, value in zip((*self._model.weights, *self._optimizer.variables), self._start, strict=True):
            variable.assign(value)

    def train(self, fold: Fold) -> None:
        """Trains from the start, for all epochs of the recipe. Raises TrialError if the loss is no longer a number."""
        self.reset()
        epochs = self._candidate.recipe.epochs
        for number in range(1, epochs + 1):
            started = time.perf_counter()
            fitted = self.epoch(fold.images, fold.training, fold.between_steps)
            scored = self.evaluate(fold.images, fold.held_out)
            fold.on_epoch(number, epochs, fitted, scored, time.perf_counter() - started)

    def epoch(self, images: ImageSet, indices: NDArray[np.int32], between_steps: Callable[[], None]) -> Score:
        """Trains once over `indices`.

        Args:
            images: Where the indices point.
            indices: Of the training images, (n,) int32; balanced class weights are those of their labels.
            between_steps: Called before each step; what it raises ends the epoch.

        Returns:
            Means over the images as they were trained on, augmented, while the weights changed. The loss is what was
            minimised, with smoothed labels and weighted classes; of two blended images the larger one's class is right.

        Raises:
            TrialError: The loss is no longer a number.
        """
        if self._weights is not None:
            self._weights.assign(balanced_weights(images.labels[indices], self._classes))
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
        """Scores the network as it is on `indices`, (n,) int32: plain cross-entropy of images as they are."""
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
        recipe = self._candidate.recipe
        images = augmented(tf.cast(pixels, tf.float32), recipe.augment)
        if recipe.augment.mixup:
            images, others, share = mixup(images, labels, recipe.augment.mixup)
        with tf.GradientTape() as tape:
            logits = self._model(images, training=True)
            losses = cross_entropy(logits, labels, recipe.label_smoothing, self._weights)
            if recipe.augment.mixup:
                of_others = cross_entropy(logits, others, recipe.label_smoothing, self._weights)
                losses = share * losses + (1.0 - share) * of_others
            loss = tf.reduce_mean(losses)
        variables = self._model.trainable_variables
        # Given to the optimizer, the schedule would be traced again for each variable that decays.
        self._optimizer.learning_rate = self._schedule(self._optimizer.iterations)
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        self._count(losses, logits, labels)

    def _score_step(self, pixels: Any, labels: Any) -> None:
        logits = self._model(tf.cast(pixels, tf.float32), training=False)
        self._count(cross_entropy(logits, labels), logits, labels)

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


def cross_entropy(logits: Any, labels: Any, smoothing: float = 0.0, weights: Any = None) -> Any:
    """Cross-entropy of each image in nats.

    Args:
        logits: (N, classes) float32.
        labels: (N,) int32.
        smoothing: Share of each label that is spread over all classes, 0 to 1 (Szegedy et al. 2015,
            https://arxiv.org/abs/1512.00567).
        weights: (classes,) float32, by which an image of each class is multiplied; None is 1 for all.

    Returns:
        (N,) float32.
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    if smoothing:
        spread = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)
        losses = (1.0 - smoothing) * losses + smoothing * spread
    if weights is not None:
        losses *= tf.gather(weights, labels)
    return losses


def balanced_weights(labels: NDArray[np.int32], classes: int) -> NDArray[np.float32]:
    """Weights by which all classes that occur count the same, and an image 1 on average.

    Args:
        labels: (n,) int32, 0 to `classes` - 1.
        classes: How many there are; those that do not occur get 0.

    Returns:
        (classes,) float32: n / (classes that occur * images of the class).
    """
    counts = np.bincount(labels, minlength=classes)
    shares = np.divide(len(labels), counts, out=np.zeros(classes), where=counts > 0)
    return (shares / np.count_nonzero(counts)).astype(np.float32)


def build_optimizer(settings: Optimizer, variables: list[Any]) -> keras.optimizers.Optimizer:
    """Keras's optimizer, ready for `variables`.

    Only kernels decay: pulling biases, or the scales and offsets of norms, towards 0 constrains a network without
    making it simpler (He et al. 2018, section 3.1, https://arxiv.org/abs/1812.01187).

    Args:
        settings: Which one, and how; its learning rate is only the first, see `learning_rate`.
        variables: Keras variables to train.
    """
    rate = settings.learning_rate
    match settings:
        case Adam():
            optimizer = keras.optimizers.Adam(rate)
        case AdamW():
            optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
        case SGD():
            optimizer = keras.optimizers.SGD(
                rate, momentum=settings.momentum, nesterov=True, weight_decay=settings.weight_decay or None
            )
        case Lion():
            optimizer = keras.optimizers.Lion(rate, weight_decay=settings.weight_decay or None)
    optimizer.exclude_from_weight_decay(var_list=[v for v in variables if v.name != "kernel"])
    optimizer.build(variables)
    return optimizer


def learning_rate(recipe: Recipe, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """From the number of a step, 0 to `steps` - 1, to its learning rate.

    With warm-up it rises from 0 along a straight line (Goyal et al. 2017, https://arxiv.org/abs/1706.02677); then it
    stays, or falls to 0 along half a cosine (Loshchilov & Hutter 2016, https://arxiv.org/abs/1608.03983).
    """
    rate = recipe.optimizer.learning_rate
    warmup = round(recipe.warmup * steps)
    schedules = keras.optimizers.schedules
    match recipe.schedule, warmup:
        case "constant", 0:
            return schedules.PolynomialDecay(rate, steps, end_learning_rate=rate)
        case "constant", _:
            return schedules.PolynomialDecay(0.0, warmup, end_learning_rate=rate)
        case "cosine", 0:
            return schedules.CosineDecay(rate, steps)
        case "cosine", _:
            return schedules.CosineDecay(0.0, steps - warmup, warmup_target=rate, warmup_steps=warmup)
