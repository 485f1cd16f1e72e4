"""A user's model as what it is scored and saved inside of: raw pixels in, class probabilities out."""

from math import prod
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from archsearch.errors import TrialError
from archsearch.space.architecture import Task


def build_model(hypermodel: Any, hp: Any, task: Task) -> keras.Model:
    """What `build(hp)` gives, with its weights made. Raises TrialError if that is no Keras model."""
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
    if (wanted := input_shape(model, task)) != image.shape[1:]:
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


def input_shape(model: keras.Model, task: Task) -> tuple[int, ...]:
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
    noise = np.random.default_rng(0).uniform(size=(4, *input_shape(model, task))).astype(np.float32)
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


def fit_labels(model: keras.Model, labels: NDArray[np.int32], task: Task) -> NDArray[Any]:
    """`labels` (n,) int32 as the model's loss takes them: the same, or (n, classes) float32 one-hot."""
    return np.eye(task.classes, dtype=np.float32)[labels] if wants_one_hot(model) else labels
