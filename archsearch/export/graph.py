"""What is exported: a trained model behind raw pixels of any size it has to take, as one TensorFlow function."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from archsearch.export.description import Description

IMAGE, PROBABILITIES = "image", "probabilities"
"""What the one input and the one output are called."""


def serving(model: keras.Model, description: Description) -> Callable[[Any], dict[str, Any]]:
    """From pixels (N, H, W, C) uint8, 0 to 255, to {"probabilities": (N, classes) float32}.

    Layers are called as in prediction: left to itself Keras would export some in their training mode.

    Args:
        model: From pixels of its own size to probabilities.
        description: Says whether images are resized first.
    """

    def serve(image: Any) -> dict[str, Any]:
        pixels = tf.cast(image, tf.float32)
        if description.size is not None:
            pixels = resized(pixels, description.size)
        return {PROBABILITIES: model(pixels, training=False)}

    return serve


def specification(description: Description) -> tf.TensorSpec:
    """Of the input: its shape, type and name."""
    shape = (None, description.height, description.width, description.channels)
    return tf.TensorSpec(shape, tf.uint8, name=IMAGE)


def resized(pixels: Any, size: int) -> Any:
    """Images as Pillow makes them smaller or larger when data is read: bilinear, over all pixels that one covers.

    Two products with matrices do it in every runtime; TensorFlow's own operation is missing in most of them.

    Args:
        pixels: (N, H, W, C) float32, 0 to 255.
        size: Side of what comes out, in pixels.

    Returns:
        (N, size, size, C) float32, whole numbers from 0 to 255.
    """
    shape = tf.shape(pixels)
    count, height, width, channels = shape[0], shape[1], shape[2], pixels.shape[3]
    columns = tf.matmul(_weights(width, size), tf.reshape(pixels, (count * height, width, channels)))
    rows = tf.reshape(_whole(columns), (count, height, size * channels))
    return tf.reshape(_whole(tf.matmul(_weights(height, size), rows)), (count, size, size, channels))


def _weights(side: Any, size: int) -> Any:
    """What each old pixel of a line counts in each new one, (size, side) float32; each row adds up to 1."""
    scale = tf.cast(side, tf.float32) / size
    centres = (tf.range(size, dtype=tf.float32) + 0.5) * scale
    old = tf.cast(tf.range(side), tf.float32) + 0.5
    triangles = tf.nn.relu(1.0 - tf.abs(old[None, :] - centres[:, None]) / tf.maximum(scale, 1.0))
    return triangles / tf.reduce_sum(triangles, axis=1, keepdims=True)


def _whole(pixels: Any) -> Any:
    """Pillow keeps 8 bits after each direction."""
    return tf.floor(pixels + 0.5)
