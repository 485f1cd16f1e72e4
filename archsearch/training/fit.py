"""Training one network: a lean step that is traced once and serves every fold."""

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from math import cos, pi
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.errors import Diverged
from archsearch.model.build import build, build_for_training
from archsearch.space.architecture import Candidate, Custom, Recipe
from archsearch.training.environment import all_of_float32
from archsearch.training.job import CHECKED, Point, Score
from archsearch.training.numerics import dtype_policy, numerics_here
from archsearch.training.optimizer import LeanOptimizer
from archsearch.training.optimizer import build_optimizer as build_optimizer
from archsearch.training.pipeline import augmented, compiled_warp, mixup, ordered_batches, shuffled_batches, warps

EVALUATION_BATCH = 250
"""On a CPU larger batches are slower: they leave its caches, and the first one takes a second to find its memory."""


class Fold(NamedTuple):
    """What a network is trained and scored on, and who is told.

    Attributes:
        images: Where the indices point.
        training: Images to train on, (n,) int32.
        held_out: Images to score, (m,) int32; may be none.
        points: When to score and tell: shares of the training, ascending, above 0; the end is always one.
        on_point: Told at each point.
        between_steps: Called before each step; what it raises ends the training.
        progress: From the share of the steps that are done to the share of the training that is over, which decides the
            learning rate; at 1 the training ends. A clock in it makes a training end in time with its schedule whole.
    """

    images: ImageSet
    training: NDArray[np.int32]
    held_out: NDArray[np.int32]
    points: Sequence[float]
    on_point: Callable[[Point], None]
    between_steps: Callable[[], None]
    progress: Callable[[float], float] = lambda done: done


class Trainer:
    """Trains a candidate, from the same start each time.

    Args:
        candidate: What to train, and how.
        images_per_epoch: About how many images one epoch goes over; batch normalisation is set for them.
        seed: Of initial weights, order, dropout and augmentation.
        branches: Parts of a batch that go through the network side by side, each on a thread of its own
            (`training.branches`). Batch normalisation is over each part then.
    """

    def __init__(self, candidate: Candidate, images_per_epoch: int, seed: int, branches: int = 1) -> None:
        keras.utils.set_random_seed(seed)
        if warps(candidate.recipe.augment):
            task = candidate.architecture.task
            compiled_warp(
                task.height, task.width, task.channels
            )  # before all else, so that its name is always the same
        self._candidate = candidate
        self._seed = seed
        self._random = tf.random.Generator.from_seed(seed)
        recipe = candidate.recipe
        self.batch_size = min(recipe.batch_size, images_per_epoch)
        self._branches = branches
        steps = images_per_epoch // self.batch_size * recipe.epochs
        has_own_code = any(isinstance(each, Custom) for stage in candidate.architecture.stages for each in stage.blocks)
        self._numerics = numerics_here(steps, has_own_code)
        if self._numerics.is_repeatable:
            tf.config.experimental.enable_op_determinism()
        with dtype_policy(self._numerics.policy):
            self._model = build_for_training(candidate.architecture, norm_momentum(steps * branches))
        self._optimizer = LeanOptimizer(recipe.optimizer, self._model.trainable_variables)
        self._state = [*self._model.variables, *self._optimizer.variables, self._random.state]
        self._start = [variable.numpy() for variable in self._state]
        self._is_fresh = True
        self._totals = tf.Variable(tf.zeros(2))
        self._classes = candidate.architecture.task.classes
        self._weights = tf.Variable(tf.ones(self._classes)) if recipe.class_weights == "balanced" else None
        self._batch = tf.TensorSpec((None, *self._model.input_shape[1:]), tf.uint8), tf.TensorSpec((None,), tf.int32)

    # A concrete function is called in half the time of a `tf.function`, which looks at its arguments first. Autograph
    # would find no Python control flow in these, only spend time.

    @cached_property
    def _step(self) -> Callable[..., None]:
        rate = tf.TensorSpec((), tf.float32)
        return _concrete(tf.function(self._train_step, (*self._batch, rate), autograph=False))

    @cached_property
    def _score(self) -> Callable[..., None]:
        return _concrete(tf.function(self._score_step, self._batch, autograph=False))

    @cached_property
    def _answer(self) -> Callable[..., Any]:
        return tf.function(self._answer_step, self._batch[:1], autograph=False)  # type: ignore[no-any-return]

    def _logits(self, images: Any, training: bool) -> Any:
        return tf.cast(self._model(images, training=training), tf.float32)

    def trace(self) -> None:
        """Traces the training step, which is otherwise done when the first one is taken."""
        _ = self._step

    def reset(self) -> None:
        """Back to the initial weights, a fresh optimizer and the first random numbers, without tracing again."""
        if not self._is_fresh:
            for variable, value in zip(self._state, self._start, strict=True):
                variable.assign(value)

    def train(self, fold: Fold) -> None:
        """Trains from the start, as the recipe says; what was trained before makes no difference.

        Balanced class weights are those of the fold's training labels. The score on training images is of them as they
        were trained on, augmented, while the weights changed: the loss is what was minimised, with smoothed labels and
        weighted classes; of two blended images the larger one's class is right.

        Raises:
            Diverged: The loss is no longer a number.
        """
        self.reset()
        self._is_fresh = False
        recipe, images = self._candidate.recipe, len(fold.training)
        if self._weights is not None:
            self._weights.assign(balanced_weights(fold.images.labels[fold.training], self._classes))
        steps = max(1, round(recipe.epochs * images / self.batch_size))
        points = {max(1, round(share * steps)) for share in fold.points} | {steps}
        order = np.random.default_rng(self._seed)
        batches = shuffled_batches(fold.images, fold.training, self.batch_size, order)
        trained, told, started = 0, 0, time.perf_counter()
        fitted = Score(0.0, 0.0)
        self._totals.assign([0.0, 0.0])
        for step in range(1, steps + 1):
            fold.between_steps()
            over = fold.progress((step - 0.5) / steps)
            if over < 1.0:
                self._step(*next(batches), learning_rate(recipe, over))
                trained += self.batch_size
            last = over >= 1.0 or step == steps
            if last or step in points:
                if trained > told:
                    fitted = self._fitted(trained - told)
                scored = self._scored(fold, last)
                epoch = recipe.epochs if last else recipe.epochs * step / steps
                seconds = time.perf_counter() - started
                fold.on_point(Point(epoch, recipe.epochs, trained, fitted, scored, seconds))
                told, started = trained, time.perf_counter()
                self._totals.assign([0.0, 0.0])
            if last:
                return

    def _fitted(self, images: int) -> Score:
        score = self._mean(images)
        if not np.isfinite(score.loss):
            rate = self._candidate.recipe.optimizer.learning_rate
            raise Diverged(f"the training loss became {score.loss}; the learning rate was {rate:.3g}")
        return score

    def _scored(self, fold: Fold, last: bool) -> Score | None:
        held_out = fold.held_out if last else checked(fold.held_out)
        return self.evaluate(fold.images, held_out) if len(held_out) else None

    def evaluate(self, images: ImageSet, indices: NDArray[np.int32]) -> Score:
        """Scores the network as it is on `indices`, (n,) int32: plain cross-entropy of images as they are."""
        self._totals.assign([0.0, 0.0])
        for pixels, labels in ordered_batches(images, indices, EVALUATION_BATCH):
            self._score(pixels, labels)
        return self._mean(len(indices))

    def probabilities(self, images: ImageSet, indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """What the network as it is says of each image, calculated as the model to ship does: (n, classes) float32."""
        batches = ordered_batches(images, indices, EVALUATION_BATCH)
        answer = self._answer if self._numerics.policy == "float32" else self.model()
        with all_of_float32():
            return np.concatenate([answer(tf.constant(pixels)).numpy() for pixels, _ in batches])

    def model(self) -> keras.Model:
        """The network as it is, as the model to ship (`build`)."""
        model = build(self._candidate.architecture)
        model.set_weights(self._model.get_weights())
        return model

    def _train_step(self, pixels: Any, labels: Any, rate: Any) -> None:
        parts = [self._prepared(some, of_some) for some, of_some in self._parts(pixels, labels)]
        self._update(parts, tf.shape(labels)[0], rate)

    @cached_property
    def _update(self) -> Callable[..., None]:
        """From prepared images to a step of the optimizer: what XLA can compile, and what is worth it."""
        if not self._numerics.is_compiled:
            return self._update_step
        return tf.function(self._update_step, autograph=False, jit_compile=True)  # type: ignore[no-any-return]

    def _update_step(self, parts: list[tuple[Any, ...]], count: Any, rate: Any) -> None:
        by_part = [self._gradients(count, *part) for part in parts]
        gradients = by_part[0] if len(parts) == 1 else [tf.add_n(same) for same in zip(*by_part, strict=True)]
        self._optimizer.apply(gradients, rate)

    def _prepared(self, pixels: Any, labels: Any) -> tuple[Any, ...]:
        """What a part of a batch trains on: augmented images, their labels, and what is blended into them, if anything
        is: the others' labels, and the share of the first."""
        augment = self._candidate.recipe.augment
        images = augmented(tf.cast(pixels, tf.float32), augment, self._random)
        if not augment.mixup:
            return images, labels, None, None
        images, others, share = mixup(images, labels, augment.mixup, self._random)
        return images, labels, others, share

    def _gradients(self, count: Any, images: Any, labels: Any, others: Any, share: Any) -> list[Any]:
        """What a part of a batch of `count` images adds to the gradients of the batch's mean loss."""
        smoothing = self._candidate.recipe.label_smoothing
        with tf.GradientTape() as tape:
            logits = self._logits(images, training=True)
            losses = cross_entropy(logits, labels, smoothing, self._weights)
            if others is not None:
                losses = share * losses + (1.0 - share) * cross_entropy(logits, others, smoothing, self._weights)
            loss = tf.reduce_sum(losses) / tf.cast(count, tf.float32)
        self._count(losses, logits, labels)
        gradients: list[Any] = tape.gradient(loss, self._model.trainable_variables)
        return gradients

    def _score_step(self, pixels: Any, labels: Any) -> None:
        for some, of_some in self._parts(pixels, labels):
            logits = self._logits(tf.cast(some, tf.float32), training=False)
            self._count(cross_entropy(logits, of_some), logits, of_some)

    def _answer_step(self, pixels: Any) -> Any:
        logits = [self._logits(tf.cast(some, tf.float32), training=False) for (some,) in self._parts(pixels)]
        return tf.nn.softmax(tf.concat(logits, axis=0))

    def _parts(self, *batch: Any) -> list[tuple[Any, ...]]:
        if self._branches == 1:
            return [batch]
        count, each = tf.shape(batch[0])[0], tf.shape(batch[0])[0] // self._branches
        sizes = [each] * (self._branches - 1)
        sizes.append(count - sum(sizes))
        split = (tf.split(of_all, tf.stack(sizes), num=self._branches) for of_all in batch)
        return list(zip(*split, strict=True))

    def _count(self, losses: Any, logits: Any, labels: Any) -> None:
        right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
        self._totals.assign_add([tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))])

    def _mean(self, count: int) -> Score:
        loss, right = self._totals.numpy() / count
        return Score(float(loss), float(right))


def _concrete(function: Any) -> Callable[..., None]:
    concrete = function.get_concrete_function()
    return lambda *arguments: concrete(*map(tf.constant, arguments))


def checked(held_out: NDArray[np.int32]) -> NDArray[np.int32]:
    """At most `CHECKED` of `held_out`, (m,) int32, evenly spread; the same ones each time."""
    if len(held_out) <= CHECKED:
        return held_out
    return held_out[np.linspace(0, len(held_out) - 1, CHECKED).astype(np.int64)]


def norm_momentum(steps: float) -> float:
    """Momentum of batch normalisation's moving averages that catches up within a fiftieth of a training's `steps`.

    Keras's 0.99 is meant for thousands of steps: scores of short runs, and early ones of any, are noise with it.
    """
    return 1.0 - 1.0 / float(np.clip(steps / 50, 2, 100))


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


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The learning rate at a moment of the training.

    With warm-up it rises from 0 along a straight line (Goyal et al. 2017, https://arxiv.org/abs/1706.02677); then it
    stays, or falls to 0 along half a cosine (Loshchilov & Hutter 2016, https://arxiv.org/abs/1608.03983).

    Args:
        recipe: With the learning rate at the height of the schedule.
        progress: Share of the training that is over, 0 to 1. It is the same at a point for every candidate, however
            long each one trains.
    """
    rate = recipe.optimizer.learning_rate
    if progress < recipe.warmup:
        return rate * progress / recipe.warmup
    if recipe.schedule == "constant":
        return rate
    return rate * (1 + cos(pi * (progress - recipe.warmup) / (1 - recipe.warmup))) / 2
