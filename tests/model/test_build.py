import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from candidates import BLOCK_CLASSES, architecture, block

from archsearch.model.build import KERAS, build, build_for_training
from archsearch.model.norm import FusedBatchNormalization
from archsearch.space import layers as plain
from archsearch.space.architecture import Architecture, Stage
from archsearch.space.cost import cost
from archsearch.space.network import lower

KINDS = [*BLOCK_CLASSES, "gated"]


def any_block(kind: str, **fields: Any) -> Any:
    return block("inverted", squeeze_excite=0.25, **fields) if kind == "gated" else block(kind, **fields)


def two_stages(kind: str, norm: str, downsample: str, pool: str) -> Architecture:
    first = any_block(kind, filters=6, norm=norm, activation="gelu", dropout=0.1)
    second = any_block(kind, filters=6, kernel=5, norm=norm, activation="silu")
    stages = [{"blocks": blocks, "downsample": downsample} for blocks in ([first, second], [first])]
    return architecture(*map(Stage.model_validate, stages), side=7, channels=3, pool=pool, hidden=5, dropout=0.2)


@pytest.mark.parametrize(
    ("kind", "norm", "downsample", "pool"),
    [
        *itertools.product(KINDS, ["batch", "layer", "group", "none"], ["max"], ["flatten"]),
        *itertools.product(KINDS, ["batch"], ["average", "stride", "none"], ["average"]),
        ("conv", "batch", "none", "max"),
    ],
)
def test_the_model_is_what_the_arithmetic_says(kind: str, norm: str, downsample: str, pool: str) -> None:
    made = two_stages(kind, norm, downsample, pool)
    model = build(made)
    assert model.count_params() == cost(made).parameters
    for node in lower(made).nodes[1:]:
        assert tuple(model.get_layer(node.name).output.shape[1:]) == node.shape
    training = build_for_training(made, 0.9)
    assert [w.shape for w in training.weights] == [w.shape for w in model.weights]


def test_every_layer_has_a_keras_layer() -> None:
    kinds = {kind for kind in plain.Layer.__args__ if kind is not plain.Input}
    assert set(KERAS) == kinds


def test_probabilities_come_from_raw_pixels() -> None:
    model = build(two_stages("conv", "batch", "max", "flatten"))
    images = np.random.default_rng(0).integers(0, 256, (5, 7, 7, 3)).astype(np.uint8)
    scores = model.predict(images, verbose=0)
    assert scores.shape == (5, 10)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(scores, model.predict(images.astype(np.float32), verbose=0), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_model_gives_what_the_trained_one_gave(kind: str, tmp_path: Path) -> None:
    made = two_stages(kind, "batch", "max", "average")
    training = build_for_training(made, 0.5)
    images = np.random.default_rng(0).integers(0, 256, (32, 7, 7, 3)).astype(np.float32)
    for _ in range(3):
        training(images, training=True)
    model = build(made)
    model.set_weights(training.get_weights())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not any(isinstance(layer, FusedBatchNormalization) for layer in loaded.layers)
    expected = tf.nn.softmax(training(images, training=False))
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=1e-5)


def test_fused_norm_trains_as_keras_does() -> None:
    inputs = tf.constant(np.random.default_rng(0).normal(2.0, 3.0, (16, 5, 5, 4)), tf.float32)
    ours, theirs = FusedBatchNormalization(momentum=0.8), keras.layers.BatchNormalization(momentum=0.8)
    gradients = []
    for layer in (ours, theirs):
        layer.build(inputs.shape)
        layer.gamma.assign([1.0, 2.0, 0.5, 1.5])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(layer(inputs, training=True) ** 3)
        gradients.append(tape.gradient(loss, [inputs, *(v.value for v in layer.trainable_variables)]))
    for mine, keras_own in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, keras_own, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5)
    # The fused kernel estimates the population's variance: n / (n - 1) of the batch's.
    batch = 16 * 5 * 5
    unbiased = 0.8 + (np.asarray(theirs.moving_variance) - 0.8) * batch / (batch - 1)
    np.testing.assert_allclose(ours.moving_variance, unbiased, rtol=1e-4)
    np.testing.assert_allclose(ours(inputs), theirs(inputs), rtol=1e-2, atol=1e-2)
