"""Zero-cost scores: what an untrained network's answer to one batch is said to tell of its accuracy once trained."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.model.build import build_for_training
from archsearch.space.architecture import Architecture


def screen(architecture: Architecture, images: NDArray[np.uint8], labels: NDArray[np.int32]) -> dict[str, list[float]]:
    """All scores at initialisation.

    Args:
        architecture: What would be trained.
        images: A batch, (N, H, W, C) uint8.
        labels: (N,) int32.

    Returns:
        By name, the score, of which more is said to be better, and the processor seconds that it takes with building
        the network.
    """
    started = time.process_time()
    keras.utils.set_random_seed(0)
    model = build_for_training(architecture, norm_momentum=0.9)
    pixels = tf.cast(images, tf.float32)
    built = time.process_time() - started
    found = {}
    for name, score in SCORES.items():
        started = time.process_time()
        value = score(model, pixels, labels)
        found[name] = [float(f"{value:.6g}"), round(built + time.process_time() - started, 4)]
    return found


def gradient_norm(model: keras.Model, pixels: Any, labels: Any) -> float:
    """Norms of the loss's gradient, added up over all weights (Abdelfattah et al. 2021, https://arxiv.org/abs/2101.08134)."""
    with tf.GradientTape() as tape:
        logits = model(pixels, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    return float(tf.add_n([tf.norm(g) for g in tape.gradient(loss, model.trainable_variables)]))


def naswot(model: keras.Model, pixels: Any, labels: Any) -> float:
    """How different the images are by which units they switch on (Mellor et al. 2021, https://arxiv.org/abs/2006.04647).

    The logarithm of the determinant of the kernel of Hamming distances.
    """
    activations = [layer.output for layer in model.layers if isinstance(layer, keras.layers.Activation)]
    kernel = np.zeros((len(pixels), len(pixels)))
    for values in keras.Model(model.inputs, activations)(pixels, training=True):
        on = np.reshape(values.numpy() > 0, (len(pixels), -1)).astype(np.float32)
        kernel += on @ on.T + (1 - on) @ (1 - on).T
    return float(np.linalg.slogdet(kernel)[1])


def synflow(model: keras.Model, pixels: Any, labels: Any) -> float:
    """Logarithm of how much all weights pass on together, without data (Tanaka et al. 2020, https://arxiv.org/abs/2006.05467).

    Changes the weights of `model`.
    """
    for weight in model.trainable_variables:
        weight.assign(tf.abs(weight))
    with tf.GradientTape() as tape:
        passed = tf.reduce_sum(model(tf.ones_like(pixels[:1]), training=False))
    weights = [weight.value for weight in model.trainable_variables]
    gradients = tape.gradient(passed, model.trainable_variables)
    return float(tf.math.log(tf.add_n([tf.reduce_sum(tf.abs(w * g)) for w, g in zip(weights, gradients, strict=True)])))


SCORES: dict[str, Callable[[keras.Model, Any, Any], float]] = {
    "gradient norm": gradient_norm,
    "NASWOT": naswot,
    "synflow": synflow,
}
