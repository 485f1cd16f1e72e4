"""A KerasTuner `HyperModel` in a worker: what its `build` asks for, and how its models are trained and scored.

`HyperModel.build(hp)` and `HyperModel.fit(hp, model, ...)` are described in https://keras.io/keras_tuner/api/hypermodels/.
A model is scored, and saved, as what it is inside of: raw pixels in, class probabilities out.
"""

import contextlib
import inspect
import re
import sys
import time
from collections.abc import Callable, Mapping
from math import isfinite, prod
from numbers import Real as RealNumber
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.errors import InputError, TrialError
from archsearch.space.architecture import Task
from archsearch.space.code import load_code
from archsearch.space.hyper import Built, HyperCandidate, HyperRecipe, OneOf, Question, Real, Value, Whole
from archsearch.space.sample import Scalar
from archsearch.training.fit import Score
from archsearch.training.job import Report, TrialJob
from archsearch.training.pipeline import ordered_batches

EVALUATION_BATCH = 250
ACCURACIES = ("accuracy", "acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy")
"""Under which of these names Keras logs the training accuracy depends on how the model was compiled."""

OnEpoch = Callable[[int, int, Score, Score, float], None]
"""Epoch from 1, how many there will be, scores on training and on held-out images, seconds."""


# The HyperModel -------------------------------------------------------------------------------------------------------


class _OfFunction(keras_tuner.HyperModel):
    """A plain function `build(hp)`."""

    def __init__(self, build: Callable[[Any], Any]) -> None:
        super().__init__()
        self.build = build


def load_hypermodel(reference: str, task: Task) -> keras_tuner.HyperModel:
    """What `reference` names: an instance, a function `build(hp)`, or a class.

    A class is called with those of `input_shape`, `classes` and `num_classes` that it takes.

    Raises:
        InputError: No code is trusted, or it is none of these.
    """
    found = load_code(reference)
    if inspect.isclass(found):
        offered = {
            "input_shape": (task.height, task.width, task.channels),
            "classes": task.classes,
            "num_classes": task.classes,
        }
        taken = inspect.signature(found).parameters
        try:
            found = found(**{name: value for name, value in offered.items() if name in taken})
        except Exception as error:
            raise InputError(
                f"'{reference}': {type(error).__name__}: {error}; expected a class that needs no arguments beside "
                f"{', '.join(offered)}"
            ) from error
    if isinstance(found, keras_tuner.HyperModel):
        return found
    if callable(found):
        return _OfFunction(found)
    raise InputError(
        f"'{reference}': found {type(found).__name__}, expected a keras_tuner.HyperModel or a function build(hp)"
    )


def _trains_itself(hypermodel: keras_tuner.HyperModel) -> bool:
    return type(hypermodel).fit is not keras_tuner.HyperModel.fit


# Drawing --------------------------------------------------------------------------------------------------------------


class _Asking(keras_tuner.HyperParameters):
    """Hyperparameters whose values are asked for, once each, when they become active."""

    def __init__(self, put: Callable[[Question], Scalar]) -> None:
        super().__init__()
        self._put = put
        self.drawn: dict[str, Value] = {}

    def _register(self, hyperparameter: Any, overwrite: bool = False) -> Any:
        # Every kind of hyperparameter comes by here; KerasTuner itself takes the default for one without a value.
        name = hyperparameter.name
        if name not in self.values and self.is_active(hyperparameter):
            question = question_for(hyperparameter)
            if isinstance(question, OneOf) and len(question.options) == 1:
                self.values[name] = question.options[0]
            else:
                self.values[name] = self.drawn[name] = value_of(hyperparameter, self._put(question))
        return super()._register(hyperparameter, overwrite)


def question_for(hyperparameter: Any) -> Question:
    """How a hyperparameter of KerasTuner is drawn through a `Chooser`; one with a single option need not be.

    One that is declared again under another condition is a parameter of its own in the study. A range with steps is a
    choice of its values, unless these are whole numbers evenly apart. `reverse_log` is drawn as the distance from the
    range's two ends added up, which is spread by `log`.
    """
    name = hyperparameter.name + "".join(
        f" [{condition.name}={'|'.join(map(str, condition.values))}]" for condition in hyperparameter.conditions
    )
    default = hyperparameter.default
    if not hasattr(hyperparameter, "sampling"):
        options = tuple(hyperparameter.values)
        return OneOf(name, options, default if default in options else options[0])
    low, high, step = hyperparameter.min_value, hyperparameter.max_value, hyperparameter.step
    whole = isinstance(low, int)
    linear = hyperparameter.sampling == "linear"
    if low == high:
        return OneOf(name, (low,), low)
    if step is not None and not (whole and linear):
        values = [int(value) if whole else float(f"{value:.12g}") for value in hyperparameter.values]
        return OneOf(name, tuple(values), min(values, key=lambda value: abs(value - default)))
    default = min(max(default, low), high)
    if _is_mirrored(hyperparameter):
        name, default = f"{low + high:g} - {name}", low + high - default
    if not whole:
        return Real(name, low, high, not linear, float(default))
    step = step or 1
    return Whole(name, low, low + (high - low) // step * step, step, not linear, low + (default - low) // step * step)


def value_of(hyperparameter: Any, answer: Value) -> Value:
    """What an answer to `question_for` means."""
    if _is_mirrored(hyperparameter) and hyperparameter.step is None and not isinstance(answer, str):
        return hyperparameter.min_value + hyperparameter.max_value - answer  # type: ignore[no-any-return]
    return answer


def _is_mirrored(hyperparameter: Any) -> bool:
    return getattr(hyperparameter, "sampling", "") == "reverse_log"


def draw(reference: str, task: Task, recipe: HyperRecipe, put: Callable[[Question], Scalar]) -> Built:
    """Builds a model with hyperparameters that `put` chooses.

    What an overridden `fit` asks for before it first uses the model is chosen, too; later questions get their default.

    Raises:
        InputError: The HyperModel cannot be loaded.
        TrialError: Its model does not suit the task.
        Exception: Whatever `build` raises.
    """
    hypermodel = load_hypermodel(reference, task)
    hp = _Asking(put)
    hypermodel.declare_hyperparameters(hp)
    model = _built(hypermodel, hp, task)
    shipped(model, task)
    if _trains_itself(hypermodel):
        _rehearse(hypermodel, hp, model, task, recipe)
    return Built(hp.drawn, model.count_params(), _source(reference))


class _Rehearsed(BaseException):
    """The model would be used now; no `except Exception` in a user's loop is to catch this."""


class _Untrained:
    """Stands in for a model that is not to be trained: the first use ends the rehearsal."""

    USES = ("fit", "train_on_batch", "train_step", "evaluate", "test_on_batch", "predict", "predict_on_batch")

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return self if name in self.USES else getattr(self._model, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise _Rehearsed


def _rehearse(hypermodel: Any, hp: Any, model: keras.Model, task: Task, recipe: HyperRecipe) -> None:
    """Lets `fit` ask for its hyperparameters; whatever else it does or raises is seen when it is called in earnest."""
    labels = np.arange(2 * task.classes, dtype=np.int32) % task.classes
    x = np.zeros((len(labels), *_input_shape(model, task)), np.float32)
    y = _labels(model, labels, task)
    with contextlib.suppress(_Rehearsed, Exception):
        call_fit(hypermodel.fit, hp, _Untrained(model), x, y, (x, y), recipe, keras.callbacks.Callback())


def _source(reference: str) -> str:
    where = reference.rpartition(":")[0]
    return inspect.getsource(sys.modules[Path(where).stem if where.endswith(".py") else where])


# The model ------------------------------------------------------------------------------------------------------------


def _built(hypermodel: Any, hp: Any, task: Task) -> keras.Model:
    model = hypermodel.build(hp)
    if not isinstance(model, keras.Model):
        raise TrialError(f"build(hp) returned {type(model).__name__}, expected a Keras model")
    if not model.built and isinstance(model, keras.Sequential):
        model.build((None, task.height, task.width, task.channels))
    return model


def shipped(model: keras.Model, task: Task) -> keras.Model:
    """`model`, weights shared, from raw pixels (N, height, width, channels), 0 to 255, to probabilities (N, classes).

    Raises:
        TrialError: It takes other images, or gives another number of classes.
    """
    image = keras.Input((task.height, task.width, task.channels), name="image")
    x = image if scales_itself(model) else keras.layers.Rescaling(1 / 255, name="scale")(image)
    if (wanted := _input_shape(model, task)) != image.shape[1:]:
        x = keras.layers.Reshape(wanted, name="shape")(x)
    outputs = model(x)
    found = tuple(outputs.shape[1:]) if hasattr(outputs, "shape") else None
    if found not in ((task.classes,), (1,)) or (found == (1,) and task.classes != 2):
        raise TrialError(f"the model's output is {found} for an image, expected ({task.classes},): one score a class")
    if found == (1,):
        second = outputs if _gives_probabilities(model, task) else keras.layers.Activation("sigmoid")(outputs)
        outputs = keras.layers.Concatenate(name="probabilities")([keras.layers.Rescaling(-1.0, 1.0)(second), second])
    elif not _gives_probabilities(model, task):
        outputs = keras.layers.Softmax(name="probabilities")(outputs)
    return keras.Model(image, outputs, name="archsearch")


def scales_itself(model: keras.Model) -> bool:
    """Whether the model holds a layer that brings raw pixels into range; it is given 0 to 255 then, else 0 to 1."""
    scaling = (keras.layers.Rescaling, keras.layers.Normalization)
    return any(isinstance(layer, scaling) for layer in model._flatten_layers())


def _input_shape(model: keras.Model, task: Task) -> tuple[int, ...]:
    """What the model takes: the images, or the same pixels in another shape."""
    shape = (task.height, task.width, task.channels)
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return shape
    wanted = tuple(inputs[0].shape[1:])
    if len(inputs) == 1 and len(wanted) == 3 and all(w in (None, s) for w, s in zip(wanted, shape, strict=True)):
        return shape
    if len(inputs) == 1 and None not in wanted and prod(wanted) == prod(shape) and len(wanted) < 3:
        return wanted
    raise TrialError(
        f"the model takes {wanted if len(inputs) == 1 else f'{len(inputs)} inputs'}, expected {shape}: height, width "
        "and channels of the images"
    )


def _gives_probabilities(model: keras.Model, task: Task) -> bool:
    """Judged by the loss, then by the last activation, and where there is none, by the outputs themselves."""
    if model.compiled and getattr(model.loss, "from_logits", False):
        return False
    last: Any = model
    while getattr(last, "layers", None):
        last = last.layers[-1]
    activation = getattr(last, "activation", None)
    if activation is not None and activation is not keras.activations.linear:
        return activation in (keras.activations.softmax, keras.activations.sigmoid)
    noise = np.random.default_rng(0).uniform(size=(4, *_input_shape(model, task))).astype(np.float32)
    outputs = np.asarray(model(noise, training=False))
    total = outputs.sum(axis=1)
    return bool((outputs >= 0).all() and np.allclose(total, 1, atol=1e-3)) if outputs.shape[1] > 1 else False


def wants_one_hot(model: keras.Model) -> bool:
    """Whether the model's loss takes one-hot labels; without a loss they are whole numbers."""
    loss = model.loss if model.compiled else None
    if loss is None or getattr(model, "output_shape", (0,))[-1] == 1:
        return False
    name = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")
    return "sparse" not in str(name).lower()


def _labels(model: keras.Model, labels: NDArray[np.int32], task: Task) -> NDArray[Any]:
    """(n,) int32, or (n, classes) float32 one-hot."""
    return np.eye(task.classes, dtype=np.float32)[labels] if wants_one_hot(model) else labels


# Training -------------------------------------------------------------------------------------------------------------


class _Watch(keras.callbacks.Callback):
    """Looks up before each step, and says when an epoch is over."""

    def __init__(self, between_steps: Callable[[], None], over: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._between_steps = between_steps
        self._over = over

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._between_steps()

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

    def train(
        self,
        images: ImageSet,
        training: NDArray[np.int32],
        held_out: NDArray[np.int32],
        on_epoch: OnEpoch,
        between_steps: Callable[[], None],
    ) -> None:
        """Builds the model anew and trains it.

        Args:
            images: Where the indices point.
            training: Images to train on, (n,) int32.
            held_out: Images to validate on, (m,) int32.
            on_epoch: Called once or more. The last call has the number of epochs that there were; it is that of the
                end, even if `fit` has never called its callbacks.
            between_steps: Called before each step that Keras's callbacks know of; what it raises ends the training.

        Raises:
            TrialError: The loss is no number, or `fit` returned something that says nothing.
            Exception: Whatever `build` and `fit` raise.
        """
        keras.utils.clear_session()
        keras.utils.set_random_seed(self._seed)
        hp = keras_tuner.HyperParameters()
        hp.values = dict(self._candidate.values)
        self._hypermodel.declare_hyperparameters(hp)
        self._model = _built(self._hypermodel, hp, self._candidate.task)
        self._shipped = shipped(self._model, self._candidate.task)
        fit = self._fit_own if _trains_itself(self._hypermodel) else self._fit_plain
        # Users' loops print; a worker's words go to its log.
        with contextlib.redirect_stdout(sys.stderr):
            fit(hp, images, training, held_out, on_epoch, between_steps)

    def evaluate(self, images: ImageSet, indices: NDArray[np.int32]) -> Score:
        """Scores the model as it is on `indices`, (n,) int32."""
        loss, right = 0.0, 0
        for pixels, labels in ordered_batches(images, indices, EVALUATION_BATCH):
            given = self._shipped.predict_on_batch(pixels.astype(np.float32))
            loss -= float(np.log(np.clip(given[np.arange(len(labels)), labels], 1e-7, 1.0)).sum())
            right += int((given.argmax(axis=1) == labels).sum())
        return Score(loss / len(indices), right / len(indices))

    def model(self) -> keras.Model:
        """The model as it is, as the one to ship (`shipped`)."""
        return self._shipped

    def _fit_plain(
        self,
        hp: Any,
        images: ImageSet,
        training: NDArray[np.int32],
        held_out: NDArray[np.int32],
        on_epoch: OnEpoch,
        between_steps: Callable[[], None],
    ) -> None:
        if not self._model.compiled:
            raise TrialError("the model is not compiled; expected build(hp) to compile it, or a fit(hp, model, ...)")
        epochs = self._candidate.recipe.epochs
        clock = _Clock()

        def over(logs: Mapping[str, Any]) -> None:
            fitted = self._fitted(logs, images, training)
            scored = self.evaluate(images, held_out)
            on_epoch(clock.count + 1, epochs, fitted, scored, clock.lap())

        self._model.fit(
            self._dataset(images, training),
            epochs=epochs,
            callbacks=[_Watch(between_steps, over)],
            verbose=0,
            shuffle=False,
        )

    def _fit_own(
        self,
        hp: Any,
        images: ImageSet,
        training: NDArray[np.int32],
        held_out: NDArray[np.int32],
        on_epoch: OnEpoch,
        between_steps: Callable[[], None],
    ) -> None:
        clock = _Clock()
        # Which epoch is the last shows only when `fit` returns, perhaps with other weights: one is always kept back.
        kept: list[tuple[Score, Score, float]] = []

        def over(logs: Mapping[str, Any]) -> None:
            pass_on()
            fitted = self._fitted(logs, images, training)
            scored = self.evaluate(images, held_out)
            kept.append((fitted, scored, clock.lap()))

        def pass_on() -> None:
            if kept:
                on_epoch(clock.count, max(self._candidate.recipe.epochs, clock.count + 1), *kept.pop())

        data, held = self._arrays(images, training), self._arrays(images, held_out)
        watch = _Watch(between_steps, over)
        returned = fit_result(
            call_fit(self._hypermodel.fit, hp, self._model, *data, held, self._candidate.recipe, watch)
        )
        scored = self.evaluate(images, held_out)
        scored = Score(returned.get("val_loss", scored.loss), returned.get("val_accuracy", scored.accuracy))
        if not kept:
            kept.append((self._fitted(returned, images, training), scored, clock.lap()))
        fitted, _, seconds = kept.pop()
        on_epoch(clock.count, clock.count, fitted, scored, seconds)

    def _fitted(self, logs: Mapping[str, Any], images: ImageSet, training: NDArray[np.int32]) -> Score:
        """The training score: as logged, or measured on some of the images where it is not."""
        loss = logs.get("loss")
        if loss is not None and not isfinite(loss):
            raise TrialError(f"the training loss became {loss}")
        accuracy = next((logs[name] for name in ACCURACIES if name in logs), None)
        if loss is None or accuracy is None:
            measured = self.evaluate(images, training[:EVALUATION_BATCH])
            loss = measured.loss if loss is None else loss
            accuracy = measured.accuracy if accuracy is None else accuracy
        return Score(float(loss), float(accuracy))

    def _arrays(self, images: ImageSet, indices: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        task = self._candidate.task
        x = images.images[indices].astype(np.float32).reshape(-1, *_input_shape(self._model, task))
        return x if scales_itself(self._model) else x / np.float32(255), _labels(
            self._model, images.labels[indices], task
        )

    def _dataset(self, images: ImageSet, indices: NDArray[np.int32]) -> tf.data.Dataset:
        """Shuffled batches without autotune, which would have `fit` wait at its end."""
        task = self._candidate.task
        shape = _input_shape(self._model, task)
        scale = 1.0 if scales_itself(self._model) else 1 / 255
        pixels = tf.constant(images.images[indices])
        labels = tf.constant(_labels(self._model, images.labels[indices], task))

        def batch(chosen: Any) -> tuple[Any, Any]:
            x = tf.cast(tf.gather(pixels, chosen), tf.float32) * scale
            return tf.reshape(x, (-1, *shape)), tf.gather(labels, chosen)

        options = tf.data.Options()
        options.autotune.enabled = False
        order = tf.data.Dataset.range(len(indices)).shuffle(len(indices), seed=self._seed)
        return order.batch(self._candidate.recipe.batch_size).map(batch).with_options(options)


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


def call_fit(
    fit: Callable[..., Any],
    hp: Any,
    model: Any,
    x: NDArray[np.float32],
    y: NDArray[Any],
    validation_data: tuple[NDArray[np.float32], NDArray[Any]],
    recipe: HyperRecipe,
    callback: keras.callbacks.Callback,
) -> Any:
    """Calls an overridden `HyperModel.fit` with the keywords that it takes; returns what it returns."""
    offered: dict[str, Any] = {
        "validation_data": validation_data,
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "callbacks": [callback],
        "verbose": 0,
    }
    taken = inspect.signature(fit).parameters
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in taken.values()):
        offered = {name: value for name, value in offered.items() if name in taken}
    while True:
        try:
            return fit(hp, model, x, y, **offered)
        except TypeError as error:
            # As in `model.fit(*args, epochs=hp.Int("epochs", 5, 20), **kwargs)`: what the user says counts.
            twice = re.search(r"multiple values for keyword argument '(\w+)'", str(error))
            if twice is None or offered.pop(twice[1], None) is None:
                raise


def fit_result(returned: Any) -> dict[str, float]:
    """What an overridden `fit` says of its model, by the name of the metric; empty if it says nothing.

    A `History` says nothing that is not measured anyway; a number is `val_loss`.

    Raises:
        TrialError: It is something else, or not what its name says.
    """
    if returned is None or isinstance(returned, keras.callbacks.History):
        return {}
    if isinstance(returned, RealNumber | np.generic | tf.Tensor | np.ndarray) and np.shape(returned) == ():  # type: ignore[arg-type]
        returned = {"val_loss": returned}
    if not isinstance(returned, Mapping):
        raise TrialError(f"fit returned {type(returned).__name__}, expected a number, a dict, a History or nothing")
    try:
        found = {str(name): float(value) for name, value in returned.items()}
    except (TypeError, ValueError) as error:
        raise TrialError(f"fit returned {returned!r}, expected numbers by the name of the metric") from error
    accuracy = found.get("val_accuracy", 0.0)
    if not 0.0 <= accuracy <= 1.0:
        raise TrialError(
            f"fit returned val_accuracy {accuracy:g}, expected the share of the held-out images that is classified "
            "right, 0 to 1"
        )
    if not isfinite(loss := found.get("val_loss", 0.0)):
        raise TrialError(f"the validation loss became {loss}")
    return found


def cross_validate(
    job: TrialJob,
    candidate: HyperCandidate,
    images: ImageSet,
    report: Callable[[Report], None],
    between_steps: Callable[[], None],
) -> None:
    """Trains `candidate` anew on every fold of `job`, and reports epoch by epoch; see `crossval.cross_validate`."""
    trainer = HyperTrainer(candidate, job.seed)
    everything = np.arange(len(images.labels), dtype=np.int32)
    for number, held_out in enumerate(job.folds):

        def on_epoch(
            epoch: int, epochs: int, fitted: Score, scored: Score, seconds: float, number: int = number
        ) -> None:
            report(
                Report(
                    trial=job.trial,
                    fold=number,
                    epoch=epoch,
                    epochs=epochs,
                    loss=fitted.loss,
                    accuracy=fitted.accuracy,
                    val_loss=scored.loss,
                    val_accuracy=scored.accuracy,
                    seconds=seconds,
                )
            )

        trainer.train(images, np.setdiff1d(everything, held_out), held_out, on_epoch, between_steps)
