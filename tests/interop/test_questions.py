"""How KerasTuner's hyperparameters are drawn, how its fits are called, and what a parameter's name tells."""

from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
from keras_tuner.engine import hyperparameters as kt

from archsearch.errors import TrialError
from archsearch.interop.kerastuner import conditions
from archsearch.space.hyper import HyperRecipe, OneOf, Question, Real, Whole, names_hypermodel
from archsearch.training.hyper.drawing import question_for, value_of
from archsearch.training.hyper.fit import call_fit, fit_result


@pytest.mark.parametrize(
    ("declared", "question"),
    [
        (kt.Choice("c", ["a", "b"], default="b"), OneOf("c", ("a", "b"), "b")),
        (kt.Boolean("b"), OneOf("b", (True, False), False)),
        (kt.Fixed("f", 7), OneOf("f", (7,), 7)),
        (kt.Int("i", 1, 9), Whole("i", 1, 9, 1, False, 1)),
        (kt.Int("i", 6, 13, step=3, default=9), Whole("i", 6, 12, 3, False, 9)),
        (kt.Int("i", 6, 13, step=3, default=100), Whole("i", 6, 12, 3, False, 12)),
        (kt.Int("i", 1, 100, sampling="log", default=10), Whole("i", 1, 100, 1, True, 10)),
        (kt.Int("i", 2, 32, step=2, sampling="log", default=8), OneOf("i", (2, 4, 8, 16, 32), 8)),
        (kt.Int("i", 4, 4), OneOf("i", (4,), 4)),
        (kt.Float("x", 0.0, 1.0), Real("x", 0.0, 1.0, False, 0.0)),
        (kt.Float("x", 0.0, 0.35, step=0.1, default=0.3), OneOf("x", (0.0, 0.1, 0.2, 0.3), 0.3)),
        (kt.Float("x", 1e-3, 1.0, sampling="log", default=0.1), Real("x", 1e-3, 1.0, True, 0.1)),
        (kt.Float("x", 1e-3, 1.0, step=10, sampling="log"), OneOf("x", (0.001, 0.01, 0.1, 1.0), 0.001)),
    ],
    ids=str,
)
def test_a_hyperparameter_is_a_question(declared: Any, question: Question) -> None:
    assert question_for(declared) == question
    assert value_of(declared, question.default) == question.default


def test_reverse_log_is_denser_at_the_upper_end() -> None:
    declared = kt.Float("m", 0.8, 1.0, sampling="reverse_log", default=0.9)
    question = question_for(declared)
    assert isinstance(question, Real)
    assert (question.name, question.low, question.high, question.log) == ("1.8 - m", 0.8, 1.0, True)
    assert value_of(declared, question.default) == pytest.approx(0.9)
    # A log range has half of its draws below its geometric middle.
    assert value_of(declared, (0.8 * 1.0) ** 0.5) == pytest.approx(declared.prob_to_value(0.5))


def test_one_name_under_two_conditions_is_two_parameters() -> None:
    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["a", "b"])
    for kind in ("a", "b"):
        with hp.conditional_scope("kind", [kind]):
            hp.Int("units", 1, 4)
    names = [question_for(declared).name for declared in hp.space]
    assert names == ["kind", "units [kind=a]", "units [kind=b]"]


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, {}),
        (keras.callbacks.History(), {}),
        (0.25, {"val_loss": 0.25}),
        (np.float32(0.25), {"val_loss": 0.25}),
        (keras.ops.convert_to_tensor(0.25), {"val_loss": 0.25}),
        ({"val_accuracy": np.float32(0.5), "f1": 3}, {"val_accuracy": 0.5, "f1": 3.0}),
    ],
    ids=["nothing", "History", "float", "NumPy", "tensor", "dict"],
)
def test_what_a_fit_may_return(returned: Any, expected: Mapping[str, float]) -> None:
    assert fit_result(returned) == expected


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("fine", "fit returned str, expected a number, a dict, a History or nothing"),
        ({"val_accuracy": 75}, "fit returned val_accuracy 75, expected the share of the held-out images .* 0 to 1"),
        ({"val_accuracy": float("nan")}, "val_accuracy nan, expected the share"),
        (float("nan"), "the validation loss became nan"),
        ({"val_loss": "low"}, "expected numbers by the name of the metric"),
    ],
    ids=str,
)
def test_what_a_fit_may_not_return(returned: Any, message: str) -> None:
    with pytest.raises(TrialError, match=message):
        fit_result(returned)


def called(fit: Any) -> Any:
    x, y = np.zeros((2, 1), np.float32), np.zeros(2)
    return call_fit(fit, "hp", "model", x, y, (x, y), HyperRecipe(batch_size=8, epochs=3), keras.callbacks.Callback())


def test_a_fit_gets_the_keywords_that_it_takes() -> None:
    assert called(lambda hp, model, x, y, epochs: epochs) == 3
    everything = called(lambda hp, model, *args, **kwargs: kwargs)
    assert set(everything) == {"validation_data", "epochs", "batch_size", "callbacks", "verbose"}


def test_what_a_fit_decides_itself_counts() -> None:
    def inner(x: Any, y: Any, epochs: int, batch_size: int, **kwargs: Any) -> tuple[int, int]:
        return epochs, batch_size

    def fit(hp: Any, model: Any, *args: Any, **kwargs: Any) -> tuple[int, int]:
        return inner(*args, epochs=9, **kwargs)  # type: ignore[misc]  # mypy sees what call_fit mends

    assert called(fit) == (9, 8)


def test_other_type_errors_are_the_users() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        called(lambda hp, model, x, y, **kwargs: None + 1)  # type: ignore[operator]


def test_a_name_tells_its_conditions() -> None:
    asked: dict[str, dict[Any, Any]] = {
        "stages.0.repeat": {1: 1, 2: 2, 3: 3},
        "stages.0.1.block": {"conv": "conv", "inverted": "inverted"},
        "training.optimizer": {"adam": "adam", "sgd": "sgd"},
    }
    assert conditions("stages.0.0.kernel", asked) == []
    assert conditions("stages.0.1.depth", asked) == [("stages.0.repeat", [2, 3])]
    asked["stages.0.1.depth"] = {0: 0, 1: 1}
    assert conditions("stages.0.1.block.inverted.expansion", asked) == [
        ("stages.0.repeat", [2, 3]),
        ("stages.0.1.block", ["inverted"]),
        ("stages.0.1.depth", [1]),
    ]
    assert conditions("training.optimizer.sgd.momentum", asked) == [("training.optimizer", ["sgd"])]
    assert conditions("training.batch_size", asked) == []


@pytest.mark.parametrize(
    ("space", "code"),
    [
        ("my_models.py:Model", True),
        ("some/folder with spaces/my-models.py:Model", True),
        ("keras_tuner.applications:HyperResNet", True),
        ("search_spaces/digits.yaml", False),
        ("digits.yaml:3", False),
        (r"C:\spaces\digits.yaml", False),
    ],
)
def test_what_looks_like_a_hypermodel(space: str, code: bool) -> None:
    assert names_hypermodel(space) is code
