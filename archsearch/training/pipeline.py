"""Images on their way into a training step: batches from a memory map, and one affine warp an image.

Batches are plain NumPy look-ups: on the CPU they cost less than any `tf.data` pipeline's own overhead.
"""

from collections.abc import Iterator
from math import pi
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from archsearch.data.dataset import ImageSet
from archsearch.space.architecture import Augment

Batch = tuple[NDArray[np.uint8], NDArray[np.int32]]


def shuffled_batches(
    images: ImageSet, indices: NDArray[np.int32], batch_size: int, random: np.random.Generator
) -> Iterator[Batch]:
    """One epoch over `indices` in a fresh order, in equal batches; what is left over waits for another epoch.

    Yields:
        Images (batch_size, H, W, C) uint8 and labels (batch_size,) int32.
    """
    order = random.permutation(indices)
    for start in range(0, len(order) - batch_size + 1, batch_size):
        chosen = np.sort(order[start : start + batch_size])
        yield images.images[chosen], images.labels[chosen]


def ordered_batches(images: ImageSet, indices: NDArray[np.int32], batch_size: int) -> Iterator[Batch]:
    """All of `indices` once, in order; the last batch may be smaller."""
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        yield images.images[chosen], images.labels[chosen]


def warp(images: Any, augment: Augment) -> Any:
    """Rotates, shifts, zooms and shears each image by its own random amounts, in a single interpolation.

    Args:
        images: (N, H, W, C) float32.
        augment: The largest amounts, either way. All zero returns `images` as they are.

    Returns:
        (N, H, W, C) float32; what comes in from outside repeats the nearest edge pixel.
    """
    if augment == Augment():
        return images
    count = tf.shape(images)[0]
    height, width = images.shape[1:3]

    def amounts(limit: float) -> Any:
        return tf.random.uniform((count,), -limit, limit)

    angle = amounts(augment.rotate * pi / 180)
    shear = tf.tan(amounts(augment.shear * pi / 180))
    scale = 1.0 + amounts(augment.zoom)
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    # The matrix takes a place in the result to its place in the source; both turn around the centre.
    a, b = cos, shear * cos - sin
    c, d = sin, shear * sin + cos
    x, y = (width - 1) / 2, (height - 1) / 2
    right = amounts(augment.shift * width) + x - a * x - b * y
    down = amounts(augment.shift * height) + y - c * x - d * y
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, right, c, d, down, zero, zero], axis=1),
        output_shape=(height, width),
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )
