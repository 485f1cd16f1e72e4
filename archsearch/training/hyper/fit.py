"""A `fit` of the user's own: calling it, and what it returns."""

import inspect
import re
from collections.abc import Callable, Mapping
from math import isfinite
from numbers import Real as RealNumber
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.errors import Diverged, TrialError
from archsearch.space.hyper import HyperRecipe


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
        TrialError: It is something else, or not what its name says; Diverged if that is no number.
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
        raise Diverged(f"the validation loss became {loss}")
    return found
