"""A space as a KerasTuner `HyperModel`, for any of its tuners (https://keras.io/keras_tuner/)."""

import contextlib
import random
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.errors import TrialError
from archsearch.model.build import build
from archsearch.space.architecture import Candidate, Recipe, Task
from archsearch.space.load import Space
from archsearch.space.sample import FixedChooser, RandomChooser, Scalar, baseline_point, sample
from archsearch.training.fit import balanced_weights, build_optimizer, learning_rate, norm_momentum
from archsearch.training.pipeline import augmented, mixup

EXPLORED = 200
"""So many random candidates are drawn to learn which parameters there are; a tuner meets what is rarer later."""


def hypermodel(space: Space, task: Task) -> keras_tuner.HyperModel:
    """`space` for KerasTuner; its parameters have the names that they have in a study, their defaults are the baseline.

    Args:
        space: The space. Its limits do not count: KerasTuner has `max_model_size`.
        task: Shape of the images and number of classes.

    Returns:
        A HyperModel. `build(hp)` gives a compiled model from raw pixels (N, height, width, channels), 0 to 255, to
        probabilities (N, classes). `fit` takes labels as whole numbers (N,) or one-hot (N, classes), and trains by
        the recipe; `epochs` and `batch_size` override it.
    """
    return _SpaceHyperModel(space, task)


class _SpaceHyperModel(keras_tuner.HyperModel):
    def __init__(self, space: Space, task: Task) -> None:
        super().__init__(name=space.name)
        self._space = space
        self._task = task
        self._defaults = FixedChooser(baseline_point(space, task))

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Declares what random candidates ask for, so that a tuner knows it from the start."""
        generator = random.Random(0)
        for _ in range(EXPLORED):
            with contextlib.suppress(TrialError):
                sample(self._space, _Declaring(_Declared(hp, self._defaults), generator), self._task)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The candidate that `hp` stands for, compiled for one-hot labels."""
        candidate = self._candidate(hp)
        model = build(candidate.architecture)
        _compile(model, candidate.recipe)
        return model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        x: NDArray[Any],
        y: NDArray[Any],
        validation_data: tuple[NDArray[Any], NDArray[Any]] | None = None,
        validation_split: float = 0.0,
        epochs: int | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains by the recipe; arguments as those of `keras.Model.fit`."""
        recipe = self._candidate(hp).recipe
        recipe = recipe.model_copy(
            update={"epochs": ceil(epochs or recipe.epochs), "batch_size": min(batch_size or recipe.batch_size, len(x))}
        )
        if validation_split:
            kept = int(len(x) * (1 - validation_split))
            validation_data = (x[kept:], y[kept:])
            x, y = x[:kept], y[:kept]
        steps = -(-len(x) // recipe.batch_size)
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = norm_momentum(steps * recipe.epochs)
        _compile(model, recipe, steps)
        held = None
        if validation_data is not None:
            labels = np.eye(self._task.classes, dtype=np.float32)[_whole(validation_data[1])]
            pixels = np.asarray(validation_data[0], np.float32)
            held = _batches(tf.data.Dataset.from_tensor_slices((pixels, labels)), recipe)
        return model.fit(
            self._training(x, _whole(y), recipe),
            epochs=int(recipe.epochs),
            validation_data=held,
            shuffle=False,
            **kwargs,
        )

    def _candidate(self, hp: keras_tuner.HyperParameters) -> Candidate:
        return sample(self._space, _HpChooser(_Declared(hp, self._defaults)), self._task)

    def _training(self, x: NDArray[Any], labels: NDArray[np.int32], recipe: Recipe) -> tf.data.Dataset:
        """Batches of augmented images, and of targets in which smoothing, class weights and mixup are.

        Cross-entropy is linear in its targets, so this is the same as weighing and blending losses.
        """
        classes, smoothing = self._task.classes, recipe.label_smoothing
        weights = balanced_weights(labels, classes) if recipe.class_weights == "balanced" else np.ones(classes)
        table = np.eye(classes) * (1 - smoothing) + smoothing / classes
        targets = tf.constant(table * weights[:, None], tf.float32)

        def change(images: Any, labels: Any) -> tuple[Any, Any]:
            images = augmented(tf.cast(images, tf.float32), recipe.augment)
            if not recipe.augment.mixup:
                return images, tf.gather(targets, labels)
            images, others, share = mixup(images, labels, recipe.augment.mixup)
            share = share[:, None]
            return images, share * tf.gather(targets, labels) + (1.0 - share) * tf.gather(targets, others)

        shuffled = tf.data.Dataset.from_tensor_slices((np.asarray(x), labels)).shuffle(len(labels))
        return _batches(shuffled, recipe).map(change)


def _whole(labels: NDArray[Any]) -> NDArray[np.int32]:
    """Labels as whole numbers (N,), from those or from one-hot (N, classes)."""
    labels = np.asarray(labels)
    one_hot = labels.ndim == 2 and labels.shape[1] > 1
    return (labels.argmax(axis=1) if one_hot else labels.reshape(-1)).astype(np.int32)


def _batches(images: tf.data.Dataset, recipe: Recipe) -> tf.data.Dataset:
    """Without autotune, which would have `fit` wait at its end."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return images.batch(recipe.batch_size).with_options(options)


def _compile(model: keras.Model, recipe: Recipe, steps: int | None = None) -> None:
    """Sets loss and optimizer; the schedule, once it is known how many steps an epoch has."""
    optimizer = build_optimizer(recipe.optimizer, model.trainable_variables)
    if steps is not None:
        whole = steps * int(recipe.epochs)
        optimizer.learning_rate = _Schedule([learning_rate(recipe, (step + 0.5) / whole) for step in range(whole)])
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])


@keras.saving.register_keras_serializable("archsearch")
class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of each step, as Keras asks for it: by the number of the step, from 0."""

    def __init__(self, rates: Sequence[float]) -> None:
        self._rates = list(rates)

    def __call__(self, step: Any) -> Any:
        return tf.gather(
            tf.constant(self._rates, tf.float32), tf.minimum(tf.cast(step, tf.int32), len(self._rates) - 1)
        )

    def get_config(self) -> dict[str, Any]:
        return {"rates": self._rates}


def conditions(name: str, asked: Mapping[str, Mapping[Any, Scalar]]) -> list[tuple[str, list[Any]]]:
    """Under which values of others a parameter exists, as far as its name tells.

    Fields of an option are called `<parameter>.<option>.<field>`, those of a stage's copy `stages.0.<copy>.<field>`.

    Args:
        name: Of the parameter.
        asked: For each parameter before it, what it could be: KerasTuner's value to ours.

    Returns:
        Other parameters, each with the values of KerasTuner's that allow this one; outer conditions come first.
    """
    found: list[tuple[str, list[Any]]] = []
    for parent, options in asked.items():
        folder, _, field = parent.rpartition(".")
        rest = name.removeprefix(f"{folder}.")
        if name.startswith(f"{parent}."):
            allowed = [raw for raw, option in options.items() if name.startswith(f"{parent}.{option}.")]
        elif rest != name and field == "repeat" and rest.partition(".")[0].isdigit():
            allowed = [raw for raw, option in options.items() if int(option) > int(rest.partition(".")[0])]
        elif rest != name and field == "depth":
            allowed = [raw for raw, option in options.items() if option != 0]
        else:
            continue
        if allowed and len(allowed) < len(options):
            found.append((parent, allowed))
    return found


class _Declared:
    """KerasTuner's side of a parameter: declares it in `hp` and gives its value there, or None while it is inactive."""

    def __init__(self, hp: keras_tuner.HyperParameters, defaults: FixedChooser) -> None:
        self._hp = hp
        self._defaults = defaults
        self._asked: dict[str, dict[Any, Scalar]] = {}

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar | None:
        # KerasTuner wants options of one type, and takes booleans for whole numbers.
        kinds = {type(option) for option in options}
        raw = {option if len(kinds) == 1 and bool not in kinds else str(option): option for option in options}
        default = list(raw)[list(options).index(self._defaults.choice(name, options))]
        drawn = self._declare(self._hp.Choice, name, list(raw), default=default)
        self._asked[name] = raw
        return None if drawn is None else raw[drawn]

    def integer(self, name: str, low: int, high: int, step: int, log: bool) -> int | None:
        default = self._defaults.integer(name, low, high, step, log)
        how = {"sampling": "log"} if log else {"step": step}
        drawn: int | None = self._declare(self._hp.Int, name, low, high, default=default, **how)
        self._asked[name] = {number: number for number in range(low, high + 1, step)}
        return drawn

    def real(self, name: str, low: float, high: float, log: bool) -> float | None:
        default = self._defaults.real(name, low, high, log)
        drawn: float | None = self._declare(
            self._hp.Float, name, low, high, sampling="log" if log else "linear", default=default
        )
        return drawn

    def _declare(self, kind: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        with contextlib.ExitStack() as scopes:
            for parent, values in conditions(name, self._asked):
                scopes.enter_context(self._hp.conditional_scope(parent, values))
            return kind(name, *args, **kwargs)


class _HpChooser:
    """Draws from KerasTuner's `hp`."""

    def __init__(self, declared: _Declared) -> None:
        self._declared = declared

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        return _active(name, self._declared.choice(name, options))

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        return int(_active(name, self._declared.integer(name, low, high, step, log)))

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        return float(_active(name, self._declared.real(name, low, high, log)))


def _active(name: str, drawn: Scalar | None) -> Scalar:
    if drawn is None:
        raise TrialError(f"{name}: asked for where it should not exist")
    return drawn


class _Declaring:
    """Declares what it is asked, and draws at random."""

    def __init__(self, declared: _Declared, generator: random.Random) -> None:
        self._declared = declared
        self._random = RandomChooser(generator)

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        self._declared.choice(name, options)
        return self._random.choice(name, options)

    def integer(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        self._declared.integer(name, low, high, step, log)
        return self._random.integer(name, low, high, step, log)

    def real(self, name: str, low: float, high: float, log: bool = False) -> float:
        self._declared.real(name, low, high, log)
        return self._random.real(name, low, high, log)
