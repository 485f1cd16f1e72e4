"""Precision and compiled steps: chosen by device, and tried here on a CPU, which can do both, slowly."""

import keras
import numpy as np
import pytest
from candidates import architecture, block, candidate

from archsearch.data.sources import load_data
from archsearch.space.architecture import SGD, Adam, AdamW, Augment, Lion, Optimizer, Stage
from archsearch.training.fit import Fold, Trainer
from archsearch.training.job import Point
from archsearch.training.numerics import dtype_policy, numerics_for, numerics_here


@pytest.mark.parametrize(
    ("capability", "numerics"),
    [
        (None, ("float32", False)),
        ((0, 0), ("float32", True)),
        ((7, 5), ("float32", True)),
        ((8, 0), ("mixed_bfloat16", True)),
        ((8, 9), ("mixed_bfloat16", True)),
        ((12, 0), ("mixed_bfloat16", True)),
    ],
)
def test_what_suits_a_device(capability: tuple[int, int] | None, numerics: tuple[str, bool]) -> None:
    assert numerics_for(capability) == numerics


def test_without_a_gpu_nothing_changes() -> None:
    assert numerics_here() == ("float32", False)


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
    for numerics in (numerics_for(None), numerics_for((8, 0))):
        monkeypatch.setattr("archsearch.training.fit.numerics_here", lambda numerics=numerics: numerics)
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
