from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from candidates import architecture, block

from archsearch.model.build import build
from archsearch.space.architecture import SGD, Adam, AdamW, Lion, Optimizer, Stage
from archsearch.training.optimizer import LeanOptimizer, build_optimizer

Apply = Callable[[list[Any]], None]


def kerass(settings: Optimizer, weights: list[Any]) -> Apply:
    optimizer = build_optimizer(settings, weights)
    return lambda gradients: optimizer.apply(gradients, weights)


def lean(settings: Optimizer, weights: list[Any]) -> Apply:
    optimizer = LeanOptimizer(settings, weights)
    return lambda gradients: optimizer.apply(gradients, tf.constant(settings.learning_rate))


@pytest.mark.parametrize(
    "settings",
    [
        Adam(),
        AdamW(weight_decay=0.1),
        AdamW(weight_decay=0.0),
        SGD(),
        SGD(momentum=0.0, weight_decay=0.1),
        Lion(),
        Lion(weight_decay=0.1),
    ],
    ids=str,
)
def test_the_lean_optimizer_takes_kerass_steps(settings: Optimizer) -> None:
    """Over gradients and learning rates of several magnitudes, which differ from step to step."""
    random = np.random.default_rng(0)
    start = {"kernel": random.normal(size=(3, 4)), "bias": random.normal(size=4), "gamma": np.ones(4)}
    ours, theirs = (
        [keras.Variable(value, dtype="float32", name=name) for name, value in start.items()] for _ in range(2)
    )
    keras_own, own = build_optimizer(settings, theirs), LeanOptimizer(settings, ours)
    apply = tf.function(own.apply, autograph=False)
    for step in range(20):
        gradients = [tf.constant(random.normal(size=v.shape) * 10.0 ** (step % 5 - 3), tf.float32) for v in ours]
        rate = 0.1 / (step + 1)
        keras_own.learning_rate = rate
        keras_own.apply(gradients, theirs)
        apply(gradients, tf.constant(rate))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("made", [kerass, lean])
@pytest.mark.parametrize(
    "settings", [AdamW(weight_decay=0.5), SGD(weight_decay=0.5), Lion(weight_decay=0.5)], ids=lambda o: o.kind
)
def test_only_kernels_decay(settings: AdamW | SGD | Lion, made: Callable[[Optimizer, list[Any]], Apply]) -> None:
    blocks = tuple(block(kind, norm=norm) for kind in ("separable", "residual") for norm in ("batch", "layer", "group"))
    weights = build(architecture(Stage(blocks=blocks, downsample="max"), hidden=4)).trainable_variables
    for weight in weights:
        weight.assign(tf.ones(weight.shape))
    made(settings, weights)([tf.zeros(weight.shape) for weight in weights])
    left: dict[str, set[float]] = {}
    for weight in weights:
        left.setdefault(weight.name, set()).update(np.unique(weight.numpy()).tolist())
    assert left.keys() == {"kernel", "bias", "gamma", "beta"}
    assert list(left.pop("kernel")) == pytest.approx([1 - 0.5 * settings.learning_rate])
    assert set().union(*left.values()) == {1.0}


@pytest.mark.parametrize("settings", [Adam(), SGD(), Lion()], ids=lambda o: o.kind)
def test_no_weight_decay_costs_keras_nothing(settings: Adam | SGD | Lion) -> None:
    assert build_optimizer(settings, [keras.Variable([1.0], name="kernel")]).weight_decay is None


@pytest.mark.parametrize("settings", [Adam(), AdamW(weight_decay=0.0), SGD()], ids=lambda o: o.kind)
def test_the_lean_optimizer_takes_one_operation_a_weight(settings: Optimizer) -> None:
    weights = [keras.Variable(np.ones(3), dtype="float32", name="kernel") for _ in range(5)]
    optimizer = LeanOptimizer(settings, weights)
    step = tf.function(lambda rate: optimizer.apply([tf.ones(3)] * 5, rate), autograph=False)
    graph = step.get_concrete_function(tf.TensorSpec(())).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert sum(kind.startswith("ResourceApply") for kind in kinds) == 5
    assert "AssignSubVariableOp" not in kinds
