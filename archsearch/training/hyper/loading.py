"""From a reference in Python code to a `HyperModel`."""

import inspect
from collections.abc import Callable
from typing import Any

import keras_tuner

from archsearch.errors import InputError
from archsearch.space.architecture import Task
from archsearch.space.code import load_code


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


def trains_itself(hypermodel: keras_tuner.HyperModel) -> bool:
    """Whether the HyperModel has a `fit` of its own."""
    return type(hypermodel).fit is not keras_tuner.HyperModel.fit
