"""What `build(hp)` asks for, as questions that a `Chooser` can answer."""

import contextlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from archsearch.errors import TrialError
from archsearch.space.architecture import Task
from archsearch.space.hyper import Built, HyperRecipe, OneOf, Question, Real, Value, Whole
from archsearch.space.sample import Scalar
from archsearch.training.hyper.fit import call_fit
from archsearch.training.hyper.loading import load_hypermodel, trains_itself
from archsearch.training.hyper.model import build_model, fit_labels, input_shape, shipped


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
    model = build_model(hypermodel, hp, task)
    shipped(model, task)
    if trains_itself(hypermodel):
        _rehearse(hypermodel, hp, model, task, recipe)
    elif not model.compiled:
        raise TrialError("the model is not compiled; expected build(hp) to compile it, or a fit(hp, model, ...)")
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
    x = np.zeros((len(labels), *input_shape(model, task)), np.float32)
    y = fit_labels(model, labels, task)
    with contextlib.suppress(_Rehearsed, Exception):
        call_fit(hypermodel.fit, hp, _Untrained(model), x, y, (x, y), recipe, keras.callbacks.Callback())


def _source(reference: str) -> str:
    where = reference.rpartition(":")[0]
    return inspect.getsource(sys.modules[Path(where).stem if where.endswith(".py") else where])
