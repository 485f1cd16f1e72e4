"""Precision and compiled steps: chosen by device, and tried here on a CPU, which can do both, slowly."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from candidates import architecture, block, candidate

from archsearch.data.sources import load_data
from archsearch.space.architecture import SGD, Adam, AdamW, Augment, Lion, Optimizer, Stage
from archsearch.training.environment import all_of_float32
from archsearch.training.fit import Fold, Trainer
from archsearch.training.job import Point
from archsearch.training.numerics import (
    COMPILED_STEPS,
    ON_A_CPU,
    Numerics,
    dtype_policy,
    numerics_for,
    numerics_here,
)


@pytest.mark.parametrize(
    ("capability", "policy"),
    [
        ((0, 0), "float32"),
        ((7, 5), "float32"),
        ((8, 0), "mixed_bfloat16"),
        ((8, 9), "mixed_bfloat16"),
        ((12, 0), "mixed_bfloat16"),
    ],
)
def test_a_long_training_is_compiled(capability: tuple[int, int], policy: str) -> None:
    assert numerics_for(capability, COMPILED_STEPS, has_own_code=False) == Numerics(policy, is_compiled=True)


def test_a_short_one_gives_the_same_each_time() -> None:
    exact = Numerics("float32", is_repeatable=True)
    assert numerics_for((9, 0), COMPILED_STEPS - 1, has_own_code=False) == exact
    assert numerics_for((9, 0), COMPILED_STEPS, has_own_code=False, is_asked=True) == exact


def test_nothing_is_asked_of_what_others_have_written() -> None:
    assert numerics_for((9, 0), COMPILED_STEPS, has_own_code=True, is_asked=True) == Numerics("float32")


def test_without_a_gpu_nothing_changes() -> None:
    assert numerics_here(10 * COMPILED_STEPS, has_own_code=False) == ON_A_CPU == ("float32", False, False)


@pytest.mark.parametrize(("said", "is_compiled"), [(None, True), ("0", True), ("1", False), ("TRUE", False)])
def test_the_gpu_is_asked_and_the_user(said: str | None, is_compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": (7, 0)})
    monkeypatch.delenv("TF_DETERMINISTIC_OPS", raising=False)
    if said is not None:
        monkeypatch.setenv("TF_DETERMINISTIC_OPS", said)
    expected = Numerics("float32", is_compiled=is_compiled, is_repeatable=not is_compiled)
    assert numerics_here(COMPILED_STEPS, has_own_code=False) == expected


def test_float32_is_whole_for_a_while() -> None:
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    assert enabled()
    with all_of_float32():
        assert not enabled()
    assert enabled()


def test_a_policy_ends_with_its_block() -> None:
    with dtype_policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    assert keras.layers.Dense(1).compute_dtype == "float32"


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [Adam(learning_rate=0.01), AdamW(learning_rate=0.01), SGD(learning_rate=0.1), Lion(learning_rate=0.003)],
    ids=lambda optimizer: optimizer.kind,
)
def test_what_is_trained_as_on_a_gpu_ships_in_float32(optimizer: Optimizer, monkeypatch: pytest.MonkeyPatch) -> None:
    network = architecture(Stage(blocks=(block(filters=8), block("residual", filters=8)), downsample="max"))
    made = candidate(network, epochs=3, optimizer=optimizer, augment=Augment(rotate=5.0, mixup=0.2))
    images = load_data("digits").train
    indices = np.arange(len(images), dtype=np.int32)
    points: list[Point] = []
    for numerics in (ON_A_CPU, numerics_for((8, 0), COMPILED_STEPS, has_own_code=False)):
        monkeypatch.setattr("archsearch.training.fit.numerics_here", lambda *work, numerics=numerics: numerics)
        trainer = Trainer(made, 1500, seed=0)
        trainer.train(Fold(images, indices[:1500], indices[1500:], (), points.append, lambda: None))
    assert {layer.compute_dtype for layer in trainer._model.layers} == {"float32", "bfloat16"}
    assert {variable.dtype for variable in trainer._model.variables} == {"float32"}
    exact, mixed = [point.scored for point in points]
    assert exact is not None
    assert mixed is not None
    assert mixed != exact
    assert mixed.loss == pytest.approx(exact.loss, abs=0.05)
    shipped = trainer.model()
    assert {layer.compute_dtype for layer in shipped.layers} == {"float32"}
    answers = trainer.probabilities(images, indices[1500:])
    np.testing.assert_allclose(answers, shipped.predict(images.images[1500:], verbose=0), atol=1e-6)
    assert np.mean(answers.argmax(axis=1) == images.labels[1500:]) == pytest.approx(mixed.accuracy, abs=0.02)
